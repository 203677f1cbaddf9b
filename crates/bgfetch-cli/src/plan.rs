//! What `get` was asked for, checked before anything is registered.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bgfetch::{FetchOptions, RegistrationKey, StorageKey};
use url::Url;

use crate::args::Get;
use crate::exit::Failure;
use crate::file_names::file_name;

/// The user's part of a storage key: all of the program's fetches are one user's.
const STORAGE_KEY: &str = "bgfetch-cli";

/// The most characters of a file name in a default id.
const ID_STEM: usize = 40;

/// A checked request of the user's.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) urls: Vec<Url>,
    pub(crate) options: FetchOptions,
    /// Where the files go; absolute, and it exists.
    pub(crate) out: PathBuf,
    /// The registration that stands for that directory.
    pub(crate) registration: RegistrationKey,
}

impl Plan {
    /// Checks the arguments, creating the output directory where it is missing.
    ///
    /// # Errors
    ///
    /// A URL that cannot be fetched, or a directory that cannot be written to.
    pub(crate) fn new(args: &Get) -> Result<Self, Failure> {
        let urls = args.urls.iter().map(|url| checked_url(url));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let out = writable_directory(&args.out)?;
        let scope = Url::from_directory_path(&out)
            .map_err(|()| Failure(format!("{} is no path of this system", out.display())))?;
        Ok(Self {
            id: args.id.clone().unwrap_or_else(|| default_id(&urls, &scope)),
            urls,
            options: FetchOptions {
                title: args.title.clone(),
                download_total: args.download_total,
                ..FetchOptions::default()
            },
            out,
            registration: RegistrationKey { storage_key: StorageKey(STORAGE_KEY.into()), scope },
        })
    }
}

/// Whether it is a registration of `get`, rather than of a page.
pub(crate) fn is_of_get(registration: &RegistrationKey) -> bool {
    registration.storage_key.0 == STORAGE_KEY
}

/// The output directory that a registration stands for, where this system has such a path.
pub(crate) fn directory_of(registration: &RegistrationKey) -> Option<PathBuf> {
    let path = registration.scope.to_file_path().ok()?;
    // Without the slash at its end.
    Some(path.components().collect())
}

/// The rules of the engine, told with the URL that breaks them, and before the store is touched.
pub(crate) fn checked_url(text: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| Err(Failure(format!("{text}: {why}")));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return refuse(&format!("not a URL ({error})")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("only http and https URLs can be fetched");
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The text may hold a password, so it is not repeated.
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

fn writable_directory(path: &Path) -> Result<PathBuf, Failure> {
    let check = || {
        if !path.exists() {
            std::fs::create_dir_all(path)?;
            bgfetch::sync_path_to(path)?;
        }
        // Whether a file can be made there is what counts, whoever may do what by its mode.
        tempfile::tempfile_in(path)?;
        path.canonicalize()
    };
    check().map_err(|error| Failure(format!("cannot write to {}: {error}", path.display())))
}

/// The same URLs to the same directory have the same id, so that the same command goes on.
fn default_id(urls: &[Url], scope: &Url) -> String {
    let stem = urls.first().map(file_name).unwrap_or_default();
    let mut id: String = stem.chars().take(ID_STEM).collect();
    let texts = urls.iter().chain([scope]).map(Url::as_str);
    let hash = fnv1a(texts.flat_map(|text| text.bytes().chain([0])));
    // A String takes any text.
    write!(id, "-{:08x}", hash >> 32 ^ hash & 0xffff_ffff).unwrap_or_default();
    id
}

/// FNV-1a, because the standard library's hashes may differ from release to release.
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
            ("nothing", "nothing: not a URL (relative URL without a base)"),
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
    fn the_default_id_is_stable_and_tells_urls_and_directories_apart() {
        let id = |urls: &[&str], out| {
            let urls: Vec<_> = urls.iter().copied().map(url).collect();
            default_id(&urls, &url(out))
        };
        let one = id(&["http://a.test/x.bin"], "file:///out/");
        // Ids in the stores of users depend on it.
        assert_eq!(one, "x.bin-6a7d0efb");
        assert_ne!(one, id(&["http://a.test/x.bin"], "file:///other/"));
        assert_ne!(one, id(&["http://a.test/x.bin", "http://a.test/y"], "file:///out/"));
    }

    #[test]
    fn hashing_is_fnv1a() {
        assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c);
    }
}
