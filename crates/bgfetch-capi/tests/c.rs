//! Builds the suite in C and the examples with the system's compiler, and runs them: with `make capi`, which builds the
//! libraries before. `BGFETCH_CAPI_CHECKS=all` adds AddressSanitizer and valgrind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve};

/// An installed library, with the programs that were built against it.
struct Installed(tempfile::TempDir);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{error}");
    out
}

/// The installed library that the tests of this process share. The last of them deletes it.
fn install() -> Arc<Installed> {
    static INSTALLED: Mutex<Weak<Installed>> = Mutex::new(Weak::new());
    let mut shared = INSTALLED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let installed = Arc::new(Installed::new());
        *shared = Arc::downgrade(&installed);
        installed
    })
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The test is in `deps`, below the folder that `cargo build` puts the libraries in.
        let test = std::env::current_exe().unwrap();
        let build = test.parent().unwrap().parent().unwrap();
        let script = root().join("crates/bgfetch-capi/install");
        run(Command::new(script).arg(folder.path()).arg(build));
        Self(folder)
    }

    fn library(&self, name: &str) -> PathBuf {
        self.0.path().join("lib").join(name)
    }

    fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.args(arguments).arg("bgfetch");
        command.env("PKG_CONFIG_PATH", self.0.path().join("lib/pkgconfig"));
        run(&mut command).split_whitespace().map(String::from).collect()
    }

    /// Builds a program from these sources, and returns its path.
    fn build(
        &self,
        compiler: &str,
        sources: &[PathBuf],
        flags: &[&str],
        link: &[String],
    ) -> PathBuf {
        let program = self.0.path().join(sources[0].file_stem().unwrap());
        let mut command = Command::new(compiler);
        command.args(["-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-g"]).args(flags);
        command.args(self.pkg_config(&["--cflags"])).args(sources).args(link);
        run(command.arg("-pthread").arg("-o").arg(&program));
        program
    }

    fn shared(&self) -> Vec<String> {
        self.pkg_config(&["--libs"])
    }

    fn static_library(&self) -> Vec<String> {
        let archive = self.library("libbgfetch.a").to_str().unwrap().to_owned();
        let needed = self.pkg_config(&["--libs", "--static"]);
        // `-lbgfetch` would be the shared one, which is beside it.
        let needed = needed.into_iter().filter(|flag| flag != "-lbgfetch");
        std::iter::once(archive).chain(needed).collect()
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("LD_LIBRARY_PATH", self.0.path().join("lib"));
        command
    }
}

impl Installed {
    fn valgrind(&self, program: &Path) -> Command {
        let mut valgrind = self.command("valgrind");
        valgrind.args(["--error-exitcode=9", "--leak-check=full", "--fair-sched=yes", "--quiet"]);
        valgrind.arg("--errors-for-leak-kinds=definite,possible").arg(program);
        valgrind
    }
}

fn suite() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut sources: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "c")).collect();
    sources.sort();
    sources
}

fn all_checks() -> bool {
    std::env::var_os("BGFETCH_CAPI_CHECKS").is_some_and(|checks| checks == "all")
}

/// All cases have run.
fn check_output(output: &str) {
    let cases = output.lines().last().and_then(|line| line.strip_suffix(" cases"));
    assert!(cases.and_then(|it| it.parse::<u32>().ok()).is_some_and(|it| it >= 80), "{output}");
}

#[test]
fn the_suite_passes_with_the_shared_and_the_static_library() {
    let installed = install();
    let shared = installed.build("gcc", &suite(), &["-std=c11"], &installed.shared());
    check_output(&run(&mut installed.command(&shared)));
    if all_checks() {
        check_output(&run(&mut installed.valgrind(&shared)));
    }
    let flags: &[&str] = match all_checks() {
        true => &["-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover"],
        false => &["-std=c11"],
    };
    let linked = installed.build("gcc", &suite(), flags, &installed.static_library());
    check_output(&run(&mut Command::new(linked)));
}

#[test]
fn the_shared_library_exports_the_functions_of_the_header_and_nothing_else() {
    let installed = install();
    let library = installed.library("libbgfetch.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let exported: Vec<_> =
        symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let header = installed.0.path().join("include/bgfetch.h");
    let header = std::fs::read_to_string(header).unwrap();
    assert!(exported.len() > 80, "{symbols}");
    for name in exported {
        assert!(name.starts_with("bgfetch_") && header.contains(&format!("{name}(")), "{name}");
    }
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("[libbgfetch.so.0.1]"), "{dynamic}");
}

