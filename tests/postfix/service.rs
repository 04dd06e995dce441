//! mailhatch behind the private Postfix: its configuration, its service, what it wrote.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::instance::{Postfix, USER, chown, wait_for};
use crate::smtp::Submission;
use crate::support::name_server::NameServer;

/// How Postfix hands mail over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Lmtp,
    Pipe,
}

/// The domain that goes to mailhatch.
pub const DOMAIN: &str = "mail.example.com";

/// The mailbox of most tests.
pub const INCOMING: &str = r#"
[[mailbox]]
name = "incoming"
address = "incoming+%{key}@mail.example.com"
app = "spool"
"#;

/// Postfix and mailhatch, wired together.
pub struct Site {
    pub postfix: Postfix,
    pub variant: Variant,
    auth: String,
    service: Option<Child>,
}

/// What the spool application got.
#[derive(Debug)]
pub struct Delivered {
    pub event: serde_json::Value,
    pub message: Vec<u8>,
}

impl Delivered {
    /// A text in `data`, by JSON pointer; `None` for null or nothing.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.event.pointer(&format!("/data{pointer}")).and_then(serde_json::Value::as_str)
    }
}

impl Site {
    /// A site that runs, with the usual mailbox.
    pub fn start(variant: Variant) -> Self {
        Self::start_with(variant, INCOMING)
    }

    /// A site that runs, with other mailboxes or further sections.
    pub fn start_with(variant: Variant, sections: &str) -> Self {
        let mut site = Self::prepare(variant);
        site.configure(sections);
        site.start_service();
        site
    }

    /// A site that runs, with the usual mailbox, and works out who the sender is by this name server.
    pub fn start_with_name_server(variant: Variant, names: &NameServer) -> Self {
        let mut site = Self::prepare(variant);
        site.auth = format!("nameservers = [\"{}\"]", names.address());
        site.configure(INCOMING);
        site.start_service();
        site
    }

    /// Postfix runs and is wired; mailhatch is neither configured nor running.
    pub fn prepare(variant: Variant) -> Self {
        let mut postfix = Postfix::prepare();
        for name in ["run", "state", "spool"] {
            fs::create_dir(postfix.path(name)).unwrap();
            chown(&postfix.path(name), USER);
        }
        let socket = format!("unix:{}", postfix.path("run/lmtp.sock").display());
        let program = format!("{} --config {}", program(&postfix).display(), postfix.path("mailhatch.toml").display());
        let output = match variant {
            Variant::Lmtp => postfix.wire(&["enable", "--yes", "--variant", "lmtp", "--socket", &socket, DOMAIN]),
            Variant::Pipe => {
                postfix.wire(&["enable", "--yes", "--variant", "pipe", "--program", &program, "--user", USER, DOMAIN])
            }
        };
        assert!(output.status.success(), "{output:?}");
        postfix.start();
        Self { postfix, variant, auth: "method = \"off\"".to_owned(), service: None }
    }

    /// Writes the configuration.
    pub fn configure(&self, sections: &str) {
        let text = format!(
            r#"hostname = "mx.example.com"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/run/lmtp.sock"]
[[app]]
name = "spool"
kind = "spool"
path = "{dir}/spool"
[auth]
{auth}
[notice]
smtp = "127.0.0.1:{smtp}"
[log]
to = "{log}"
{sections}"#,
            dir = self.postfix.path("").display().to_string().trim_end_matches('/'),
            auth = self.auth,
            smtp = self.postfix.port(),
            log = if self.variant == Variant::Lmtp { "stderr" } else { "syslog" },
        );
        self.write_configuration(&text);
    }

    /// Writes any text as the configuration.
    pub fn write_configuration(&self, text: &str) {
        fs::write(self.postfix.path("mailhatch.toml"), text).unwrap();
    }

    /// Starts the service and waits for its socket; nothing to do for pipe.
    pub fn start_service(&mut self) {
        if self.variant == Variant::Pipe {
            return;
        }
        let log = File::options().create(true).append(true).open(self.postfix.path("mailhatch.log")).unwrap();
        let mut child = self.mailhatch(&["serve"]).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let socket = self.postfix.path("run/lmtp.sock");
        wait_for("the LMTP socket", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("mailhatch serve ended with {status}:\n{}", self.service_log());
            }
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        self.service = Some(child);
    }

