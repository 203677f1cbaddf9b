//! The Linux watcher: reads links and routes over rtnetlink whenever the kernel reports a change of
//! any of them. See rtnetlink(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bgfetch_model::connectivity::Connectivity;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteType,
};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::manual::publish;
use super::routing_table::{Link, Route, RoutingTable, Via};

/// Addresses are watched, though not read: when an address or a link goes away, the kernel drops
/// the routes that use it without a message for each route.
const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// How long to collect messages before reading the tables again. A change of a link causes a dozen
/// messages within a few milliseconds, and people do not notice delays below a tenth of a second.
const COALESCE: Duration = Duration::from_millis(50);

/// Publishes the state once, then each time it changes, in a task. Returns `None`, and never
/// publishes anything, if the kernel provides no netlink socket.
pub(super) async fn start(
    published: Arc<watch::Sender<Connectivity>>,
) -> Option<AbortOnDropHandle<()>> {
    let (connection, handle, mut changes) = match rtnetlink::new_multicast_connection(&GROUPS) {
        Ok(connected) => connected,
        Err(error) => {
            tracing::warn!(%error, "netlink is not available: assuming to be online");
            return None;
        }
    };
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    // The groups were joined before this first read, so no change is missed.
    publish(&published, look(&handle).await);
    let watcher = tokio::spawn(async move {
        while changes.next().await.is_some() {
            tokio::time::sleep(COALESCE).await;
            while let Some(Some(_)) = changes.next().now_or_never() {}
            publish(&published, look(&handle).await);
        }
        tracing::warn!("the netlink socket was closed: assuming to be online");
        publish(&published, Connectivity::Online);
        drop(connection);
    });
    Some(AbortOnDropHandle::new(watcher))
}

/// What is reachable now; online if the kernel refuses to answer, as in some sandboxes.
async fn look(handle: &Handle) -> Connectivity {
    match read(handle).await {
        Ok(table) => table.connectivity(),
        Err(error) => {
            tracing::warn!(%error, "routes cannot be read: assuming to be online");
            Connectivity::Online
        }
    }
}

async fn read(handle: &Handle) -> Result<RoutingTable, rtnetlink::Error> {
    let links = handle.link().get().execute();
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    Ok(RoutingTable {
        links: links.map_ok(|message| link(&message)).try_collect().await?,
        routes: routes(handle.route().get(v4).execute())
            .chain(routes(handle.route().get(v6).execute()))
            .try_collect()
            .await?,
    })
}

fn routes(
    messages: impl Stream<Item = Result<RouteMessage, rtnetlink::Error>>,
) -> impl Stream<Item = Result<Route, rtnetlink::Error>> {
    messages.try_filter_map(async |message| Ok(route(&message)))
}

fn link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
    }
}

/// The route that `message` describes; `None` for broadcast, multicast and rejecting routes, and
/// for cache entries.
fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let is_local = header.kind == RouteType::Local;
    if !(is_local || header.kind == RouteType::Unicast) || header.flags.contains(RouteFlags::Cloned)
    {
        return None;
    }
    // The default route has no destination attribute.
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let dead = header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown);
    let mut links = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                destination = IpAddr::V4(*address);
            }
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => {
                destination = IpAddr::V6(*address);
            }
            RouteAttribute::Oif(index) if !dead => links.push(*index),
            RouteAttribute::MultiPath(hops) => links.extend(
                hops.iter()
                    .filter(|hop| {
                        !hop.flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown)
                    })
                    .map(|hop| hop.interface_index),
            ),
            _ => {}
        }
    }
    Some(Route {
        destination: IpNet::new(destination, header.destination_prefix_length).ok()?,
        via: if is_local { Via::Loopback } else { Via::Links(links) },
    })
}
