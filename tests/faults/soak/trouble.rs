//! The troubles of a soak. Each is over before the next one comes, and most of the time nothing is wrong: what is looked at
//! is what a process keeps of them.

use std::fs::File;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Plan, Soak, certificate};
use crate::application::{HANG, Mode};
use crate::seed::Seed;
use crate::site::{Mistake, Site};
use crate::support::http_server::Fault;
use crate::support::process::Process;
use crate::trouble::Played;

/// `mailhatch fetch`.
#[derive(Default)]
pub struct Reader(Mutex<Option<Process>>);

impl Reader {
    /// Starts it if it does not run.
    pub fn start(&self, site: &Site) {
        let mut reader = self.0.lock().unwrap();
        if reader.as_mut().is_none_or(|process| process.ended().is_some()) {
            let log = File::options().create(true).append(true).open(site.log_file()).unwrap();
            *reader = Some(Process::start(site.mailhatch(&["fetch"]).stdin(Stdio::null()).stderr(log)));
        }
    }

    pub fn id(&self) -> Option<u32> {
        self.0.lock().unwrap().as_ref().map(Process::id)
    }

    /// SIGKILL.
    fn kill(&self) {
        drop(self.0.lock().unwrap().take());
    }

    /// SIGHUP.
    pub fn reload(&self) {
        if let Some(process) = &*self.0.lock().unwrap() {
            process.signal(Signal::SIGHUP);
        }
    }

    /// SIGTERM; it must end well.
    pub fn stop(&self) {
        if let Some(mut process) = self.0.lock().unwrap().take() {
            process.signal(Signal::SIGTERM);
            let status = process.wait();
            assert!(status.success(), "SIGTERM ended mailhatch fetch with {status}");
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Nobody listens where the application was.
    ApplicationKilled,
    /// It fails in one way after the other.
    ApplicationFails,
    ApplicationHangs,
    /// SIGHUP to serve and fetch.
    Reload,
    /// The application shows a certificate that is not trusted, until it has its own again.
    ApplicationCertificate,
    /// The mail server has another certificate; a moment later, `ca_file` has it too.
    MailboxCertificate,
    SessionsEnded,
    PipeKilled,
    ServeKilled,
    FetchKilled,
}

/// Plays until it is told to stop. Services are killed in the first quarter only: the process of the second quarter is that
/// of the last, and can be compared with itself.
pub fn trouble(soak: &Soak, plan: &Plan, started: Instant, stop: &AtomicBool) -> Played {
    use Trouble::*;
    let quarter = Duration::from_secs(plan.seconds / 4);
    let mut random = Seed::new(plan.seed, 4);
    let mut played = Played::new();
    loop {
        let mut deck = vec![
            ApplicationKilled,
            ApplicationFails,
            ApplicationHangs,
            Reload,
            Reload,
            ApplicationCertificate,
            MailboxCertificate,
            SessionsEnded,
            PipeKilled,
            PipeKilled,
            PipeKilled,
        ];
        deck.extend([ServeKilled, FetchKilled]);
        random.shuffle(&mut deck);
        for trouble in deck {
            if stop.load(Ordering::SeqCst) {
                return played;
            }
            if matches!(trouble, ServeKilled | FetchKilled) && started.elapsed() + Duration::from_secs(10) > quarter {
                continue;
            }
            *played.entry(format!("{trouble:?}")).or_default() += 1;
            cause(soak, trouble, &mut random);
            sleep(random.time(2000, 6000));
        }
    }
}

fn cause(soak: &Soak, trouble: Trouble, random: &mut Seed) {
    let Soak { site, application, reader, dovecot, .. } = soak;
    let reload = || {
        site.reload_service();
        reader.reload();
    };
    let with = |mode, time| {
        application.set(mode);
        sleep(time);
        application.set(Mode::Works);
    };
    match trouble {
        Trouble::ApplicationKilled => with(Mode::Gone, random.time(500, 4000)),
        Trouble::ApplicationFails => with(Mode::Mixed, random.time(500, 4000)),
        Trouble::ApplicationHangs => with(Mode::Fails(Fault::Hang), HANG),
        Trouble::Reload => reload(),
        Trouble::ApplicationCertificate => {
            site.configure(Mistake::UntrustedCertificate);
            reload();
            sleep(random.time(500, 2000));
            site.configure(Mistake::None);
            reload();
        }
        Trouble::MailboxCertificate => {
            dovecot.change_certificate();
            sleep(random.time(500, 2000));
            site.write_secret("mailbox.pem", &certificate(dovecot));
            reload();
        }
        Trouble::SessionsEnded => dovecot.kick(),
        Trouble::PipeKilled => {
            // Most of the time there is none: each has one message.
            for _ in 0..200 {
                let before = site.kills().len();
                site.kill_a_pipe(random.next());
                if site.kills().len() > before {
                    return;
                }
                sleep(Duration::from_millis(5));
            }
        }
        Trouble::ServeKilled => {
            site.kill(0);
            sleep(random.time(0, 2000));
            site.start_service();
        }
        Trouble::FetchKilled => {
            reader.kill();
            site.note_kill();
            sleep(random.time(0, 2000));
            reader.start(site);
        }
    }
}
