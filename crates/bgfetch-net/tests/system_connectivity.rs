//! The Linux watcher against the kernel, in network namespaces of its own.
//!
//! Each test moves a thread into a new, unnamed namespace, which the kernel removes with the
//! thread, however that ends. Commands started from the thread run in the namespace too. This
//! requires the right to create namespaces (root) and `ip` (iproute2).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::process::Command;
use std::time::Duration;

use bgfetch_model::connectivity::{Connectivity, Reachable};
use bgfetch_net::connectivity::{ConnectivitySource, SystemConnectivity};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use tokio::sync::watch;

/// Only limits a test that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `test` in a new network namespace. Without the right to create one, the test is skipped
/// with a message, except in CI, where it fails.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        match unshare(CloneFlags::CLONE_NEWNET) {
            Err(Errno::EPERM) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: no right to make a network namespace");
                return;
            }
            made => made.unwrap(),
        }
        // One thread, so that the watcher's sockets belong to the namespace.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async { tokio::time::timeout(PATIENCE, test()).await.unwrap() });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these arguments in the calling thread's namespace.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A virtual cable: `near` is the link of the system, `far` is that of the other machine.
fn plug_in() {
    ip("link set lo up");
    ip("link add near type veth peer name far");
    // Without automatic IPv6 addresses, because their messages could hide that one is missed.
    ip("link set near addrgenmode none");
    ip("link set far addrgenmode none");
    ip("link set near up");
    ip("link set far up");
    ip("address add 10.7.0.1/24 dev near");
}

async fn becomes(state: &mut watch::Receiver<Connectivity>, expected: &Connectivity) {
    state.wait_for(|now| now == expected).await.unwrap();
}

fn offline(networks: &[&str]) -> Connectivity {
    Connectivity::Offline(Reachable::default().with(|it| {
        it.loopback = true;
        it.networks = networks.iter().map(|net| net.parse().unwrap()).collect();
    }))
}

#[test]
fn a_namespace_without_links_starts_offline() {
    in_namespace(async || {
        let system = SystemConnectivity::start().await;
        assert_eq!(*system.watch().borrow(), offline(&[]));
    });
}

#[test]
fn the_state_at_the_start_is_known_at_once() {
    in_namespace(async || {
        plug_in();
        ip("route add default via 10.7.0.2");
        // The carrier takes a while to come up, so another watcher waits for it first.
        let other = SystemConnectivity::start().await;
        becomes(&mut other.watch(), &Connectivity::Online).await;
        let system = SystemConnectivity::start().await;
        assert_eq!(*system.watch().borrow(), Connectivity::Online);
    });
}

#[test]
fn a_link_that_goes_down_and_up_is_seen() {
    in_namespace(async || {
        plug_in();
        let system = SystemConnectivity::start().await;
        let mut state = system.watch();
        becomes(&mut state, &offline(&["10.7.0.0/24"])).await;
        ip("link set near down");
        // Only this machine's own address is left.
        becomes(&mut state, &offline(&["10.7.0.1/32"])).await;
        ip("link set near up");
        becomes(&mut state, &offline(&["10.7.0.0/24"])).await;
    });
}

#[test]
fn a_lost_carrier_is_seen_although_the_routes_stay() {
    in_namespace(async || {
        plug_in();
        ip("route add default via 10.7.0.2");
        let system = SystemConnectivity::start().await;
        let mut state = system.watch();
        ip("link set far down");
        becomes(&mut state, &offline(&["10.7.0.1/32"])).await;
        ip("link set far up");
        becomes(&mut state, &Connectivity::Online).await;
    });
}

#[test]
fn default_routes_of_both_versions_and_of_several_hops_are_seen() {
    in_namespace(async || {
        plug_in();
        ip("-6 address add fd00:7::1/64 dev near nodad");
        let system = SystemConnectivity::start().await;
        let mut state = system.watch();
        let connected = offline(&["10.7.0.0/24", "fd00:7::/64"]);
        becomes(&mut state, &connected).await;

        ip("route add default via 10.7.0.2");
        becomes(&mut state, &Connectivity::Online).await;
        ip("route del default");
        becomes(&mut state, &connected).await;

        ip("-6 route add default via fd00:7::2");
        becomes(&mut state, &Connectivity::Online).await;
        ip("-6 route del default");
        becomes(&mut state, &connected).await;

        ip("route add default nexthop via 10.7.0.2 nexthop via 10.7.0.3");
        becomes(&mut state, &Connectivity::Online).await;
        ip("route del default");
        becomes(&mut state, &connected).await;

        ip("route add blackhole 198.51.100.0/24");
        ip("route add 192.0.2.0/24 via 10.7.0.2");
        becomes(&mut state, &offline(&["10.7.0.0/24", "192.0.2.0/24", "fd00:7::/64"])).await;
    });
}

#[test]
fn this_machines_addresses_are_reachable_whatever_link_has_them() {
    in_namespace(async || {
        let system = SystemConnectivity::start().await;
        let mut state = system.watch();
        ip("link set lo up");
        ip("address add 10.99.0.1/32 dev lo");
        becomes(&mut state, &offline(&["10.99.0.1/32"])).await;
        ip("-6 address add fd00:99::1/128 dev lo");
        becomes(&mut state, &offline(&["10.99.0.1/32", "fd00:99::1/128"])).await;
        // All addresses of a network are local, as on some servers.
        ip("route add local 10.98.0.0/16 dev lo");
        becomes(&mut state, &offline(&["10.98.0.0/16", "10.99.0.1/32", "fd00:99::1/128"])).await;
        // A link without a carrier.
        ip("link add spare type veth peer name other");
        ip("link set spare addrgenmode none");
        ip("address add 10.97.0.1/32 dev spare");
        ip("link set spare up");
        let own = ["10.97.0.1/32", "10.98.0.0/16", "10.99.0.1/32", "fd00:99::1/128"];
        becomes(&mut state, &offline(&own)).await;
        ip("address del 10.99.0.1/32 dev lo");
        becomes(&mut state, &offline(&["10.97.0.1/32", "10.98.0.0/16", "fd00:99::1/128"])).await;
        ip("link set lo down");
        becomes(&mut state, &offline(&[])).await;
    });
}

#[test]
fn a_dropped_source_stops_watching() {
    in_namespace(async || {
        let system = SystemConnectivity::start().await;
        let mut state = system.watch();
        drop(system);
        // Closed once the task, which held the other sender, is gone.
        assert!(state.changed().await.is_err());
    });
}
