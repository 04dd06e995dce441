//! What can go wrong on this host while `mailhatch fetch` reads: the process is stopped and goes on, the clock jumps, the
//! ledger is locked, its disk is full. While it waits for mail, and while the application has a message. Each ends with every
//! message handed over once, and with other people's mail as it was.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::servers::{Dovecot, LIMIT, wait_for};
use crate::site::Fetch;
use crate::support::needs;
use crate::support::process::run;
use crate::trial::{DELETE, DONE, KEEP, MOVE, OURS, Trial, as_filled, fill};

/// When it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// Before anything has come in.
    Idle,
    /// The application has the first message, and has not answered.
    Asked,
}

use Moment::{Asked, Idle};

/// A reader that something happens to.
struct Scene {
    server: Dovecot,
    trial: Trial,
    running: Fetch,
    moment: Moment,
    asked: Receiver<()>,
    go: Sender<()>,
}

impl Scene {
    /// What the application is asked first is answered when it may go on.
    fn begin(moment: Moment, more: &str, environment: &[(&str, &str)], prepare: impl FnOnce(&Trial)) -> Self {
        let server = Dovecot::start();
        let ((is_asked, asked), (go, may_go)) = (channel(), channel());
        let first = Arc::new(Mutex::new((moment == Asked).then_some((is_asked, may_go))));
        let answer = move || {
            let first = first.lock().unwrap().take();
            if let Some((is_asked, may_go)) = first {
                is_asked.send(()).unwrap();
                let _: Result<(), _> = may_go.recv_timeout(LIMIT);
            }
        };
        let trial = Trial::new(server.imap(), &format!("idle_timeout = \"5s\"\n{more}"), answer);
        prepare(&trial);
        let running = trial.site.fetch_with(environment);
        running.wait_log("event=connect");
        let scene = Self { server, trial, running, moment, asked, go };
        if moment == Asked {
            scene.fill();
            scene.asked.recv_timeout(LIMIT).expect("the application to be asked");
        }
        scene
    }

    fn fill(&self) {
        fill(&mut self.server.client());
    }

    /// The mail comes in, or the application answers: in the middle of the trouble.
    fn go_on(&self) {
        match self.moment {
            Idle => self.fill(),
            Asked => self.go.send(()).unwrap(),
        }
    }

    /// All is well again.
    fn end(self, name: &str, more: &str) -> String {
        let mut client = self.server.client();
        wait_for(&format!("{name}: all messages"), || (self.trial.app.requests().len() >= OURS).then_some(()));
        wait_for(&format!("{name}: the marks"), || {
            let listed = client.flags("INBOX");
            let is_shown = match more {
                KEEP => listed.iter().filter(|(_, flags)| flags == DONE).count() == OURS,
                _ => listed.len() == 3,
            };
            is_shown.then_some(())
        });
        let log = self.running.log();
        self.running.stop();
        self.trial.read_on();
        self.trial.check(name, more, &as_filled(&self.server), &mut client, &log);
        log
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn a_process_that_was_stopped_goes_on() {
    for (name, moment, is_kicked, more) in [
        ("longer than an IDLE lasts", Idle, false, KEEP),
        ("and the server ended the session meanwhile", Idle, true, DELETE),
        ("while the application has a message", Asked, false, MOVE),
        ("while the application has a message, and the server ended the session", Asked, true, KEEP),
    ] {
        let scene = Scene::begin(moment, more, &[], |_| ());
        scene.running.signal(Signal::SIGSTOP);
        scene.go_on();
        if is_kicked {
            scene.server.kick();
        }
        std::thread::sleep(Duration::from_secs(7));
        assert!(
            scene.trial.app.requests().len() <= 4 && !scene.running.log().contains("verdict="),
            "it was not stopped"
        );
        scene.running.signal(Signal::SIGCONT);
        scene.end(name, more);
    }
}

#[needs(dovecot_imap, faketime, root)]
#[test]
fn a_clock_that_jumps_costs_nothing() {
    let library = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut library = library.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let library = library.find(|path| path.exists()).expect("libfaketime");
    let clock = tempfile::NamedTempFile::new().unwrap();
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.path().to_str().unwrap()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let set = |offset: &str| std::fs::write(clock.path(), format!("{offset}\n")).unwrap();
    for (offset, moment, more) in [
        ("+1h", Idle, KEEP),
        ("-1h", Idle, DELETE),
        ("+1h", Asked, MOVE),
        ("-1h", Asked, KEEP),
        ("+40d", Asked, KEEP),
        ("-40d", Idle, KEEP),
    ] {
        set("+0");
        let scene = Scene::begin(moment, more, &environment, |_| ());
        set(offset);
        // What was read of the clock holds for a second.
        std::thread::sleep(Duration::from_millis(1200));
        scene.go_on();
        let log = scene.end(offset, more);
        assert!(!log.contains("verdict=deferred"), "{offset}: {log}");
    }
}

#[needs(dovecot_imap, root)]
#[test]
fn a_locked_ledger_costs_nothing() {
    for (name, moment, more) in [
        ("before a message begins", Idle, KEEP),
        ("while the application has a message", Asked, KEEP),
        ("while the application has a message that is to go", Asked, DELETE),
    ] {
        let scene = Scene::begin(moment, more, &[], |_| ());
        let ledger = rusqlite::Connection::open(scene.trial.state().join("ledger.sqlite")).unwrap();
        ledger.busy_timeout(Duration::from_secs(10)).unwrap();
        ledger.execute_batch("BEGIN EXCLUSIVE").unwrap();
        scene.go_on();
        scene.running.wait_log("ledger");
        drop(ledger);
        scene.end(name, more);
    }
}

#[needs(dovecot_imap, mounts, root)]
#[test]
fn a_full_disk_costs_nothing() {
    for (name, moment, more) in [
        ("before a message begins", Idle, KEEP),
        ("while the application has a message", Asked, KEEP),
        ("while the application has a message that is to go", Asked, MOVE),
    ] {
        let mut disk = None;
        let scene = Scene::begin(moment, more, &[], |trial| disk = Some(Disk::mount(&trial.state())));
        let in_the_way = disk.as_ref().unwrap().fill();
        scene.go_on();
        scene.running.wait_log("full");
        std::fs::remove_file(in_the_way).unwrap();
        scene.end(name, more);
    }
}

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let done = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(directory));
        assert!(done.status.success(), "{done:?}");
        Self(directory.to_owned())
    }

    /// Not one octet more; gives what is in the way.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("in-the-way");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0));
    }
}
