//! A scripted fetcher, and an attempt that is driven in the place of the model.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bgfetch_model::attempt::AttemptCommand::{Grant, Receive};
use bgfetch_model::attempt::AttemptEvent::{Ended, Head, Progress};
use bgfetch_model::attempt::{
    AttemptCommand, AttemptEnd, AttemptEvent, AttemptSpec, Fault, FaultKind,
};
use bgfetch_model::ids::{BodyKey, FetchKey, Generation, RecordIndex, RecordKey, StorageKey};
use bgfetch_model::ip_address_space::IpAddressSpace;
use bgfetch_model::policy::{PolicySnapshot, Principal};
use bgfetch_model::request::Request;
use bgfetch_model::response::ResponseHead;
use bgfetch_net::attempt::{BodySink, Timeouts, run};
use bgfetch_net::fetcher::{BodySource, FetchError, FetchRequest, FetchResponse, Fetcher};
use bgfetch_net::partition::Partition;
use bgfetch_net::throttle::{Share, Throttle};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use url::Url;

/// The body that every attempt here is told to write.
pub(crate) const BODY: BodyKey = BodyKey {
    record: RecordKey { fetch: FetchKey(1), index: RecordIndex(2) },
    generation: Generation(3),
};

/// One step of a scripted response body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Bytes(usize),
    Wait(Duration),
    Cut,
}
pub(crate) use Step::{Bytes as Send, Cut, Wait};

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Request bytes that were sent, and how long after the previous step.
    pub(crate) uploads: Vec<(Duration, u64)>,
    /// How many bytes the request's body has, which it sends as fast as it can be read.
    pub(crate) sends: usize,
    /// How long the look-up of the host's name takes.
    pub(crate) look_up: Duration,
    /// Whether the fetch begins before its future is returned, as on another thread.
    pub(crate) is_eager: bool,
    /// Whether the look-up ends when it is polled for the second time.
    pub(crate) quick_look_up: bool,
    /// Whether the page needs a permission.
    pub(crate) needs_permission: bool,
    pub(crate) head_after: Duration,
    /// How long the body waits for memory.
    pub(crate) memory_after: Duration,
    pub(crate) body: Vec<Step>,
    /// How many bytes of the body were read.
    pub(crate) pulled: Arc<AtomicU64>,
    /// Whether the connection is the response's own.
    pub(crate) http1: bool,
    pub(crate) fails: Option<FaultKind>,
    /// The page that makes the request, instead of the user.
    pub(crate) page: Option<&'static str>,
}

impl Script {
    pub(crate) fn body(steps: &[Step]) -> Self {
        Self { body: steps.to_vec(), ..Self::default() }
    }
}

/// The byte at `offset` of every scripted representation.
pub(crate) fn byte(offset: usize) -> u8 {
    (offset % 251) as u8
}

pub(crate) fn chunk(offset: usize, length: usize) -> Bytes {
    (offset..offset + length).map(byte).collect()
}

impl Fetcher for Script {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let script = self.clone();
        let is_eager = script.is_eager;
        let mut fetch: BoxFuture<'static, _> = Box::pin(async move {
            let look_up = async {
                if script.quick_look_up {
                    tokio::task::yield_now().await;
                }
                if script.look_up > Duration::ZERO {
                    sleep(script.look_up).await;
                }
                match script.fails {
                    Some(FaultKind::NoRoute) => {
                        Err(FetchError::new(FaultKind::NoRoute, false, "scripted"))
                    }
                    _ => Ok(()),
                }
            };
            request.slot.look_up(&request.request.url, look_up).await?;
            if script.needs_permission {
                let (url, space) = (&request.request.url, IpAddressSpace::Local);
                let granted = request.slot.permission(url, space).await;
                granted.map_err(|denied| FetchError::new(FaultKind::Blocked, false, denied))?;
            }
            for (after, offset) in script.uploads {
                sleep(after).await;
                request.uploaded.advance_to(offset);
            }
            if let Some(body) = &request.body {
                let (mut body, mut sent) = (body.open(), 0);
                while let Some(bytes) = body.next().await {
                    sent += bytes.unwrap().len() as u64;
                    request.uploaded.advance_to(sent);
                }
                assert_eq!(sent, script.sends as u64);
            }
            sleep(script.head_after).await;
            let url = request.request.url.clone();
            if let Some(kind) = script.fails {
                return Err(FetchError::new(kind, false, "scripted"));
            }
            let (steps, pulled) = (script.body.into_iter(), script.pulled);
            let body = stream::unfold((steps, 0), move |(mut steps, mut offset)| {
                let pulled = Arc::clone(&pulled);
                async move {
                    loop {
                        match steps.next()? {
                            Send(length) => {
                                let bytes = chunk(offset, length);
                                offset += length;
                                pulled.store(offset as u64, Ordering::Relaxed);
                                return Some((Ok(bytes), (steps, offset)));
                            }
                            Wait(time) => sleep(time).await,
                            Cut => {
                                let error = FetchError::new(FaultKind::Interrupted, true, "cut");
                                return Some((Err(error), (steps, offset)));
                            }
                        }
                    }
                }
            });
            let memory = async move {
                if script.memory_after > Duration::ZERO {
                    request.slot.memory(sleep(script.memory_after)).await;
                }
                body
            };
            let body = stream::once(memory).flatten();
            let response = FetchResponse::new(ResponseHead::new(200, vec![url]), body.boxed());
            Ok(response.with(|it| {
                it.retry_after = Some(Duration::from_secs(7));
                it.multiplexed = !script.http1;
            }))
        });
        match is_eager.then(|| (&mut fetch).now_or_never()).flatten() {
            Some(done) => Box::pin(std::future::ready(done)),
            None => fetch,
        }
    }
}

