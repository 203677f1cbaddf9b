//! Detects content codings that are the format of the file itself.

use url::Url;

/// The codings that are also file formats, with the media types and file name extensions of these
/// formats.
const FORMATS: [(&str, &[&str], &[&str]); 3] = [
    (
        "gzip",
        &["application/gzip", "application/x-gzip", "application/x-gtar", "application/x-tgz"],
        &["gz", "tgz", "svgz", "vgz", "wmz", "emz", "dia"],
    ),
    ("br", &["application/brotli", "application/x-brotli"], &["br", "tbr"]),
    ("zstd", &["application/zstd", "application/x-zstd"], &["zst", "tzst"]),
];

/// Whether the resource at `url` with this `Content-Type` is a file in the format of `coding`.
///
/// Some servers send `x.tar.gz` with `Content-Encoding: gzip`. The user wants the compressed file
/// that has this name, as Firefox and curl save it, and not its contents.
#[must_use]
pub fn is_own(coding: &str, url: &Url, content_type: Option<&str>) -> bool {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let any_of = |names: &[&str], name: &str| names.iter().any(|it| it.eq_ignore_ascii_case(name));
    FORMATS.iter().any(|(format, types, extensions)| {
        *format == coding && (any_of(types, essence) || any_of(extensions, extension))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_type_makes_a_coding_the_file_s_own() {
        for (coding, path, content_type, own) in [
            ("gzip", "/x.tar.gz", None, true),
            ("gzip", "/a/X.TGZ?v=1", Some("text/plain"), true),
            ("gzip", "/download", Some("Application/X-Gzip; q"), true),
            ("zstd", "/x.tar.zst", None, true),
            ("br", "/app.js.br", Some("text/javascript"), true),
            ("gzip", "/app.js", Some("text/javascript"), false),
            ("gzip", "/x.gz/", None, false),
            ("br", "/x.gz", None, false),
            ("deflate", "/x.zz", Some("application/gzip"), false),
            ("gzip", "/gz", None, false),
        ] {
            let url = Url::parse("https://a.test").unwrap().join(path).unwrap();
            assert_eq!(is_own(coding, &url, content_type), own, "{coding} {path}");
        }
    }
}
