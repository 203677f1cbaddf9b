//! `?pipe=name(argument,...)|...`: changes to a response that its URL requests.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use thiserror::Error;

use super::message::{Part, Reply, Request};
use super::site::Site;
use super::substitute::{Escape, Unknown, substitute};

/// The longest delay that a pipe may request.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The maximum number of parts of a trickle.
const MOST_PARTS: usize = 100_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pipe {
    name: String,
    arguments: Vec<String>,
}

#[derive(Debug, Error)]
pub(super) enum PipeError {
    #[error("there is no pipe '{0}' with {1} arguments")]
    NoPipe(String, usize),
    #[error("'{0}' is not a valid argument of the pipe '{1}'")]
    Argument(String, &'static str),
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// Parses pipes; a backslash escapes a character that would end an argument.
pub(super) fn parse(text: &str) -> Vec<Pipe> {
    let mut pipes = Vec::new();
    let mut characters = text.chars();
    let mut name = String::new();
    while let Some(character) = characters.next() {
        match character {
            '(' => {
                let name = std::mem::take(&mut name);
                pipes.push(Pipe { name, arguments: arguments(&mut characters) });
            }
            '|' if name.is_empty() => {}
            '|' => pipes.push(Pipe { name: std::mem::take(&mut name), arguments: Vec::new() }),
            other => name.push(other),
        }
    }
    if !name.is_empty() {
        pipes.push(Pipe { name, arguments: Vec::new() });
    }
    pipes
}

fn arguments(characters: &mut impl Iterator<Item = char>) -> Vec<String> {
    let mut arguments = vec![String::new()];
    while let Some(character) = characters.next() {
        let character = match character {
            ')' => break,
            ',' => {
                arguments.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        if let Some(argument) = arguments.last_mut() {
            argument.push(character);
        }
    }
    arguments
}

/// Applies the pipes to a reply, in order.
pub(super) fn apply(
    pipes: &[Pipe],
    mut reply: Reply,
    request: &Request,
    site: &Site,
) -> Result<Reply, PipeError> {
    for Pipe { name, arguments } in pipes {
        let given: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match (name.as_str(), given.as_slice()) {
            ("header", [name, value]) => set_header(&mut reply.headers, name, value, false)?,
            ("header", [name, value, append]) => {
                set_header(&mut reply.headers, name, value, boolean(append)?)?;
            }
            ("status", [code]) => {
                let code = code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
                reply.status = code.ok_or_else(|| argument(arguments, "status"))?;
            }
            ("trickle", [steps]) => trickle(&mut reply, steps)?,
            ("slice", [start]) => slice(&mut reply, start, "null")?,
            ("slice", [start, end]) => slice(&mut reply, start, end)?,
            // Without an argument it escapes for markup, for historical reasons.
            ("sub", [] | [""] | ["html"]) => sub(&mut reply, request, site, Escape::Html)?,
            ("sub", ["none"]) => sub(&mut reply, request, site, Escape::Nothing)?,
            _ => return Err(PipeError::NoPipe(name.clone(), arguments.len())),
        }
    }
    Ok(reply)
}

/// Replaces `{{...}}` in a body.
pub(super) fn sub(
    reply: &mut Reply,
    request: &Request,
    site: &Site,
    escape: Escape,
) -> Result<(), PipeError> {
    let content = reply.content();
    // A body that is not UTF-8 has nothing to replace.
    if let Ok(text) = std::str::from_utf8(&content) {
        reply.set_content(substitute(text, request, site, escape)?);
    }
    Ok(())
}

fn argument(arguments: &[String], pipe: &'static str) -> PipeError {
    PipeError::Argument(arguments.join(","), pipe)
}

fn boolean(text: &str) -> Result<bool, PipeError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(PipeError::Argument(other.to_owned(), "header")),
    }
}

/// Sets or appends a header.
pub(super) fn set_header(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
    append: bool,
) -> Result<(), PipeError> {
    let wrong = |text: &str| PipeError::Argument(text.to_owned(), "header");
    let name = HeaderName::try_from(name.trim()).map_err(|_| wrong(name))?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| wrong(value))?;
    if append {
        headers.append(name, value);
    } else {
        headers.insert(name, value);
    }
    Ok(())
}

/// A step of a trickle.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(Duration),
    Bytes(usize),
    /// Repeats the last steps, as many as it gives, until everything is sent.
    Repeat(usize),
}

/// Steps separated by colons: `d` and seconds to wait, a number of bytes, or `r` and a number of
/// steps to repeat. The rest of the body is sent at the end.
fn trickle(reply: &mut Reply, text: &str) -> Result<(), PipeError> {
    let wrong = || PipeError::Argument(text.to_owned(), "trickle");
    let steps: Option<Vec<Step>> = text.split(':').map(|step| parse_step(step.trim())).collect();
    let steps = steps.ok_or_else(wrong)?;
    let mut rest = reply.content();
    let mut parts = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let Step::Repeat(count) = *step else {
            take(*step, &mut rest, &mut parts);
            continue;
        };
        let repeated = index.checked_sub(count).and_then(|first| steps.get(first..index));
        let repeated = repeated.ok_or_else(wrong)?;
        if !repeated.iter().any(|step| matches!(step, Step::Bytes(1..))) {
            return Err(wrong());
        }
        while !rest.is_empty() && parts.len() < MOST_PARTS {
            for step in repeated {
                take(*step, &mut rest, &mut parts);
            }
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Send(rest));
    }
    reply.body = parts;
    let told = [CACHE_CONTROL, PRAGMA, EXPIRES].iter().any(|name| reply.headers.contains_key(name));
    if !told {
        let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate");
        reply.headers.insert(CACHE_CONTROL, no_cache);
    }
    Ok(())
}

