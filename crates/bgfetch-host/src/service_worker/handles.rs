//! The handles that scripts pass to the ops of this crate and of bgfetch-deno, and how each is
//! authorised. The tests check that the table is complete, and try every handle of one site in
//! realms of another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bgfetch::embedder::BoxFuture;
use bgfetch::{
    Engine, FetchError, FetchRequest, FetchResponse, Fetcher, PolicySnapshot, RegistrationKey,
};
use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, serde_v8, v8};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;

use super::registration::Window;
use super::{ServiceWorkers, ServiceWorkersOptions, storage_key};
use crate::cache::CacheStore;
use crate::console::RealmKind;
use crate::extension::{bgfetch_host, extensions};
use crate::host_state::HostState;
use crate::message::{AtStart, Connection, FromRealm, RealmId};
use crate::page_state::PageState;
use crate::realm::Realm;
use crate::resources::AgentResources;
use crate::script_loader::{LoadedScript, ScriptClient, ScriptKind, ScriptLoader, ScriptNotLoaded};

/// An op, what scripts pass to it that could name something of another site, how that is
/// authorised, and calls that try it. In a call, `x` is the handle: a number, or one of
/// the victim's names.
struct Op {
    name: &'static str,
    takes: &'static str,
    authorised: &'static str,
    tries: &'static [Try],
}

