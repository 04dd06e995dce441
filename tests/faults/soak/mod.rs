//! A soak: mail comes by LMTP, by pipe and from a mailbox at once, into one ledger, for an hour, while the application goes
//! away and fails, processes are killed, configurations are reloaded and certificates change. At the end the books are made
//! up as after a campaign, and no figure of the processes may have grown.

mod samples;
mod trouble;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::application::{Application, Mode};
use crate::campaign::{self, DRAIN, drain};
use crate::evidence::Evidence;
use crate::mail::{Class, Mail};
use crate::report::Report;
use crate::sender::send;
use crate::servers::{Dovecot, PASSWORD, USER};
use crate::site::{Mistake, Site, until};
use crate::support::postfix::{Postfix, USER as SYSTEM_USER};
use crate::support::process::run as run_command;
use crate::support::site::DOMAIN;
use samples::Samples;
use trouble::{Reader, trouble};

/// What a soak is to be.
pub struct Plan {
    pub seconds: u64,
    pub seed: u64,
    pub program: PathBuf,
    /// Where `soak.csv` goes.
    pub directory: PathBuf,
}

/// How many mails come in by each way.
const PER_SECOND: usize = 5;

/// The ways that mail comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Lmtp,
    Pipe,
    Mailbox,
}

impl Way {
    const ALL: [Self; 3] = [Self::Lmtp, Self::Pipe, Self::Mailbox];

    /// The way of a message. What lies in a mailbox has no envelope: a second recipient and a null sender cannot be told there.
    fn of(number: usize, mail: &Mail) -> Self {
        match Self::ALL[number % Self::ALL.len()] {
            Self::Mailbox
                if mail.comes_twice
                    || mail.recipients.len() > 1
                    || !matches!(mail.recipients[0].class, Class::Webhook | Class::Gitlab) =>
            {
                Self::Lmtp
            }
            way => way,
        }
    }
}

/// Everything that runs.
struct Soak {
    site: Site,
    /// Hands the same mail over through pipe.
    pipe: Postfix,
    dovecot: Dovecot,
    application: Application,
    reader: Reader,
}

/// Runs it, writes `soak.csv`, prints what it found; panics if anything is wrong.
pub fn run(plan: Plan) {
    let messages = plan.seconds as usize * PER_SECOND * Way::ALL.len();
    let soak = Soak::start(&plan);
    let (started, stop, submissions) = (Instant::now(), AtomicBool::new(false), AtomicUsize::new(0));
    let (mut samples, mut played) = (Samples::default(), Default::default());
    thread::scope(|scope| {
        let sampler = scope.spawn(|| Samples::take(&soak, started, &stop));
        let troubles = scope.spawn(|| trouble(&soak, &plan, started, &stop));
        let senders = Way::ALL.map(|way| {
            let (soak, submissions, seed) = (&soak, &submissions, plan.seed);
            scope.spawn(move || soak.send_all(way, seed, messages, submissions))
        });
        let sent = senders.map(|sender| sender.join());
        stop.store(true, Ordering::SeqCst);
        assert!(sent.iter().all(Result::is_ok), "mail could not be sent");
        played = troubles.join().unwrap();
        samples = sampler.join().unwrap();
    });
    let troubled = started.elapsed();
    samples.write(&plan.directory);
    let plan = campaign::Plan { way: campaign::Way::Lmtp, seed: plan.seed, messages, per_second: PER_SECOND * 3 };
    let evidence = soak.finish(plan);
    let mut report =
        Report { plan, submissions: submissions.into_inner(), played, troubled, whole: started.elapsed(), evidence };
    report.evidence.wrong.extend(samples.growth());
    println!("{samples}");
    report.print_and_judge();
}

impl Soak {
    fn start(plan: &Plan) -> Self {
        let dovecot = Dovecot::start();
        let mut site = Site::prepare_soak(&plan.program, inbox(dovecot.imaps()));
        site.write_secret("password", PASSWORD);
        site.write_secret("mailbox.pem", &certificate(&dovecot));
        let application = Application::start(&site.postfix.path("run"), plan.seed);
        site.start();
        let pipe = pipe(&site);
        let reader = Reader::default();
        reader.start(&site);
        Self { site, pipe, dovecot, application, reader }
    }

    /// Sends each message of a way in its turn.
    fn send_all(&self, way: Way, seed: u64, messages: usize, submissions: &AtomicUsize) {
        let start = Instant::now();
        let first = Way::ALL.iter().position(|each| *each == way).unwrap();
        for number in (first..messages).step_by(Way::ALL.len()) {
            let turn = start + Duration::from_millis((number * 1000 / PER_SECOND / Way::ALL.len()) as u64);
            thread::sleep(turn.saturating_duration_since(Instant::now()));
            let mail = Mail::new(seed, number);
            for _ in 0..1 + usize::from(mail.comes_twice) {
                let tries = match Way::of(number, &mail) {
                    Way::Lmtp => send(self.site.postfix.port(), &mail),
                    Way::Pipe => send(self.pipe.port(), &mail),
                    Way::Mailbox => {
                        self.dovecot.deliver(number, &mail.text);
                        1
                    }
                };
                submissions.fetch_add(tries, Ordering::SeqCst);
            }
        }
    }

    /// Everything works; waits until nothing is left to do, and makes up the books.
    fn finish(&self, plan: campaign::Plan) -> Evidence {
        self.application.set(Mode::Works);
        self.site.configure(Mistake::None);
        self.site.write_secret("mailbox.pem", &certificate(&self.dovecot));
        self.site.start_service();
        self.site.reload_service();
        self.reader.start(&self.site);
        self.reader.reload();
        let mut client = self.dovecot.client();
        let read = until(DRAIN, || {
            run_command(&mut self.site.mailhatch(&["inbox", "retry", "soak"]));
            self.pipe.flush();
            thread::sleep(Duration::from_secs(1));
            client.status("INBOX", "MESSAGES") == 0 && self.pipe.queue().is_empty()
        });
        drain(&self.site);
        self.site.stop_service();
        self.reader.stop();
        let mut evidence = Evidence::gather(std::slice::from_ref(&self.site), &self.application, plan);
        evidence.read_postfix(&self.pipe);
        if !read {
            let left = client.status("INBOX", "MESSAGES");
            evidence.wrong.push(format!("{left} messages are left in the mailbox after {DRAIN:?}"));
        }
        evidence
    }
}

/// A second Postfix, which starts a process of the site's mailhatch for each message.
fn pipe(site: &Site) -> Postfix {
    let mut postfix = Postfix::prepare();
    let program = format!("{} --config {}", site.wrapper().display(), site.config().display());
    let wired =
        postfix.wire(&["enable", "--yes", "--variant", "pipe", "--program", &program, "--user", SYSTEM_USER, DOMAIN]);
    assert!(wired.status.success(), "{wired:?}");
    postfix.set(&["maximal_backoff_time=3s"]);
    postfix.start();
    postfix
}

fn certificate(dovecot: &Dovecot) -> String {
    std::fs::read_to_string(dovecot.path("tls.pem")).unwrap()
}

/// The mailbox; what is done is deleted, as GitLab has it.
fn inbox(port: u16) -> String {
    format!(
        "[[inbox]]\nname = \"soak\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{USER}\"\n\
         password_file = \"{{dir}}/password\"\nca_file = \"{{dir}}/mailbox.pem\"\nsince = \"all\"\n\
         delete_after_delivery = true\nexpunge_deleted = true\n"
    )
}