    /// Kills the service as a crash would.
    pub fn kill_service(&mut self) {
        if let Some(mut child) = self.service.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the service logged.
    pub fn service_log(&self) -> String {
        fs::read_to_string(self.postfix.path("mailhatch.log")).unwrap_or_default()
    }

    /// A mailhatch command on this site's configuration, as mailhatch's user.
    pub fn mailhatch(&self, arguments: &[&str]) -> Command {
        let user = nix::unistd::User::from_name(USER).unwrap().unwrap();
        let mut command = Command::new(program(&self.postfix));
        command.arg("--config").arg(self.postfix.path("mailhatch.toml")).args(arguments);
        command.current_dir("/").uid(user.uid.as_raw()).gid(user.gid.as_raw());
        command
    }

    /// The copies kept back, as `held list` shows them.
    pub fn held(&self) -> String {
        let output = self.mailhatch(&["held", "list"]).output().unwrap();
        assert!(output.status.success(), "held list: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything that the application got.
    pub fn delivered(&self) -> Vec<Delivered> {
        let whole = |path: &PathBuf| {
            // A name that begins otherwise is an event that is being written.
            path.file_name().is_some_and(|name| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_hexdigit))
        };
        let Ok(entries) = fs::read_dir(self.postfix.path("spool")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(whole).collect();
        paths.sort();
        let read = |path: &PathBuf| Delivered {
            event: serde_json::from_slice(&fs::read(path.join("event.json")).unwrap()).unwrap(),
            message: fs::read(path.join("message.eml")).unwrap(),
        };
        paths.iter().map(read).collect()
    }

    /// Sends a message, and waits until Postfix is done with it; gives the reply of mailhatch to each recipient, as
    /// Postfix logs it.
    #[track_caller]
    pub fn send(&self, submission: &Submission) -> Vec<String> {
        let queue_id = self.postfix.send(submission);
        let lines = self.postfix.wait_done(&queue_id);
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.contains("status=sent")),
            "{lines:#?}\n{}",
            self.service_log()
        );
        lines
    }

    /// The same, for a message that gives one event.
    #[track_caller]
    pub fn send_one(&self, submission: &Submission) -> Delivered {
        let replies = self.send(submission);
        let mut delivered = self.delivered();
        assert_eq!(delivered.len(), 1, "{replies:#?}\n{}", self.service_log());
        delivered.remove(0)
    }

    /// Says that the reply to the one recipient begins so. With pipe, Postfix does not look at the output of a
    /// program that ended well, so there is nothing to see.
    #[track_caller]
    pub fn assert_reply(&self, replies: &[String], beginning: &str) {
        if self.variant == Variant::Lmtp {
            let expected = format!("said: {beginning}");
            let expected = [expected, format!("({beginning}")];
            assert!(
                replies.len() == 1 && expected.iter().any(|part| replies[0].contains(part)),
                "no {beginning}: {replies:#?}"
            );
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of mailhatch:\n{}", self.service_log());
        }
        self.kill_service();
    }
}

/// The binary under test, where the user of the tests can reach it: a checkout may lie in a closed home directory.
fn program(postfix: &Postfix) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_mailhatch"));
    let program = postfix.path("mailhatch");
    if !program.exists() && fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).unwrap();
    }
    program
}

/// A message of its own for each name; its header says nothing of a key.
pub fn message(name: &str) -> String {
    message_with(name, "")
}

/// The same with further header fields, each with its CRLF.
pub fn message_with(name: &str, fields: &str) -> String {
    format!(
        "From: Jane <jane@example.org>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@example.org>\r\n\
         Subject: {name}\r\n{fields}\r\nThe text of {name}.\r\n"
    )
}

/// Defines a test that is run over LMTP and over pipe.
macro_rules! over_lmtp_and_pipe {
    ($(#[doc = $doc:literal])* fn $name:ident($variant:ident) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "not each test needs all")]
            use super::*;

            fn test($variant: crate::service::Variant) $body

            #[crate::support::needs(postfix, root)]
            #[test]
            fn lmtp() {
                test(crate::service::Variant::Lmtp);
            }

            #[crate::support::needs(postfix, root)]
            #[test]
            fn pipe() {
                test(crate::service::Variant::Pipe);
            }
        }
    };
}
pub(crate) use over_lmtp_and_pipe;