enum Try {
    /// The result of an expression.
    Call(&'static str),
    /// The answers to a message to the owner of the service workers.
    Message(&'static str),
}

use Try::{Call, Message};

/// Ops that take no handle.
const NO_HANDLE: &[&str] = &[
    "op_bgfetch_check_request",
    "op_bgfetch_next_event",
    "op_bgfetch_next_update",
    "op_bgfetch_parse_url",
    "op_host_caches_keys",
    "op_host_console",
    "op_host_digest",
    "op_host_explain_syntax_error",
    "op_host_fetch_handle",
    "op_host_import_script",
    "op_host_permission",
    "op_host_random",
    "op_host_realm",
    "op_host_receive",
    "op_host_storage_estimate",
    "op_host_uuid",
    "op_page_answer",
    "op_page_close",
    "op_page_document",
    "op_page_hook",
    "op_page_is_online",
    "op_page_load_script",
    "op_page_loaded",
    "op_page_next_click",
    "op_page_online_changed",
    "op_page_open_frame",
    "op_page_policy",
    "op_page_title",
];

const REALM: &str = "found only among those that this realm was given";
const STORAGE_KEY: &str = "looked up below the realm's storage key";
const OWNER: &str = "the owner of the service workers compares the storage keys";

const OPS: &[Op] = &[
    Op {
        name: "op_bgfetch_abort",
        takes: "fetch",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_abort(x)")],
    },
    Op {
        name: "op_bgfetch_attributes",
        takes: "fetch",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_attributes(x)")],
    },
    Op {
        name: "op_bgfetch_close_record",
        takes: "record",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_close_record(x)")],
    },
    Op {
        name: "op_bgfetch_end_dispatch",
        takes: "event",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_end_dispatch(x)")],
    },
    Op {
        name: "op_bgfetch_extend",
        takes: "event",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_extend(x)")],
    },
    Op {
        name: "op_bgfetch_fetch",
        takes: "scope of a registration, resources of bodies",
        authorised: "the registration is that of the realm's storage key; bodies are in its table",
        tries: &[
            Call("ops.op_bgfetch_fetch(x, 'mine', [{ request, body: null }], options, true)"),
            Call("ops.op_bgfetch_fetch(own, 'mine', [{ request, body: x }], options, true)"),
        ],
    },
    Op {
        name: "op_bgfetch_forget",
        takes: "fetch",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_forget(x)")],
    },
    Op {
        name: "op_bgfetch_get",
        takes: "scope of a registration, id",
        authorised: STORAGE_KEY,
        tries: &[
            Call("ops.op_bgfetch_get(x, 'secret')"),
            Call("ops.op_bgfetch_get('https://victim.test/', x)"),
        ],
    },
    Op {
        name: "op_bgfetch_get_ids",
        takes: "scope of a registration",
        authorised: STORAGE_KEY,
        tries: &[Call("ops.op_bgfetch_get_ids(x)")],
    },
    Op {
        name: "op_bgfetch_match_all",
        takes: "fetch",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_match_all(x, null, query, false)")],
    },
    Op {
        name: "op_bgfetch_request_body",
        takes: "record",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_request_body(x)")],
    },
    Op {
        name: "op_bgfetch_response_ready",
        takes: "record",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_response_ready(x)")],
    },
    Op {
        name: "op_bgfetch_settle",
        takes: "extension of an event",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_settle(x, null)")],
    },
    Op {
        name: "op_bgfetch_start",
        takes: "fetch",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_start(x)")],
    },
    Op {
        name: "op_bgfetch_update_ui",
        takes: "event",
        authorised: REALM,
        tries: &[Call("ops.op_bgfetch_update_ui(x, { title: 'mine' })")],
    },
    Op {
        name: "op_host_cache_close",
        takes: "cache",
        authorised: REALM,
        tries: &[Call("ops.op_host_cache_close(x)")],
    },
    Op {
        name: "op_host_cache_delete",
        takes: "cache",
        authorised: REALM,
        tries: &[Call("ops.op_host_cache_delete(x, request, query)")],
    },
    Op {
        name: "op_host_cache_keys",
        takes: "cache",
        authorised: REALM,
        tries: &[Call("ops.op_host_cache_keys(x, null, query)")],
    },
    Op {
        name: "op_host_cache_match_all",
        takes: "cache",
        authorised: REALM,
        tries: &[Call("ops.op_host_cache_match_all(x, null, query, false)")],
    },
    Op {
        name: "op_host_cache_put",
        takes: "cache, resources of bodies",
        authorised: REALM,
        tries: &[
            Call("ops.op_host_cache_put(x, [])"),
            Call("ops.op_host_cache_put(x, [{ request, response, body: x }])"),
        ],
    },
    Op {
        name: "op_host_caches_delete",
        takes: "name of a cache",
        authorised: STORAGE_KEY,
        tries: &[Call("ops.op_host_caches_delete(x)")],
    },
    Op {
        name: "op_host_caches_has",
        takes: "name of a cache",
        authorised: STORAGE_KEY,
        tries: &[Call("ops.op_host_caches_has(x)")],
    },
    Op {
        name: "op_host_caches_match",
        takes: "name of a cache, or null",
        authorised: STORAGE_KEY,
        tries: &[
            Call("ops.op_host_caches_match(request, query, x)"),
            Call("ops.op_host_caches_match(request, query, null)"),
        ],
    },
    Op {
        name: "op_host_caches_open",
        takes: "name of a cache",
        authorised: STORAGE_KEY,
        tries: &[Call(
            "(async () => {
                 const cache = await ops.op_host_caches_open(x);
                 const keys = await ops.op_host_cache_keys(cache, null, query);
                 ops.op_host_cache_close(cache);
                 await ops.op_host_caches_delete(x);
                 return keys;
             })()",
        )],
    },
    Op {
        name: "op_host_close_notification",
        takes: "notification",
        authorised: STORAGE_KEY,
        tries: &[Call("ops.op_host_close_notification(x)")],
    },
    Op {
        name: "op_host_fetch",
        takes: "resources of a handle and of a body",
        authorised: REALM,
        tries: &[Call("ops.op_host_fetch(x, request, x)")],
    },
    Op {
        name: "op_host_notifications",
        takes: "scope of a registration, tag",
        authorised: STORAGE_KEY,
        tries: &[
            Call("ops.op_host_notifications(x, 'secret')"),
            Call("ops.op_host_notifications('https://victim.test/', x)"),
        ],
    },
    Op {
        name: "op_host_show_notification",
        takes: "scope of a registration, tag of the notification to replace",
        authorised: "kept below the realm's storage key",
        tries: &[Call(
            "ops.op_host_close_notification(
                 ops.op_host_show_notification('https://victim.test/', notification(x)),
             )",
        )],
    },
    Op {
        name: "op_host_send",
        takes: "registrations, workers, clients, events, URLs, resources to transfer",
        authorised: OWNER,
        tries: &[
            Message("{ kind: 'update', registration: x }"),
            Message("{ kind: 'unregister', registration: x }"),
            Message("{ kind: 'getRegistration', url: 'https://victim.test/' + x }"),
            Message(
                "{ kind: 'register', script: 'https://victim.test/' + x,
                   scope: 'https://victim.test/', updateViaCache: 'all' }",
            ),
            Message("{ kind: 'matchClients', includeUncontrolled: true }"),
            Message("{ kind: 'getClient', id: '' + x }"),
            Message("{ kind: 'focus', client: '' + x }"),
            Message("{ kind: 'postToWorker', worker: x, message }"),
            Message("{ kind: 'postToClient', client: '' + x, message }"),
            Message("{ kind: 'fired', event: x, rejected: 'mine' }"),
            Message(
                "{ kind: 'postToClient', client: 'none', message: {
                       ...message, transferables: [{ kind: 'resource', data: ['messagePort', x] }],
                   } }",
            ),
        ],
    },
];

