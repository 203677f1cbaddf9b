//! Test support for the bgfetch crates; not published.
//!
//! - [`Origin`]: an HTTP origin on a real loopback socket whose every fault is scripted.
//! - [`ForwardProxy`]: a proxy for HTTP or SOCKS5, our own or a real one.
//! - [`Nginx`]: a real server, for what a scripted one cannot prove.
//! - [`Resource`]: content computed from its offset, so that 4 GiB cost no memory.
//! - [`VirtualClock`]: the model's two clocks, moved by hand.
//! - [`Netns`]: a network namespace whose link can be taken down.
//! - [`MemoryWatch`]: the peak memory of a child process.
//!
//! ```
//! use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve};
//! use std::io::{Read, Write};
//!
//! let film = Resource::new(1, MIB).etag("\"v1\"");
//! let origin = Origin::start();
//! origin.serve(
//!     "/film.mp4",
//!     film.clone().cut_after(300_000).then(Reply::status(503).times(2)).then(film.clone()),
//! );
//!
//! let mut socket = std::net::TcpStream::connect(origin.address())?;
//! socket.write_all(b"GET /film.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
//! let mut response = Vec::new();
//! socket.read_to_end(&mut response)?;
//!
//! let head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
//! assert_eq!(response.len() - head, 300_000);
//! film.verify(0, &response[head..])?;
//! assert_eq!(origin.requests()[0].path, "/film.mp4");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Waiting
//!
//! Tests can wait for what the servers see: `wait_for_requests(n).await` in an async test,
//! `blocking_wait_for_requests(n)` in a plain one. Both panic with the log after [`DEADLINE`] of
//! real time. The async ones need a tokio runtime. If its time is paused, it **stands still while
//! they wait**, so no timer of the code under test fires only because a real socket was slower than
//! the auto-advance. To let a back-off pass, call `tokio::time::advance` before waiting.

// A panic in test support fails the test, as intended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod certificates;
mod clock;
mod forward_proxy;
mod gate;
mod memory;
mod netns;
mod nginx;
mod origin;
mod port;
mod resource;
mod watched;

pub use certificates::Certificates;
pub use clock::VirtualClock;
pub use forward_proxy::{ForwardProxy, ProxyProtocol};
pub use gate::Gate;
pub use memory::{MemoryWatch, peak_memory};
pub use netns::Netns;
pub use nginx::{Nginx, NginxConfig, NginxRequest};
pub use origin::{Coding, Ending, Frames, Logged, Origin, Received, Reply, Script, Serve};
pub use resource::{Mismatch, Resource};
pub use watched::DEADLINE;

/// 1024 bytes.
pub const KIB: u64 = 1024;
/// 1024 KiB.
pub const MIB: u64 = 1024 * KIB;
/// 1024 MiB.
pub const GIB: u64 = 1024 * MIB;
