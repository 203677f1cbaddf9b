//! What a terminal shows: lines that are drawn in place of others, and those that stay.

use std::process::Command;

use bgfetch_testkit::{Gate, MIB, Origin, Reply, Resource, Serve as _};
use unicode_width::UnicodeWidthChar as _;

use crate::fixture::{Ended, PROGRAM, Place, Running, held_film, wait_until};

/// A program on a terminal of its own.
struct Terminal {
    width: usize,
    height: usize,
}

/// What a terminal has shown.
#[derive(Debug, Default)]
struct Shown {
    rows: Vec<String>,
    row: usize,
    /// The screens before a line was drawn in place of another.
    earlier: Vec<Vec<String>>,
}

impl Terminal {
    /// The command on this terminal; one word for the shell each.
    fn command(&self, place: &Place, words: &[&str]) -> Command {
        let mut line = format!("stty cols {} rows {}; exec {PROGRAM}", self.width, self.height);
        let store = place.store();
        let store = ["--store", store.to_str().unwrap()];
        for word in words.iter().chain(&store) {
            line.extend([" '", word, "'"]);
        }
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("LANG", "C.UTF-8");
        script
    }

    /// Shows what a command has written.
    ///
    /// # Panics
    ///
    /// If a line is wider than the terminal, or a screen too high.
    fn show(&self, ended: &Ended) -> Shown {
        let written = ended.stdout.join("\n");
        let mut shown = Shown::default();
        let mut rest = written.as_str();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '\u{1b}' {
                shown.put(c, self.width);
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            match (&rest[..end], &rest[end..=end]) {
                ("[0", "J") => {
                    let screen = shown.rows.split_off(shown.row.min(shown.rows.len()));
                    assert!(screen.len() < self.height.max(2), "{screen:#?}");
                    shown.earlier.push(screen);
                }
                (up, "A") => shown.row -= up[1..].parse::<usize>().unwrap(),
                other => panic!("{other:?} in {written:?}"),
            }
            rest = &rest[end + 1..];
        }
        shown
    }
}

impl Shown {
    fn put(&mut self, c: char, width: usize) {
        match c {
            '\n' => self.row += 1,
            '\r' => {}
            c => {
                self.rows.resize(self.rows.len().max(self.row + 1), String::new());
                let row = &mut self.rows[self.row];
                row.push(c);
                let cells: usize = row.chars().map(|c| c.width().expect(row)).sum();
                assert!(cells <= width, "too wide for {width}: {row}");
            }
        }
    }

    /// The line that stays with this text.
    fn line(&self, part: &str) -> &str {
        let mut lines = self.rows.iter().filter(|line| line.contains(part));
        let line = lines.next().unwrap_or_else(|| panic!("{part} in {self:#?}"));
        assert_eq!(lines.next(), None, "{part} in {self:#?}");
        line
    }

    /// The first screen with this text.
    fn screen(&self, part: &str) -> &[String] {
        let has = |screen: &&Vec<String>| screen.iter().any(|line| line.contains(part));
        self.earlier.iter().find(has).unwrap_or_else(|| panic!("{part} in {self:#?}"))
    }
}

const TERMINALS: [Terminal; 3] = [
    Terminal { width: 80, height: 24 },
    Terminal { width: 40, height: 10 },
    Terminal { width: 200, height: 50 },
];

/// Names that are wide, that combine, and that command a terminal.
fn names() -> [String; 3] {
    ["文件名字".repeat(50), "e\u{301}".repeat(100), "a\u{1b}[2J\u{7}\r\u{202e}b".repeat(20)]
}