#[test]
fn the_table_has_every_op_once() {
    let ops = [bgfetch_deno::bgfetch_deno::init(page_of("https://a.test/")).ops, {
        let (host, caches) = (host("https://a.test/", RealmKind::Window), None);
        bgfetch_host::init(host, crate::cache::ops::CacheRealm::new(caches, String::new())).ops
    }];
    let ops: BTreeSet<_> = ops.iter().flat_map(|ops| ops.iter()).map(|op| op.name).collect();
    let mut table: Vec<_> = OPS.iter().map(|op| op.name).chain(NO_HANDLE.iter().copied()).collect();
    table.sort_unstable();
    assert_eq!(table, ops.into_iter().collect::<Vec<_>>());
    for Op { name, takes, authorised, tries } in OPS {
        assert!(!takes.is_empty() && !authorised.is_empty() && !tries.is_empty(), "{name}");
    }
}

fn page_of(url: &str) -> bgfetch_deno::Options {
    let url: Url = url.parse().unwrap();
    let policies = PolicySnapshot::of(&url);
    bgfetch_deno::Options {
        engine: tokio::sync::watch::channel(None).1,
        storage_key: storage_key(&url),
        policies: Arc::new(move || policies.clone()),
        events: None,
    }
}

/// The state of a realm whose own scripts exchange no messages with the owner.
fn host(url: &str, kind: RealmKind) -> HostState {
    let href: Url = url.parse().unwrap();
    HostState {
        storage_key: storage_key(&href),
        page: Some(Arc::new(PageState::empty(PolicySnapshot::of(&href)))),
        ..HostState::alone(kind, href)
    }
}

/// Gives every worker a script that writes down its messages.
struct Scripts;

impl ScriptLoader for Scripts {
    fn load(
        &self,
        _: ScriptKind,
        _: Url,
        _: ScriptClient,
    ) -> BoxFuture<'static, Result<LoadedScript, ScriptNotLoaded>> {
        let source = "onmessage = ({ data }) => console.log(`got ${data}`);".to_owned();
        Box::pin(async { Ok(source.into()) })
    }
}

/// Responses never come.
struct Silent;

impl Fetcher for Silent {
    fn fetch(&self, _: FetchRequest) -> BoxFuture<'static, Result<FetchResponse, FetchError>> {
        Box::pin(std::future::pending())
    }
}

