//! Stand-ins for mailhatch: a program for pipe(8) and an LMTP service, which keep what Postfix gives them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::service::DOMAIN;
use crate::support::postfix::{Postfix, USER, chown};
use crate::support::submission::Submission;

/// A program in mailhatch's place: keeps its arguments and its standard input, and ends as told.
pub struct Recorder {
    pub postfix: Postfix,
}

impl Recorder {
    pub fn start(ending: &str) -> Self {
        Self::start_with(ending, |_| ())
    }

    pub fn start_with(ending: &str, prepare: impl FnOnce(&Postfix)) -> Self {
        let mut postfix = Postfix::prepare();
        let calls = postfix.path("calls");
        fs::create_dir(&calls).unwrap();
        chown(&calls, USER);
        write_program(&postfix, ending);
        let program = postfix.path("recorder.sh").display().to_string();
        let output =
            postfix.wire(&["enable", "--yes", "--variant", "pipe", "--program", &program, "--user", USER, DOMAIN]);
        assert!(output.status.success(), "{output:?}");
        prepare(&postfix);
        postfix.start();
        Self { postfix }
    }

    /// Every call so far: arguments and message.
    pub fn calls(&self) -> Vec<(Vec<String>, Vec<u8>)> {
        let mut messages: Vec<PathBuf> =
            fs::read_dir(self.postfix.path("calls")).unwrap().map(|entry| entry.unwrap().path()).collect();
        messages.retain(|path| path.extension().is_some_and(|end| end == "message"));
        messages.sort();
        let read = |path: &PathBuf| {
            let arguments = fs::read_to_string(path.with_extension("arguments")).unwrap();
            (arguments.lines().map(str::to_owned).collect(), fs::read(path).unwrap())
        };
        messages.iter().map(read).collect()
    }

    pub fn only_call(&self, submission: &Submission) -> (Vec<String>, Vec<u8>) {
        let queue_id = self.postfix.send(submission);
        let lines = self.postfix.wait_done(&queue_id);
        assert!(lines.iter().all(|line| line.contains("status=sent")), "{lines:?}");
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        for entry in fs::read_dir(self.postfix.path("calls")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        calls.remove(0)
    }
}

pub fn write_program(postfix: &Postfix, ending: &str) {
    let program = postfix.path("recorder.sh");
    let script = format!(
        "#!/bin/sh\ncd {calls}\nprintf '%s\\n' \"$@\" >$$.arguments\ncat >$$.part\nmv $$.part $$.message\n{ending}\n",
        calls = postfix.path("calls").display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// An LMTP service in mailhatch's place: takes everything and keeps the dialogue.
pub struct Sink {
    pub postfix: Postfix,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

pub const KEYWORDS: &[&str] = &[
    "PIPELINING",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "SMTPUTF8",
    "SIZE",
    "DSN",
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
];

impl Sink {
    pub fn start(keywords: &[&'static str], reply: &'static str) -> Self {
        Self::start_for(DOMAIN, keywords, reply, |_| ())
    }

    pub fn start_for(
        name: &str,
        keywords: &[&'static str],
        reply: &'static str,
        prepare: impl FnOnce(&Postfix),
    ) -> Self {
        let mut postfix = Postfix::prepare();
        prepare(&postfix);
        let socket = postfix.path("lmtp.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (keywords, lines) = (keywords.to_vec(), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (keywords, lines) = (keywords.clone(), lines.clone());
                std::thread::spawn(move || serve(stream, &keywords, reply, &lines));
            }
        });
        let nexthop = format!("unix:{}", socket.display());
        let output = postfix.wire(&["enable", "--yes", "--variant", "lmtp", "--socket", &nexthop, name]);
        assert!(output.status.success(), "{output:?}");
        postfix.start();
        Self { postfix, seen }
    }

    /// Sends a message, waits for its end, and gives the dialogue.
    pub fn dialogue(&self, submission: &Submission) -> String {
        let queue_id = self.postfix.send(submission);
        let lines = self.postfix.wait_done(&queue_id);
        assert!(lines.iter().all(|line| line.contains("status=sent")), "{lines:?}");
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().concat()
    }
}

fn serve(stream: UnixStream, keywords: &[&str], reply: &str, seen: &Mutex<Vec<Vec<u8>>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let _ = writer.write_all(b"220 sink LMTP\r\n");
    let (mut recipients, mut in_data) = (0, false);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return;
        }
        seen.lock().unwrap().push(line.clone());
        let verb = String::from_utf8_lossy(&line).to_ascii_uppercase();
        let answer = match verb.get(..4) {
            _ if in_data && line == b".\r\n" => {
                in_data = false;
                format!("{reply}\r\n").repeat(std::mem::take(&mut recipients))
            }
            _ if in_data => continue,
            Some("LHLO") => {
                let mut answer = "250-sink\r\n".to_owned();
                keywords.iter().for_each(|keyword| answer.push_str(&format!("250-{keyword}\r\n")));
                answer + "250 HELP\r\n"
            }
            Some("RCPT") => {
                recipients += 1;
                "250 2.1.5 ok\r\n".to_owned()
            }
            Some("DATA") => {
                in_data = true;
                "354 go on\r\n".to_owned()
            }
            _ => "250 2.0.0 ok\r\n".to_owned(),
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
