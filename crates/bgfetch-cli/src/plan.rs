//! The arguments of `get`, checked before anything is registered.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bgfetch::{FetchOptions, RegistrationKey, StorageKey, StoreError};
use url::{ParseError, Url};

use crate::args::Get;
use crate::exit::Failure;
use crate::file_names::{FileNames, file_name};

/// The storage key of all fetches of `get`: they belong to one user.
pub(crate) const STORAGE_KEY: &str = "bgfetch-cli";

/// The maximum number of characters of a file name in a default id.
const ID_STEM: usize = 40;

/// The checked arguments.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: String,
    /// Whether the id was made from the URLs and the directory.
    pub(crate) has_default_id: bool,
    pub(crate) urls: Vec<Url>,
    pub(crate) options: FetchOptions,
    /// The output directory, which exists; an absolute path.
    pub(crate) out: PathBuf,
    /// The registration that represents that directory.
    pub(crate) registration: RegistrationKey,
}

impl Plan {
    /// Checks the arguments and creates the output directory if it is missing.
    ///
    /// # Errors
    ///
    /// A URL cannot be fetched, or the directory cannot be written to.
    pub(crate) fn new(args: &Get) -> Result<Self, Failure> {
        let urls = args.urls.iter().map(|url| checked_url(url));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let out = writable_directory(&args.out)?;
        let scope = Url::from_directory_path(&out)
            .map_err(|()| Failure(format!("{} is not a path of this system", out.display())))?;
        Ok(Self {
            has_default_id: args.id.is_none(),
            id: args.id.clone().unwrap_or_else(|| default_id(&urls, &scope)),
            urls,
            options: FetchOptions::default().with(|it| {
                it.title = args.title.clone();
                it.download_total = args.download_total;
            }),
            out,
            registration: RegistrationKey { storage_key: StorageKey(STORAGE_KEY.into()), scope },
        })
    }

    /// Whether the output directory has a file for each URL, with this number of bytes in total.
    pub(crate) fn files_hold(&self, bytes: u64) -> bool {
        let mut names = FileNames::default();
        let size = |url| {
            let file = std::fs::metadata(self.out.join(names.next(url))).ok()?;
            file.is_file().then_some(file.len())
        };
        self.urls.iter().map(size).sum::<Option<u64>>() == Some(bytes)
    }
}

/// Whether the registration belongs to `get`, rather than to a page.
pub(crate) fn is_of_get(registration: &RegistrationKey) -> bool {
    registration.storage_key.0 == STORAGE_KEY
}

/// The output directory that a registration represents, if it is a valid path on this system.
pub(crate) fn directory_of(registration: &RegistrationKey) -> Option<PathBuf> {
    let path = registration.scope.to_file_path().ok()?;
    // This removes the trailing slash.
    Some(path.components().collect())
}

