//! TLS between the default fetcher and real servers: which certificates are trusted, when a client
//! certificate is presented, and how failures are described.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod server;

use std::sync::Arc;

use bgfetch_model::attempt::{AttemptSpec, FaultKind};
use bgfetch_model::ids::StorageKey;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::{CredentialsMode, Request};
use bgfetch_net::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::hyper::HyperFetcher;
use futures_util::TryStreamExt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use server::{Authority, ClientAuth, Handshake, Server, provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn fetcher(tls: ClientConfig) -> HyperFetcher {
    HyperFetcher::builder().tls(tls).build().unwrap()
}

fn request(url: &str, principal: Principal) -> FetchRequest {
    let request = Request::get(url.parse().unwrap());
    let key = StorageKey("key".into());
    FetchRequest::new(key, Arc::new(principal), Arc::new(request), AttemptSpec::default(), None)
}

async fn get(fetcher: &HyperFetcher, url: &str) -> Result<FetchResponse, FetchError> {
    fetcher.fetch(request(url, Principal::User)).await
}

async fn succeeds(fetcher: &HyperFetcher, url: &str, alpn: &str) {
    let response = get(fetcher, url).await.unwrap();
    assert_eq!((response.head.status, response.multiplexed), (200, alpn == "h2"));
    let body: Vec<_> = response.body.try_collect().await.unwrap();
    assert_eq!(body.concat(), b"fine");
}

/// Fetches what TLS must refuse, and returns the human-readable reason.
async fn refused(fetcher: &HyperFetcher, url: &str) -> String {
    let error = get(fetcher, url).await.expect_err("the fetch succeeded");
    assert_eq!(error.kind(), FaultKind::Tls, "{error}");
    assert!(error.kind().is_permanent());
    error.to_string()
}

/// Runs a test over HTTP/1.1 and HTTP/2.
macro_rules! over_both {
    ($(async fn $name:ident($alpn:ident) $test:block)*) => {
        $(#[tokio::test]
        async fn $name() {
            for $alpn in ["http/1.1", "h2"] {
                $test
            }
        })*
    };
}

over_both! {

async fn a_certificate_must_be_trusted_valid_now_and_for_the_host(alpn) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (identity, trusted, host, reason) in [
        (authority.valid(), &authority, "localhost", None),
        (authority.valid(), &stranger, "localhost", Some("its issuer is unknown")),
        (authority.valid(), &authority, "127.0.0.1", Some("it is for another host")),
        (authority.sign("a.test", 2000, 9998), &authority, "localhost", Some("it is for another")),
        (authority.sign("localhost", 1999, 2000), &authority, "localhost", Some("it has expired")),
        (authority.sign("localhost", 9990, 9998), &authority, "localhost", Some("not valid yet")),
    ] {
        let server =
            Server::start(&authority, identity, ClientAuth::None, &[&TLS12, &TLS13], alpn).await;
        let fetcher = fetcher(trusted.client(None));
        let Some(reason) = reason else {
            succeeds(&fetcher, &server.url(host), alpn).await;
            continue;
        };
        let told = refused(&fetcher, &server.url(host)).await;
        assert!(told.contains("the server's certificate is not trusted: "), "{told}");
        assert!(told.contains(reason), "{told}");
        assert_eq!(server.connections(), 1, "it was tried again");
    }
}

async fn the_roots_of_the_system_do_not_know_a_private_authority(alpn) {
    let authority = Authority::new();
    let server =
        Server::start(&authority, authority.valid(), ClientAuth::None, &[&TLS13], alpn).await;
    let told = refused(&HyperFetcher::new().unwrap(), &server.url("localhost")).await;
    assert!(told.contains("its issuer is unknown"), "{told}");
}

async fn a_client_certificate_that_is_asked_for_is_shown_or_missed(alpn) {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let server =
            Server::start(&authority, authority.valid(), ClientAuth::Required, &[version], alpn)
                .await;
        let url = server.url("localhost");
        // With TLS 1.3, the server reports this when the client is already waiting for the
        // response.
        let told = refused(&fetcher(authority.client(None)), &url).await;
        assert_eq!(told, "the server wants a client certificate");
        assert_eq!((server.connections(), server.handshakes().len()), (1, 0));

        let stranger = Authority::new();
        let wrong = authority.client(Some(stranger.valid()));
        let told = refused(&fetcher(wrong), &url).await;
        assert_eq!(told, "the server refused TLS: UnknownCA");

        let right = authority.client(Some(authority.sign("me", 2000, 9998)));
        succeeds(&fetcher(right), &url, alpn).await;
        assert_eq!(server.handshakes(), [Handshake { client_certificate: true, resumed: false }]);
    }
}

