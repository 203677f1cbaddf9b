//! `get` from servers without faults.

use bgfetch_testkit::{KIB, MIB, MemoryWatch, Nginx, Origin, Reply, Resource, Serve};

use crate::fixture::{Place, Running};

#[test]
fn nginx_serves_two_files_that_are_written_under_their_names() {
    let www = tempfile::tempdir().unwrap();
    let Some(nginx) = Nginx::try_start(www.path()) else {
        eprintln!("skipped: nginx is not installed");
        return;
    };
    let (a, b) = (Resource::new(1, 3 * MIB), Resource::new(2, 5 * KIB));
    nginx.put("a.bin", &a);
    nginx.put("b.bin", &b);
    let place = Place::new();
    let urls = [nginx.url("/a.bin"), nginx.url("/b.bin")].map(String::from);
    let ended = Running::spawn(place.get(&urls)).end();
    ended.success();
    a.matches_file(place.out("a.bin")).unwrap();
    b.matches_file(place.out("b.bin")).unwrap();
    // Once they are written, the store holds none of their bytes.
    assert_eq!(std::fs::read_dir(place.store().join("bodies")).unwrap().count(), 0);
}

#[test]
fn urls_of_the_same_name_do_not_overwrite_each_other() {
    let origin = Origin::start();
    let (one, two) = (Resource::new(1, KIB), Resource::new(2, KIB));
    origin.serve("/1/x", one.clone());
    origin.serve("/2/x", two.clone());
    let place = Place::new();
    let urls = [origin.url("/1/x"), origin.url("/2/x")].map(String::from);
    Running::spawn(place.get(&urls)).end().success();
    one.matches_file(place.out("x")).unwrap();
    two.matches_file(place.out("x (1)")).unwrap();
}

#[test]
fn what_is_in_the_directory_is_never_replaced() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    origin.serve("/film.mp4", film.clone());
    let place = Place::new();
    // A file of the same length, a directory, and a link to nowhere.
    std::fs::create_dir_all(place.out("film (1).mp4")).unwrap();
    std::fs::write(place.out("film.mp4"), vec![7; 1024]).unwrap();
    std::os::unix::fs::symlink("nowhere", place.out("film (2).mp4")).unwrap();
    let ended = Running::spawn(place.get_plain([origin.url("/film.mp4").as_str()])).end();
    let line = format!("saved {} as film (3).mp4", origin.url("/film.mp4"));
    assert!(ended.success().contains(&line), "{ended:#?}");
    film.matches_file(place.out("film (3).mp4")).unwrap();
    assert_eq!(std::fs::read(place.out("film.mp4")).unwrap(), vec![7; 1024]);
    assert_eq!(place.names(), ["film (1).mp4", "film (2).mp4", "film (3).mp4", "film.mp4"]);
}

#[test]
fn a_record_that_failed_is_named_and_the_good_ones_are_written() {
    let origin = Origin::start();
    let (one, two) = (Resource::new(1, MIB), Resource::new(2, KIB));
    origin.serve("/one", one.clone());
    origin.serve("/gone", Reply::status(404));
    origin.serve("/two", two.clone());
    let place = Place::new();
    let urls = ["/one", "/gone", "/two"].map(|path| origin.url(path).to_string());
    let ended = Running::spawn(place.get(&urls)).end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr[0],
        format!("bgfetch: {}: 404, no such file; check the address", urls[1])
    );
    one.matches_file(place.out("one")).unwrap();
    two.matches_file(place.out("two")).unwrap();
    assert!(!place.out("gone").exists());
    let settled = &ended.events("settled")[0];
    assert_eq!(settled["result"], "failure");
    assert_eq!(settled["failure_reason"], "bad-status");
    assert_eq!(settled["downloaded"], MIB + KIB);
    // The list still shows the outcome.
    let list = place.run(&["list"]);
    let row = &list.success()[1];
    assert!(row.contains("failure") && row.contains("1.00 MiB"), "{row}");
}

#[test]
fn the_download_total_is_a_limit() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(1, MIB));
    let place = Place::new();
    let film = origin.url("/film").to_string();
    let ended = Running::spawn(place.get([&film, "--download-total", "1000"])).end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.events("settled")[0]["failure_reason"], "download-total-exceeded");
    assert_eq!(ended.events("registered")[0]["download_total"], 1000);
    assert!(!place.out("film").exists());
}

/// Most of the memory of a program that is not optimized is its own code.
#[test]
fn a_thousand_records_need_less_than_8_mib_more_than_one() {
    let [one, thousand] = [1, 1000].map(peak_memory);
    assert!(thousand < one + 8 * MIB, "{one} and {thousand} bytes");
}

/// The peak of a program that fetches so many records.
fn peak_memory(records: u64) -> u64 {
    let origin = Origin::start();
    let place = Place::new();
    let urls: Vec<_> = (0..records)
        .map(|number| {
            let path = format!("/{number}");
            origin.serve(&path, Resource::new(number, 16 * KIB));
            origin.url(&path).to_string()
        })
        .collect();
    let running = Running::spawn(place.get(&urls));
    let memory = MemoryWatch::of(running.child());
    let ended = running.end();
    let peak = memory.peak();
    assert_eq!(ended.success().len(), ended.stdout.len());
    assert_eq!(ended.events("record-settled").len() as u64, records);
    for number in 0..records {
        let resource = Resource::new(number, 16 * KIB);
        resource.matches_file(place.out(&number.to_string())).unwrap();
    }
    peak
}

#[test]
fn a_cookie_that_a_redirect_sets_is_sent_back() {
    let origin = Origin::start();
    let film = Resource::new(1, KIB);
    let ask = Reply::redirect(302, "/film").header("set-cookie", "seen=1; Path=/");
    origin.serve("/film", ask.then(film.clone()));
    let place = Place::new();
    Running::spawn(place.get(&[String::from(origin.url("/film"))])).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(origin.requests()[1].header("cookie"), Some("seen=1"));
}

#[test]
fn an_archive_is_saved_as_it_is_sent() {
    let origin = Origin::start();
    // Decoding it would fail, because it is not encoded.
    let archive = Resource::new(1, 100 * KIB).etag("\"a\"");
    let sent = archive.clone().header("content-encoding", "gzip");
    origin.serve("/a.tar.gz", sent.clone().cut_after(KIB).then(sent));
    let place = Place::new();
    Running::spawn(place.get(&[String::from(origin.url("/a.tar.gz"))])).end().success();
    archive.matches_file(place.out("a.tar.gz")).unwrap();
    let requests = origin.requests();
    assert!(requests.iter().all(|it| it.header("accept-encoding") == Some("identity")));
    assert_eq!(requests[1].range_start(), Some(KIB));
}
