//! Files below the root, with the headers and pipes that apply to them.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::content_type::content_type;
use super::message::{Reply, Request};
use super::pipes::{self, PipeError};
use super::site::Site;
use super::substitute::{Escape, substitute};
use super::wrappers;

/// This program's replacements for files of upstream.
const OWN: [(&str, &str); 2] = [
    ("/resources/testharnessreport.js", include_str!("scripts/testharnessreport.js")),
    ("/resources/testdriver-vendor.js", include_str!("scripts/testdriver-vendor.js")),
];

/// Paths that upstream's server rewrites to another file.
const REWRITES: [(&str, &str); 1] =
    [("/resources/WebIDLParser.js", "/resources/webidl2/lib/webidl2.js")];

/// Folders that npm packages replace, if the root has no such file.
const PACKAGES: [(&str, &str); 3] = [
    ("/resources/webidl2/lib/", "node_modules/wpt-runner/testharness"),
    ("/resources/", "node_modules/wpt-runner/testharness"),
    ("/interfaces/", "node_modules/@webref/idl"),
];

/// The file server.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) root: PathBuf,
    /// Whether a file whose URL names a pipe answers every method, as the pipe's headers may
    /// announce. Upstream's server answers only `GET` and `HEAD`.
    pub(super) pipe_any_method: bool,
    /// The harness's timeout multiplier.
    pub(super) timeout_multiplier: u32,
}