/// Checks a URL by the engine's rules before the store is opened, so that the message can name the
/// URL.
pub(crate) fn checked_url(text: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| Err(Failure(format!("{text}: {why}")));
    let hint = || suggestion(text).map(|url| format!("; did you mean {url}?")).unwrap_or_default();
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(ParseError::RelativeUrlWithoutBase) => {
            return refuse(&format!("a URL begins with http:// or https://{}", hint()));
        }
        Err(error) => return refuse(&format!("not a URL ({})", defect(error))),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(&format!("only http and https URLs can be fetched{}", hint()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text may contain a password, so it is not repeated.
        let host = url.host_str().unwrap_or_default();
        let why = format!("the URL for {host} includes credentials, which is not allowed");
        return Err(Failure(why));
    }
    match url.port_or_known_default() {
        Some(port) if bgfetch::is_bad_port(port) => {
            refuse(&format!("port {port} belongs to another protocol and is blocked"))
        }
        _ => Ok(url),
    }
}

/// The URL that the user probably meant, for a text that begins with a host.
fn suggestion(text: &str) -> Option<Url> {
    let authority = text.split(['/', '\\', '?', '#']).next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_local = host == "localhost" || host.starts_with("127.");
    if !is_local && !is_port && (!authority.contains('.') || authority.starts_with('.')) {
        return None;
    }
    let scheme = if is_local { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{text}")).ok()?;
    url.username().is_empty().then_some(url)
}

/// The defect of a URL.
fn defect(error: ParseError) -> &'static str {
    match error {
        ParseError::EmptyHost => "it has no host",
        ParseError::InvalidPort => "its port is not valid",
        ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => {
            "its address is not valid"
        }
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => "its host is not valid",
        ParseError::Overflow => "it is too long",
        _ => "it is not valid",
    }
}

fn writable_directory(path: &Path) -> Result<PathBuf, Failure> {
    let check = || {
        if !path.exists() {
            std::fs::create_dir_all(path)?;
            bgfetch::sync_path_to(path)?;
        }
        // Creating a file is the only reliable check; permission bits are not enough.
        tempfile::tempfile_in(path)?;
        path.canonicalize()
    };
    let failed = |error| match StoreError::io(path, error) {
        error if error.is_disk_full() => Failure(error.to_string()),
        error => Failure(format!("cannot write to {error}")),
    };
    check().map_err(failed)
}

/// The same URLs and directory give the same id, so that the same command resumes its fetch.
fn default_id(urls: &[Url], scope: &Url) -> String {
    let stem = urls.first().map(file_name).unwrap_or_default();
    let mut id: String = stem.chars().take(ID_STEM).collect();
    let texts = urls.iter().chain([scope]).map(Url::as_str);
    let hash = fnv1a(texts.flat_map(|text| text.bytes().chain([0])));
    // A String takes any text.
    write!(id, "-{:08x}", hash >> 32 ^ hash & 0xffff_ffff).unwrap_or_default();
    id
}

/// FNV-1a, because the standard library's hashes may change between releases.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn each_refusal_is_one_line_that_names_the_url() {
        for (text, expected) in [
            ("nothing", "nothing: a URL begins with http:// or https://"),
            ("http://", "http://: not a URL (it has no host)"),
            ("http://a.test:99999/", "http://a.test:99999/: not a URL (its port is not valid)"),
            ("ftp://a.test/x", "ftp://a.test/x: only http and https URLs can be fetched"),
            (
                "http://a.test:25/",
                "http://a.test:25/: port 25 belongs to another protocol and is blocked",
            ),
        ] {
            assert_eq!(checked_url(text).unwrap_err().0, expected);
        }
        let Failure(line) = checked_url("http://me:secret@a.test/").unwrap_err();
        assert!(line.contains("a.test") && !line.contains("secret"), "{line}");
    }

    #[test]
    fn a_url_without_its_scheme_is_recognized() {
        for (text, expected) in [
            ("example.com/x", Some("https://example.com/x")),
            ("example.com", Some("https://example.com/")),
            ("www.example.com:8443/x?y", Some("https://www.example.com:8443/x?y")),
            ("localhost/x", Some("http://localhost/x")),
            ("localhost:8000", Some("http://localhost:8000/")),
            ("127.0.0.1:8000/x", Some("http://127.0.0.1:8000/x")),
            ("nas:5000/film", Some("https://nas:5000/film")),
            ("grün.example/x", Some("https://xn--grn-ioa.example/x")),
            ("x", None),
            ("./film.mp4", None),
            ("../film.mp4", None),
            ("mailto:me@example.com", None),
            ("ftp://example.com/x", None),
            ("C:\\films\\x.mp4", None),
        ] {
            let Failure(line) = checked_url(text).unwrap_err();
            let suggested = line.split_once("; did you mean ").map(|(_, url)| url);
            assert_eq!(suggested, expected.map(|url| format!("{url}?")).as_deref(), "{line}");
        }
    }

    #[test]
    fn the_default_id_is_stable_and_tells_urls_and_directories_apart() {
        let id = |urls: &[&str], out| {
            let urls: Vec<_> = urls.iter().copied().map(url).collect();
            default_id(&urls, &url(out))
        };
        let one = id(&["http://a.test/x.bin"], "file:///out/");
        // Users' stores contain such ids.
        assert_eq!(one, "x.bin-6a7d0efb");
        assert_ne!(one, id(&["http://a.test/x.bin"], "file:///other/"));
        assert_ne!(one, id(&["http://a.test/x.bin", "http://a.test/y"], "file:///out/"));
    }

    #[test]
    fn hashing_is_fnv1a() {
        assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c);
    }
}
