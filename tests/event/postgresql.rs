//! An application of a few lines that keeps all that an event says in PostgreSQL, which takes no NUL, no lone surrogate and no
//! octet that is not UTF-8: the mail of other projects, and our own cases, without one error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mailhatch::app::Answer;

use crate::app::{KEY, Setup};
use crate::support::needs;
use crate::support::parts::{corpus, is_root};
use crate::support::postfix::USER;
use crate::support::process::{Process, run, succeed};
use crate::support::wait::wait_until;

/// A private server that listens on a Unix socket in its directory.
struct Postgresql {
    directory: tempfile::TempDir,
    programs: PathBuf,
    _server: Process,
}

impl Postgresql {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("mh-pg-").tempdir().unwrap();
        let versions = fs::read_dir("/usr/lib/postgresql").expect("Debian's PostgreSQL");
        let programs = versions.map(|version| version.unwrap().path().join("bin")).max().expect("a version");
        if is_root() {
            // PostgreSQL does not run as root.
            succeed(Command::new("chown").arg(USER).arg(directory.path()));
        }
        let data = directory.path().join("data");
        succeed(
            as_user(&programs.join("initdb")).args(["-N", "-A", "trust", "-U", "owner", "-E", "UTF8", "-D"]).arg(&data),
        );
        let mut server = as_user(&programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(directory.path()).args(["-F", "-c", "listen_addresses="]);
        let server = Process::start(server.stdout(Stdio::null()).stderr(Stdio::null()));
        let started = Self { directory, programs, _server: server };
        wait_until("PostgreSQL", || run(&mut started.client("select 1")).status.success());
        started
    }

    fn client(&self, query: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-A", "-t", "-c", query]).arg(self.connection());
        command
    }

    fn connection(&self) -> String {
        format!("host={} user=owner dbname=postgres", self.directory.path().display())
    }

    fn ask(&self, query: &str) -> String {
        String::from_utf8(succeed(&mut self.client(query)).stdout).unwrap().trim().to_owned()
    }
}

fn as_user(program: &Path) -> Command {
    let mut command = Command::new(if is_root() { Path::new("setpriv") } else { program });
    if is_root() {
        command.args(["--reuid", USER, "--regid", "nogroup", "--clear-groups"]).arg(program);
    }
    command.current_dir("/");
    command
}

fn messages() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/event/cases");
    let (mut folders, mut messages) = (vec![corpus().join("mail"), cases], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { messages.push(path) }
        }
    }
    messages
}

#[needs(corpus, postgresql, python3)]
#[tokio::test]
async fn an_application_of_20_lines_keeps_every_event_of_the_corpus() {
    let database = Postgresql::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/store_in_postgresql.py");
    // Debian's own, which has Debian's psycopg2.
    let mut application = Command::new("/usr/bin/python3");
    application.arg(script).arg("0").arg(database.connection()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut application = Process::start(&mut application);
    let port = application.lines().next();
    let parts = "parts = [\"body\", \"attachments\", \"reply\", \"raw\"]";
    let setup = Setup::webhook(&format!("http://127.0.0.1:{port}/"), parts);
    let (app, messages) = (setup.app(), messages());
    assert!(messages.len() > 300, "{} messages", messages.len());
    let mut ids = std::collections::BTreeSet::new();
    for path in &messages {
        let event = setup.event(KEY, fs::read(path).unwrap());
        let answer = app.hand_over(&event).await;
        assert!(matches!(answer, Ok(Answer::Delivered { .. })), "{}: {answer:?}", path.display());
        ids.insert(event.id.as_str().to_owned());
    }
    assert_eq!(database.ask("select count(*) from mail"), ids.len().to_string());
    let told = "select count(*) from mail where body is distinct from event #>> '{data,message,text}'";
    assert_eq!(database.ask(told), "0", "each text is kept as the event has it");
}
