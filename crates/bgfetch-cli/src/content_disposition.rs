//! The file name of a response's
//! [`Content-Disposition`](https://www.rfc-editor.org/rfc/rfc6266).

use std::iter::Peekable;
use std::str::Chars;

use percent_encoding::percent_decode_str;

/// The name that the header suggests, as the server wrote it: it may contain anything. `filename*`
/// is preferred to `filename`.
pub(crate) fn file_name(value: &str) -> Option<String> {
    let mut rest = value.chars().peekable();
    // The type, `attachment` or `inline`, does not matter: the user saves the file in any case.
    while rest.next_if(|c| *c != ';').is_some() {}
    let (mut plain, mut extended) = (None, None);
    while rest.next_if_eq(&';').is_some() {
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| !matches!(c, '=' | ';')) {
            name.push(c);
        }
        let value = match rest.next_if_eq(&'=') {
            Some(_) => parameter_value(&mut rest),
            None => continue,
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "filename" => plain = plain.or_else(|| Some(utf8(value))),
            "filename*" => extended = extended.or_else(|| decode(&value)),
            _ => {}
        }
    }
    extended.or(plain)
}

/// A token or a quoted string, up to the next semicolon.
fn parameter_value(rest: &mut Peekable<Chars<'_>>) -> String {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    let mut value = String::new();
    if rest.next_if_eq(&'"').is_some() {
        while let Some(c) = rest.next() {
            match c {
                '"' => break,
                '\\' => value.extend(rest.next()),
                c => value.push(c),
            }
        }
        while rest.next_if(|c| *c != ';').is_some() {}
        return value;
    }
    while let Some(c) = rest.next_if(|c| *c != ';') {
        value.push(c);
    }
    value.truncate(value.trim_end().len());
    value
}

/// Header values are isomorphically decoded. Servers write UTF-8 although the RFC does not have it.
fn utf8(value: String) -> String {
    let bytes = value.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>();
    bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(value)
}

/// An [extended value](https://www.rfc-editor.org/rfc/rfc8187#section-3.2): `UTF-8'en'na%C3%AFve`.
fn decode(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = percent_decode_str(text);
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => bytes.decode_utf8().ok().map(Into::into),
        "iso-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_as_the_server_meant_it() {
        for (value, expected) in [
            ("attachment; filename=film.mp4", Some("film.mp4")),
            ("attachment; filename=\"a; \\\"b\\\".bin\"; size=3", Some("a; \"b\".bin")),
            ("INLINE;FileName = \"x\" ", Some("x")),
            ("attachment; filename=\"e.txt\"; filename*=UTF-8''%e2%82%ac.txt", Some("€.txt")),
            ("attachment; filename*=iso-8859-1'en'%A3.txt; filename=l.txt", Some("£.txt")),
            ("attachment; filename*=koi8-r''x; filename=y", Some("y")),
            ("attachment; filename*=UTF-8''%ff; filename=z", Some("z")),
            ("attachment; filename=\"gr\u{c3}\u{bc}n\"", Some("grün")),
            ("attachment; filename=\"gr\u{fc}n\"", Some("grün")),
            ("attachment; filename=../../x", Some("../../x")),
            ("attachment", None),
            ("attachment; filename", None),
            ("attachment; filename; filename=a; filename=b", Some("a")),
            ("attachment; filename=\"open", Some("open")),
            ("", None),
        ] {
            assert_eq!(file_name(value).as_deref(), expected, "{value}");
        }
    }
}
