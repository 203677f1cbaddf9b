//! The bar of downloads below the page. `downloads.html` draws what `Ui::watch` tells.

use bgfetch::{FetchKey, Ui};
use gtk::{glib, prelude::*};
use serde_json::json;
use webkit2gtk::{WebView, WebViewExt};

use crate::browser::receive;

pub(crate) fn bar(ui: Ui) -> WebView {
    let bar = WebView::new();
    bar.set_size_request(-1, 90);
    let view = bar.clone();
    receive(&bar, "downloads", move |command| {
        glib::spawn_future_local(obey(ui.clone(), view.clone(), command));
    });
    bar.load_html(include_str!("downloads.html"), None);
    bar
}

/// Obeys a command of the bar, which is for one fetch except the first.
async fn obey(ui: Ui, bar: WebView, (command, fetch): (String, FetchKey)) {
    let done = match command.as_str() {
        "watch" => watch(&ui, &bar).await,
        "pause" => ui.pause(fetch).await,
        "resume" => ui.resume(fetch).await,
        "cancel" => ui.abort(fetch).await.map(drop),
        "dismiss" => ui.dismiss(fetch).await,
        _ => ui.click(fetch).await,
    };
    done.unwrap_or_else(|error| eprintln!("{command}: {error}"));
}

async fn watch(ui: &Ui, bar: &WebView) -> bgfetch::Result<()> {
    let mut jobs = ui.watch().await?;
    while let Some(change) = jobs.next().await {
        let script = format!("show({})", json!(change));
        bar.evaluate_javascript_future(&script, None, None).await.ok();
    }
    Ok(())
}
