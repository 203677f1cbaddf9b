//! The view whose pages have Background Fetch, and those that reach service workers.

use bgfetch::PolicySnapshot;
use gtk::glib;
use javascriptcore::ValueExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
// All of it, because the methods of views are in its traits.
use webkit2gtk::{SettingsExt, *};

use crate::calls::{Answer, Call, Shell, exception, state};
use crate::proxy::SCRIPT;
use crate::worker_host::Page;

/// Where a browser with this profile keeps its data, and how it reaches the network.
pub(crate) fn context(profile: &std::path::Path, proxy: &str) -> WebContext {
    let data = WebsiteDataManager::builder()
        .base_data_directory(profile.join("data").to_string_lossy())
        .base_cache_directory(profile.join("cache").to_string_lossy())
        .build();
    let mut settings = NetworkProxySettings::new(None, &[]);
    settings.add_proxy_for_scheme("http", proxy);
    data.set_network_proxy_settings(NetworkProxyMode::Custom, Some(&mut settings));
    WebContext::with_website_data_manager(&data)
}

pub(crate) fn page(context: &WebContext, shell: Shell) -> WebView {
    let page = WebView::with_context(context);
    let (frames, time) = (UserContentInjectedFrames::TopFrame, UserScriptInjectionTime::Start);
    if let Some(content) = page.user_content_manager() {
        content.add_script(&UserScript::new(SCRIPT, frames, time, &[], &[]));
    }
    let view = page.clone();
    receive(&page, "backgroundFetch", move |message| {
        if let Some(policies) = policies(&view) {
            glib::spawn_future_local(answer(view.clone(), shell.clone(), policies, message));
        }
    });
    page
}

/// Receives the messages that scripts of a view send.
pub(crate) fn receive<T: DeserializeOwned>(view: &WebView, name: &str, act: impl Fn(T) + 'static) {
    if let Some(settings) = WebViewExt::settings(view) {
        settings.set_enable_write_console_messages_to_stdout(true);
    }
    let Some(content) = view.user_content_manager() else { return };
    content.register_script_message_handler(name);
    content.connect_script_message_received(Some(name), move |_, message| {
        let message = message.js_value().map(|value| value.to_str()).unwrap_or_default();
        serde_json::from_str(&message).map_or_else(|error| eprintln!("{error}"), &act);
    });
}

/// The policies of the document in a view.
fn policies(view: &WebView) -> Option<PolicySnapshot> {
    let mut policies = PolicySnapshot::of(&view.uri()?.parse().ok()?);
    let headers = view.main_resource()?.response()?.http_headers()?;
    let csp = headers.list("Content-Security-Policy").unwrap_or_default();
    policies.policy_container.csp_list.extend(csp.split(',').map(String::from));
    Some(policies)
}

/// Answers a call of the page, whose document has a secret name and numbers its calls.
async fn answer(page: WebView, shell: Shell, caller: PolicySnapshot, message: (String, u64, Call)) {
    let (document, number, call) = message;
    let run = async |function: &str, arguments: Value| {
        let script = format!("backgroundFetchShell?.{function}(...{arguments})");
        page.evaluate_javascript_future(&script, None, None).await.is_ok_and(|it| it.to_boolean())
    };
    // A frame can send messages, too, but does not know the name.
    let true = run("isNamed", json!([document])).await else { return };
    let (function, value, hold) = match shell.call(caller, call).await {
        Ok(Answer::Updates(fetch, mut updates)) => {
            // As long as this document is there. Asking for the next update acknowledges the last one.
            while run("update", json!([document, state(&fetch)])).await
                && let Some(update) = updates.next().await
            {
                fetch.apply(&update);
            }
            return;
        }
        Ok(Answer::Value(value, hold)) => ("resolve", value, hold),
        Ok(Answer::Response(_)) => return,
        Err(error) => ("reject", exception(&error), None),
    };
    run(function, json!([document, number, value])).await;
    // The reactions of the promise have run by now.
    drop(hold);
}

/// Opens the pages of events, each until its event has ended.
pub(crate) async fn open_pages(context: WebContext, mut pages: UnboundedReceiver<Page>) {
    while let Some((event, url)) = pages.recv().await {
        let page = WebView::with_context(&context);
        page.load_uri(url.as_str());
        glib::spawn_future_local(async move { drop((event.ended().await, page)) });
    }
}
