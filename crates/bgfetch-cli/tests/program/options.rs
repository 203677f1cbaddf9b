//! The options of `get` that say what is fetched and how it is saved.

use std::fs;
use std::path::Path;

use bgfetch_testkit::{KIB, MIB, Origin, Reply, Resource, Serve as _};

use crate::fixture::{Place, Running, held_film};

/// The SHA-256 of a resource in hexadecimal digits.
pub(crate) fn sha256(resource: &Resource) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(resource.bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_only_file_gets_the_name_that_the_user_gives() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    origin.serve("/dl", film.clone());
    let place = Place::new();
    let url = origin.url("/dl").to_string();
    let name = "My film (100%) & more.mp4";
    let ended = Running::spawn(place.get_plain([&url, "-o", name])).end();
    assert!(ended.success().contains(&format!("saved {url} as {name}")), "{ended:#?}");
    film.matches_file(place.out(name)).unwrap();
    let show = place.run(&["show"]);
    assert!(show.success().iter().any(|line| line.ends_with(name)), "{show:#?}");

    // The same command has nothing to do, and another fetch does not replace the file.
    let again = Running::spawn(place.get_plain([&url, "-o", name])).end();
    assert!(again.success()[0].contains(&format!("{name} already")), "{again:#?}");
    assert_eq!(origin.requests().len(), 1);
    origin.serve("/other", Resource::new(2, KIB));
    let other = origin.url("/other").to_string();
    Running::spawn(place.get_plain([&other, "-o", name])).end().success();
    assert_eq!(place.names(), ["My film (100%) & more (1).mp4", name]);
}

#[test]
fn a_name_may_have_a_folder() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    origin.serve("/dl", film.clone());
    let place = Place::new();
    let url = origin.url("/dl").to_string();
    Running::spawn(place.get([&url, "-o", "films/2026/x.mp4"])).end().success();
    film.matches_file(place.out("films/2026/x.mp4")).unwrap();
    let path = place.path("elsewhere/y.mp4");
    Running::spawn(place.get([&url, "-o", path.to_str().unwrap()])).end().success();
    film.matches_file(path).unwrap();
}

#[test]
fn what_is_no_name_of_one_file_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.path("out/films")).unwrap();
    let (one, two) = ("http://a.test/1", "http://a.test/2");
    for (arguments, expected) in [
        (&[one, two, "-o", "x"][..], "-o is for one URL; for several, use --out DIR"),
        (&[one, "-o", "-"], "-o -: bgfetch writes to files, not to standard output"),
        (&[one, "-o", "films"], "-o films: that is a directory; use --out for it"),
        (&[one, "-o", "films/"], "-o films/: that is a directory; use --out for it"),
        (&[one, "-o", ".."], "-o ..: that is a directory; use --out for it"),
    ] {
        let ended = Running::spawn(place.get(arguments)).end();
        assert_eq!(ended.refusal(1), expected);
        assert!(!place.store().exists());
    }
}

#[test]
fn a_file_with_another_checksum_is_not_saved() {
    let origin = Origin::start();
    let (film, song) = (Resource::new(1, KIB), Resource::new(2, KIB));
    origin.serve("/film", film.clone());
    origin.serve("/song", song.clone());
    let place = Place::new();
    let (film_url, song_url) = (origin.url("/film").to_string(), origin.url("/song").to_string());
    let (right, wrong) = (format!("sha256:{}", sha256(&film)), format!("sha256:{}", sha256(&song)));

    let ended = Running::spawn(place.get([&film_url, "--checksum", &wrong])).end();
    assert_eq!(ended.code, Some(1));
    let line = "the body does not have the checksum that the request asks for; check the checksum";
    assert!(ended.stderr[0].contains(&format!("/film: {line}")), "{ended:#?}");
    assert_eq!(place.names(), [""; 0]);
    Running::spawn(place.get([&film_url, "--checksum", &right])).end().success();
    film.matches_file(place.out("film")).unwrap();

    // Of several files, each has its own.
    let urls = [
        format!("{film_url}#sha256={}", sha256(&film)),
        format!("{song_url}#sha256={}", sha256(&film)),
    ];
    let ended = Running::spawn(place.get(&urls)).end();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr[0].contains("/song: ") && ended.stderr[0].contains("checksum"),
        "{ended:#?}"
    );
    assert_eq!(place.names(), ["film"]);
}