fn parse_step(text: &str) -> Option<Step> {
    if let Some(seconds) = text.strip_prefix('d') {
        let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        return (time <= LONGEST_WAIT).then_some(Step::Wait(time));
    }
    match text.strip_prefix('r') {
        Some(count) => Some(Step::Repeat(count.parse().ok()?)),
        None => Some(Step::Bytes(text.parse().ok()?)),
    }
}

fn take(step: Step, rest: &mut Bytes, parts: &mut Vec<Part>) {
    match step {
        Step::Wait(time) => parts.push(Part::Wait(time)),
        Step::Bytes(count) => parts.push(Part::Send(rest.split_to(count.min(rest.len())))),
        // Only the last steps before it are repeated.
        Step::Repeat(_) => {}
    }
}

/// Keeps a part of the body; negative numbers count from its end, `null` is the end.
fn slice(reply: &mut Reply, start: &str, end: &str) -> Result<(), PipeError> {
    let content = reply.content();
    let offset = |text: &str, null: usize| -> Result<usize, PipeError> {
        if text.trim().eq_ignore_ascii_case("null") {
            return Ok(null);
        }
        let number = text.trim().parse::<isize>();
        let number = number.map_err(|_| PipeError::Argument(text.to_owned(), "slice"))?;
        let from_end = content.len().saturating_sub(number.unsigned_abs());
        Ok(usize::try_from(number).unwrap_or(from_end).min(content.len()))
    };
    let start = offset(start, 0)?;
    let end = offset(end, content.len())?.max(start);
    reply.set_content(content.slice(start..end));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn through(pipes: &str, content: &'static str) -> Result<Reply, PipeError> {
        let url = "https://web-platform.test:8443/a.txt".parse().unwrap();
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let request = Request { method: Method::GET, url, headers, body };
        let site = Site { http: [8000, 8001], https: [8443, 8444] };
        apply(&parse(pipes), Reply::new(StatusCode::OK, "text/plain", content), &request, &site)
    }

    #[test]
    fn headers_are_set_and_added() {
        let reply = through("header(X-A, 1)|header(X-A,2,True)|header(X-B,a\\,b\\))", "").unwrap();
        let all: Vec<_> = reply.headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(reply.headers["x-b"], "a,b)");
        let reply = through("header(X-A,1)|header(X-A,2)", "").unwrap();
        assert_eq!(reply.headers.get_all("x-a").iter().count(), 1);
    }

    #[test]
    fn the_status_is_set() {
        assert_eq!(through("status(503)", "").unwrap().status, 503);
    }

    #[test]
    fn a_slice_counts_from_both_ends() {
        let of =
            |pipe| String::from_utf8(through(pipe, "abcdef").unwrap().content().into()).unwrap();
        assert_eq!(of("slice(2)"), "cdef");
        assert_eq!(of("slice(1,3)"), "bc");
        assert_eq!(of("slice(-2)"), "ef");
        assert_eq!(of("slice(null,-1)"), "abcde");
        assert_eq!(of("slice(4,2)"), "");
        assert_eq!(of("slice(0,100)"), "abcdef");
    }

    #[test]
    fn a_trickle_sends_in_steps() {
        let send = |text: &'static str| Part::Send(Bytes::from_static(text.as_bytes()));
        let wait = |seconds: f64| Part::Wait(Duration::from_secs_f64(seconds));
        let reply = through("trickle(d1:2:d0.5)", "abcdef").unwrap();
        assert_eq!(reply.body, [wait(1.0), send("ab"), wait(0.5), send("cdef")]);
        let reply = through("trickle(2:d0.5:r2)", "abcde").unwrap();
        let twice = [send("ab"), wait(0.5), send("cd"), wait(0.5), send("e"), wait(0.5)];
        assert_eq!(reply.body, twice);
        assert!(reply.headers.contains_key(CACHE_CONTROL));
        // A later pipe sees the whole body.
        assert_eq!(through("trickle(2:d1)|slice(1,3)", "abcdef").unwrap().content(), "bc");
    }

    #[test]
    fn sub_replaces() {
        assert_eq!(through("sub", "{{host}}").unwrap().content(), "web-platform.test");
    }

    #[test]
    fn what_is_no_pipe_is_an_error() {
        let wrong = [
            "nothing()",
            "status(abc)",
            "status(1,2)",
            "trickle(dx)",
            "trickle(d1:r2)",
            "trickle(d1e99)",
            "slice(a)",
            "header(a b,1)",
            "header(a,1,perhaps)",
        ];
        for pipes in wrong {
            assert!(through(pipes, "abc").is_err(), "{pipes}");
        }
    }
}
