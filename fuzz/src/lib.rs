//! Shared code of the fuzz targets. Inputs are readable, so that seeds can be written by hand.

pub mod connection;
pub mod store;

use bgfetch_model::header_list::HeaderList;

/// Isomorphic decoding: each byte becomes one `char`, as in a header's value.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The lines of an input, each isomorphically decoded.
pub fn lines(input: &[u8]) -> impl Iterator<Item = String> {
    input.split(|&byte| byte == b'\n').map(text)
}

/// A header list from lines of `name: value`; lines without a colon are ignored.
#[must_use]
pub fn headers(lines: impl IntoIterator<Item = String>) -> HeaderList {
    lines
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        })
        .collect()
}