#[test]
fn what_is_no_checksum_of_one_file_is_refused() {
    let place = Place::new();
    let (one, two) = ("http://a.test/1", "http://a.test/2");
    let zero = format!("sha256:{}", "0".repeat(64));
    for (arguments, code, expected) in [
        (&[one, two, "--checksum", &zero][..], 1, "--checksum is for one URL; of several, write"),
        (
            &[one, "--checksum", "md5:00"],
            2,
            "invalid value 'md5:00' for '--checksum <sha256:HEX>': a",
        ),
        (&["http://a.test/1#sha256=12"], 1, "http://a.test/1: a checksum of sha256 has 64"),
    ] {
        let ended = Running::spawn(place.get(arguments)).end();
        let line = ended.refusal(code);
        assert!(line.starts_with(expected), "{line}");
        assert!(!place.store().exists());
    }
}

#[test]
fn a_checksum_that_is_given_later_is_checked_although_the_file_is_there() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    origin.serve("/film", film);
    let place = Place::new();
    let url = origin.url("/film").to_string();
    Running::spawn(place.get([&url])).end().success();
    let zero = format!("sha256:{}", "0".repeat(64));
    let ended = Running::spawn(place.get([&url, "--checksum", &zero])).end();
    assert_eq!(ended.code, Some(1), "{ended:#?}");
}

#[test]
fn existing_files_are_replaced_if_the_user_says_so() {
    let origin = Origin::start();
    let (old, new) = (Resource::new(1, KIB), Resource::new(2, KIB));
    origin.serve("/1/film", old.clone().then(new.clone()));
    origin.serve("/2/film", new.clone());
    let place = Place::new();
    let urls = ["/1/film", "/2/film"].map(|path| origin.url(path).to_string());
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.out("film"), "mine").unwrap();
    let arguments = [&urls[0], &urls[1], "--overwrite"];
    Running::spawn(place.get(arguments)).end().success();
    // Files of one fetch do not replace each other.
    old.matches_file(place.out("film")).unwrap();
    new.matches_file(place.out("film (1)")).unwrap();
    assert_eq!(place.names(), ["film", "film (1)"]);
    // The same command gets what the server has now.
    Running::spawn(place.get(arguments)).end().success();
    new.matches_file(place.out("film")).unwrap();
    assert_eq!(place.names(), ["film", "film (1)"]);
}

#[test]
fn whoever_finishes_a_fetch_saves_it_as_it_was_asked_for() {
    let origin = Origin::start();
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.out("mine.mp4"), "old").unwrap();
    fs::write(place.out("theirs.mp4"), "old").unwrap();
    let (film, gate) = held_film(1);
    let named = |film: Reply| film.header("content-disposition", "attachment; filename=theirs.mp4");
    for (path, option) in [("/1", "-omine.mp4"), ("/2", "--content-disposition")] {
        let first = named(film.clone().hold_at(MIB, &gate));
        origin.serve(path, first.then(named(film.clone().into())));
        let url = origin.url(path).to_string();
        let left = Running::spawn(place.get([&url, option, "--overwrite"]));
        left.downloading();
        left.kill();
    }
    gate.open();
    origin.serve("/other", Resource::new(2, KIB));
    let other = origin.url("/other").to_string();
    // It ends with its own fetch, so it is run until the others have ended, too.
    let is_saved = |name| film.matches_file(place.out(name)).is_ok();
    for round in 0..100 {
        if is_saved("mine.mp4") && is_saved("theirs.mp4") {
            break;
        }
        let id = round.to_string();
        Running::spawn(place.get([&other, "--id", &id])).end().success();
    }
    film.matches_file(place.out("mine.mp4")).unwrap();
    film.matches_file(place.out("theirs.mp4")).unwrap();
    assert_eq!(place.names(), ["mine.mp4", "other", "theirs.mp4"]);
}

