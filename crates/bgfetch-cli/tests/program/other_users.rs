//! Other users of the machine. As root, some tests run the program as another user; otherwise they use
//! what belongs to root.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bgfetch_testkit::{MIB, Origin, Resource, Serve as _};
use tempfile::TempDir;

use crate::fixture::{PROGRAM, Place, Running, held_film};

/// A user who owns nothing here.
const STRANGER: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The program at a place where every user may run it.
struct ForAll(TempDir);

impl ForAll {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        fs::copy(PROGRAM, folder.path().join("bgfetch")).unwrap();
        Self(folder)
    }

    fn as_stranger<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        let mut command = Command::new(self.0.path().join("bgfetch"));
        command.args(arguments).current_dir("/").uid(STRANGER).gid(STRANGER);
        Running::spawn(command)
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_store_of_another_user_is_refused_by_every_command_in_one_line() {
    let place = Place::new();
    let (store, owner) = if is_root() {
        let store = place.store();
        fs::create_dir(&store).unwrap();
        std::os::unix::fs::chown(&store, Some(STRANGER), None).unwrap();
        fs::write(store.join("store.sqlite3"), "prepared").unwrap();
        (store, STRANGER)
    } else {
        ("/usr".into(), 0)
    };
    let store_text = store.to_str().unwrap().to_owned();
    let refusal = format!(
        "{store_text} belongs to another user (uid {owner}), who could change it; use a directory of \
         your own"
    );
    let out = place.path("out").to_str().unwrap().to_owned();
    let mut commands = vec![vec!["get", "http://127.0.0.1:8080/x", "--out", &out]];
    if is_root() {
        // The others only look for a database where there is one.
        commands.extend([vec!["list"], vec!["show"], vec!["abort"], vec!["dismiss", "x"]]);
    }
    for arguments in commands {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).args(["--store", &store_text]);
        assert_eq!(Running::spawn(command).end().refusal(1), refusal);
    }
    if is_root() {
        assert_eq!(fs::read(store.join("store.sqlite3")).unwrap(), b"prepared");
    }
}

#[test]
fn a_link_in_a_store_destroys_nothing() {
    let (place, victim) = (Place::new(), tempfile::NamedTempFile::new().unwrap());
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(place.store()).unwrap();
    symlink(&victim, place.store().join("lock")).unwrap();
    let ended = Running::spawn(place.get_plain(["http://127.0.0.1:8080/x"])).end();
    let lock = place.store().join("lock");
    let expected =
        format!("{} is a symbolic link, which is never followed here; delete it", lock.display());
    assert_eq!(ended.refusal(1), expected);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_store_that_others_could_read_is_closed_to_them_and_the_user_is_told_once() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, 10));
    let place = Place::new();
    let url = origin.url("/x").to_string();
    Running::spawn(place.get([&url])).end().success();
    set_mode(&place.store(), 0o755);
    set_mode(&place.store().join("store.sqlite3"), 0o644);
    let told = place.run(&["list"]);
    let store = place.store();
    let line = format!("bgfetch: other users had access to {}; it is private now", store.display());
    assert_eq!((told.code, told.stderr), (Some(0), vec![line]));
    place.run(&["list"]).success();
    assert_eq!((mode(&store), mode(&store.join("store.sqlite3"))), (0o700, 0o600));
}

#[test]
fn under_every_umask_the_store_and_its_socket_are_private_and_saved_files_are_not() {
    for umask in ["000", "022", "077", "0777"] {
        let origin = Origin::start();
        let (film, gate) = held_film(1);
        origin.serve("/film", film.clone().hold_at(MIB, &gate));
        let place = Place::new();
        let url = origin.url("/film").to_string();
        fs::create_dir(place.path("out")).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", PROGRAM]);
        let running = Running::spawn(place.get_by(shell, [&url, "--json"]));
        gate.blocking_reached();
        running.downloading();
        let stored = files(&place.store());
        assert!(stored.iter().any(|path| path.ends_with("control.sock")), "{stored:?}");
        for path in stored {
            assert_eq!(mode(&path), 0o600, "{} under {umask}", path.display());
        }
        for folder in ["store", "store/bodies"] {
            assert_eq!(mode(&place.path(folder)), 0o700, "{folder} under {umask}");
        }
        gate.open();
        running.end().success();
        let mask = u32::from_str_radix(umask, 8).unwrap();
        assert_eq!(mode(&place.out("film")), 0o666 & !mask, "under {umask}");
    }
}

