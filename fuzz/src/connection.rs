//! A server on loopback that answers with given bytes, and one attempt to fetch from it with the
//! default network stack and the attempt driver, whose protocol is checked.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bgfetch_model::attempt::{AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec};
use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey, StorageKey};
use bgfetch_model::policy::Principal;
use bgfetch_model::request::{RedirectMode, Request};
use bgfetch_model::response::ResponseHead;
use bgfetch_net::attempt::{BodySink, Timeouts, run};
use bgfetch_net::fetcher::{BodySource, FetchRequest, Fetcher};
use bgfetch_net::hyper::{HyperFetcher, Resolve};
use bgfetch_net::throttle::Throttle;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How many bytes an attempt may store in total.
pub const LIMIT: u64 = 200_000;

/// How much is granted at a time.
const GRANT: u64 = 1_000;

/// The host name of the server.
pub const HOST: &str = "server.test";

/// The result of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The response's head, if there was one.
    pub head: Option<ResponseHead>,
    /// The bytes that were stored.
    pub stored: Vec<u8>,
    /// How it ended.
    pub end: AttemptEnd,
}

/// Makes one attempt. `request` is called with the server's port. Each connection gets the next of
/// `answers`, and is then closed.
///
/// # Panics
/// If the attempt violates its protocol or its grant, or does not end.
pub fn attempt(
    answers: &[&[u8]],
    request: impl FnOnce(u16) -> (Principal, Request, AttemptSpec),
) -> Outcome {
    thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new()));
    BENCH.with_borrow(|bench| {
        let (principal, request, spec) = request(bench.address.port());
        assert!(request.redirect != RedirectMode::Follow || stay_here(answers));
        bench.runtime.block_on(async {
            tokio::select! {
                outcome = bench.run(principal, spec, request) => outcome,
                () = bench.serve(answers) => unreachable!("the server goes on"),
                () = tokio::time::sleep(Duration::from_secs(20)) => panic!("it does not end"),
            }
        })
    })
}

/// Whether no redirect among `answers` can lead to another server.
#[must_use]
pub fn stay_here(answers: &[&[u8]]) -> bool {
    answers.iter().all(|answer| {
        let plain = |byte: &&u8| !byte.is_ascii_whitespace() && !byte.is_ascii_control();
        let text: Vec<u8> =
            answer.iter().filter(plain).map(|byte| byte.to_ascii_lowercase()).collect();
        !text.contains(&b'\\')
            && !text.windows(2).any(|two| two == b"//")
            && !text.windows(6).any(|six| six == b"https:")
    })
}

struct Bench {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    fetcher: HyperFetcher,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Self {
            runtime,
            address: listener.local_addr().unwrap(),
            listener,
            fetcher: HyperFetcher::builder().tls(tls).resolver(Here).build().unwrap(),
        }
    }

    async fn serve(&self, answers: &[&[u8]]) {
        let mut answers = answers.iter();
        loop {
            let (socket, _) = self.listener.accept().await.unwrap();
            // The client may disconnect in the middle of an answer.
            drop(answer(socket, answers.next().unwrap_or(&b"".as_slice())).await);
        }
    }

    async fn run(&self, principal: Principal, spec: AttemptSpec, request: Request) -> Outcome {
        let start = spec.resume.as_ref().map_or(0, |resume| resume.start);
        let body = request.body_length.map(|length| {
            let body: Arc<dyn BodySource> = Arc::new(Zeros(length));
            body
        });
        let (key, principal) = (StorageKey("https://page.test".into()), Arc::new(principal));
        let request = FetchRequest::new(key, principal, Arc::new(request), spec, body);
        let (commands, receiver) = unbounded_channel();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&stored);
        let protocol = Arc::new(Mutex::new(Protocol {
            commands,
            start,
            granted: None,
            head: None,
            end: None,
        }));
        let reporter = Arc::clone(&protocol);
        let share = Throttle::new(None).share(request.partition(), BODY.record.fetch);
        run(
            &self.fetcher,
            request,
            Timeouts::default(),
            share,
            move |body, offset| {
                assert_eq!((body, offset), (BODY, start));
                Ok(Box::new(Sink(start, sink)) as Box<dyn BodySink>)
            },
            receiver,
            move |event| reporter.lock().unwrap().hear(event),
        )
        .await;
        self.fetcher.network_changed();
        let (head, end) = {
            let mut protocol = protocol.lock().unwrap();
            (protocol.head.take(), protocol.end.take())
        };
        let (reported, end) = end.expect("an attempt reports its end");
        let stored = std::mem::take(&mut *stored.lock().unwrap());
        match reported {
            Some(length) => assert_eq!(length, start + stored.len() as u64),
            None => assert!(stored.is_empty()),
        }
        assert!(stored.is_empty() || head.is_some(), "bytes without a head");
        Outcome { head, stored, end }
    }
}

