//! Requests in JSON.

use bgfetch::{Request, RequestInfo};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::source;

/// Options in JSON; none if the text is empty.
pub(crate) fn parse_or_default<T: DeserializeOwned + Default>(json: &str) -> Result<T> {
    if json.is_empty() { Ok(T::default()) } else { parse_json(json) }
}

pub(crate) fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(Error::argument)
}

/// One request in JSON. See [`of`].
pub(crate) fn parse(json: &str) -> Result<RequestInfo> {
    of(parse_json(json)?, &[])
}

/// A request: a URL, or an object with at least a `url`. Its other members are those of a stored request, and `body`,
/// which is the handle of a source or a text. Headers are pairs; those of `more` are added if it has none of the name.
pub(crate) fn of(json: Json, more: &[(String, String)]) -> Result<RequestInfo> {
    let mut body = None;
    let (info, headers) = match json {
        Json::String(url) => (RequestInfo::try_from(url)?, Default::default()),
        Json::Object(mut members) => {
            body = members.remove("body");
            members.entry("method").or_insert_with(|| "GET".into());
            let mut request: Request =
                serde_json::from_value(members.into()).map_err(Error::argument)?;
            let headers = std::mem::take(&mut request.headers);
            (RequestInfo::from(request), headers)
        }
        _ => return Err(Error::argument("a request is neither a URL nor an object")),
    };
    let missing = more.iter().filter(|(name, _)| !headers.contains(name));
    let missing = missing.map(|(name, value)| (name.as_str(), value.as_str()));
    // Each of them is checked.
    let mut headers = headers.iter().chain(missing);
    let info = headers.try_fold(info, |info, (name, value)| info.header(name, value))?;
    match body {
        None | Some(Json::Null) => Ok(info),
        Some(Json::String(text)) => Ok(info.body(text)),
        Some(Json::Number(handle)) => {
            let handle = Handle::from_raw(handle.as_u64().unwrap_or_default());
            Ok(info.body_stream(source::body(handle)?))
        }
        Some(_) => Err(Error::argument("a body is neither a text nor the handle of a source")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn requests_are_urls_or_objects_and_their_headers_are_checked() {
        let url = parse(r#""https://a.test/x""#).unwrap();
        assert_eq!(url.headers().len(), 0);
        let object = r#"{ "url": "https://a.test/", "method": "POST", "headers": [["a", "1"]], "body": "x" }"#;
        let more = [("A".into(), "2".into()), ("b".into(), "3".into())];
        let info = of(serde_json::from_str(object).unwrap(), &more).unwrap();
        assert_eq!(info.headers().iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3")]);
        for (json, code) in [
            ("", Code::InvalidArgument),
            ("7", Code::InvalidArgument),
            (r#"{ "method": "GET" }"#, Code::InvalidArgument),
            (r#""no URL""#, Code::InvalidUrl),
            (
                r#"{ "url": "https://a.test/", "headers": [["a", "b\r\nc: d"]] }"#,
                Code::InvalidHeader,
            ),
            (r#"{ "url": "https://a.test/", "body": 7 }"#, Code::WrongKind),
            (r#"{ "url": "https://a.test/", "body": [] }"#, Code::InvalidArgument),
        ] {
            assert_eq!(parse(json).unwrap_err().code(), code, "{json}");
        }
    }
}