async fn requests_without_credentials_show_no_client_certificate(alpn) {
    let authority = Authority::new();
    let server =
        Server::start(&authority, authority.valid(), ClientAuth::Optional, &[&TLS13], alpn).await;
    let url = server.url("localhost");
    let fetcher = fetcher(authority.client(Some(authority.sign("me", 2000, 9998))));
    let page = Principal::Page(PolicySnapshot::of(&url.parse().unwrap()));
    for mode in [CredentialsMode::Omit, CredentialsMode::SameOrigin, CredentialsMode::Omit] {
        let mut request = request(&url, page.clone());
        Arc::make_mut(&mut request.request).credentials = mode;
        let response = fetcher.fetch(request).await.unwrap();
        let body: Vec<_> = response.body.try_collect().await.unwrap();
        assert_eq!(body.concat(), b"fine");
    }
    let shown: Vec<_> =
        server.handshakes().iter().map(|handshake| handshake.client_certificate).collect();
    // Over HTTP/2, the last request uses the connection of the first.
    let expected: &[bool] = if alpn == "h2" { &[false, true] } else { &[false, true, false] };
    assert_eq!(shown, expected);
}

async fn an_embedders_verifier_has_the_last_word(alpn) {
    let authority = Authority::new();
    let server =
        Server::start(&authority, authority.valid(), ClientAuth::None, &[&TLS13], alpn).await;
    let url = server.url("127.0.0.1");
    succeeds(&fetcher(Verdict::client(true)), &url, alpn).await;
    let told = refused(&fetcher(Verdict::client(false)), &url).await;
    assert!(told.contains("not trusted: the verifier refused it"), "{told}");
}

}

#[tokio::test]
async fn a_session_is_resumed_within_its_partition_alone() {
    let authority = Authority::new();
    let server =
        Server::start(&authority, authority.valid(), ClientAuth::None, &[&TLS13], "http/1.1").await;
    let url = server.url("localhost");
    let fetcher = fetcher(authority.client(None));
    let page = Principal::Page(PolicySnapshot::of(&url.parse().unwrap()));
    // The server closes each connection after its response.
    for (key, mode, resumed) in [
        ("a", CredentialsMode::Include, false),
        ("a", CredentialsMode::Include, true),
        ("b", CredentialsMode::Include, false),
        ("a", CredentialsMode::Omit, false),
        ("a", CredentialsMode::Omit, true),
    ] {
        let mut request = request(&url, page.clone());
        request.storage_key = StorageKey(key.into());
        Arc::make_mut(&mut request.request).credentials = mode;
        let response = fetcher.fetch(request).await.unwrap();
        let body: Vec<_> = response.body.try_collect().await.unwrap();
        assert_eq!(body.concat(), b"fine");
        assert_eq!(server.handshakes().last().unwrap().resumed, resumed, "{key} {mode:?}");
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = [0; 4096];
        assert_ne!(socket.read(&mut hello).await.unwrap(), 0);
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        while matches!(socket.read(&mut hello).await, Ok(1..)) {}
    });
    let error = get(&HyperFetcher::new().unwrap(), &url).await.expect_err("it was TLS");
    assert_eq!((error.kind(), error.sent()), (FaultKind::Tls, false), "{error}");
    assert!(error.to_string().contains("the server does not speak TLS"), "{error}");
    server.await.unwrap();
}

/// Accepts every certificate, or none.
#[derive(Debug)]
struct Verdict {
    accept: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verdict {
    fn client(accept: bool) -> ClientConfig {
        let algorithms = provider().signature_verification_algorithms;
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Self { accept, algorithms }))
            .with_no_client_auth()
    }
}

impl ServerCertVerifier for Verdict {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.accept {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
