//! The smallest program with an engine: it downloads a URL to a store. [`print`](../print) tells how
//! large it is with each set of features.
//!
//! Usage: bgfetch-sizes DIRECTORY URL

use std::error::Error;

use bgfetch::{Builder, Engine, FetchOptions, StorageKey};

/// With the default fetcher.
#[cfg(feature = "hyper")]
fn with_network(builder: Builder) -> Builder {
    builder
}

/// With the web's checks over a network stack of its own.
#[cfg(all(feature = "fetch", not(feature = "hyper")))]
fn with_network(builder: Builder) -> Builder {
    builder.fetcher(bgfetch::WithWebChecks::new(Stack).cookies(bgfetch::CookieJar::new()))
}

/// With a network stack of its own.
#[cfg(not(feature = "fetch"))]
fn with_network(builder: Builder) -> Builder {
    builder.fetcher(Stack)
}

/// A network stack that takes no room, because it reaches nobody.
#[cfg(not(feature = "hyper"))]
struct Stack;

#[cfg(not(feature = "hyper"))]
impl Stack {
    fn answer<T: Send + 'static>()
    -> bgfetch::embedder::BoxFuture<'static, Result<T, bgfetch::FetchError>> {
        let error = bgfetch::FetchError::new(bgfetch::FaultKind::Unreachable, false, "no network");
        Box::pin(std::future::ready(Err(error)))
    }
}

#[cfg(all(feature = "fetch", not(feature = "hyper")))]
impl bgfetch::Transport for Stack {
    fn send(
        &self,
        _: bgfetch::TransportRequest,
    ) -> bgfetch::embedder::BoxFuture<
        'static,
        Result<bgfetch::TransportResponse, bgfetch::FetchError>,
    > {
        Self::answer()
    }
}

#[cfg(not(feature = "fetch"))]
impl bgfetch::Fetcher for Stack {
    fn fetch(
        &self,
        _: bgfetch::FetchRequest,
    ) -> bgfetch::embedder::BoxFuture<'static, Result<bgfetch::FetchResponse, bgfetch::FetchError>>
    {
        Self::answer()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bgfetch-sizes DIRECTORY URL".into());
    };
    let engine = with_network(Engine::builder().directory(directory)).open()?;
    let site = StorageKey("sizes".into());
    let registration = engine.register(site, url.parse()?).await?;
    let manager = registration.background_fetch();
    let fetch = manager.fetch("download", [url.as_str()], FetchOptions::default()).await?;
    match fetch.settled().await? {
        Ok(()) => println!("{} bytes", fetch.downloaded()),
        Err(reason) => println!("failed: {}", reason.as_str()),
    }
    engine.shutdown().await?;
    Ok(())
}