/// The stored body.
const BODY: BodyKey = BodyKey {
    record: RecordKey { fetch: FetchKey(0), index: RecordIndex(0) },
    generation: Generation(1),
};

/// The events of an attempt so far.
struct Protocol {
    commands: UnboundedSender<AttemptCommand>,
    start: u64,
    granted: Option<u64>,
    head: Option<ResponseHead>,
    end: Option<(Option<u64>, AttemptEnd)>,
}

impl Protocol {
    fn hear(&mut self, event: AttemptEvent) {
        assert!(self.end.is_none(), "{event:?} after the end");
        match event {
            AttemptEvent::Uploaded(_) => {}
            AttemptEvent::Head { head, .. } => {
                assert!(self.head.is_none(), "two heads");
                assert!(!head.url_list.is_empty());
                self.head = Some(head);
                self.grant(GRANT);
            }
            AttemptEvent::Progress(stored) | AttemptEvent::GrantReturned(stored) => {
                assert!(stored <= self.granted.expect("bytes without a head"));
            }
            AttemptEvent::NeedGrant(stored) => {
                assert_eq!(Some(stored), self.granted);
                self.grant(stored - self.start + GRANT);
            }
            AttemptEvent::LookUp(_) => {}
            AttemptEvent::NeedSlot | AttemptEvent::NeedPermission { .. } => {
                let _ended = self.commands.send(AttemptCommand::TakeSlot);
            }
            AttemptEvent::Ended { stored, end } => {
                assert_eq!(stored.is_some(), self.granted.is_some());
                assert!(stored.is_none_or(|stored| Some(stored) <= self.granted));
                self.end = Some((stored, end));
            }
        }
    }

    fn grant(&mut self, length: u64) {
        let grant = self.start + length;
        let command = match self.granted {
            _ if length > LIMIT => AttemptCommand::Cancel,
            None => AttemptCommand::Receive { body: BODY, offset: self.start, grant },
            Some(_) => AttemptCommand::Grant(grant),
        };
        if length <= LIMIT {
            self.granted = Some(grant);
        }
        // The attempt may have ended.
        let _ended = self.commands.send(command);
    }
}

/// Reads a request's head, writes `answer` and waits until the client disconnects.
async fn answer(mut socket: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    socket.write_all(answer).await?;
    socket.shutdown().await?;
    let mut rest = [0; 1024];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Resolves every name to this machine.
struct Here;

impl Resolve for Here {
    fn resolve(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

/// A request's body.
struct Zeros(u64);

impl BodySource for Zeros {
    fn length(&self) -> u64 {
        self.0
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let bytes = Bytes::from(vec![0; usize::try_from(self.0).unwrap()]);
        stream::iter([Ok(bytes)]).boxed()
    }
}

/// The bytes after the first ones, which are stored already.
struct Sink(u64, Arc<Mutex<Vec<u8>>>);

impl BodySink for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stored = self.1.lock().unwrap();
        stored.extend_from_slice(bytes);
        assert!(stored.len() as u64 <= LIMIT, "beyond the grant");
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0 + self.1.lock().unwrap().len() as u64
    }
}
