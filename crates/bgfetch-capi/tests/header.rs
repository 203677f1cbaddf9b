//! `bgfetch.h` is what cbindgen makes of the sources, and what is exported is what is declared.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use bgfetch_binding::Code;
use cbindgen::{Builder, Config, DocumentationStyle, ExportConfig, Language, Style};

const INTRODUCTION: &str = "\
/*
 * Background Fetch for C: https://wicg.github.io/background-fetch/
 *
 * Made by cbindgen. The guide is docs/embedding.md.
 *
 * Calls. A function with a `token` starts a call: its answer comes from the queue as BGFETCH_CALL_DONE with that number,
 * which the host chooses. If the function itself returns an error, that is the only answer. The other functions answer
 * at once, and do not wait.
 *
 * Threads. Every function can be called from any thread at any time, with these exceptions: one thread at a time takes
 * completions of a queue (BGFETCH_ERROR_QUEUE_BUSY), and a completion, an error or a struct is used by one thread at a
 * time. There are no callbacks.
 *
 * Memory. Arguments are borrowed for the call. What a completion contains lives until it is cleared or used again, and
 * an error until it is freed. Every handle that a host gets is the host's to free; closing a queue frees all of its
 * handles. 0 and NULL can be freed.
 *
 * Errors. NULL is success. Handles that were freed, handles of another kind, NULL where there must be something, and
 * structs with a wrong size are errors, and nothing happens. A panic of the library is one, too
 * (BGFETCH_ERROR_PANIC), unless it was built with panic = \"abort\": then it ends the process.
 *
 * Structs begin with their size, which the macros BGFETCH_..._INIT set.
 */";

fn header() -> String {
    let mut after = String::from("/* The numbers of errors. */\nenum bgfetch_error_code {\n");
    for code in Code::ALL {
        let name = code.name().replace('-', "_").to_uppercase();
        after.push_str(&format!("  BGFETCH_ERROR_{name} = {},\n", code.number()));
    }
    after.push_str("};\n");
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = version.split('.');
    let mut part = || parts.next().unwrap();
    let versions = format!(
        "#define BGFETCH_VERSION \"{version}\"\n#define BGFETCH_VERSION_MAJOR {}\n\
         #define BGFETCH_VERSION_MINOR {}\n#define BGFETCH_VERSION_PATCH {}\n",
        part(),
        part(),
        part()
    );
    let trailer = "\
/* Structs that are ready for use. */
#define BGFETCH_COMPLETION_INIT {.size = sizeof(bgfetch_completion)}
#define BGFETCH_ATTRIBUTES_INIT {.size = sizeof(bgfetch_attributes)}
#define BGFETCH_RECORD_INFO_INIT {.size = sizeof(bgfetch_record_info)}
#define BGFETCH_RESPONSE_START_INIT {.size = sizeof(bgfetch_response_start)}

/* A text that ends with a zero byte, as an argument. */
static inline bgfetch_str bgfetch_text(const char *text) {
  bgfetch_str str = {text, text == NULL ? 0 : strlen(text)};
  return str;
}";
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        include_guard: Some("BGFETCH_H".into()),
        header: Some(INTRODUCTION.into()),
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h", "string.h"].map(Into::into).into(),
        after_includes: Some(format!("\n{versions}\n{after}")),
        trailer: Some(trailer.into()),
        style: Style::Both,
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::C99,
        line_length: 100,
        export: ExportConfig {
            // Values of arguments, which are plain numbers.
            include: [
                "bgfetch_event_kind",
                "bgfetch_fault",
                "bgfetch_handover",
                "bgfetch_not_handled",
                "bgfetch_permission",
            ]
            .map(Into::into)
            .into(),
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let folder = env!("CARGO_MANIFEST_DIR");
    let bindings =
        Builder::new().with_config(config).with_src(Path::new(folder).join("src/lib.rs"));
    let mut bytes = Vec::new();
    bindings.generate().unwrap().write(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// `BGFETCH_WRITE_HEADER=1` writes the header instead.
#[test]
fn the_header_is_that_of_the_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/bgfetch.h");
    let header = header();
    if std::env::var_os("BGFETCH_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == header, "`make capi-header` writes include/bgfetch.h anew");
}

/// The functions and types of the header.
#[test]
fn every_name_in_the_header_has_the_prefix() {
    let header = header();
    let names: BTreeSet<_> = header
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|name| name.starts_with("bgfetch_"))
        .collect();
    let declared =
        |line: &&str| line.contains('(') && line.ends_with(");") && !line.starts_with(' ');
    for line in header.lines().filter(declared) {
        let name = line.split('(').next().unwrap().rsplit([' ', '*']).next().unwrap();
        assert!(names.contains(name), "{line}");
    }
    assert!(names.len() > 90, "{}", names.len());
}

/// No panic reaches C, where it would be undefined.
#[test]
fn every_exported_function_contains_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut exported = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for function in text.split("#[unsafe(no_mangle)]").skip(1) {
            let body = function.split("\n}\n").next().unwrap();
            let name = body.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            // These only return or drop what there is.
            let is_plain = name.starts_with("bgfetch_error_") || name == "bgfetch_version";
            assert!(is_plain || body.contains("contained(|| "), "{name}");
            exported += 1;
        }
    }
    assert!(exported > 80, "{exported}");
}
