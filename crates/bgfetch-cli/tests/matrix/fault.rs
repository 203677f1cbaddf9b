//! A fault of a server, and which end of a download from it is right.

use bgfetch_testkit::{Origin, Script};

use crate::table::{CUT_SHORT, FILM, film};

/// The servers of one run.
pub(crate) struct Site {
    /// The server that the client is given the URL of.
    pub(crate) origin: Origin,
    /// Another server, for redirects.
    pub(crate) elsewhere: Origin,
}

/// One row of the table.
pub(crate) struct Fault {
    /// What the server does.
    pub(crate) name: &'static str,
    script: Box<dyn Fn(&Site) -> Script + Send + Sync>,
    /// The path that is fetched.
    pub(crate) path: &'static str,
    /// The bytes that a client may save as the file. Empty if no file is right.
    pub(crate) right: Vec<Vec<u8>>,
    /// Whether a failure is right, too.
    pub(crate) may_fail: bool,
    /// A failure must be explained with one of these words.
    pub(crate) causes: &'static [&'static str],
    pub(crate) transport: Transport,
    /// Whether the fault may pass in general but does not pass here, so that it is right to go on
    /// trying.
    pub(crate) is_lasting: bool,
    /// The server goes away for some time, once it has sent this many bytes of bodies.
    pub(crate) outage: Option<u64>,
    /// A host to use in the URL instead of the server's.
    pub(crate) host: Option<&'static str>,
}

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    /// HTTPS by HTTP/1.1.
    Tls,
    /// HTTPS with a certificate of an unknown authority.
    Untrusted,
    /// HTTPS by HTTP/2, for clients that speak it.
    Http2,
}

/// A fault that passes: in the end the client must have the film. `script` is what the server
/// answers to requests for the path.
pub(crate) fn fault<S: Into<Script>>(
    name: &'static str,
    script: impl Fn(&Site) -> S + Send + Sync + 'static,
) -> Fault {
    Fault {
        name,
        script: Box::new(move |site| script(site).into()),
        path: FILM,
        right: vec![film().bytes()],
        may_fail: false,
        causes: CUT_SHORT,
        transport: Transport::Plain,
        is_lasting: false,
        outage: None,
        host: None,
    }
}

impl Fault {
    /// These bytes are right, instead of the film's.
    pub(crate) fn right<B: Into<Vec<u8>>>(self, right: impl IntoIterator<Item = B>) -> Self {
        Self { right: right.into_iter().map(Into::into).collect(), ..self }
    }

    /// A failure is right, too, if it is explained with one of these words.
    pub(crate) fn or_fails(self, causes: &'static [&'static str]) -> Self {
        Self { may_fail: true, causes, ..self }
    }

    /// Only a failure is right, explained with one of these words.
    pub(crate) fn fails(self, causes: &'static [&'static str]) -> Self {
        Self { right: Vec::new(), causes, ..self }
    }

    /// As [`Self::fails`], or the client goes on trying and says why with one of these words.
    pub(crate) fn lasts(self, causes: &'static [&'static str]) -> Self {
        Self { is_lasting: true, ..self.fails(causes) }
    }

    /// A failure, which is not right, is explained with one of these words.
    pub(crate) fn blamed_on(self, causes: &'static [&'static str]) -> Self {
        Self { causes, ..self }
    }

    pub(crate) fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    pub(crate) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// The server goes away for some time, once it has sent this many bytes of bodies.
    pub(crate) fn outage_after(self, bytes: u64) -> Self {
        Self { outage: Some(bytes), ..self }
    }

    pub(crate) fn at_host(self, host: &'static str) -> Self {
        Self { host: Some(host), ..self }
    }

    /// The name of the file.
    pub(crate) fn file_name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Starts the servers.
    pub(crate) fn start(&self) -> Site {
        let origin = match self.transport {
            Transport::Plain => Origin::start(),
            Transport::Tls | Transport::Untrusted => Origin::start_tls_with(&["http/1.1"]),
            Transport::Http2 => Origin::start_tls(),
        };
        let site = Site { origin, elsewhere: Origin::start() };
        site.origin.serve(self.path, (self.script)(&site));
        site
    }
}
