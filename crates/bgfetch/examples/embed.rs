//! The engine in ten lines: a server with two files, one background fetch of both.
//!
//! `cargo run -p bgfetch --example embed`

use bgfetch::{Engine, FetchOptions, StorageKey};
use bgfetch_testkit::{Origin, Resource};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = Origin::start();
    origin.serve("/ep-5.mp3", Resource::new(1, 5_000_000));
    origin.serve("/ep-5-artwork.jpg", Resource::new(2, 50_000));
    let urls = [origin.url("/ep-5.mp3"), origin.url("/ep-5-artwork.jpg")];
    let directory = tempfile::tempdir()?;

    let engine = Engine::builder().directory(directory.path()).open()?;
    let site = StorageKey("podcasts".into());
    let worker = engine.register(site, origin.url("/")).await?;
    let options = FetchOptions::default().with(|it| it.title = "Episode 5".into());
    let fetch = worker.background_fetch().fetch("my-fetch", urls, options).await?;
    match fetch.settled().await? {
        Ok(()) => println!("{}: {} bytes", fetch.id(), fetch.downloaded()),
        Err(reason) => println!("{} failed: {}", fetch.id(), reason.as_str()),
    }
    engine.shutdown().await?;
    Ok(())
}
