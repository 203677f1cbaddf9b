//! A small browser: a page, and below it a bar of downloads that continue without the page.
//! `cargo run -- PROFILE URL`

mod browser;
mod calls;
mod downloads;
mod proxy;
mod worker_host;

use axum::BoxError;
use bgfetch::Engine;
use bgfetch::embedder::EverySiteMayFetch;
use gtk::{Orientation, Window, WindowType, glib, prelude::*};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc::unbounded_channel};
use webkit2gtk::WebViewExt;

use crate::calls::Shell;
use crate::worker_host::{Events, Workers};

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: bgfetch-webkitgtk-shell PROFILE URL");
    let (profile, url) = (std::path::absolute(argument()?)?, argument()?);
    gtk::init()?;
    let (events, (pages, wanted)) = (Events::default(), unbounded_channel());
    let fired = events.clone();
    let engine = Engine::builder()
        .directory(profile.join("bgfetch"))
        // A real browser asks the user.
        .permissions(EverySiteMayFetch)
        .worker_host_with(|engine| Workers { engine, events: fired, pages })
        .open()?;
    let (shell, runtime) = (Shell { engine: engine.clone(), events }, Runtime::new()?);
    let listener = runtime.block_on(async {
        // Their workers get the events that an earlier process did not deliver.
        for worker in engine.registrations().await? {
            engine.register(worker.key().storage_key.clone(), worker.key().scope.clone()).await?;
        }
        TcpListener::bind("127.0.0.1:0").await.map_err(BoxError::from)
    })?;
    let context = browser::context(&profile, &format!("http://{}", listener.local_addr()?));
    runtime.spawn(axum::serve(listener, proxy::router(shell.clone())).into_future());

    let (window, all) =
        (Window::new(WindowType::Toplevel), gtk::Box::new(Orientation::Vertical, 0));
    let page = browser::page(&context, shell);
    all.pack_start(&page, true, true, 0);
    all.pack_start(&downloads::bar(engine.ui()), false, false, 0);
    window.add(&all);
    window.set_default_size(900, 700);
    window.connect_destroy(|_| gtk::main_quit());
    window.show_all();
    page.load_uri(&url);
    glib::spawn_future_local(browser::open_pages(context, wanted));
    gtk::main();
    Ok(runtime.block_on(engine.shutdown())?)
}
