//! A host with one queue, an engine and a registration that acts for the user.

use bgfetch_binding::bgfetch::EventKind;
use bgfetch_binding::{
    Completion, Handle, Result, Value, body, engine, fetch, queue, record, registration,
};

pub(crate) struct Host {
    pub(crate) queue: Handle,
    pub(crate) engine: Handle,
    pub(crate) registration: Handle,
    token: u64,
    /// What came while something else was waited for.
    seen: Vec<Completion>,
}

impl Host {
    /// An ephemeral engine with these further options, in JSON without the braces.
    pub(crate) fn with(options: &str) -> Self {
        let comma = if options.is_empty() { "" } else { "," };
        Self::open(&format!(r#"{{ "ephemeral": true{comma} {options} }}"#))
    }

    pub(crate) fn open(options: &str) -> Self {
        let queue = queue::open(|| {}).unwrap();
        let (engine, registration) = (Handle::NONE, Handle::NONE);
        let mut host = Self { queue, engine, registration, token: 0, seen: Vec::new() };
        host.engine = host.handle(|token| engine::open(queue, token, options));
        host.registration = host.register("https://app.test/");
        registration::set_principal(host.registration, r#""user""#).unwrap();
        host
    }

    pub(crate) fn register(&mut self, scope: &str) -> Handle {
        let engine = self.engine;
        self.handle(|token| registration::register(engine, token, scope, scope))
    }

    /// Makes a call and waits for its answer.
    pub(crate) fn call(&mut self, call: impl FnOnce(u64) -> Result<()>) -> Result<Value> {
        let token = self.begin(call)?;
        self.answer(token)
    }

    /// Makes a call, and returns its token.
    pub(crate) fn begin(&mut self, call: impl FnOnce(u64) -> Result<()>) -> Result<u64> {
        self.token += 1;
        call(self.token)?;
        Ok(self.token)
    }

    pub(crate) fn answer(&mut self, asked: u64) -> Result<Value> {
        self.wait(|completion| match completion {
            Completion::CallDone { token, result } if token == asked => Ok(result),
            other => Err(other),
        })
    }

    pub(crate) fn handle(&mut self, call: impl FnOnce(u64) -> Result<()>) -> Handle {
        match self.call(call).unwrap() {
            Value::Handle(handle) | Value::Fetch { handle, .. } => handle,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the first completion that `pick` takes.
    pub(crate) fn wait<T>(
        &mut self,
        pick: impl Fn(Completion) -> std::result::Result<T, Completion>,
    ) -> T {
        for position in 0..self.seen.len() {
            match pick(self.seen.remove(position)) {
                Ok(picked) => return picked,
                Err(other) => self.seen.insert(position, other),
            }
        }
        loop {
            let next = queue::next(self.queue, None).unwrap().unwrap();
            match pick(next) {
                Ok(picked) => return picked,
                // Updates that are kept would not be acknowledged.
                Err(Completion::Update { .. } | Completion::Job { .. }) => {}
                Err(other) => self.seen.push(other),
            }
        }
    }

    pub(crate) fn fetch(&mut self, call: &str) -> Handle {
        let registration = self.registration;
        self.handle(|token| registration::fetch(registration, token, call))
    }

    /// Fetches one URL.
    pub(crate) fn download(&mut self, id: &str, url: impl std::fmt::Display) -> Handle {
        self.fetch(&format!(r#"{{ "id": "{id}", "requests": ["{url}"] }}"#))
    }

    pub(crate) fn records(&mut self, fetch: Handle) -> Vec<Handle> {
        match self.call(|token| fetch::match_all(fetch, token, "", "", false)).unwrap() {
            Value::Handles(records) => records,
            other => panic!("{other:?}"),
        }
    }

    /// The body of the fetch's first record.
    pub(crate) fn body(&mut self, fetch: Handle) -> Handle {
        let record = self.records(fetch)[0];
        match self.call(|token| record::response_ready(record, token)).unwrap() {
            Value::Response { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    /// Reads a body to its end, and waits where it has to.
    pub(crate) fn read(&mut self, body: Handle) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), [0; 10_000]);
        loop {
            match body::read(body, all.len() as u64, &mut buffer)? {
                body::Read::Ready(read) => all.extend_from_slice(&buffer[..read]),
                body::Read::End => return Ok(all),
                body::Read::Again => self.wait(|completion| match completion {
                    Completion::BodyReady { body: ready, .. } if ready == body => Ok(()),
                    other => Err(other),
                }),
            }
        }
    }

    pub(crate) fn start(&mut self) {
        let registration = self.registration;
        self.call(|token| registration::start(registration, token)).unwrap();
    }

    /// The next event, with its fetch.
    pub(crate) fn event(&mut self) -> (EventKind, Handle, Handle) {
        self.wait(|completion| match completion {
            Completion::Event { event, fetch, kind, .. } => Ok((kind, event, fetch)),
            other => Err(other),
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.seen.clear();
        // A test that closed it has checked that.
        drop(queue::close(self.queue));
    }
}
