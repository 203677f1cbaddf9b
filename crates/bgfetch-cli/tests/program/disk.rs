//! Full disks.

use std::path::{Path, PathBuf};
use std::process::Command;

use bgfetch_testkit::{Gate, MIB, Origin, Resource, Serve as _};

use crate::fixture::{Place, Running};

/// A small disk in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if mounting is not allowed.
    fn try_mount(at: &Path, mebibytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        mount.output().ok()?.status.success().then(|| Self(at.to_owned()))
    }

    fn grow(&self, mebibytes: u64) {
        let size = format!("remount,size={mebibytes}m");
        let status = Command::new("mount").args(["-o", &size]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The test's panic matters more than a leftover mount.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_of_the_store_stops_it_and_with_space_it_goes_on() {
    let origin = Origin::start();
    let film = Resource::new(1, 12 * MIB).etag("\"1\"");
    origin.serve("/film", film.clone());
    let place = Place::new();
    let Some(disk) = SmallDisk::try_mount(&place.store(), 6) else {
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let url = origin.url("/film").to_string();
    let ended = Running::spawn(place.get([&url])).end();
    let line = ended.refusal(1);
    assert!(line.starts_with("no space left for the store in "), "{line}");

    disk.grow(64);
    Running::spawn(place.get([&url])).end().success();
    film.matches_file(place.out("film")).unwrap();
    let requests = origin.requests();
    let resumed_at = requests.last().unwrap().range_start();
    assert!(resumed_at.is_some_and(|start| start > MIB), "{requests:#?}");
}

#[test]
fn a_disk_that_a_download_filled_is_freed_by_its_abort() {
    let origin = Origin::start();
    origin.serve("/film", Resource::new(3, 12 * MIB).etag("\"3\""));
    origin.serve("/small", Resource::new(4, MIB));
    let place = Place::new();
    let Some(disk) = SmallDisk::try_mount(&place.store(), 4) else {
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let film = origin.url("/film").to_string();
    for _ in 0..3 {
        // Each one uses up the remaining space.
        let ended = Running::spawn(place.get([&film, "--id", "x"])).end();
        assert!(ended.refusal(1).starts_with("no space left for the store in "), "{ended:#?}");
    }
    assert!(place.run(&["list"]).success()[1].contains("stopped"));
    place.run(&["pause"]).success();
    place.run(&["resume"]).success();
    assert!(place.run(&["show"]).success().iter().any(|line| line.ends_with(&film)));
    assert_eq!(place.run(&["abort"]).success(), ["aborted x"]);
    let small = origin.url("/small").to_string();
    Running::spawn(place.get([&small])).end().success();
    drop(disk);
}

#[test]
fn a_disk_that_others_filled_does_not_lock_the_commands() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let place = Place::new();
    let Some(disk) = SmallDisk::try_mount(&place.store(), 4) else {
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let urls: Vec<String> = (0..50)
        .map(|number| {
            let path = format!("/{number}");
            origin.serve(&path, Resource::new(number, 100).hold_head(&gate));
            origin.url(&path).to_string()
        })
        .collect();
    let mut arguments: Vec<&str> = urls.iter().map(String::as_str).collect();
    arguments.extend(["--id", "x"]);
    let first = Running::spawn(place.get(&arguments));
    first.event("registered");
    first.kill();
    fill(&place.store().join("somebody else's"));

    for command in [&["list"][..], &["show"], &["pause"], &["abort"], &["dismiss"], &["list"]] {
        let ended = place.run(command);
        assert_eq!(ended.code, Some(0), "{command:?}: {ended:#?}");
    }
    drop(disk);
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let error = loop {
        if let Err(error) = std::io::Write::write_all(&mut file, &[7; 512]) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_full_output_disk_loses_nothing() {
    let origin = Origin::start();
    let film = Resource::new(2, 3 * MIB);
    origin.serve("/film", film.clone());
    let place = Place::new();
    let Some(disk) = SmallDisk::try_mount(&place.path("out"), 1) else {
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let url = origin.url("/film").to_string();
    let ended = Running::spawn(place.get([&url])).end();
    let line = ended.refusal(1);
    assert!(line.starts_with("film was not saved: ") && line.contains("full"), "{line}");

    disk.grow(8);
    Running::spawn(place.get([&url])).end().success();
    film.matches_file(place.out("film")).unwrap();
    assert_eq!(origin.requests().len(), 1, "nothing was fetched again");
}
