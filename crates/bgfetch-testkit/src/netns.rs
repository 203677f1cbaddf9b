//! Network namespaces, made with the `ip` program of iproute2.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

/// A network namespace, joined to the host by a pair of virtual interfaces whose link can be taken
/// down. It is removed on drop.
///
/// Inside, the loopback interface is up and the default route leads to the host.
#[derive(Debug)]
pub struct Netns {
    /// The name of the namespace and of the host's interface.
    name: String,
    index: u16,
}

/// The interface inside the namespace.
const INSIDE: &str = "eth0";

/// How many links of four addresses fit into the block reserved for benchmarks, 198.18.0.0/15.
const LINKS: u16 = 1 << 15;

impl Netns {
    /// Creates a namespace, or returns none if that is not allowed or `ip` is not installed.
    ///
    /// # Panics
    ///
    /// If namespaces can be created but the link cannot be set up.
    #[must_use]
    pub fn try_new() -> Option<Self> {
        // The name determines the addresses, and the system allows each name only once, so
        // processes cannot take the same addresses. Starting from the process id avoids most
        // collisions.
        let first = std::process::id() as u16 % LINKS;
        for step in 0..64 {
            let index = (first + step) % LINKS;
            let name = format!("bgfetch{index}");
            let added = Command::new("ip").args(["netns", "add", &name]).output().ok()?;
            if added.status.success() {
                let netns = Self { name, index };
                return netns.connect().then_some(netns);
            }
            if !String::from_utf8_lossy(&added.stderr).contains("File exists") {
                return None;
            }
        }
        panic!("64 namespaces named bgfetch* are left over; remove them with `ip netns delete`");
    }

    /// Returns false if interfaces may not be created, for example in an unprivileged sandbox.
    fn connect(&self) -> bool {
        let name = self.name.as_str();
        let pair = ["link", "add", name, "type", "veth", "peer", "name", INSIDE, "netns", name];
        let made = Command::new("ip").args(pair).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            return false;
        }
        let host = format!("{}/30", self.host_address());
        let guest = format!("{}/30", self.guest_address());
        ip(&["address", "add", &host, "dev", name]);
        ip(&["link", "set", name, "up"]);
        ip(&["-netns", name, "link", "set", "lo", "up"]);
        ip(&["-netns", name, "address", "add", &guest, "dev", INSIDE]);
        self.link_up();
        true
    }

    /// The host's address on the link. Servers that should be reachable from inside listen on it.
    #[must_use]
    pub fn host_address(&self) -> IpAddr {
        self.address(1)
    }

    /// The namespace's address on the link.
    #[must_use]
    pub fn guest_address(&self) -> IpAddr {
        self.address(2)
    }

    fn address(&self, host: u32) -> IpAddr {
        let block = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        Ipv4Addr::from(block + 4 * u32::from(self.index) + host).into()
    }

    /// Takes the link down from inside: its routes disappear.
    pub fn link_down(&self) {
        ip(&["-netns", &self.name, "link", "set", INSIDE, "down"]);
    }

    /// Brings the link up again, with its default route.
    pub fn link_up(&self) {
        let host = self.host_address().to_string();
        ip(&["-netns", &self.name, "link", "set", INSIDE, "up"]);
        ip(&["-netns", &self.name, "route", "replace", "default", "via", &host]);
    }

    /// A command that will run inside. Its process becomes the program itself, so that signals
    /// reach the program.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The interface is removed first: a process that is still inside keeps the namespace alive,
        // but not the link.
        Command::new("ip").args(["link", "delete", &self.name]).stderr(Stdio::null()).status().ok();
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    // A second panic while a failed test unwinds would hide the first one.
    if !output.status.success() && !std::thread::panicking() {
        panic!("ip {}: {complaint}", arguments.join(" "));
    }
}