/// A program that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }
}

#[test]
fn owners_in_cpp_free_what_they_have_once() {
    let installed = install();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpp/owners.cpp");
    let flags = ["-std=c++20", "-fno-exceptions", "-fno-rtti"];
    let owners = installed.build("g++", &[source], &flags, &installed.shared());
    run(&mut installed.command(&owners));
    if all_checks() {
        run(&mut installed.valgrind(&owners));
    }
}

/// `make capi-throughput` measures with it.
#[test]
fn the_benchmark_reads_a_file_while_it_arrives() {
    let (origin, installed) = (Origin::start(), install());
    origin.serve("/file", Resource::new(1, MIB));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/throughput.c");
    let program = installed.build("gcc", &[source], &["-std=c11"], &installed.shared());
    let state = tempfile::tempdir().unwrap();
    let mut command = installed.command(program);
    let seconds = run(command.arg(state.path().join("store")).arg(origin.url("/file").as_str()));
    assert!(seconds.trim().parse::<f64>().is_ok(), "{seconds}");
}

#[test]
fn two_sites_download_through_the_network_stack_of_a_host_in_cpp() {
    let installed = install();
    let libcurl = run(Command::new("pkg-config").args(["--libs", "libcurl"]));
    let mut link = installed.shared();
    link.extend(libcurl.split_whitespace().map(String::from));
    let build = |flags: &[&str]| {
        let source = root().join("examples/cpp/shell.cpp");
        installed.build(
            "g++",
            &[source],
            &[&["-std=c++20", "-fno-exceptions"], flags].concat(),
            &link,
        )
    };
    let shell = build(&[]);
    check_shell(installed.command(&shell));
    if all_checks() {
        check_shell(installed.valgrind(&shell));
        check_shell(installed.command(build(&["-fsanitize=address,undefined"])));
    }
}

fn check_shell(mut shell: Command) {
    let origin = Origin::start();
    let film = Resource::new(1, 8 * MIB).etag("\"1\"");
    // The connection is lost once, and the host's stack asks for the rest.
    origin.serve("/one", film.clone().cut_after(3 * MIB).then(film.clone()));
    origin.serve("/two", film);
    let state = tempfile::tempdir().unwrap();
    shell.arg(state.path().join("store"));
    let output = run(shell.args(["/one", "/two"].map(|path| origin.url(path).to_string())));
    assert_eq!(output.matches("backgroundfetchsuccess").count(), 2, "{output}");
    assert_eq!(output.matches("to download? yes").count(), 2, "{output}");
    assert!(output.contains(&format!("{} bytes", 8 * MIB)), "{output}");
    let ranges = origin.requests_to("/one");
    assert!(ranges.len() == 2 && ranges[1].range_start().is_some(), "{ranges:?}");
}

#[test]
fn the_example_is_killed_and_goes_on_by_range_and_tells_its_event_once() {
    let (origin, film, gate) =
        (Origin::start(), Resource::new(1, 8 * MIB).etag("\"1\""), Gate::new());
    origin.serve("/film", film.clone().hold_at(4 * MIB, &gate).then(film.clone()));
    let installed = install();
    let source = root().join("examples/c/embed.c");
    let embed = installed.build("gcc", &[source], &["-std=c11"], &installed.shared());
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let file = folder.path().join("film");
    let with_arguments = |mut command: Command| {
        command.arg(&state).arg(origin.url("/film").as_str()).arg(&file);
        command
    };
    let mut first = Running::start(&mut with_arguments(installed.command(&embed)));
    let mut lines = BufReader::new(first.0.stdout.take().unwrap()).lines();
    let half = format!("{} bytes", 4 * MIB);
    assert!(lines.any(|line| line.unwrap() == half));
    // SIGKILL.
    drop(first);
    gate.open();
    let next = if all_checks() { installed.valgrind(&embed) } else { installed.command(&embed) };
    let output = run(&mut with_arguments(next));
    let events = output.lines().filter(|line| *line == "backgroundfetchsuccess").count();
    assert!(events == 1 && output.contains("saved"), "{output}");
    film.matches_file(&file).unwrap();
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].range_start(), Some(4 * MIB));
}
