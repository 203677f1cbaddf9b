//! [Background Fetch](https://wicg.github.io/background-fetch/) for any browser engine or runtime.
//!
//! A page asks for several requests to be fetched as one item. The requests continue when the page
//! closes, pause while the network is down, resume where they stopped, and survive the end of the
//! process. In the end a service worker is notified. This crate does all of that except the page
//! and the worker.
//!
//! ```no_run
//! use bgfetch::{Engine, FetchOptions, StorageKey};
//!
//! # async fn example(host: bgfetch::mock::ScriptedHost) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().directory("profile/bgfetch").worker_host(host).open()?;
//! let scope = "https://podcasts.example/".parse()?;
//! let registration = engine.register(StorageKey("https://podcasts.example".into()), scope).await?;
//! let urls = ["https://podcasts.example/ep-5.mp3", "https://podcasts.example/ep-5-artwork.jpg"];
//! let options = FetchOptions::default().with(|it| it.title = "Episode 5".into());
//! let fetch = registration.background_fetch().fetch("my-fetch", urls, options).await?;
//! println!("{}: {:?}", fetch.id(), fetch.settled().await?);
//! engine.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What the embedder supplies
//!
//! Everything has a default: see [`Builder`] for the list and [`embedder`] for the traits. Most
//! embedders supply two parts: a [`WorkerHost`], which runs service workers, and a [`Fetcher`], if
//! the embedder has its own network stack.
//!
//! # What it promises
//!
//! - Handles are `Send + Sync + Clone`; dropping a future never leaves half a fetch.
//! - Promises, events and deletions wait until the step they belong to is durable.
//! - Settling events are delivered at least once; requests other than `GET` are sent at most once.
//! - Several engines can run in one process; there are no globals.
//!
//! # Features
//!
//! All but `control` are on by default. Without any, the embedder supplies a [`Fetcher`] and a
//! [`Store`], and nothing opens a socket.
//!
//! - `control`: the control protocol of the program `bgfetch` and its client (module `control`).
//! - `fetch`: the checks of the Fetch standard (module `fetch`), and `WithWebChecks`, which puts them
//!   over a `Transport` of the embedder's own.
//! - `hyper`: the default fetcher (`HyperFetcher`), with `fetch`.
//! - `psl`: the public suffix list. Without it, each host is a site of its own.
//! - `rt-multi-thread`: on a multi-threaded [runtime](Builder::runtime), other tasks go on during a
//!   large write to a file.
//! - `sqlite`: the default store (`SqliteStore`), with the SQLite of the system.
//! - `sqlite-bundled`: builds SQLite with the store.
//! - `system-connectivity`: [`SystemConnectivity`] watches the routes of the system, on Linux.

/// The code in the guide for embedders has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct EmbeddingGuide;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod background_fetch_manager;
mod background_fetch_record;
mod background_fetch_registration;
mod blocking;
mod builder;
mod clients;
#[cfg(feature = "control")]
pub mod control;
pub mod embedder;
mod engine;
mod error;
mod event_loop;
mod execute;
mod inbox;
mod log;
mod mailbox;
mod observer;
mod request_bodies;
mod request_info;
mod running;
mod turns;
mod ui;
mod verify;
mod watchers;

pub use bytes;
#[cfg(feature = "fetch")]
pub use http;
pub use ipnet;
pub use url;

pub use background_fetch_manager::BackgroundFetchManager;
pub use background_fetch_record::{
    BackgroundFetchRecord, RecordError, Response, ResponseBody, ResponseReader,
};
pub use background_fetch_registration::BackgroundFetchRegistration;
pub use builder::Builder;
pub use clients::{Client, ClientUpdate};
pub use engine::{Engine, ServiceWorkerRegistration, WeakEngine};
pub use error::{Error, Result};
pub use inbox::StartHold;
pub use observer::{Event, Observer, What};
pub use request_info::RequestInfo;
pub use ui::{Job, JobChange, JobRecord, Jobs, Ui};

pub use bgfetch_model::action::{LocalNetworkRequest, PauseReason, PermissionRequest, Update};
pub use bgfetch_model::attempt::{FaultKind, Resume};
pub use bgfetch_model::background_fetch::display::Display;
pub use bgfetch_model::background_fetch_manager::fetch::check_request;
pub use bgfetch_model::background_fetch_registration::match_all::{
    MatchOptions, request_matches_cached_item,
};
pub use bgfetch_model::bad_port::is_bad_port;
pub use bgfetch_model::budget::Usage;
pub use bgfetch_model::complete::retry::{Backoff, RetryPolicy};
pub use bgfetch_model::config::Config;
pub use bgfetch_model::connectivity::{Connectivity, Reachable};
pub use bgfetch_model::delivery::{
    DeliveryPolicy, NotHandledReason, Outcome, Redelivery, Rejection,
};
pub use bgfetch_model::error::{CallError, DomException};
pub use bgfetch_model::event::{EventInterface, EventKind};
pub use bgfetch_model::fetch_info::FetchInfo;
pub use bgfetch_model::forbidden_header::remove_forbidden_request_headers;
pub use bgfetch_model::header_list::HeaderList;
pub use bgfetch_model::ids::{FetchKey, RecordIndex, RecordKey, RegistrationKey, StorageKey};
pub use bgfetch_model::input::{FetchOptions, Permission};
pub use bgfetch_model::ip_address_space::{IpAddressSpace, LocalNetworkDenied};
pub use bgfetch_model::origin::Origin;
pub use bgfetch_model::policy::{PolicyContainer, PolicySnapshot, Principal};
pub use bgfetch_model::request::{
    CacheMode, CredentialsMode, Destination, RedirectMode, Referrer, ReferrerPolicy, Request,
    RequestMode,
};
pub use bgfetch_model::response::{FailureReason, RecordResult, ResponseHead, ResponseType};
pub use bgfetch_model::store_op::{FetchResult, ImageResource};
pub use bgfetch_model::time::UnixTime;
pub use bgfetch_net::attempt::Timeouts;
pub use bgfetch_net::connectivity::{ConnectivitySource, ManualConnectivity, SystemConnectivity};
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch;
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch::cookie_jar::CookieJar;
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch::cookies::{CookieContext, CookieError, CookieStore};
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch::local_network_access::Reach;
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch::trustworthy::is_potentially_trustworthy;
#[cfg(feature = "fetch")]
pub use bgfetch_net::fetch::{
    Hop, ResponseTainting, Transport, TransportRequest, TransportResponse, WithWebChecks,
};
pub use bgfetch_net::fetcher::{FetchError, FetchRequest, FetchResponse, Fetcher};
#[cfg(feature = "hyper")]
pub use bgfetch_net::hyper::{
    BadProxy, Endpoint, FramedBody, HyperFetcher, HyperFetcherBuilder, Proxies, Proxy, Resolve,
    ServerLimits, SystemResolver,
};
pub use bgfetch_net::scheduler::{Limits, Priority};
pub use bgfetch_net::slot::Slot;
pub use bgfetch_store::{Distrust, Handover, Store, StoreError, open_own_file};
#[cfg(feature = "sqlite")]
pub use bgfetch_store::{
    Durability, Options as StoreOptions, PrivateDirectory, SqliteStore, create_private_file,
    remove_interrupted_copies, sync_path_to,
};
pub use bgfetch_sw::{
    DispatchError, FunctionalEvent, LifetimeExtension, NotActive, Timeouts as EventTimeouts,
    UiSinkError, UiUpdate, UpdateUiError, WorkerHost, mock, worker_fn,
};
