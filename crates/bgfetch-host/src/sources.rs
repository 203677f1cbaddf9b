//! The scripts of a realm's extensions, inside the program.
//!
//! deno_core expects them in a snapshot, which the QuickJS backend does not have, and reads them
//! from the sources of the crates otherwise. A program must run where those are not.

use deno_core::{Extension, ExtensionFileSource, ExtensionFileSourceCode, FastStaticString};

/// The scripts by the paths that the extensions have for them.
static SOURCES: &[(&str, FastStaticString)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Gives an extension its scripts.
pub(crate) fn embed(mut extension: Extension) -> Extension {
    for file in extension
        .esm_files
        .to_mut()
        .iter_mut()
        .chain(extension.lazy_loaded_esm_files.to_mut())
        .chain(extension.lazy_loaded_js_files.to_mut())
    {
        embed_file(file);
    }
    extension
}

fn embed_file(file: &mut ExtensionFileSource) {
    let ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = file.code else {
        return;
    };
    if let Some((_, source)) = SOURCES.iter().find(|(other, _)| *other == path) {
        *file = ExtensionFileSource::new(file.specifier, *source);
    }
}
