//! The scripts of extensions, embedded in the program.

use bgfetch_deno_macros::interfaces;
pub use bgfetch_deno_macros::scripts;
use deno_core::{Extension, ExtensionFileSource, ExtensionFileSourceCode, FastStaticString};

/// The scripts of this crate and of the crates whose extensions it needs.
pub(crate) static SCRIPTS: &[(&str, FastStaticString)] =
    scripts!(deno_webidl, deno_web, deno_fetch);

/// The interfaces, which import this crate's `engine.js` and `platform.js`.
pub(crate) static INTERFACES: &[ExtensionFileSource] = interfaces!();

/// Adds the scripts that [`scripts!`] listed to an extension. deno_core reads missing scripts from
/// the sources of their crate, so without this the program would run only where those exist.
#[must_use]
pub fn embed(mut extension: Extension, scripts: &[(&str, FastStaticString)]) -> Extension {
    for file in extension
        .esm_files
        .to_mut()
        .iter_mut()
        .chain(extension.lazy_loaded_esm_files.to_mut())
        .chain(extension.lazy_loaded_js_files.to_mut())
    {
        let ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = file.code else {
            continue;
        };
        if let Some((_, source)) = scripts.iter().find(|(other, _)| *other == path) {
            *file = ExtensionFileSource::new(file.specifier, *source);
        }
    }
    extension
}