#[test]
fn a_directory_is_never_replaced() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    origin.serve("/film", film.clone());
    let place = Place::new();
    fs::create_dir_all(place.out("film")).unwrap();
    let url = origin.url("/film").to_string();
    let ended = Running::spawn(place.get([&url, "--overwrite"])).end();
    let line = ended.refusal(1);
    assert!(line.starts_with("film was not saved: ") && line.contains("is kept"), "{line}");
    assert_eq!(place.names(), ["film"], "no temporary file is left");
    fs::remove_dir(place.out("film")).unwrap();
    Running::spawn(place.get([&url, "--overwrite"])).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(origin.requests().len(), 1, "nothing was fetched again");
}

#[test]
fn the_server_names_files_if_the_user_says_so() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    let named = |header: &str| film.clone().header("content-disposition", header);
    origin.serve("/dl/1", named("attachment; filename=\"../../gr%C3%BCn.mp4\""));
    origin.serve("/dl/2", named("attachment; filename*=UTF-8''gr%C3%BCn.mp4"));
    origin.serve("/dl/3", film.clone());
    origin.serve("/dl/4", named("attachment; filename*=UTF-8''gr%C3%BCn.mp4"));
    let place = Place::new();
    let urls = ["/dl/1", "/dl/2", "/dl/3", "/dl/4"].map(|path| origin.url(path).to_string());
    Running::spawn(place.get(&urls)).end().success();
    assert_eq!(place.names(), ["1", "2", "3", "4"]);
    let mut arguments: Vec<&str> = urls.iter().map(String::as_str).collect();
    arguments.push("--content-disposition");
    for _ in 0..2 {
        Running::spawn(place.get(&arguments)).end().success();
        let names = ["1", "2", "3", "4", "gr%C3%BCn.mp4", "grün (1).mp4", "grün.mp4"];
        assert_eq!(place.names(), names);
    }
    film.matches_file(place.out("grün (1).mp4")).unwrap();
}

/// Writes a list of URLs.
fn list(path: &Path, urls: &[String]) {
    fs::write(path, urls.join("\n")).unwrap();
}

#[test]
fn of_a_list_with_a_wrong_url_the_others_are_saved_and_the_repaired_list_makes_one_request() {
    const FILES: usize = 5000;
    let origin = Origin::start();
    let place = Place::in_memory();
    let mut urls = Vec::new();
    for number in 0..FILES {
        let path = format!("/{number}");
        origin.serve(&path, Resource::new(number as u64, 100));
        urls.push(origin.url(&path).to_string());
    }
    let right = std::mem::replace(&mut urls[1234], origin.url("/gone").to_string());
    let file = place.path("list.txt");
    list(&file, &urls);
    let arguments = ["-i", file.to_str().unwrap()];
    let ended = Running::spawn(place.get(arguments)).end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr[0],
        format!("bgfetch: {}: 404, no such file; check the address", urls[1234])
    );
    assert_eq!((ended.stderr.len(), place.names().len()), (2, FILES - 1), "{:?}", ended.stderr);
    assert_eq!(origin.requests().len(), FILES);

    urls[1234] = right;
    list(&file, &urls);
    Running::spawn(place.get(arguments)).end().success();
    assert_eq!(place.names().len(), FILES);
    assert_eq!(origin.requests().len(), FILES + 1, "one request");
    Resource::new(1234, 100).matches_file(place.out("1234")).unwrap();
    assert_eq!(place.bodies().len(), 0, "nothing is held of what is saved");
}

