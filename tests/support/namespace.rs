//! A network of its own for some programs, with one cable to ours that can be pulled: what is on its way is lost, and neither
//! side hears of it.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::process::{run, succeed};

/// A network namespace (ip-netns(8)); gone when dropped.
pub struct Namespace {
    name: String,
    cable: String,
    number: usize,
}

impl Namespace {
    /// With a cable to the network that the test runs in.
    #[track_caller]
    pub fn with_cable() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Of the networks for benchmarks (RFC 2544), 198.18.0.0/15, each has four addresses.
        let number = (std::process::id() as usize * 8 + COUNT.fetch_add(1, Ordering::SeqCst)) % (1 << 15);
        let this = Self { name: format!("mailhatch-{number}"), cable: format!("mh{number}"), number };
        let (name, cable) = (&this.name, &this.cable);
        ip(&["netns", "add", name]);
        ip(&["link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", name]);
        ip(&["addr", "add", &format!("{}/30", this.outside()), "dev", cable]);
        ip(&["link", "set", cable, "up"]);
        ip(&["-n", name, "addr", "add", &format!("{}/30", this.inside()), "dev", "cable"]);
        ip(&["-n", name, "link", "set", "cable", "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        this
    }

    /// The address of what runs in it.
    pub fn inside(&self) -> String {
        self.address(2)
    }

    /// Ours, as it is seen from inside.
    pub fn outside(&self) -> String {
        self.address(1)
    }

    fn address(&self, host: usize) -> String {
        let at = self.number * 4 + host;
        format!("198.{}.{}.{}", 18 + (at >> 16), at >> 8 & 255, at & 255)
    }

    /// Runs a program in it: the same process, with its own id.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Pulls the cable.
    pub fn cut(&self) {
        ip(&["link", "set", &self.cable, "down"]);
    }

    pub fn fix(&self) {
        ip(&["link", "set", &self.cable, "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the cable goes with it, and so does ours.
        run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    succeed(Command::new("ip").args(arguments));
}
