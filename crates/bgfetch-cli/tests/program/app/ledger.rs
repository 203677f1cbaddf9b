//! What the app's page was promised, what its worker was told, and whether both agree.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bgfetch_testkit::Resource;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How a file of a fetch may end.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// With exactly these bytes.
    Bytes(Resource),
    /// With this status and no bytes: `bad-status`.
    Status(u16),
    /// Without a response: `fetch-error`.
    Error,
}

/// A file of a planned fetch.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) url: String,
    /// The length of the body of a `POST`; `None` for a `GET`.
    pub(crate) upload: Option<u64>,
    /// The representations that the server sends. A stored body is the start of one of them.
    pub(crate) sent: Vec<Resource>,
    /// How it may end.
    pub(crate) outcomes: Vec<Outcome>,
}

#[derive(Debug, Default)]
struct Fetch {
    files: Vec<Planned>,
    /// Whether the page or a printed line has said that it exists.
    promised: bool,
    /// How often the worker was told of its end.
    told: u32,
    /// The bytes of its files, once it was told.
    bytes: u64,
}

/// All fetches of an app.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    fetches: BTreeMap<String, Fetch>,
    /// The URL and the resource that begin with these bytes.
    representations: HashMap<[u8; KEY], (String, Resource)>,
    /// How often the worker was started.
    pub(crate) starts: usize,
    /// Whatever must not have happened, for people.
    pub(crate) wrong: Vec<String>,
}

/// Enough bytes to tell representations apart. Shorter bodies are not recognized in the store.
const KEY: usize = 8;

/// What the worker says about a fetch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: String,
    r#type: String,
    failure_reason: String,
    downloaded: u64,
    files: Vec<ToldFile>,
}

#[derive(Debug, Deserialize)]
struct ToldFile {
    url: String,
    status: Option<u16>,
    digest: Option<String>,
    error: Option<String>,
}

/// How many fetches were promised and what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) promised: usize,
    pub(crate) told: usize,
    pub(crate) told_again: usize,
    /// The bytes of all files that the worker was told of.
    pub(crate) bytes: u64,
}

impl Ledger {
    pub(super) fn plan(&mut self, id: &str, files: Vec<Planned>) {
        for file in &files {
            for resource in file.sent.iter().filter(|resource| resource.length() >= KEY as u64) {
                let key = resource.slice(0..KEY as u64).try_into().unwrap();
                self.representations.insert(key, (file.url.clone(), resource.clone()));
            }
        }
        self.fetches.insert(id.into(), Fetch { files, ..Fetch::default() });
    }

    /// Notes a line that the program printed.
    pub(crate) fn read(&mut self, line: &str) {
        // A kill may cut the last line short.
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let message = text("message");
        match (text("event"), text("source")) {
            ("registered" | "resumed", _) => self.promised(text("id")),
            ("console", "page") if message.starts_with("promised ") => {
                self.promised(message.trim_start_matches("promised "));
            }
            ("console", "worker") if message == "started" => self.starts += 1,
            ("console" | "not-handled", _) => self.wrong.push(line.to_string()),
            _ => {}
        }
    }

    fn promised(&mut self, id: &str) {
        match self.fetches.get_mut(id) {
            Some(fetch) => fetch.promised = true,
            None => self.wrong.push(format!("{id} was never planned")),
        }
    }

    /// Notes what the worker told the server.
    pub(super) fn told(&mut self, body: &[u8]) {
        let told: Told = match serde_json::from_slice(body) {
            Ok(told) => told,
            Err(error) => {
                let text = String::from_utf8_lossy(body);
                return self.wrong.push(format!("{error}: {text}"));
            }
        };
        let Some(fetch) = self.fetches.get_mut(&told.id) else {
            return self.wrong.push(format!("{} was never planned", told.id));
        };
        fetch.promised = true;
        fetch.told += 1;
        match fetch.check(&told) {
            Ok(bytes) => fetch.bytes = bytes,
            Err(why) => self.wrong.push(format!("{why}: {told:?}")),
        }
    }

    /// Whether the page or a printed line has said that this fetch exists.
    pub(crate) fn is_promised(&self, id: &str) -> bool {
        self.fetches.get(id).is_some_and(|fetch| fetch.promised)
    }

    /// Whether the worker was told of this fetch.
    pub(crate) fn is_told(&self, id: &str) -> bool {
        self.fetches.get(id).is_some_and(|fetch| fetch.told > 0)
    }

    /// The fetches that were promised and never told.
    pub(crate) fn lost(&self) -> Vec<&str> {
        let lost = self.fetches.iter().filter(|(_, fetch)| fetch.promised && fetch.told == 0);
        lost.map(|(id, _)| id.as_str()).collect()
    }

