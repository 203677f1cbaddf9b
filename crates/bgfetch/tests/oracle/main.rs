//! D40: a background fetch reveals nothing about a cross-origin resource to a page without its
//! server's approval. Servers that differ only in what they would answer (size, status, existence,
//! speed, ...) cannot be told apart by anything that a page, its worker or its user interface can
//! see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod link;
mod sequences;
mod twins;
mod world;

use bgfetch::{CredentialsMode, Request};
use bgfetch_testkit::{Ending, Gate, MIB, Reply, Resource, Serve};

use self::twins::{Twin, twins, upload_twins};
use self::world::{Call, FILM, World};

const PROTOCOLS: [bool; 2] = [false, true];

/// A body that is larger than all buffers on the way together.
const UPLOAD: usize = 300_000;

/// The line of a trace about the quota at the end.
const ALL_QUOTA: &str = "quota: all of it is left: true";

/// The traces of twins, compared with the first.
#[derive(Default)]
struct Traces {
    first: Option<(&'static str, Vec<String>)>,
    compared: usize,
}

impl Traces {
    fn add(&mut self, call: &Call, name: &'static str, trace: Vec<String>) {
        let Some((other, expected)) = &self.first else {
            self.first = Some((name, trace));
            return;
        };
        self.compared += expected.len();
        assert!(
            trace == *expected,
            "{call:?} tells {name:?} from {other:?}:\n{trace:#?}\n{expected:#?}"
        );
    }

    /// The one trace of all twins.
    fn finish(self, call: &Call) -> Vec<String> {
        println!("{call:?}: {} observations compared, 0 differences", self.compared);
        let (_, trace) = self.first.unwrap();
        assert!(trace.iter().any(|line| line.contains("FetchError")), "{trace:#?}");
        trace
    }
}

/// Runs `call` against each twin, under `route`, and returns their common trace.
async fn compare(world: &World, route: &str, call: &Call, twins: Vec<Twin>) -> Vec<String> {
    let mut traces = Traces::default();
    for Twin { name, script, held } in twins {
        world.cross.serve(route, script);
        traces.add(call, name, world.observe(name, call).await);
        held.open();
    }
    traces.finish(call)
}

#[tokio::test]
async fn downloads_without_approval_are_alike() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        for download_total in [0, 1, 1 << 40] {
            for sibling in [false, true] {
                let sibling = sibling.then(|| world.home.url("/sibling"));
                let call = Call { download_total, sibling, ..world.get() };
                compare(&world, FILM, &call, twins(&world)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_small_quota_is_neither_used_nor_reserved() {
    const QUOTA: u64 = 4096;
    for tls in PROTOCOLS {
        let world = World::open(tls, QUOTA).await;
        for download_total in [0, 100] {
            let call = Call { download_total, probes_quota: true, ..world.get() };
            let trace = compare(&world, FILM, &call, twins(&world)).await;
            assert!(trace.iter().any(|line| line == ALL_QUOTA), "{trace:#?}");
        }
    }
}

#[tokio::test]
async fn credentials_against_the_wildcard_are_alike() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        let mut call = world.get();
        call.request.credentials = CredentialsMode::Include;
        let twins = twins(&world)
            .into_iter()
            .map(|twin| twin.with_header("access-control-allow-origin", "*"));
        compare(&world, FILM, &call, twins.collect()).await;
    }
}

#[tokio::test]
async fn what_the_page_is_redirected_to_is_alike() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        world.home.serve("/away", Reply::redirect(307, world.cross.url(FILM)));
        let request = Request::get(world.home.url("/away"));
        let call = Call { request, ..world.get() };
        compare(&world, FILM, &call, twins(&world)).await;
    }
}

#[tokio::test]
async fn uploads_without_approval_are_alike() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        for sibling in [false, true] {
            let sibling = sibling.then(|| world.home.url("/sibling"));
            let call = Call { sibling, ..world.upload("POST", UPLOAD) };
            let trace = compare(&world, FILM, &call, upload_twins(&world)).await;
            assert!(!trace.iter().any(|line| line.contains("uploaded: 3")), "{trace:#?}");
        }
    }
}

#[tokio::test]
async fn preflights_that_fail_are_alike() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        world.cross.serve(FILM, Resource::new(1, 10));
        let call = world.upload("PUT", UPLOAD);
        compare(&world, "OPTIONS /film", &call, twins(&world)).await;
        // With the origin's approval but without the method's.
        let twins = twins(&world)
            .into_iter()
            .map(|twin| twin.with_header("access-control-allow-origin", "*"));
        compare(&world, "OPTIONS /film", &call, twins.collect()).await;
        let requests = world.cross.requests();
        assert!(requests.iter().all(|request| request.method == "OPTIONS"), "a body was sent");
    }
}

#[tokio::test]
async fn a_resume_that_lost_its_approval_is_alike() {
    const QUOTA: u64 = 500_000;
    for tls in PROTOCOLS {
        let world = World::open(tls, QUOTA).await;
        for download_total in [0, QUOTA] {
            let call = Call { download_total, probes_quota: true, ..world.get() };
            let mut traces = Traces::default();
            for Twin { name, script, .. } in twins(&world) {
                let gate = Gate::new();
                let film = Resource::new(1, QUOTA).etag("\"v\"");
                let approved = film
                    .header("access-control-allow-origin", "*")
                    .hold_at(world::RESUMED_AT, &gate)
                    .cut_after(world::RESUMED_AT);
                world.cross.serve(FILM, approved.then(script));
                traces.add(&call, name, world.observe_resume(name, &call, &gate).await);
            }
            let trace = traces.finish(&call);
            assert!(trace.iter().any(|line| line == ALL_QUOTA), "{trace:#?}");
        }
    }
}

/// The time to a failure must not depend on a body that never comes or never ends.
#[tokio::test]
async fn a_failure_waits_for_no_byte_of_the_body() {
    for tls in PROTOCOLS {
        let world = World::open(tls, u64::MAX).await;
        let gate = Gate::new();
        world.cross.serve(FILM, Resource::new(1, MIB).hold_at(0, &gate));
        world.observe("a body that never comes", &world.get()).await;
        world.cross.serve(FILM, Resource::new(1, 1 << 50).chunked());
        world.observe("a body that never ends", &world.get()).await;
        drop(gate);
        let ended = |requests: &[bgfetch_testkit::Logged]| {
            requests.len() == 2 && requests.iter().all(|request| request.ended.is_some())
        };
        let requests = world.cross.wait_until(ended).await;
        assert_eq!(requests[0].sent, 0);
        assert_eq!(requests[0].ended, Some(Ending::Abandoned));
        assert_eq!(requests[1].ended, Some(Ending::Abandoned));
        // The bytes that the kernel's buffers and HTTP/2's window took before the connection ended.
        assert!(requests[1].sent < 64 * MIB, "{} bytes were read", requests[1].sent);
    }
}

/// The tests above can detect differences: with approval, everything differs.
#[tokio::test]
async fn with_approval_the_twins_differ() {
    let world = World::open(false, u64::MAX).await;
    let mut traces = std::collections::HashSet::new();
    let replies = [
        Resource::new(1, 0).into(),
        Resource::new(1, 1).into(),
        Resource::new(1, 5000).into(),
        Reply::status(404),
        Reply::status(500),
    ];
    let replies: Vec<Reply> = replies.into();
    let count = replies.len();
    for reply in replies {
        world.cross.serve(FILM, reply.header("access-control-allow-origin", "*"));
        traces.insert(world.observe("approved", &world.get()).await);
    }
    assert_eq!(traces.len(), count);
}
