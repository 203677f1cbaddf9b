//! Finds the scripts of the extensions that realms are made of, for `src/sources.rs`. deno_core
//! would read them at run time from where they were when it was built.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 5] =
    ["deno_webidl", "deno_web", "deno_fetch", "bgfetch-deno", "bgfetch-host"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = String::from("&[\n");
    for folder in folders()? {
        println!("cargo::rerun-if-changed={}", folder.display());
        for path in scripts(&folder)? {
            writeln!(table, "    ({path:?}, deno_core::ascii_str_include!({path:?})),")?;
        }
    }
    table.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    Ok(fs::write(Path::new(&out).join("sources.rs"), table)?)
}

/// Where the packages keep their scripts.
fn folders() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("cargo sets CARGO")?;
    let arguments = ["metadata", "--format-version", "1", "--offline"];
    let output = Command::new(cargo).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata.get("packages").and_then(|packages| packages.as_array());
    let mut folders = Vec::new();
    for package in packages.ok_or("no packages")? {
        let text = |name| package.get(name).and_then(|value| value.as_str());
        if text("name").is_some_and(|name| PACKAGES.contains(&name)) {
            let manifest = Path::new(text("manifest_path").ok_or("no manifest")?);
            let folder = manifest.parent().ok_or("no folder")?;
            let own = folder.join("js");
            folders.push(if own.is_dir() { own } else { folder.to_owned() });
        }
    }
    Ok(folders)
}

/// The scripts in a folder, in order.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