#[test]
fn a_live_fetch_is_not_controlled_by_another_user() {
    let origin = Origin::start();
    let (film, gate) = held_film(2);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let running = Running::spawn(place.get([&url, "--id", "x"]));
    gate.blocking_reached();
    let (store, socket) = (place.store(), place.store().join("control.sock"));
    if is_root() {
        // The user, or a program, opens the directory afterwards.
        for path in [&place.path(""), &store] {
            set_mode(path, 0o755);
        }
        set_mode(&socket, 0o777);
        let talk = "use IO::Socket::UNIX;
            my $stream = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die \"not connected: $!\";
            $SIG{PIPE} = 'IGNORE';
            print $stream qq({\"version\":1,\"command\":{\"name\":\"abort\",\"id\":\"x\"}}\\n);
            $stream->flush;
            print 'answered ' . (<$stream> // 'nothing');";
        let mut stranger = Command::new("perl");
        stranger.args(["-e", talk]).arg(&socket).uid(STRANGER).gid(STRANGER);
        let answered = stranger.current_dir("/").output().unwrap();
        let (out, err) = (answered.stdout, String::from_utf8_lossy(&answered.stderr));
        assert_eq!(String::from_utf8_lossy(&out), "answered nothing", "{err}");

        let program = ForAll::new();
        let ended = program.as_stranger(["list", "--store", store.to_str().unwrap()]).end();
        assert!(ended.refusal(1).contains("belongs to another user (uid 0)"), "{ended:#?}");
    } else {
        assert_eq!((mode(&store), mode(&socket)), (0o700, 0o600), "nobody else gets there");
    }
    // Its own user does.
    let mut request = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut request, b"{\"version\":1,\"list\":{}}\n").unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("{\"jobs\":[{"), "{answer}");
    gate.open();
    running.end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn an_ordinary_user_finds_everything_as_root_does() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(3, MIB));
    let url = origin.url("/film").to_string();
    let home = tempfile::tempdir().unwrap();
    let (store, out) = (home.path().join("store"), home.path().join("out"));
    let arguments =
        ["get", &url, "--store", store.to_str().unwrap(), "--out", out.to_str().unwrap()];
    if is_root() {
        std::os::unix::fs::chown(home.path(), Some(STRANGER), Some(STRANGER)).unwrap();
        let program = ForAll::new();
        program.as_stranger(arguments).end().success();
        // The superuser does not use what a user could have prepared.
        let mut list = Command::new(PROGRAM);
        list.args(["list", "--store"]).arg(&store);
        let ended = Running::spawn(list).end();
        assert!(ended.refusal(1).contains("belongs to another user (uid 65534)"), "{ended:#?}");
    } else {
        let mut get = Command::new(PROGRAM);
        get.args(arguments);
        Running::spawn(get).end().success();
    }
    Resource::new(3, MIB).matches_file(out.join("film")).unwrap();
}

#[test]
fn a_file_that_another_user_left_in_a_shared_folder_is_not_taken_for_a_saved_one() {
    let origin = Origin::start();
    let film = Resource::new(4, 1000);
    origin.serve("/film", film.clone());
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    set_mode(&place.path("out"), 0o1777);
    let url = origin.url("/film").to_string();
    Running::spawn(place.get([&url, "--id", "first"])).end().success();
    let planted = place.out("film");
    if is_root() {
        std::os::unix::fs::chown(&planted, Some(STRANGER), None).unwrap();
    } else {
        // A link instead of the file: nobody knows who can change what it leads to.
        fs::rename(&planted, place.path("elsewhere")).unwrap();
        symlink(place.path("elsewhere"), &planted).unwrap();
    }
    Running::spawn(place.get([&url, "--id", "second"])).end().success();
    film.matches_file(place.out("film (1)")).unwrap();
}

#[test]
fn a_name_from_a_server_neither_hides_nor_commands() {
    let origin = Origin::start();
    let place = Place::new();
    let mut urls = Vec::new();
    for path in ["/-rf", "/NUL.txt", "/a%D8%9Cb%E2%80%8B.mp4", "/x.%E2%80%AE4pm"] {
        origin.serve(path, Resource::new(5, 10));
        urls.push(origin.url(path).to_string());
    }
    let title = "\u{1b}]0;owned\u{7}\u{9b}2J\u{2066}\u{feff}film";
    let arguments = urls.iter().map(String::as_str).chain(["--id", "x", "--title", title]);
    let ended = Running::spawn(place.get_plain(arguments)).end();
    ended.success();
    assert_eq!(place.names(), ["_NUL.txt", "_rf", "a_b_.mp4", "x._4pm"]);
    for command in [&["list"][..], &["show", "x"], &["list", "--json"], &["show", "x", "--json"]] {
        let shown = place.run(command);
        for line in shown.success().iter().chain(&ended.stdout) {
            let bad = |c: char| {
                c.is_control() || matches!(c, '\u{2066}' | '\u{202e}' | '\u{feff}' | '\u{200b}')
            };
            assert!(!line.contains(bad), "{line:?}");
        }
    }
    let shown = place.run(&["show", "x", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.success()[0]).unwrap();
    assert_eq!(shown["title"], title, "programs get what was given");
}
