//! `// META:` lines, in which a test script says how to run it.

use bgfetch_host::RealmKind;

/// The metadata of a test script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The title of its page.
    pub(crate) title: Option<String>,
    /// Scripts that run before the test script.
    pub(crate) scripts: Vec<String>,
    /// Whether its timeout is long.
    pub(crate) long: bool,
    /// Queries and fragments to run it with, each separately.
    pub(crate) variants: Vec<String>,
    /// The names in `global=`.
    globals: Vec<String>,
}

impl Metadata {
    /// Reads the lines at the beginning of a script; the first other line ends them.
    pub(crate) fn parse(source: &str) -> Self {
        let mut found = Self::default();
        for line in source.lines() {
            let Some(comment) = line.strip_prefix("//") else { break };
            let Some(entry) = comment.trim_start().strip_prefix("META:") else { break };
            let Some((key, value)) = entry.split_once('=') else { break };
            let value = value.trim();
            match key.trim() {
                "title" => found.title = Some(value.to_owned()),
                "script" => found.scripts.push(value.to_owned()),
                "timeout" => found.long = value == "long",
                "variant" => found.variants.push(value.to_owned()),
                "global" => {
                    found.globals = value.split(',').map(|word| word.trim().to_owned()).collect();
                }
                _ => {}
            }
        }
        found
    }

    /// The kinds of global objects that an `.any.js` script runs in, and the names in `global=`
    /// that match no kind of realm here.
    pub(crate) fn globals(&self) -> (Vec<RealmKind>, Vec<&str>) {
        if self.globals.is_empty() {
            return (vec![RealmKind::Window, RealmKind::DedicatedWorker], Vec::new());
        }
        let mut kinds = Vec::new();
        let mut others = Vec::new();
        for word in &self.globals {
            let (added, named): (bool, &str) = match word.strip_prefix('!') {
                Some(word) => (false, word),
                None => (true, word),
            };
            let group: &[RealmKind] = match named {
                "window" => &[RealmKind::Window],
                "dedicatedworker" => &[RealmKind::DedicatedWorker],
                "sharedworker" => &[RealmKind::SharedWorker],
                "serviceworker" => &[RealmKind::ServiceWorker],
                "worker" => {
                    &[RealmKind::DedicatedWorker, RealmKind::SharedWorker, RealmKind::ServiceWorker]
                }
                _ => {
                    others.push(named);
                    continue;
                }
            };
            kinds.retain(|kind| !group.contains(kind));
            if added {
                kinds.extend(group);
            }
        }
        (kinds, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_say_how_a_script_is_run() {
        let source = "// META: title=A test\n//META: script=/a.js\n// META: script=b.js\n\
                      // META: timeout=long\n// META: variant=?1\n// META: variant=?2\n\
                      // META: author=nobody\n'use strict';\n// META: script=late.js";
        let found = Metadata::parse(source);
        assert_eq!(found.title.as_deref(), Some("A test"));
        assert_eq!(found.scripts, ["/a.js", "b.js"]);
        assert!(found.long);
        assert_eq!(found.variants, ["?1", "?2"]);
    }

    #[test]
    fn globals_are_added_and_taken_away() {
        let of = |globals: &str| Metadata::parse(&format!("// META: global={globals}")).globals().0;
        use RealmKind::{DedicatedWorker, ServiceWorker, SharedWorker, Window};
        assert_eq!(Metadata::default().globals().0, [Window, DedicatedWorker]);
        assert_eq!(of("window,worker"), [Window, DedicatedWorker, SharedWorker, ServiceWorker]);
        assert_eq!(of("worker, !sharedworker"), [DedicatedWorker, ServiceWorker]);
        assert_eq!(of("serviceworker"), [ServiceWorker]);
    }

    #[test]
    fn globals_that_nothing_here_is_are_told() {
        let found = Metadata::parse("// META: global=window,shadowrealm");
        assert_eq!(found.globals(), (vec![RealmKind::Window], vec!["shadowrealm"]));
    }
}