/// Two sites of one user agent. One has something of every kind.
struct Sites {
    workers: ServiceWorkers,
    resources: AgentResources,
    victim: Realm,
    evil: Realm,
    lines: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

const VICTIM: &str = "https://victim.test/";
const EVIL: &str = "https://evil.test/";

impl Sites {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let resources = AgentResources::with_caches(CacheStore::open(folder.path()).unwrap());
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&lines);
        let workers = ServiceWorkers::open(ServiceWorkersOptions {
            loader: Arc::new(Scripts),
            file: None,
            resources: resources.clone(),
            console: Arc::new(move |source, _, line| {
                written.lock().push(format!("{}: {line}", source.url));
            }),
            network: None,
            open_window: None,
            idle_limit: Duration::from_secs(3600),
            event_limit: Duration::from_secs(3600),
        })
        .unwrap();
        let host = workers.worker_host();
        let engine = Engine::builder().ephemeral().fetcher(Silent).worker_host(host).open();
        workers.connect(engine.unwrap()).await.unwrap();
        let open = |url: &str| {
            let url: Url = url.parse().unwrap();
            let policies = PolicySnapshot::of(&url);
            workers.open_window(url, policies).unwrap()
        };
        let (victim, evil) = (open(VICTIM), open(EVIL));
        let sites = Self { victim, evil, workers, resources, lines, _folder: folder };
        run(
            &sites.victim,
            "await navigator.serviceWorker.register('secret.js');
             self.registration = await navigator.serviceWorker.ready;
             self.fetched = await registration.backgroundFetch.fetch('secret', '/film');
             self.records = await fetched.matchAll();
             self.opened = await caches.open('secret');
             await opened.put('/film', new Response('film'));
             await registration.showNotification('secret', { tag: 'secret' });
             navigator.serviceWorker.onmessage = ({ data }) => console.log(`got ${data}`);
             self.heard = new BroadcastChannel('secret');
             heard.onmessage = ({ data }) => console.log(`heard ${data}`);
             return null;",
        )
        .await;
        run(
            &sites.evil,
            "await navigator.serviceWorker.register('sw.js');
             await navigator.serviceWorker.ready;
             return null;",
        )
        .await;
        sites
    }

    /// Everything that the victim has.
    async fn of_victim(&self) -> Value {
        let all = run(
            &self.victim,
            "const [registration] = await navigator.serviceWorker.getRegistrations();
             const { scope, active } = registration;
             const { id, downloaded, result } = await registration.backgroundFetch.get('secret');
             return [
                 scope, active.scriptURL, active.state, id, downloaded, result,
                 (await fetched.matchAll()).length, records[0].request.url,
                 await caches.keys(), (await opened.keys()).length,
                 (await registration.getNotifications()).map(({ title }) => title),
             ];",
        );
        all.await
    }

    /// The outcomes of all tries in a realm of the other site: of each try, each different one.
    async fn attack(&self, kind: RealmKind) -> Value {
        let inner = &self.workers.0;
        let evil = RegistrationKey {
            storage_key: storage_key(&EVIL.parse().unwrap()),
            scope: EVIL.parse().unwrap(),
        };
        let worker = inner.active(&evil).unwrap();
        let (inbox, messages) = mpsc::unbounded_channel();
        let (realm, own) = {
            let mut state = inner.state.lock();
            let realm = RealmId(state.next_id());
            match kind {
                RealmKind::ServiceWorker => drop(state.add_worker(realm, &worker, inbox)),
                _ => {
                    let url: Url = EVIL.parse().unwrap();
                    let page = Arc::new(PageState::empty(PolicySnapshot::of(&url)));
                    let window = Window { url, page };
                    drop(state.add_window(realm, evil.storage_key.clone(), window, inbox));
                }
            }
            let own = [state.get(&evil).unwrap().id, worker.id, realm.0];
            (realm, own)
        };
        let window = self.evil.client_id().unwrap().0.0;
        let connection = Connection {
            realm,
            at_start: AtStart::default(),
            inbox: Some(messages),
            outbox: inner.outbox.clone(),
            import: None,
        };
        let host = HostState {
            connection: Some(connection),
            engine: inner.engine.subscribe(),
            resources: self.resources.clone(),
            ..host(EVIL, kind)
        };
        let options = bgfetch_deno::Options { engine: inner.engine.subscribe(), ..page_of(EVIL) };
        let (skipped, is_worker) =
            ([&own[..], &[window]].concat(), kind == RealmKind::ServiceWorker);
        let mut script = format!("const skipped = {skipped:?}, isWorker = {is_worker};\n{ATTACK}");
        for Op { name, tries, .. } in OPS {
            for attempt in *tries {
                let (ask, tried) = match attempt {
                    Call(call) => ("call", *call),
                    Message(message) => ("ask", *message),
                };
                script += &format!(
                    "attacks.push([{name:?} + ' ' + {tried:?}, {ask}, (x) => ({tried})]);\n"
                );
            }
        }
        script += "run();";
        let attacked = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(with_ops(host, options, script))
        });
        tokio::task::spawn_blocking(|| attacked.join().unwrap()).await.unwrap()
    }
}

/// A script that tries every number, and every name of the victim, against ones that nobody has.
const ATTACK: &str = "
    const NUMBERS = [...Array(100).keys()].filter((x) => !skipped.includes(x)).concat(2000000);
    const URLS = ['https://victim.test/', 'https://nobody.test/'];
    const NAMES = ['secret', 'nothing'];
    const own = 'https://evil.test/';
    const request = { method: 'GET', url: 'https://victim.test/film' };
    const query = { ignoreMethod: false, ignoreSearch: false, ignoreVary: false };
    const options = { title: '', icons: [], downloadTotal: 0 };
    const message = { data: '', transferables: [] };
    const response = {
        status: 200, status_text: '', headers: [], url_list: [], response_type: 'default',
    };
    const notification = (tag) => JSON.stringify({ title: 'mine', body: '', tag: `${tag}`, icon: '' });
    const attacks = [];
    const texts = (value) => JSON.stringify(value) ?? 'undefined';
    let calls = 0;
    async function call(attack, x) { return texts(await attack(x)); }
    /** The answers up to that of a later call, which the owner answers at once, as it refuses. */
    async function ask(attack, x) {
        const tried = attack(x);
        ops.op_host_send(JSON.stringify({ call: ++calls, ...tried }));
        // Only workers may focus, and are refused later: without a click.
        const isLate = tried.kind === 'focus' && isWorker;
        if (!isLate) ops.op_host_send(JSON.stringify({ call: ++calls, kind: 'getRegistrations' }));
        const answers = [];
        for (;;) {
            const received = JSON.parse(await ops.op_host_receive());
            const isLast = received.kind === 'answer' && received.call === calls;
            delete received.call;
            if (!isLast || isLate) answers.push(received);
            if (isLast) return texts(answers);
        }
    }
    async function run() {
        const outcomes = {};
        for (const [name, trying, attack] of attacks) {
            const seen = new Set();
            for (const xs of [NUMBERS, URLS, NAMES]) {
                const outcomes = new Set();
                for (const x of xs) {
                    const outcome = await trying(attack, x).catch((error) => `${error}`);
                    outcomes.add(outcome.replaceAll(`${x}`, 'x'));
                }
                if (outcomes.size > 1) for (const outcome of outcomes) seen.add(outcome);
            }
            if (seen.size > 0) outcomes[name] = [...seen];
        }
        return outcomes;
    }
