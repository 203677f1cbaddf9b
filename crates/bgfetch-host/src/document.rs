//! The operations of a window's scripts: see `js/document.js`.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bgfetch_deno::List;
use deno_core::{OpState, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use serde_json::Value;
use url::Url;

use crate::console::ConsoleLevel;
use crate::host_state::{FetchClient, HostState, ScriptToRun};
use crate::html::Part;
use crate::page_state::{PageState, Stage, WantedClick};
use crate::script_loader::{LoadedScript, ScriptClient, load_script};

fn page(state: &OpState) -> Result<Arc<PageState>, JsErrorBox> {
    let page = state.borrow::<HostState>().page.clone();
    page.ok_or_else(|| JsErrorBox::new("DOMExceptionNotSupportedError", "This realm has no page"))
}

/// Waits for the document to parse. `None` when there will be none.
#[op2]
#[serde]
pub(crate) async fn op_page_document(
    state: Rc<RefCell<OpState>>,
) -> Result<Option<List<Part>>, JsErrorBox> {
    let document = page(&state.borrow())?.take_document();
    let parts = match document {
        Some(document) => document.await.ok(),
        None => None,
    };
    Ok(parts.map(|list| List { list }))
}

/// A script of the document. `None` if it cannot be loaded: see `op_host_import_script`.
#[op2]
#[serde]
pub(crate) async fn op_page_load_script(
    state: Rc<RefCell<OpState>>,
    #[string] url: String,
    #[string] nonce: String,
    parser_inserted: bool,
) -> Result<Option<ScriptToRun>, JsErrorBox> {
    let client = state.borrow().borrow::<HostState>().fetch.clone();
    let loaded = match (Url::parse(&url), client) {
        (Ok(url), Some(FetchClient { network, storage_key, policies })) => {
            let client = ScriptClient { storage_key, policies: policies() };
            let loaded = load_script(&network, url, client, nonce, parser_inserted).await;
            loaded.map_err(|error| error.to_string())
        }
        (Ok(_), None) => Err("there is no network".into()),
        (Err(error), _) => Err(error.to_string()),
    };
    Ok(match loaded {
        Ok(LoadedScript { source, has_muted_errors, .. }) => {
            Some(ScriptToRun { source, has_muted_errors })
        }
        Err(error) => {
            let message = format!("The script {url} was not loaded: {error}");
            state.borrow().borrow::<HostState>().write(ConsoleLevel::Error, &message);
            None
        }
    })
}

/// The page of a frame. Closing it closes the page.
struct Frame(RefCell<Option<Box<dyn Any + Send>>>);

impl Resource for Frame {
    fn name(&self) -> Cow<'_, str> {
        "frame".into()
    }

    fn close(self: Rc<Self>) {
        let page = self.0.borrow_mut().take();
        // Waiting for the end of its thread must not block this one.
        drop(tokio::task::spawn_blocking(move || drop(page)));
    }
}

/// Opens the page of a frame: a window in a realm of its own. Returns the resource of the frame
/// once the page's `load` event was fired.
#[op2]
#[smi]
pub(crate) async fn op_page_open_frame(
    state: Rc<RefCell<OpState>>,
    #[string] url: String,
) -> Result<ResourceId, JsErrorBox> {
    let page = page(&state.borrow())?;
    let open = page.loaded.open_frame.clone();
    let open = open.ok_or_else(|| JsErrorBox::generic("this window has no page"))?;
    let url = Url::parse(&url).map_err(|error| JsErrorBox::generic(error.to_string()))?;
    let frame = open(url).await.map_err(JsErrorBox::generic)?;
    Ok(state.borrow_mut().resource_table.add(Frame(RefCell::new(Some(frame)))))
}

/// A `meta` element contains a policy.
#[op2(fast)]
pub(crate) fn op_page_policy(
    state: &mut OpState,
    #[string] name: &str,
    #[string] content: &str,
) -> Result<(), JsErrorBox> {
    let page = page(state)?;
    match name {
        "content-security-policy" => page.add_csp(content.to_owned()),
        _ => page.set_referrer_policy(content),
    }
    Ok(())
}

/// Waits for the user's next click.
#[op2]
#[serde]
pub(crate) async fn op_page_next_click(
    state: Rc<RefCell<OpState>>,
) -> Result<Option<WantedClick>, JsErrorBox> {
    let page = page(&state.borrow())?;
    Ok(page.next_click().await)
}

/// Reports the outcome of the click.
#[op2(fast)]
pub(crate) fn op_page_answer(
    state: &mut OpState,
    #[string] answer: &str,
) -> Result<(), JsErrorBox> {
    let page = page(state)?;
    page.answer_click(serde_json::from_str(answer).map_err(generic)?);
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_page_title(state: &mut OpState, #[string] title: &str) -> Result<(), JsErrorBox> {
    page(state)?.set_title(title.to_owned());
    Ok(())
}

/// The `load` event was fired.
#[op2(fast)]
pub(crate) fn op_page_loaded(state: &mut OpState) -> Result<(), JsErrorBox> {
    page(state)?.reach(Stage::Loaded);
    Ok(())
}

/// `window.close()`: the realm ends after the running script.
#[op2(fast)]
pub(crate) fn op_page_close(state: &mut OpState) -> Result<(), JsErrorBox> {
    page(state)?.reach(Stage::Closed);
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_page_is_online(state: &mut OpState) -> Result<bool, JsErrorBox> {
    Ok(*page(state)?.online.borrow())
}

/// Waits until the page's online state differs from `online`. False when it will never change.
#[op2]
pub(crate) async fn op_page_online_changed(
    state: Rc<RefCell<OpState>>,
    online: bool,
) -> Result<bool, JsErrorBox> {
    let mut watched = page(&state.borrow())?.online.clone();
    Ok(watched.wait_for(|now| *now != online).await.is_ok())
}

/// The prelude's `hook()`. Values are JSON texts.
#[op2]
#[string]
pub(crate) fn op_page_hook(
    state: &mut OpState,
    #[string] value: &str,
) -> Result<String, JsErrorBox> {
    let page = page(state)?;
    let hook = page.loaded.hook.as_ref().ok_or_else(|| JsErrorBox::generic("there is no hook"))?;
    let value: Value = serde_json::from_str(value).map_err(generic)?;
    let result = hook(value).map_err(JsErrorBox::generic)?;
    serde_json::to_string(&result).map_err(generic)
}

fn generic(error: serde_json::Error) -> JsErrorBox {
    JsErrorBox::generic(error.to_string())
}
