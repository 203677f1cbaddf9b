//! A complete embedder: a page that fetches in the background, with Deno's Web APIs on deno_core.
//!
//! `cargo run -p bgfetch-deno --example embedder`

use bgfetch::{Engine, PolicySnapshot, StorageKey};
use bgfetch_deno::{Options, Web, extensions};
use bgfetch_testkit::{MIB, Origin, Resource};
use deno_core::{JsRuntime, RuntimeOptions};

// The embedder's own globals.
deno_core::extension!(
    embedder,
    deps = [bgfetch_deno],
    esm_entry_point = "ext:embedder/bootstrap.js",
    esm = [ dir "examples", "bootstrap.js" ],
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = Origin::start();
    origin.serve("/film.mp4", Resource::new(1, 3 * MIB));
    let (site, url) = (StorageKey("films".into()), origin.url("/"));
    let engine = Engine::builder().ephemeral().open()?;
    engine.register(site.clone(), url.clone()).await?;

    let options = Options::page(engine.clone(), site, PolicySnapshot::of(&url));
    let mut extensions = extensions(Web::default(), options);
    extensions.push(embedder::init());
    let mut page = JsRuntime::new(RuntimeOptions { extensions, ..Default::default() });
    page.execute_script("start", format!("open('{url}')"))?;
    page.execute_script("page.js", include_str!("page.js"))?;
    // Runs as long as the page waits for something.
    page.run_event_loop(Default::default()).await?;
    Ok(engine.shutdown().await?)
}
