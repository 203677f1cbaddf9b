//! Converts the engine's errors to JavaScript exceptions. The engine decides which exception an
//! error is ([`bgfetch::Error::dom_exception`] and its counterparts); this module throws it.

use bgfetch::{DomException, RecordError, UpdateUiError};
use deno_error::JsErrorBox;

/// An exception to throw. `exceptions.js` registers each class except `TypeError`.
pub(crate) fn exception(exception: DomException, message: impl ToString) -> JsErrorBox {
    let class = match exception {
        DomException::TypeError => "TypeError",
        DomException::NotAllowedError => "BackgroundFetchNotAllowedError",
        DomException::QuotaExceededError => "BackgroundFetchQuotaExceededError",
        DomException::InvalidStateError => "BackgroundFetchInvalidStateError",
        DomException::AbortError => "BackgroundFetchAbortError",
    };
    JsErrorBox::new(class, message.to_string())
}

pub(crate) fn call_failed(error: bgfetch::Error) -> JsErrorBox {
    exception(error.dom_exception(), error)
}

pub(crate) fn record_failed(error: RecordError) -> JsErrorBox {
    exception(error.dom_exception(), error)
}

pub(crate) fn update_ui_failed(error: UpdateUiError) -> JsErrorBox {
    if error.is_invalid_state() {
        return exception(DomException::InvalidStateError, error);
    }
    JsErrorBox::new("BackgroundFetchOperationError", error.to_string())
}

/// The engine is missing.
pub(crate) fn no_engine() -> JsErrorBox {
    exception(DomException::AbortError, "the background fetch engine is closed")
}

/// An error that only the extension's own scripts could cause.
pub(crate) fn misuse(what: &str) -> JsErrorBox {
    JsErrorBox::generic(format!("bgfetch_deno: {what}"))
}
