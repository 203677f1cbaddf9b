//! Namespaces and memory of child processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use bgfetch_testkit::{MIB, MemoryWatch, Netns, Origin, Resource, peak_memory};

/// Requests `/a` from inside and returns whether a response arrived.
fn answers(netns: &Netns, origin: &Origin) -> bool {
    let address = origin.address();
    let script = format!(
        "exec 3<>/dev/tcp/{}/{} && printf 'GET /a HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3",
        address.ip(),
        address.port()
    );
    netns.command("bash").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_namespace_reaches_the_host_while_its_link_is_up() {
    // Not every machine allows tests to create namespaces.
    let Some(netns) = Netns::try_new() else {
        return;
    };
    let origin = Origin::start_on(netns.host_address());
    origin.serve("/a", Resource::new(1, 10));
    assert!(answers(&netns, &origin));
    netns.link_down();
    assert!(!answers(&netns, &origin));
    netns.link_up();
    assert!(answers(&netns, &origin));
    assert_ne!(netns.host_address(), netns.guest_address());
}

#[test]
fn two_namespaces_live_side_by_side_and_are_removed() {
    let (Some(one), Some(two)) = (Netns::try_new(), Netns::try_new()) else {
        return;
    };
    assert_ne!(one.host_address(), two.host_address());
    let address = one.host_address().to_string();
    let has_address = || {
        let output = Command::new("ip").args(["-o", "address"]).output().unwrap();
        let needle = format!(" {address}/");
        String::from_utf8_lossy(&output.stdout).contains(&needle)
    };
    assert!(has_address());
    drop(one);
    assert!(!has_address());
}

#[test]
fn the_peak_of_a_child_is_its_own() {
    // This process is enlarged, so that a peak inherited from it would show.
    let ballast = vec![1_u8; 256 * MIB as usize];
    let mut child = Command::new("sh")
        .args(["-c", "read go; x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo grown; read end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let small = peak_memory(child.id()).unwrap();
    assert!(small > 0 && small < 20 * MIB, "{small}");

    let memory = MemoryWatch::of(&child);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"go\n").unwrap();
    let mut grown = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut grown).unwrap();
    assert_eq!(grown, "grown\n");
    let peak = memory.peak();
    assert!(peak > 30_000_000 && peak < ballast.len() as u64, "{peak}");

    input.write_all(b"end\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(peak_memory(child.id()), None);
}
