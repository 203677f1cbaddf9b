//! The server is killed in the middle of a download, and the next one continues.

// A panic in a helper fails its test, as intended.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bgfetch_testkit::{DEADLINE, Gate, MIB, Origin, Resource, Serve};
use rustix::process::{Pid, Signal, kill_process};

struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    /// What it printed besides its address.
    printed: String,
    address: String,
}

impl Server {
    fn start(base: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bgfetch-embed-server"));
        command.arg(base.join("state")).arg(base.join("files")).arg("0");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        // A fetch of an earlier server may settle first.
        let mut printed = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server has ended");
            match line.trim().strip_prefix("listening on ") {
                Some(address) => break address.to_owned(),
                None => printed.push_str(&line),
            }
        };
        Self { process, output, printed, address }
    }

    /// Sends a request. The response ends with the connection, as in HTTP/1.0.
    fn request(&self, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        let length = body.len();
        write!(connection, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        BufReader::new(connection)
    }

    /// The status and the rest of the response.
    fn post(&self, path: &str, body: &str) -> (String, String) {
        let mut response = String::new();
        self.request("POST", path, body).read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    /// The data of the events.
    fn events(&self) -> impl Iterator<Item = serde_json::Value> + use<> {
        let lines = self.request("GET", "/events", "").lines().map(Result::unwrap);
        lines.filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
    }

    /// Asks the server to end, and returns all that it printed besides its address.
    fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        self.output.read_to_string(&mut self.printed).unwrap();
        assert!(self.process.wait().unwrap().success());
        self.printed.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_download_continues_after_a_kill_and_is_told_once() {
    let (origin, film) = (Origin::start(), Resource::new(1, 3 * MIB).etag("\"v1\""));
    origin.serve("/film.mp4", film.clone().hold_at(MIB, &Gate::new()).then(film.clone()));
    let base = tempfile::tempdir().unwrap();

    let server = Server::start(base.path());
    let url = origin.url("/film.mp4").to_string();
    assert_eq!(server.post("/fetches/film?total=3145728", &url).0, "200");
    let mut events = server.events();
    let first = events.next().unwrap();
    assert_eq!(first["changed"]["display"]["pause_reason"], "user");
    assert!(origin.requests().is_empty(), "nobody has allowed it yet");
    assert_eq!(server.post("/fetches/film/allow", "").0, "200");
    assert!(events.any(|event| event["changed"]["display"]["downloaded"] == MIB));
    drop(server);

    let server = Server::start(base.path());
    let mut events = server.events();
    let last = events.find(|event| event["changed"]["display"]["over"] == true).unwrap();
    assert_eq!(last["changed"]["display"]["downloaded"], 3 * MIB);
    film.verify(0, &std::fs::read(base.path().join("files/0-0")).unwrap()).unwrap();
    let requests = origin.requests();
    let ranges: Vec<_> = requests.iter().map(|request| request.range_start()).collect();
    assert_eq!(ranges, [None, Some(MIB)]);
    assert_eq!(server.end(), "backgroundfetchsuccess film\n");
    assert!(events.next().is_none(), "the stream ends with the engine");

    // Nothing is left to tell.
    assert_eq!(Server::start(base.path()).end(), "");
}

#[test]
fn what_does_not_fit_and_what_the_user_refuses_is_not_fetched() {
    let (origin, base) = (Origin::start(), tempfile::tempdir().unwrap());
    origin.serve("/film.mp4", Resource::new(1, MIB));
    let server = Server::start(base.path());
    let url = origin.url("/film.mp4").to_string();
    let (status, reason) = server.post("/fetches/huge?total=99999999999", &url);
    assert_eq!(status, "400");
    assert!(reason.contains("quota"), "{reason}");
    assert_eq!(server.post("/fetches/film", &url).0, "200");
    assert_eq!(server.post("/fetches/film/refuse", "").0, "200");
    let mut events = server.events();
    assert!(events.any(|event| event["changed"]["display"]["over"] == true));
    assert!(origin.requests().is_empty());
    assert_eq!(server.post("/fetches/unknown/allow", "").0, "400");
    assert_eq!(server.end(), "backgroundfetchabort film\n");
}
