//! A name server that never answers.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;

use bgfetch_testkit::DEADLINE;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use crate::fixture::{Place, Running};

/// The system's first name server.
fn name_server() -> IpAddr {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = file.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    server.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// Listens as the system's name server, in a network namespace of this thread; `None` if that is
/// not allowed.
fn silent_name_server() -> Option<UdpSocket> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: no right to make a network namespace");
            return None;
        }
        made => made.unwrap(),
    }
    let server = name_server();
    ip(&["link", "set", "lo", "up"]);
    if !server.is_loopback() {
        ip(&["address", "add", &server.to_string(), "dev", "lo"]);
    }
    let socket = UdpSocket::bind((server, 53)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    Some(socket)
}

/// The first label of the name in the query.
fn asked_for(query: &[u8]) -> &[u8] {
    let length = usize::from(query[12]);
    &query[13..13 + length]
}

#[test]
fn the_program_ends_at_once_while_look_ups_hang() {
    // Namespaces belong to threads; the program is started in this one's.
    let test = std::thread::spawn(|| {
        let Some(server) = silent_name_server() else { return };
        let place = Place::new();
        let mut get = place.get((0..16).map(|n| format!("http://dead{n}.test/film")));
        // Long enough for the test to see whether anything waits for it.
        get.env("RES_OPTIONS", "timeout:30 attempts:5");
        let running = Running::spawn(get);
        let (mut names, mut query) = (BTreeSet::new(), [0; 512]);
        while names.len() < 16 {
            let length = server.recv(&mut query).unwrap();
            names.insert(asked_for(&query[..length]).to_vec());
        }
        running.signal("INT");
        assert_eq!(running.end().code, Some(130));
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}
