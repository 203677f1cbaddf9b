//! The clients that are compared, with the options for a download that has to succeed.

use std::path::Path;
use std::process::Command;

use crate::fault::{Fault, Transport};

/// A program that downloads.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    program: &'static str,
    /// All arguments; words in capitals stand for something.
    arguments: &'static str,
    speaks_http2: bool,
    /// Whether it goes on trying longer than a run may take.
    pub(crate) goes_on_for_minutes: bool,
    /// The part of the output that says why the download is not complete.
    reason: fn(&str) -> String,
}

/// bgfetch. Only its last words count.
pub(crate) const OURS: Client = Client {
    name: "bgfetch",
    program: env!("CARGO_BIN_EXE_bgfetch"),
    arguments: "get URL --out DIR --store STORE",
    speaks_http2: true,
    goes_on_for_minutes: true,
    reason: |output| {
        let is_reason = |line: &&str| {
            ["bgfetch: http", "retry ", "offline"].iter().any(|start| line.starts_with(start))
        };
        output.lines().rfind(is_reason).unwrap_or_default().to_owned()
    },
};

/// The other clients. Everything that they say about failures counts as the reason.
pub(crate) const OTHERS: [Client; 3] = [
    Client {
        name: "curl",
        program: "curl",
        arguments: "--disable --silent --show-error --fail --location --continue-at - \
                    --retry 5 --retry-all-errors --connect-timeout 10 \
                    --speed-limit 1 --speed-time 30 --cacert ROOT --output FILE URL",
        speaks_http2: true,
        goes_on_for_minutes: false,
        reason: str::to_owned,
    },
    Client {
        name: "wget2",
        program: "wget2",
        arguments: "--no-config --progress=none --continue --tries=6 --waitretry=4 \
                    --retry-connrefused --connect-timeout=10 --read-timeout=30 \
                    --ca-certificate=ROOT --directory-prefix=DIR URL",
        speaks_http2: true,
        goes_on_for_minutes: false,
        reason: str::to_owned,
    },
    Client {
        name: "aria2",
        program: "aria2c",
        arguments: "--no-conf=true --show-console-readout=false --summary-interval=0 \
                    --continue=true --max-tries=6 --retry-wait=2 --connect-timeout=10 \
                    --timeout=30 --auto-file-renaming=false --file-allocation=none \
                    --ca-certificate=ROOT --dir=DIR --out=NAME URL",
        speaks_http2: false,
        goes_on_for_minutes: false,
        reason: |output| {
            let lines = output.lines().filter(|line| line.contains("errorCode="));
            lines.collect::<Vec<_>>().join("\n")
        },
    },
];

/// Where a client may write.
pub(crate) struct Place<'a> {
    /// The folder of the downloaded file.
    pub(crate) out: &'a Path,
    /// The folder for everything else.
    pub(crate) state: &'a Path,
    /// The root certificates that are trusted.
    pub(crate) roots: &'a Path,
}

impl Client {
    /// Whether the client can meet the fault.
    pub(crate) fn meets(&self, fault: &Fault) -> bool {
        self.speaks_http2 || fault.transport != Transport::Http2
    }

    /// The command line, as a user would write it.
    pub(crate) fn shown(&self) -> String {
        let program = Path::new(self.program).file_name().and_then(|name| name.to_str());
        format!("{} {}", program.unwrap_or_default(), self.arguments)
    }

    /// The version that it prints.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(self.program).arg("--version").output();
        let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", self.program));
        let text = String::from_utf8_lossy(&output.stdout);
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        text.split_whitespace().find(is_version).unwrap_or_default().to_owned()
    }

    pub(crate) fn reason(&self, output: &str) -> String {
        (self.reason)(output)
    }

    /// The command that downloads `url` as a file called `name`. It knows nothing of the user's
    /// configuration, not even of a proxy.
    pub(crate) fn command(&self, url: &str, name: &str, place: &Place<'_>) -> Command {
        let path = |path: &Path| path.to_str().expect("temporary paths are text").to_owned();
        let values = [
            ("URL", url.to_owned()),
            ("DIR", path(place.out)),
            ("FILE", path(&place.out.join(name))),
            ("NAME", name.to_owned()),
            ("STORE", path(&place.state.join("store"))),
            ("ROOT", path(place.roots)),
        ];
        let mut command = Command::new(self.program);
        for word in self.arguments.split_whitespace() {
            let (option, value) = word.rsplit_once('=').unwrap_or(("", word));
            match values.iter().find(|(name, _)| *name == value) {
                None => command.arg(word),
                Some((_, value)) if option.is_empty() => command.arg(value),
                Some((_, value)) => command.arg(format!("{option}={value}")),
            };
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", place.state).env("LC_ALL", "C").env("SSL_CERT_FILE", place.roots);
        command.current_dir(place.state);
        command
    }
}