/// A request's body of this many bytes.
struct Photo(usize);

impl BodySource for Photo {
    fn length(&self) -> u64 {
        self.0 as u64
    }

    fn open(&self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::iter([Ok(chunk(0, self.0))]).boxed()
    }
}

/// What was written, and how much was granted.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) limit: Arc<AtomicU64>,
    pub(crate) full_at: Option<u64>,
}

impl BodySink for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stored = self.bytes.lock();
        let length = (stored.len() + bytes.len()) as u64;
        if let Some(full) = self.full_at.filter(|full| length > *full) {
            // The last bytes that fit.
            let room = full as usize - stored.len();
            stored.extend_from_slice(&bytes[..room]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(length <= self.limit.load(Ordering::Relaxed), "beyond the grant");
        stored.extend_from_slice(bytes);
        Ok(())
    }

    fn length(&self) -> u64 {
        self.bytes.lock().len() as u64
    }
}

/// A running attempt; the test takes the place of the model.
pub(crate) struct Run {
    pub(crate) began: Instant,
    pub(crate) commands: Option<UnboundedSender<AttemptCommand>>,
    pub(crate) events: UnboundedReceiver<AttemptEvent>,
    pub(crate) disk: Disk,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) fn start(script: Script) -> Run {
    start_with(script, Disk::default(), Timeouts::default())
}

pub(crate) fn start_with(script: Script, disk: Disk, timeouts: Timeouts) -> Run {
    start_in(script, disk, timeouts, share(&Throttle::new(None), 1))
}

/// The share of a fetch. Fetches with odd and even numbers are of different sites.
pub(crate) fn share(throttle: &Throttle, fetch: u64) -> Share {
    let site = Partition::Site(StorageKey((fetch % 2).to_string()));
    throttle.share(site, FetchKey(fetch))
}

pub(crate) fn start_in(script: Script, disk: Disk, timeouts: Timeouts, share: Share) -> Run {
    let (commands, receiver) = unbounded_channel();
    let (report, events) = unbounded_channel();
    let sink = disk.clone();
    let task = tokio::spawn(async move {
        let request = Request::get(Url::parse("http://a.test/").unwrap());
        let mut request = match script.page {
            None => user_request(request),
            Some(page) => page_request(page, request),
        };
        if script.sends > 0 {
            request.body = Some(Arc::new(Photo(script.sends)));
        }
        let open = move |body, offset| {
            assert_eq!(body, BODY);
            let zeros = vec![0; usize::try_from(offset).unwrap()];
            *sink.bytes.lock() = zeros;
            Ok(Box::new(sink) as Box<dyn BodySink>)
        };
        let reporter = move |event| {
            // The test may have dropped its receiver.
            report.send(event).unwrap_or_default();
        };
        run(&script, request, timeouts, share, open, receiver, reporter).await;
    });
    Run { began: Instant::now(), commands: Some(commands), events, disk, task }
}

impl Run {
    pub(crate) fn tell(&self, command: AttemptCommand) {
        if let Receive { grant, .. } | Grant(grant) = command {
            self.disk.limit.fetch_max(grant, Ordering::Relaxed);
        }
        self.commands.as_ref().unwrap().send(command).unwrap();
    }

    pub(crate) async fn hear(&mut self) -> AttemptEvent {
        self.events.recv().await.expect("the attempt has ended")
    }

    pub(crate) async fn receive(&mut self, offset: u64, grant: u64) {
        assert!(matches!(self.hear().await, Head { .. }));
        self.tell(Receive { body: BODY, offset, grant });
    }

    /// The next event other than progress, which must be the end and the last one.
    pub(crate) async fn ended(&mut self) -> (Option<u64>, AttemptEnd) {
        loop {
            match self.hear().await {
                Progress(_) => {}
                Ended { stored, end } => {
                    assert_eq!(self.events.recv().await, None, "an event after the end");
                    return (stored, end);
                }
                other => panic!("not the end: {other:?}"),
            }
        }
    }

    pub(crate) fn stored(&self) -> usize {
        self.disk.bytes.lock().len()
    }
}

pub(crate) fn fault(end: AttemptEnd) -> Fault {
    match end {
        AttemptEnd::Failed(fault) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

pub(crate) fn user_request(request: Request) -> FetchRequest {
    let (key, user) = (StorageKey("user".into()), Arc::new(Principal::User));
    FetchRequest::new(key, user, Arc::new(request), AttemptSpec::default(), None)
}

pub(crate) fn page_request(page: &str, request: Request) -> FetchRequest {
    let page = PolicySnapshot::of(&Url::parse(page).unwrap());
    let (key, page) = (StorageKey("page".into()), Arc::new(Principal::Page(page)));
    FetchRequest::new(key, page, Arc::new(request), AttemptSpec::default(), None)
}