#[test]
fn whatever_the_names_each_file_has_a_line_and_the_total_is_seen_while_paused() {
    for terminal in TERMINALS {
        let (origin, gate, place) = (Origin::start(), Gate::new(), Place::new());
        let url = |name: &str| origin.url(&format!("/{name}.bin"));
        let urls = names().map(|name| url(&name));
        for (seed, url) in (1..).zip(&urls) {
            let film = Resource::new(seed, 2 * MIB).etag("\"1\"");
            origin.serve(url.path(), film.clone().hold_at(MIB, &gate).then(film));
        }
        let gone = url(&format!("{}-gone", names()[0]));
        origin.serve(gone.path(), Reply::status(404));
        let out = place.path("out");
        let words = ["get", "--id", &names()[0], "--out", out.to_str().unwrap()];
        let urls = urls.iter().chain([&gone]).map(url::Url::as_str);
        let words: Vec<_> = words.into_iter().chain(urls).collect();
        let running = Running::spawn(terminal.command(&place, &words));
        (0..3).for_each(|_| gate.blocking_reached());
        running.line(|line| line.contains("3.00 MiB/6.00 MiB"));
        place.run(&["pause"]).success();
        running.line(|line| line.contains(" – paused"));
        place.run(&["resume"]).success();
        gate.open();
        let ended = running.end();
        assert_eq!(ended.code, Some(1), "{ended:#?}");

        let shown = terminal.show(&ended);
        let paused = shown.screen(" – paused");
        assert_eq!(paused.len(), 6, "a heading, a line each, and the total: {paused:#?}");
        let total = paused.last().unwrap();
        assert!(total.contains("3.00 MiB/6.00 MiB") && total.contains("1/4 files"), "{total}");
        let failed = shown.line("404, no such file; check");
        assert!(failed.contains("…") || terminal.width == 200, "{failed}");
        shown.line("saved 3 files that succeeded, to ");
        shown.line("failed: 1 of 4 files");
    }
}

#[test]
fn watch_shows_states_and_bytes_whatever_the_ids() {
    for terminal in TERMINALS {
        let (origin, place) = (Origin::start(), Place::new());
        let [(film, gate), (song, other)] = [held_film(1), held_film(2)];
        origin.serve("/film", film.hold_at(MIB, &gate));
        origin.serve("/song", song.hold_at(MIB, &other));
        let get = |path: &str, id: &str| {
            Running::spawn(place.get([origin.url(path).as_str(), "--id", id]))
        };
        let owner = get("/film", &names()[0]);
        gate.blocking_reached();
        let hand = get("/song", &names()[2]);
        other.blocking_reached();
        let watch = Running::spawn(terminal.command(&place, &["watch"]));
        watch.line(|line| line.contains("1.00 MiB of 2.00 MiB"));
        place.run(&["pause", &names()[0]]).success();
        watch.line(|line| line.contains("paused   1.00 MiB of 2.00 MiB"));
        place.run(&["resume", &names()[0]]).success();
        [&gate, &other].into_iter().for_each(Gate::open);
        owner.end();
        hand.end();
        let shown = terminal.show(&watch.end());
        let paused = shown.screen("paused ");
        assert_eq!(paused.len(), 3, "{paused:#?}");
        assert!(paused[2].contains("running  1.00 MiB of 2.00 MiB"), "{paused:#?}");
        let ended = shown.rows.iter().filter(|line| line.ends_with(": success, 2.00 MiB"));
        assert_eq!(ended.count(), 2, "{shown:#?}");
    }
}

#[test]
fn bytes_that_are_fetched_again_are_called_so() {
    let terminal = Terminal { width: 80, height: 24 };
    for (form, there, told) in [
        (None, "1.00 MiB/2.00 MiB", "  fetched again"),
        (Some("--no-proxy"), "1.00 MiB", "fetching again what was there: 1.00 MiB before"),
        (Some("--json"), "\"downloaded\":1048576", "\"downloaded_before\":1048576"),
    ] {
        let (origin, place) = (Origin::start(), Place::new());
        let [(film, gate), (_, again)] = [held_film(1), held_film(1)];
        // It does not know ranges.
        let answers = Gate::new();
        let whole = film.clone().with_status(200).hold_at(MIB / 2, &again).hold_head(&answers);
        origin.serve("/film", film.clone().hold_at(MIB, &gate).then(whole));
        let (url, out) = (origin.url("/film").to_string(), place.path("out"));
        let first = Running::spawn(place.get([&url]));
        gate.blocking_reached();
        wait_until(|| place.run(&["list"]).success()[1].contains("1.00 MiB of 2.00 MiB"));
        first.signal("INT");
        first.end();
        let second = match form {
            None => terminal.command(&place, &["get", &url, "--out", out.to_str().unwrap()]),
            Some(form) => place.get_plain([&url, form]),
        };
        let second = Running::spawn(second);
        second.line(|line| line.contains(there));
        answers.open();
        second.line(|line| line.contains(told));
        again.open();
        assert_eq!(second.end().code, Some(0));
        film.matches_file(place.out("film")).unwrap();
    }
}