impl Files {
    pub(super) async fn respond(&self, request: &Request, site: &Site) -> Reply {
        let pipe = pipe(request);
        let answers = matches!(request.method, Method::GET | Method::HEAD)
            || (self.pipe_any_method && pipe.is_some());
        if !answers {
            return Reply::not_found();
        }
        let path = request.url.path();
        if let Some((_, script)) = OWN.iter().find(|(own, _)| *own == path) {
            let setup = format!("setup({{ timeout_multiplier: {} }});\n", self.timeout_multiplier);
            let script = script.replace("// SETUP\n", &setup);
            return Reply::new(StatusCode::OK, "text/javascript", script);
        }
        match self.file(request, site, pipe).await {
            Ok(reply) => reply,
            Err(FileError::Io(_)) => Reply::not_found(),
            Err(error) => Reply::error(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    async fn file(
        &self,
        request: &Request,
        site: &Site,
        pipe: Option<String>,
    ) -> Result<Reply, FileError> {
        let url_path = rewritten(request.url.path());
        if let Some((wrapper, script)) = wrappers::wrapper(url_path) {
            let path = self.path(&script).await?;
            let source = tokio::fs::read_to_string(&path).await?;
            let mut reply = wrappers::wrap(wrapper, &script, &source);
            let content_type = reply.headers.remove(CONTENT_TYPE);
            read_headers(&mut reply.headers, &path, request, site).await?;
            reply.headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
            return Ok(reply);
        }
        let path = self.path(url_path).await?;
        if tokio::fs::metadata(&path).await?.is_dir() {
            return Ok(folder(url_path));
        }
        let content = Bytes::from(tokio::fs::read(&path).await?);
        let mut reply = ranged(request, content, content_type(&path));
        read_headers(&mut reply.headers, &path, request, site).await?;
        match pipe {
            Some(pipe) => {
                reply = pipes::apply(&pipes::parse(&pipe), reply, request, site)?;
            }
            None if name(&path).contains(".sub.") => {
                pipes::sub(&mut reply, request, site, escape(&path))?;
            }
            None => {}
        }
        Ok(reply)
    }

    async fn path(&self, url_path: &str) -> io::Result<PathBuf> {
        path(&self.root, url_path).await
    }
}

/// Whether the tests below that root have a harness.
pub(crate) async fn has_harness(root: &Path) -> io::Result<bool> {
    tokio::fs::try_exists(path(root, "/resources/testharness.js").await?).await
}

/// The file for a URL's path, below the root or in a package that replaces a folder.
async fn path(root: &Path, url_path: &str) -> io::Result<PathBuf> {
    let path = root.join(below(url_path)?);
    if tokio::fs::try_exists(&path).await? {
        return Ok(path);
    }
    for (folder, package) in PACKAGES {
        if let Some(file) = url_path.strip_prefix(folder) {
            return Ok(root.join(package).join(below(file)?));
        }
    }
    Ok(path)
}

#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Pipe(#[from] PipeError),
}

/// The path of the file that is served for a URL's path.
fn rewritten(url_path: &str) -> &str {
    let rewrite = REWRITES.iter().find(|(from, _)| *from == url_path);
    rewrite.map_or(url_path, |(_, to)| to)
}

/// The last `pipe` parameter of the URL.
fn pipe(request: &Request) -> Option<String> {
    let pipes = request.url.query_pairs().filter(|(name, _)| name == "pipe");
    pipes.last().map(|(_, value)| value.into_owned())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// A URL's path as a relative path that stays below the folder it is joined to.
fn below(url_path: &str) -> io::Result<PathBuf> {
    let decoded = percent_decode_str(url_path).decode_utf8().map_err(io::Error::other)?;
    let mut path = PathBuf::new();
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        if segment == ".." || segment.contains(['\\', '\0']) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        path.push(segment);
    }
    Ok(path)
}

/// A folder. It need not list its files: tests fetch it for its status.
fn folder(url_path: &str) -> Reply {
    if !url_path.ends_with('/') {
        let reply = Reply::new(StatusCode::MOVED_PERMANENTLY, "", "");
        return reply.header(http::header::LOCATION, format!("{url_path}/"));
    }
    Reply::new(StatusCode::OK, "text/html", "<!DOCTYPE html>\n<title>A folder</title>\n")
}

/// The whole content, or the one range that the request asks for.
fn ranged(request: &Request, content: Bytes, content_type: &str) -> Reply {
    let asked = request.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(asked) = asked.and_then(parse_range) else {
        return Reply::new(StatusCode::OK, content_type, content);
    };
    let length = content.len();
    match resolve_range(asked, length) {
        Some(range) => {
            let told = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
            let part = content.slice(range);
            Reply::new(StatusCode::PARTIAL_CONTENT, content_type, part).header(CONTENT_RANGE, told)
        }
        None => Reply::error(StatusCode::RANGE_NOT_SATISFIABLE, "")
            .header(CONTENT_RANGE, format!("bytes */{length}")),
    }
}

/// A single byte range: its first and last position, one of which may be missing. A list of ranges,
/// or anything else, is ignored.
fn parse_range(text: &str) -> Option<(Option<usize>, Option<usize>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let position = |text: &str| match text.trim() {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    };
    let range = (position(first)?, position(last)?);
    (range != (None, None)).then_some(range)
}

/// The positions in content of that length; `None` if the range contains none of it.
fn resolve_range(
    (first, last): (Option<usize>, Option<usize>),
    length: usize,
) -> Option<Range<usize>> {
    let range = match (first, last) {
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) => first..length,
        (None, last) => length.saturating_sub(last?)..length,
    };
    (!range.is_empty()).then_some(range)
}

/// Adds the headers from the files beside this one: first those of its folder, then its own.
async fn read_headers(
    headers: &mut HeaderMap,
    path: &Path,
    request: &Request,
    site: &Site,
) -> Result<(), FileError> {
    let folder = path.with_file_name("__dir__");
    let mut seen = HeaderMap::<HeaderValue>::new();
    for path in [folder.as_path(), path] {
        let beside = |end: &str| path.with_file_name(format!("{}{end}", name(path)));
        let text = match tokio::fs::read_to_string(beside(".sub.headers")).await {
            Ok(text) => {
                substitute(&text, request, site, Escape::Nothing).map_err(PipeError::from)?
            }
            Err(_) => match tokio::fs::read_to_string(beside(".headers")).await {
                Ok(text) => text,
                Err(_) => continue,
            },
        };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| PipeError::Argument(line.to_owned(), "header"))?;
            pipes::set_header(&mut seen, name, value, true)?;
        }
    }
    // These replace the server's own headers, such as the content type.
    headers.extend(seen);
    Ok(())
}

/// In markup, substituted values are escaped; in scripts they are not.
fn escape(path: &Path) -> Escape {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm" | "xht" | "xhtml" | "xml" | "svg") => Escape::Html,
        _ => Escape::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder() {
        assert_eq!(below("/a/b%20c.txt").unwrap(), Path::new("a/b c.txt"));
        assert!(below("/a/%2e%2e/%2e%2e/b").is_err());
        assert!(below("/a\\..\\b").is_err());
    }

    #[test]
    fn one_range_is_read() {
        let of = |text, length| parse_range(text).map(|range| resolve_range(range, length));
        assert_eq!(of("bytes=1-2", 10), Some(Some(1..3)));
        assert_eq!(of("bytes=4-", 10), Some(Some(4..10)));
        assert_eq!(of("bytes=-3", 10), Some(Some(7..10)));
        assert_eq!(of("bytes=0-99", 10), Some(Some(0..10)));
        assert_eq!(of("bytes=10-", 10), Some(None));
        assert_eq!(of("bytes=5-4", 10), Some(None));
        for ignored in ["bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b"] {
            assert_eq!(of(ignored, 10), None, "{ignored}");
        }
    }
}
