//! Embeds the JavaScript of [`deno_core`](https://docs.rs/deno_core) extensions in a program.
//!
//! An extension refers to its scripts by the absolute paths that they had when its crate was built.
//! deno_core reads them from there to make a snapshot. The QuickJS backend has no snapshots, and a
//! program must also run on machines without those sources, so [`scripts!`] embeds them. [`interfaces!`]
//! embeds the modules of [`bgfetch_js`] as such scripts.

mod modules;

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro::{TokenStream, TokenTree};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Expands to a `&[(&str, FastStaticString)]`: the scripts in the calling crate's folder `js`, and
/// those beside the sources of the named crates, each with its absolute path.
///
/// ```text
/// static SCRIPTS: &[(&str, deno_core::FastStaticString)] = scripts!(deno_webidl, deno_web);
/// ```
///
/// The named crates must be direct dependencies.
#[proc_macro]
pub fn scripts(crates: TokenStream) -> TokenStream {
    expand(table(crates))
}

/// Expands to a `&[ExtensionFileSource]`: the modules of [`bgfetch_js`] as lazily loaded scripts of
/// the extension `bgfetch_deno`.
#[proc_macro]
pub fn interfaces(_: TokenStream) -> TokenStream {
    expand(interface_scripts())
}

fn expand(expression: Result<String>) -> TokenStream {
    let expanded = expression.and_then(|text| Ok(text.parse::<TokenStream>()?));
    expanded.unwrap_or_else(|error| {
        let message = format!("the scripts cannot be embedded: {error}");
        TokenStream::from_iter(format!("compile_error!({message:?})").parse::<TokenStream>())
    })
}

fn table(crates: TokenStream) -> Result<String> {
    let mut folders = vec![Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("js")];
    for token in crates {
        if let TokenTree::Ident(name) = token {
            folders.push(source_folder(&name.to_string())?);
        }
    }
    let mut table = String::from("&[");
    for folder in folders {
        for path in scripts_in(&folder)? {
            write!(table, "({path:?}, ::deno_core::ascii_str_include!({path:?})),")?;
        }
    }
    table.push(']');
    Ok(table)
}

fn interface_scripts() -> Result<String> {
    let mut table = String::from("&[");
    for module in bgfetch_js::MODULES {
        let script = modules::to_script(module.source)
            .map_err(|error| format!("{}: {error}", module.name))?;
        let specifier = format!("ext:bgfetch_deno/{}", module.name);
        write!(
            table,
            "::deno_core::ExtensionFileSource::new({specifier:?}, ::deno_core::ascii_str!({script:?})),"
        )?;
    }
    table.push(']');
    Ok(table)
}

/// The folder of a dependency's sources. Cargo does not expose it, but next to the library that is
/// passed to rustc is a list of the files that it was built from.
fn source_folder(name: &str) -> Result<PathBuf> {
    let prefix = format!("{name}=");
    let library = env::args()
        .find_map(|argument| argument.strip_prefix(&prefix).map(PathBuf::from))
        .ok_or_else(|| format!("{name} is no dependency of this crate"))?;
    let stem = library.file_stem().and_then(|stem| stem.to_str()).ok_or("no library")?;
    let list = library.with_file_name(stem.strip_prefix("lib").unwrap_or(stem)).with_extension("d");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let folder = text
        .lines()
        .filter_map(|line| line.strip_suffix("/lib.rs:"))
        // Spaces in paths are escaped, as make requires.
        .map(|folder| PathBuf::from(folder.replace("\\ ", " ")))
        .next();
    folder.ok_or_else(|| format!("{} names no lib.rs", list.display()).into())
}

/// The scripts in a folder, in order.
fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
