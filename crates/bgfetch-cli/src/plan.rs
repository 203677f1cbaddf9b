//! The options of a fetch, checked before anything is registered.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bgfetch::control::{self, EngineOptions, File};
use url::Url;

use crate::args::Get;
use crate::exit::{Failure, complain};
use crate::file_names::file_name;
use crate::headers;
use crate::netrc::Netrc;
use crate::saving::Saving;
use crate::secret::Secret;
use crate::urls::{UrlList, Wanted};

/// The maximum number of characters of a file name in a default id.
const ID_STEM: usize = 40;

/// The checked options of a fetch. They belong to the fetch and not to the process, so they travel to
/// the process that has the store open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) id: String,
    /// Whether the id was made from the other options.
    pub(crate) has_default_id: bool,
    pub(crate) title: String,
    pub(crate) download_total: u64,
    pub(crate) files: Vec<Wanted>,
    /// The headers of all requests.
    headers: Vec<(String, Secret)>,
    pub(crate) saving: Saving,
    /// Whether some lines of a list were no URLs. The command that follows will have all of them, so
    /// the records of this one are held for it.
    pub(crate) is_partial: bool,
}

impl Plan {
    /// Checks the arguments, reports the lines of lists that are no URLs, and creates the output
    /// directory if it is missing.
    ///
    /// # Errors
    ///
    /// A URL of the command line cannot be fetched, a file cannot be read, a header cannot be sent,
    /// or the directory cannot be written to.
    pub(crate) fn new(args: &Get) -> Result<Self, Failure> {
        let files = args.urls.iter().map(|url| Wanted::parse(url));
        let mut files = files.collect::<Result<Vec<_>, _>>()?;
        let headers =
            headers::parse(&args.headers, args.user_agent.as_deref(), args.cookie.as_ref())?;
        let mut is_partial = false;
        for path in &args.input_files {
            let UrlList { wanted, refused } = UrlList::read(path)?;
            refused.iter().for_each(|line| complain(line));
            is_partial |= !refused.is_empty();
            files.extend(wanted);
        }
        if files.is_empty() {
            return Err(Failure("there is no URL to fetch".into()));
        }
        if let Some(integrity) = &args.checksum {
            let [only] = files.as_mut_slice() else {
                return Err(Failure(
                    "--checksum is for one URL; of several, write #sha256=HEX after each".into(),
                ));
            };
            only.integrity.clone_from(integrity);
        }
        if args.netrc && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            add_logins(&mut files)?;
        }
        let mut saving = match &args.output {
            None => Saving::to_directory(&args.out)?,
            Some(_) if files.len() > 1 => {
                return Err(Failure("-o is for one URL; for several, use --out DIR".into()));
            }
            Some(file) => Saving::to_file(&args.out, file)?,
        };
        saving.overwrite = args.overwrite;
        saving.content_disposition = args.content_disposition;
        let scope = saving.registration()?.scope;
        Ok(Self {
            has_default_id: args.id.is_none(),
            id: args.id.clone().unwrap_or_else(|| default_id(&files, &scope)),
            title: args.title.clone(),
            download_total: args.download_total,
            files,
            headers,
            saving,
            is_partial,
        })
    }

    /// What the owner of the store is asked for.
    ///
    /// # Errors
    ///
    /// The directory is not a path of this system.
    pub(crate) fn get(&self, engine: EngineOptions) -> Result<control::Get, Failure> {
        let headers = headers::list(&self.headers);
        let file = |file: &Wanted| {
            let mut headers = headers.clone();
            if let Some(Secret(value)) = &file.authorization {
                headers.append("Authorization", value);
            }
            File { url: file.url.clone(), integrity: file.integrity.clone(), headers }
        };
        Ok(control::Get {
            id: self.id.clone(),
            again: !self.has_default_id,
            files: self.files.iter().map(file).collect(),
            title: self.title.clone(),
            download_total: self.download_total,
            scope: self.saving.registration()?.scope,
            hold: self.is_partial,
            engine,
            jobs: false,
            accepted: None,
        })
    }

    /// The URLs, in order.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &Url> {
        self.files.iter().map(|file| &file.url)
    }

    /// The hosts, each once.
    pub(crate) fn hosts(&self) -> BTreeSet<&str> {
        self.urls().filter_map(Url::host_str).collect()
    }
}

/// Adds the logins of the user's netrc file.
fn add_logins(files: &mut [Wanted]) -> Result<(), Failure> {
    let Some(path) = std::env::home_dir().map(|home| home.join(".netrc")) else {
        return Err(Failure("--netrc: there is no home directory".into()));
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure(format!("--netrc: {}: {}", path.display(), Failure::from(error).0))
    })?;
    let netrc = Netrc::parse(&text);
    for file in files {
        let host = file.url.host_str().unwrap_or_default();
        file.authorization = headers::authorization(&netrc, host);
    }
    Ok(())
}

/// The same files, saved in the same way, give the same id, so that the same command resumes its
/// fetch.
fn default_id(files: &[Wanted], scope: &Url) -> String {
    let stem = files.first().map(|file| file_name(&file.url)).unwrap_or_default();
    let mut id: String = stem.chars().take(ID_STEM).collect();
    let checksums = files.iter().map(|file| &*file.integrity).filter(|text| !text.is_empty());
    let texts = files.iter().map(|file| file.url.as_str()).chain([scope.as_str()]).chain(checksums);
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

    #[test]
    fn the_default_id_is_stable_and_tells_files_and_directories_apart() {
        let id = |urls: &[&str], out: &str| {
            let files: Vec<_> = urls.iter().map(|url| Wanted::parse(url).unwrap()).collect();
            default_id(&files, &out.parse().unwrap())
        };
        let one = id(&["http://a.test/x.bin"], "file:///out/");
        // Users' stores contain such ids.
        assert_eq!(one, "x.bin-6a7d0efb");
        assert_ne!(one, id(&["http://a.test/x.bin"], "file:///other/"));
        assert_ne!(one, id(&["http://a.test/x.bin"], "file:///out/?overwrite"));
        assert_ne!(one, id(&["http://a.test/x.bin", "http://a.test/y"], "file:///out/"));
        let checked = format!("http://a.test/x.bin#sha256={}", "0".repeat(64));
        assert_ne!(one, id(&[&checked], "file:///out/"));
    }

    #[test]
    fn hashing_is_fnv1a() {
        assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn a_plan_can_be_handed_to_another_process_and_shows_no_secret() {
        let out = std::env::temp_dir();
        let mut file = Wanted::parse("http://a.test/x").unwrap();
        file.authorization = Some(Secret("Basic pw".into()));
        let plan = Plan {
            id: "x".into(),
            has_default_id: true,
            title: String::new(),
            download_total: 0,
            files: vec![file],
            headers: vec![("X-Key".into(), Secret("pw".into()))],
            saving: Saving { out, ..Saving::default() },
            is_partial: false,
        };
        let get = plan.get(EngineOptions::default()).unwrap();
        let text = serde_json::to_string(&get).unwrap();
        assert_eq!(serde_json::from_str::<control::Get>(&text).unwrap(), get);
        assert!(!format!("{plan:?} {get:?}").contains("pw"));
        let value = |name| get.files[0].headers.get(name);
        assert_eq!(
            (value("x-key"), value("authorization")),
            (Some("pw".into()), Some("Basic pw".into()))
        );
    }
}