";

deno_core::extension!(
    all_ops,
    deps = [bgfetch_host],
    esm_entry_point = "ext:all_ops/all_ops.js",
    esm = ["ext:all_ops/all_ops.js" =
        { source = "import * as ops from 'ext:core/ops'; globalThis.ops = ops;" }],
);

/// Runs a script to which every op is exposed, as a renderer that an attacker has taken over.
async fn with_ops(host: HostState, options: bgfetch_deno::Options, script: String) -> Value {
    let mut extensions = extensions(host, options);
    extensions.push(all_ops::init());
    let mut js = JsRuntime::new(RuntimeOptions { extensions, ..RuntimeOptions::default() });
    let value = js.execute_script("attack.js", script).unwrap();
    let value = js.resolve(value);
    let value = js.with_event_loop_promise(value, PollEventLoopOptions::default()).await;
    let value = value.unwrap_or_else(|error| panic!("{error}"));
    deno_core::scope!(scope, js);
    let value = v8::Local::new(scope, value);
    serde_v8::from_v8(scope, value).unwrap()
}

async fn run(realm: &Realm, body: &str) -> Value {
    let script = format!("(async () => {{ {body} }})()");
    realm.run_script("test.js", script).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_or_name_of_one_site_means_anything_in_a_realm_of_another() {
    let sites = Sites::start().await;
    let before = sites.of_victim().await;
    for kind in [RealmKind::Window, RealmKind::ServiceWorker] {
        assert_eq!(sites.attack(kind).await, json!({}), "{kind:?}");
        assert_eq!(sites.of_victim().await, before, "{kind:?}");
    }
    assert_eq!(*sites.lines.lock(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_one_name_connect_the_realms_of_one_site_alone() {
    let sites = Sites::start().await;
    let own = sites.workers.open_window(
        format!("{VICTIM}other").parse().unwrap(),
        PolicySnapshot::of(&VICTIM.parse().unwrap()),
    );
    let own = own.unwrap();
    run(&sites.evil, "new BroadcastChannel('secret').postMessage('evil'); return null;").await;
    let heard = run(
        &own,
        "const channel = new BroadcastChannel('secret');
         channel.postMessage('own');
         return null;",
    );
    heard.await;
    let line = || sites.lines.lock().first().cloned();
    while line().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(line().unwrap(), format!("{VICTIM}: heard own"));
}

/// Nothing that was spawned runs until the test waits.
#[tokio::test]
async fn few_messages_wait_for_a_worker_whatever_a_page_sends() {
    let sites = Sites::start().await;
    let inner = &sites.workers.0;
    let scope: Url = EVIL.parse().unwrap();
    let evil = RegistrationKey { storage_key: storage_key(&scope), scope };
    sites.workers.stop(&evil).await;
    let worker = inner.active(&evil).unwrap();
    let realm = sites.evil.client_id().unwrap().0;
    for _ in 0..1500 {
        let message = json!({ "data": "", "transferables": [] });
        let message = serde_json::from_value(message).unwrap();
        Arc::clone(inner).receive(realm, FromRealm::PostToWorker { worker: worker.id, message });
    }
    assert_eq!(worker.messages.lock().len(), 1000);
    let dropped = sites.lines.lock().iter().filter(|line| line.contains("was dropped")).count();
    assert_eq!(dropped, 500);
}
