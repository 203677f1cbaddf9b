//! The exceptions for errors of caches.

use deno_error::JsErrorBox;

use super::CacheError;

/// The exception that scripts get for an error.
pub(super) fn thrown(error: CacheError) -> JsErrorBox {
    let class = match error {
        CacheError::Twice => "DOMExceptionInvalidStateError",
        // See exceptions.js of bgfetch-deno.
        _ if error.is_full() => "BackgroundFetchQuotaExceededError",
        _ => {
            tracing::error!(%error, "a cache operation failed");
            "DOMExceptionOperationError"
        }
    };
    JsErrorBox::new(class, error.to_string())
}
