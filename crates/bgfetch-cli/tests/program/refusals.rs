//! Input that is refused: one clear line, an exit code, and nothing lost.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use bgfetch_testkit::{KIB, MIB, Origin, Resource, Serve as _};

use crate::fixture::{PROGRAM, Place, Running, held_film};

#[test]
fn wrong_arguments_are_refused_before_a_store_is_made() {
    for (arguments, code, expected) in [
        (&[][..], 2, "the following required arguments were not provided: <URL>..."),
        (&["http://a.test/", "--speed"], 2, "unexpected argument '--speed' found"),
        (
            &["http://a.test/", "--download-total", "-5"],
            2,
            "invalid value '-5' for '--download-total <BYTES>': that is not a number of bytes",
        ),
        (
            &["http://a.test/", "--max-connections=0"],
            2,
            "invalid value '0' for '--max-connections <N>': a number of connections is 1 or more",
        ),
        (&["x"], 1, "x: a URL begins with http:// or https://"),
        (&["a.test/x"], 1, "a.test/x: a URL begins with http:// or https://; did you mean https"),
        (&["ftp://a.test/x"], 1, "ftp://a.test/x: only http and https URLs can be fetched"),
        (&["http://a.test:6000/"], 1, "http://a.test:6000/: port 6000 belongs to another"),
        (&["http://u:secret@a.test/"], 1, "the URL for a.test includes credentials"),
        (&["http://a.test/", "http://"], 1, "http://: not a URL (it has no host)"),
    ] {
        let place = Place::new();
        let ended = Running::spawn(place.get(arguments)).end();
        let line = ended.refusal(code);
        assert!(line.starts_with(expected), "{arguments:?}: {line}");
        assert!(!line.contains("secret"), "{line}");
        assert!(code == 1 || line.ends_with("(see bgfetch get --help)"), "{line}");
        assert!(!place.store().exists(), "{arguments:?}");
    }
}

#[test]
fn without_arguments_the_help_is_shown() {
    let ended = Running::spawn(Command::new(PROGRAM)).end();
    let help = ended.success();
    for wanted in ["Usage: bgfetch <COMMAND>", "  get ", "  list ", "--version"] {
        assert!(help.iter().any(|line| line.contains(wanted)), "{wanted}: {ended:#?}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_written_is_refused_before_anything_is_fetched() {
    let origin = Origin::start();
    let place = Place::new();
    fs::write(place.path("out"), "a file").unwrap();
    let ended = Running::spawn(place.get([origin.url("/x").as_str()])).end();
    let line = ended.refusal(1);
    assert!(line.starts_with("cannot write to "), "{line}");
    assert!(line.ends_with(": that is not a directory"), "{line}");
    assert!(!place.store().exists() && origin.requests().is_empty());
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let origin = Origin::start();
    origin.serve("/x", Resource::new(1, KIB));
    let place = Place::new();
    Running::spawn(place.get([origin.url("/x").as_str()])).end().success();
    // The database's user version, in SQLite's file format.
    let path = place.store().join("store.sqlite3");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0, 0, 3, 231], 60).unwrap();
    let before = fs::read(&path).unwrap();
    for arguments in [&["list"][..], &["get", "http://127.0.0.1/x"]] {
        let ended = place.run(arguments);
        let line = ended.refusal(1);
        assert!(line.contains("format version 999"), "{line}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_store_is_set_aside_and_named() {
    let place = Place::new();
    fs::create_dir(place.store()).unwrap();
    fs::write(place.store().join("store.sqlite3"), vec![7; 8192]).unwrap();
    let ended = place.run(&["list"]);
    let line = ended.refusal(1);
    assert!(line.contains("damaged") && line.contains("nothing was deleted"), "{line}");
    place.run(&["list"]).success();
}

#[test]
fn a_store_in_use_names_its_owner() {
    let origin = Origin::start();
    let (film, gate) = held_film(1);
    origin.serve("/film", film.clone().hold_at(MIB, &gate));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let owner = Running::spawn(place.get([&url]));
    gate.blocking_reached();
    // An owner that cannot be asked.
    let (socket, away) = (place.store().join("control.sock"), place.path("away.sock"));
    fs::rename(&socket, &away).unwrap();

    let ended = Running::spawn(place.get([origin.url("/other").as_str()])).end();
    let (line, pid) = (ended.refusal(1), format!("(process id {})", owner.pid()));
    assert!(line.starts_with("the store ") && line.contains(&pid), "{line}");

    fs::rename(&away, &socket).unwrap();
    gate.open();
    owner.end().success();
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn an_id_means_one_fetch() {
    let origin = Origin::start();
    let (film, gate) = held_film(2);
    // Any process that opens the store resumes the film, which must not end before its id was
    // checked.
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(film.clone().hold_head(&gate)));
    origin.serve("/other", Resource::new(9, KIB));
    let place = Place::new();
    let (url, other) = (origin.url("/film").to_string(), origin.url("/other").to_string());
    let first = Running::spawn(place.get([&url, "--id", "x"]));
    first.downloading();
    gate.blocking_reached();
    first.kill();

    let ended = Running::spawn(place.get([&other, "--id", "x"])).end();
    let line = ended.refusal(1);
    assert!(line.starts_with("x is already active with other URLs"), "{line}");

    let elsewhere = place.path("elsewhere");
    let arguments = ["get", &url, "--id", "x", "--out", elsewhere.to_str().unwrap()];
    let ended = place.run(&arguments);
    let line = ended.refusal(1);
    assert!(line.starts_with("x is already active and is saved to "), "{line}");

    let ended = Running::spawn(place.get([&url, "--id", ""])).end();
    assert_eq!(ended.refusal(1), "the id must not be empty");

    gate.open();
    Running::spawn(place.get([&url, "--id", "x"])).end().success();
    film.matches_file(place.out("film")).unwrap();
}
