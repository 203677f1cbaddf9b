//! The network: look-ups that fail, connections that cannot be made or break, and uploads.

use std::time::Duration;

use bgfetch::embedder::{BodySource, BoxFuture};
use bgfetch::{FaultKind, FetchError, FetchRequest, FetchResponse, Fetcher};
use futures_util::StreamExt as _;
use tokio::time::sleep;

use super::facts::Record;
use super::plan::{Line, Wanted};
use super::server;
use super::world::World;

/// The header by which the network knows for which record a request is.
pub(crate) const RECORD: &str = "x-record";

/// From this attempt at a record on, nothing goes wrong by chance.
const ENOUGH: u32 = 12;

pub(crate) struct Network(pub(crate) World);

impl Fetcher for Network {
    fn fetch(
        &self,
        request: FetchRequest,
    ) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        let flight = Flight::begin(self.0.clone(), &request);
        Box::pin(exchange(flight, request))
    }
}

async fn exchange(flight: Flight, request: FetchRequest) -> Result<FetchResponse, FetchError> {
    let world = flight.world.clone();
    let faults = world.plan().faults;
    if flight.trouble(faults.look_ups, 3) {
        request.slot.look_up(&request.request.url, look_up(&flight)).await?;
    }
    sleep(world.time(300)).await;
    if !flight.line_is_up() || flight.trouble(faults.unreachable, 4) {
        return Err(flight.fails(FaultKind::Unreachable, false));
    }
    if flight.trouble(faults.refusals, 3) {
        return Err(flight.fails(FaultKind::Interrupted, false));
    }
    let wanted = flight.wanted();
    if world.plan().resources[wanted.resource()].untrusted && !wanted.is_upload() {
        return Err(flight.fails(FaultKind::Tls, false));
    }
    if let Some(body) = &request.body {
        upload(&flight, &request, &**body).await?;
    }
    if flight.trouble(faults.stalls, 6) {
        // Longer than anybody waits for a head.
        flight.note(|record| record.failures += 1);
        sleep(Duration::from_secs(70)).await;
        return Err(flight.fails(FaultKind::Interrupted, true));
    }
    sleep(world.time(200)).await;
    Ok(server::respond(flight, &request))
}

async fn look_up(flight: &Flight) -> Result<(), FetchError> {
    let world = &flight.world;
    let takes = if world.once_in(3) { Duration::ZERO } else { world.time(20_000) };
    if !takes.is_zero() {
        sleep(takes).await;
    }
    match world.once_in(4) {
        true => Err(flight.fails(FaultKind::NoRoute, false)),
        false => Ok(()),
    }
}

/// Sends the body of an upload, or a part of it.
async fn upload(
    flight: &Flight,
    request: &FetchRequest,
    body: &dyn BodySource,
) -> Result<(), FetchError> {
    let world = &flight.world;
    flight.leaves();
    let breaks = flight.trouble(world.plan().faults.cuts, 4);
    let (mut stream, mut sent) = (body.open(), Vec::new());
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => sent.extend_from_slice(&piece),
            Err(error) => {
                world.violate(format!("the body of an upload cannot be read: {error}"));
                return Err(flight.fails(FaultKind::Storage, true));
            }
        }
        request.uploaded.advance_to(sent.len() as u64);
        sleep(world.time(100)).await;
        if !flight.line_is_up() || breaks {
            return Err(flight.fails(FaultKind::Interrupted, true));
        }
    }
    if flight.wanted.body().is_none_or(|body| body != sent) {
        world.violate(format!("{} sent other bytes than the page gave", flight.tag));
    }
    Ok(())
}

/// An attempt, until it is dropped.
pub(crate) struct Flight {
    pub(crate) world: World,
    tag: String,
    /// The records that it may be for.
    records: Vec<(usize, usize)>,
    pub(crate) site: usize,
    wanted: Wanted,
    partition: usize,
    life: usize,
}

impl Flight {
    fn begin(world: World, request: &FetchRequest) -> Self {
        let tag = request.request.headers.get(RECORD).unwrap();
        let records = world.oracle().tagged(&tag);
        let (site, wanted) = {
            let (mut oracle, (number, index)) = (world.oracle(), records[0]);
            let call = &oracle.fetch(number).call;
            (call.site, call.records[index].clone())
        };
        let partition = world.partition(site);
        let life = {
            let mut state = world.state();
            state.starts[partition] += 1;
            state.in_flight[partition] += 1;
            state.life
        };
        let flight = Self { world, tag, records, site, wanted, partition, life };
        flight.note(|record| {
            record.attempts += 1;
            record.in_flight += 1;
        });
        let start = request.resume.as_ref().map(|resume| resume.start);
        flight.trace(|| format!("is requested from {start:?}"));
        flight
    }

    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        self.world.trace(|| format!("{} {}", self.tag, what()));
    }

    /// Notes something that is done to the record.
    pub(crate) fn note(&self, mut note: impl FnMut(&mut Record)) {
        self.world.note(|oracle| {
            for (number, index) in &self.records {
                note(&mut oracle.fetch(*number).records[*index]);
            }
        });
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The stored bytes are about to be replaced.
    pub(crate) fn replaces(&self) {
        let now = self.world.now();
        self.world.note(|oracle| {
            for (number, index) in &self.records {
                let fetch = oracle.fetch(*number);
                if fetch.records[*index].served {
                    fetch.replacements += 1;
                    fetch.replaced_at = Some(now);
                }
            }
        });
    }

    /// Whether something goes wrong that may.
    pub(crate) fn trouble(&self, may: bool, once_in: u32) -> bool {
        let attempts = {
            let (mut oracle, records) = (self.world.oracle(), self.records.iter());
            let attempts =
                records.map(|&(fetch, index)| oracle.fetch(fetch).records[index].attempts);
            attempts.max().unwrap_or_default()
        };
        may && !self.world.is_calm() && attempts < ENOUGH && self.world.once_in(once_in)
    }

    pub(crate) fn line_is_up(&self) -> bool {
        matches!(self.world.state().line, Line::Online | Line::Metered)
    }

    /// The attempt fails.
    pub(crate) fn fails(&self, kind: FaultKind, sent: bool) -> FetchError {
        // Missing the network uses up no retry.
        let is_missing = self.world.oracle().offline_since.is_some();
        self.note(|record| {
            record.failures += u32::from(!is_missing);
            record.permanent |= kind.is_permanent();
        });
        self.trace(|| format!("fails: {kind:?}"));
        FetchError::new(kind, sent, "the world is like that")
    }

    /// The first byte of an upload is sent.
    fn leaves(&self) {
        self.trace(|| String::from("leaves"));
        let mut again = false;
        self.note(|record| {
            record.left += 1;
            again |= record.left > 1;
        });
        if again {
            self.world.violate(format!("{} was sent twice", self.tag));
        }
        self.world.disk().answered();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        {
            let mut state = self.world.state();
            if state.life == self.life {
                state.in_flight[self.partition] -= 1;
            }
        }
        let now = self.world.now();
        self.note(|record| {
            record.in_flight = record.in_flight.saturating_sub(1);
            record.landed_at = now;
        });
    }
}