#[test]
fn a_line_that_is_no_url_is_named_and_the_others_are_saved() {
    let origin = Origin::start();
    let place = Place::new();
    let mut urls: Vec<String> = (0..20)
        .map(|number| {
            let path = format!("/{number}");
            origin.serve(&path, Resource::new(number, 100));
            origin.url(&path).to_string()
        })
        .collect();
    let right = std::mem::replace(&mut urls[7], "htp://127.0.0.1/7".into());
    urls[3].push_str(&format!(" #sha256={}", sha256(&Resource::new(3, 100))));
    let file = place.path("list.txt");
    list(&file, &urls);
    let arguments = ["-i", file.to_str().unwrap()];
    // Twice, because nothing is fetched again before the list is right.
    for _ in 0..2 {
        let ended = Running::spawn(place.get(arguments)).end();
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let [named, hint] = ended.stderr.as_slice() else { panic!("{ended:#?}") };
        let why = "line 8: htp://127.0.0.1/7: only http and https URLs can be fetched";
        assert_eq!(*named, format!("bgfetch: {}, {why}", file.display()));
        assert!(hint.contains("correct the lines that are no URLs"), "{hint}");
        assert_eq!((place.names().len(), origin.requests().len()), (19, 19));
    }
    urls[7] = right;
    list(&file, &urls);
    Running::spawn(place.get(arguments)).end().success();
    assert_eq!((place.names().len(), origin.requests().len()), (20, 20), "one request");
}

#[test]
fn a_list_that_is_missing_or_empty_is_refused() {
    let place = Place::new();
    fs::write(place.path("empty"), "# nothing\n\n").unwrap();
    let missing = place.path("missing");
    for (arguments, expected) in [
        (&["-i", missing.to_str().unwrap()][..], format!("-i {}: ", missing.display())),
        (&["-i", place.path("empty").to_str().unwrap()], "there is no URL to fetch".into()),
        // The standard input of the tests is empty.
        (&["-i", "-"], "there is no URL to fetch".into()),
    ] {
        let ended = Running::spawn(place.get(arguments)).end();
        let line = ended.refusal(1);
        assert!(line.starts_with(&expected), "{line}");
        assert!(!line.contains("os error"), "{line}");
    }
}

#[test]
fn a_verbose_command_says_why_it_retries_and_what_it_resumes() {
    let origin = Origin::start();
    let (film, gate) = held_film(1);
    let away = Reply::status(503).header("retry-after", "0");
    origin.serve("/film", film.clone().hold_at(MIB, &gate).then(away).then(film.clone()));
    let place = Place::new();
    let url = origin.url("/film").to_string();
    let first = Running::spawn(place.get([&url]));
    first.downloading();
    gate.blocking_reached();
    first.kill();
    // Other headers would give bytes of another kind.
    let ended = Running::spawn(place.get_plain([&url, "-v", "-H", "X: y"])).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for beginning in [format!("resume {url} after "), String::from("retry 1 in ")] {
        let found = ended.stdout.iter().filter(|line| line.starts_with(&beginning)).count();
        assert_eq!(found, 1, "{ended:#?}");
    }
    let [note] = ended.stderr.as_slice() else { panic!("{ended:#?}") };
    assert!(note.ends_with(" continues with the headers that it began with"), "{note}");
    assert!(origin.requests().iter().all(|request| request.header("x").is_none()));
    film.matches_file(place.out("film")).unwrap();
}

#[test]
fn a_quiet_command_prints_errors_alone() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, KIB));
    origin.serve("/gone", Reply::status(404));
    let place = Place::new();
    let film = origin.url("/film").to_string();
    assert_eq!(Running::spawn(place.get_plain([&film, "-q"])).end().success(), [""; 0]);
    let gone = origin.url("/gone").to_string();
    let ended = Running::spawn(place.get_plain([&gone, "-q"])).end();
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{ended:#?}");
    assert!(ended.stderr[0].contains("/gone: 404, no such file; check the address"), "{ended:#?}");
    let both = Running::spawn(place.get_plain([&gone, "-q", "-v"])).end();
    assert!(both.refusal(2).contains("cannot be used with"), "{both:#?}");
}