    pub(crate) fn count(&self) -> Count {
        let mut count = Count::default();
        for fetch in self.fetches.values() {
            count.promised += usize::from(fetch.promised);
            count.told += usize::from(fetch.told > 0);
            count.told_again += usize::from(fetch.told > 1);
            count.bytes += fetch.bytes;
        }
        count
    }

    /// Checks that a body in the store is the start of a representation, and returns that one's
    /// URL. Returns `None` for bodies that are too short to be recognized.
    pub(crate) fn recognize(&mut self, body: &Path, length: u64) -> Option<String> {
        let mut key = [0; KEY];
        File::open(body).unwrap().read_exact(&mut key).ok()?;
        let Some((url, resource)) = self.representations.get(&key) else {
            self.wrong.push(format!("{} holds bytes of nothing", body.display()));
            return None;
        };
        if let Err(mismatch) = resource.matches_partial_file(body, length) {
            self.wrong.push(format!("{url} in {}: {mismatch}", body.display()));
        }
        Some(url.clone())
    }
}

impl Fetch {
    /// Checks what was told, and returns how many bytes its files have.
    fn check(&self, told: &Told) -> Result<u64, String> {
        if self.files.len() != told.files.len() {
            return Err(format!("{} files instead of {}", told.files.len(), self.files.len()));
        }
        let (mut length, mut reasons) = (0, Vec::new());
        for (planned, found) in self.files.iter().zip(&told.files) {
            let is_right = |outcome: &&Outcome| planned.url == found.url && outcome.is(found);
            match planned.outcomes.iter().find(is_right) {
                Some(Outcome::Bytes(resource)) => length += resource.length(),
                Some(Outcome::Status(_)) => reasons.push("bad-status"),
                Some(Outcome::Error) => reasons.push("fetch-error"),
                None => return Err(format!("{found:?} instead of {planned:?}")),
            }
        }
        let (r#type, reason) = (told.r#type.as_str(), told.failure_reason.as_str());
        if reasons.is_empty() && (r#type, reason) != ("backgroundfetchsuccess", "") {
            return Err("it did not fail".into());
        }
        if !reasons.is_empty() && (r#type != "backgroundfetchfail" || !reasons.contains(&reason)) {
            return Err(format!("it failed for one of {reasons:?}"));
        }
        // A file that failed may have stored some bytes before.
        if told.downloaded < length || reasons.is_empty() && told.downloaded > length {
            return Err(format!("its files have {length} bytes"));
        }
        Ok(length)
    }
}

impl Outcome {
    fn is(&self, found: &ToldFile) -> bool {
        let holds = |bytes: &[u8]| found.digest.as_deref() == Some(&digest(bytes));
        match self {
            Self::Bytes(resource) => {
                matches!(found.status, Some(200..300)) && holds(&resource.bytes())
            }
            Self::Status(status) => found.status == Some(*status) && holds(b""),
            Self::Error => found.error.is_some(),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_lost_wrong_or_told_again_is_noticed() {
    let film = Resource::new(1, 10);
    let told = |id: &str, of: &Resource| {
        let file = json!({ "url": "/film", "status": 200, "digest": digest(&of.bytes()) });
        json!({
            "id": id,
            "type": "backgroundfetchsuccess",
            "failureReason": "",
            "downloaded": of.length(),
            "files": [file],
        })
    };
    let mut ledger = Ledger::default();
    for id in ["a", "b", "c", "d"] {
        let outcomes = vec![Outcome::Bytes(film.clone())];
        let (url, sent) = ("/film".into(), vec![film.clone()]);
        ledger.plan(id, vec![Planned { url, upload: None, sent, outcomes }]);
    }
    ledger.read(r#"{"event":"registered","id":"a"}"#);
    ledger.read(r#"{"event":"console","source":"page","message":"promised b"}"#);
    ledger.told(told("b", &film).to_string().as_bytes());
    ledger.told(told("b", &film).to_string().as_bytes());
    assert_eq!((ledger.lost(), ledger.wrong.len()), (vec!["a"], 0));
    let Count { promised, told: settled, told_again, bytes } = ledger.count();
    assert_eq!((promised, settled, told_again, bytes), (2, 1, 1, 10));

    ledger.told(told("c", &Resource::new(2, 10)).to_string().as_bytes());
    assert_eq!(ledger.wrong.len(), 1);
    ledger.told(json!({ "id": "d" }).to_string().as_bytes());
    assert_eq!(ledger.wrong.len(), 2);
}
