//! Errors for JavaScript. Their `code` has two words, the name of the error and that of its exception;
//! `exceptions.js` makes the exception of them.

pub(crate) type Result<T> = std::result::Result<T, napi::Error<String>>;

/// The `code` of an error.
pub(crate) fn code(error: &bgfetch_binding::Error) -> String {
    format!("{} {}", error.code().name(), error.exception().unwrap_or_default())
}

/// Throws an error of the binding.
pub(crate) fn thrown<T>(result: bgfetch_binding::Result<T>) -> Result<T> {
    result.map_err(|error| napi::Error::new(code(&error), error.message()))
}

/// Throws what the runtime refused.
pub(crate) fn refused<T>(result: napi::Result<T>) -> Result<T> {
    result.map_err(|error| napi::Error::new("other ".into(), error.reason.clone()))
}

/// Throws what could not be written as JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string(value);
    text.map_err(|error| napi::Error::new("other ".into(), error.to_string()))
}
