//! The real nginx behaves as its handle says. Without nginx there is nothing to test.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use crate::raw::{get, read_to_end, send};
use bgfetch_testkit::{MIB, Nginx, NginxConfig, Resource};

#[test]
fn nginx_serves_ranges_logs_them_and_restarts_on_its_port() {
    let root = tempfile::tempdir().unwrap();
    let Some(mut nginx) = Nginx::try_start(root.path()) else {
        return;
    };
    let resource = Resource::new(1, MIB);
    nginx.put("a.bin", &resource);

    assert_eq!(get(nginx.address(), "/a.bin", &[]).body, resource.bytes());
    let part = get(nginx.address(), "/a.bin", &["Range: bytes=1000000-"]);
    assert_eq!(part.status(), 206);
    assert_eq!(part.body, resource.slice(1_000_000..MIB));
    let log = nginx.blocking_wait_for_log(2);
    assert_eq!((log[0].status, log[0].range.as_deref()), (200, None));
    assert_eq!((log[0].method.as_str(), log[0].uri.as_str()), ("GET", "/a.bin"));
    assert_eq!((log[1].status, log[1].range.as_deref()), (206, Some("bytes=1000000-")));
    assert_eq!(log[1].body_bytes_sent, MIB - 1_000_000);
    assert_eq!(log[1].protocol, "HTTP/1.1");

    nginx.stop();
    let refused = TcpStream::connect(nginx.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    nginx.start_again();
    assert_eq!(get(nginx.address(), "/none", &[]).status(), 404);
    assert_eq!(nginx.blocking_wait_for_log(3).len(), 3);

    let address = nginx.address();
    drop(nginx);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_limited_nginx_can_be_stopped_in_mid_body() {
    let root = tempfile::tempdir().unwrap();
    let config = NginxConfig::default().limit_rate(64 * 1024);
    let Some(mut nginx) = Nginx::try_start_with(root.path(), config) else {
        return;
    };
    nginx.put("a.bin", &Resource::new(1, 64 * MIB));
    let mut socket = send(nginx.address(), "GET /a.bin", &[]);
    socket.read_exact(&mut [0; 1000]).unwrap();
    nginx.stop();
    assert!((read_to_end(socket).body.len() as u64) < 64 * MIB);
}

#[test]
fn nginx_with_tls_presents_the_certificate() {
    let root = tempfile::tempdir().unwrap();
    let Some(nginx) = Nginx::try_start_with(root.path(), NginxConfig::default().tls()) else {
        return;
    };
    assert!(nginx.url("/").as_str().starts_with("https://127.0.0.1:"));
    // nginx answers plain HTTP on a TLS port with a 400.
    assert_eq!(get(nginx.address(), "/", &[]).status(), 400);
    assert!(nginx.certificates().root_pem().contains("BEGIN CERTIFICATE"));
}
