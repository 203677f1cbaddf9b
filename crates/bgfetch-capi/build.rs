//! The name by which programs find the shared library. Before version 1, a minor release may break them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = |part: &str| std::env::var(format!("CARGO_PKG_VERSION_{part}"));
    let (major, minor) = (version("MAJOR"), version("MINOR"));
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if let (true, Ok(major), Ok(minor)) = (linux, major, minor) {
        let version = if major == "0" { format!("0.{minor}") } else { major };
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbgfetch.so.{version}");
    }
}
