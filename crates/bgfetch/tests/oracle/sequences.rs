//! What follows or accompanies a refused response depends on nothing of it, over HTTP/2 and a slow
//! link.

use bgfetch::{CredentialsMode, Request};
use bgfetch_testkit::{Reply, Resource, Serve};

use crate::link::Link;
use crate::twins::{Twin, twins, upload_twins};
use crate::world::{Call, FILM, World};
use crate::{Traces, UPLOAD};

/// Runs `call` against each twin, and then requests to the same server, one of which is approved.
async fn compare(world: &World, link: &Link, route: &str, call: &Call, twins: Vec<Twin>) {
    let next =
        |path| Call { request: Request::get(link.url(&world.cross.url(path))), ..world.get() };
    world.cross.serve("/empty", Reply::status(200));
    world.cross.serve("/open", Resource::new(4, 10).header("access-control-allow-origin", "*"));
    let mut traces = Traces::default();
    for Twin { name, script, held } in twins {
        world.cross.serve(route, script);
        let mut trace = world.observe(name, call).await;
        for path in ["/empty", "/open", "/empty"] {
            trace.extend(world.observe(name, &next(path)).await);
        }
        traces.add(call, name, trace);
        held.open();
    }
    traces.finish(call);
}

#[tokio::test]
async fn what_follows_a_refused_download_is_alike() {
    let world = World::open(true, u64::MAX).await;
    let link = Link::to(world.cross.address()).await;
    for credentials in [CredentialsMode::SameOrigin, CredentialsMode::Include] {
        let mut request = Request::get(link.url(&world.cross.url(FILM)));
        request.credentials = credentials;
        let call = Call { request, ..world.get() };
        compare(&world, &link, FILM, &call, twins(&world)).await;
    }
}

#[tokio::test]
async fn what_follows_a_refused_redirect_target_is_alike() {
    let world = World::open(true, u64::MAX).await;
    let link = Link::to(world.cross.address()).await;
    let target = link.url(&world.cross.url(FILM));
    world.home.serve("/away", Reply::redirect(307, target));
    let call = Call { request: Request::get(world.home.url("/away")), ..world.get() };
    compare(&world, &link, FILM, &call, twins(&world)).await;
}

#[tokio::test]
async fn what_follows_a_refused_preflight_is_alike() {
    let world = World::open(true, u64::MAX).await;
    let link = Link::to(world.cross.address()).await;
    let mut call = world.upload("PUT", UPLOAD);
    call.request.url = link.url(&call.request.url);
    compare(&world, &link, "OPTIONS /film", &call, twins(&world)).await;
}

#[tokio::test]
async fn what_follows_a_refused_upload_is_alike() {
    let world = World::open(true, u64::MAX).await;
    let link = Link::to(world.cross.address()).await;
    let mut call = world.upload("POST", UPLOAD);
    call.request.url = link.url(&call.request.url);
    compare(&world, &link, FILM, &call, upload_twins(&world)).await;
}

#[tokio::test]
async fn what_accompanies_a_refused_download_is_alike() {
    let world = World::open(true, u64::MAX).await;
    let link = Link::to(world.cross.address()).await;
    for credentials in [CredentialsMode::SameOrigin, CredentialsMode::Include] {
        let mut request = Request::get(link.url(&world.cross.url(FILM)));
        request.credentials = credentials;
        let sibling = Some(link.url(&world.cross.url("/sibling")));
        let call = Call { request, sibling, ..world.get() };
        compare(&world, &link, FILM, &call, twins(&world)).await;
    }
}
