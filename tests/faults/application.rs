//! The application of a campaign: acknowledges, fails in every way it is told to, and remembers what it was asked.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::seed::Seed;
use crate::support::http_server::{Fault, HttpServer, Reply, Request};

/// Longer than the `timeout` that mailhatch has for it.
pub const HANG: Duration = Duration::from_millis(3500);

/// What it does with every request from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Works,
    Fails(Fault),
    /// Each request meets another fate.
    Mixed,
    /// Nobody listens.
    Gone,
    /// The same, for longer than mailhatch lets mail wait with the MTA.
    Away,
}

impl Mode {
    fn is_gone(self) -> bool {
        matches!(self, Self::Gone | Self::Away)
    }
}

/// How one request ended, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Taken, and answered whole.
    Acknowledged,
    /// Taken, and broken off before the answer was whole.
    BrokenOff,
    /// Taken by nobody: an error, or broken off before anything was done.
    NotTaken,
    /// Answered "drop" or "reject".
    Declined,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub began: Instant,
    pub ended: Ended,
    pub hung: bool,
}

/// Everything that it was asked under one id.
#[derive(Clone, Debug)]
pub struct Event {
    /// `NUMBERa@hook`: which recipient of which message.
    pub whose: String,
    pub attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    random: Seed,
    events: HashMap<String, Event>,
    /// How many acknowledgements, and whose was the last.
    acknowledged: (usize, String),
    /// What must not be: another message under a known id, or a message that is not whole.
    wrong: Vec<String>,
}

/// It runs until it is dropped.
pub struct Application {
    server: HttpServer,
    socket: PathBuf,
    stale: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Application {
    pub fn start(directory: &Path, seed: u64) -> Self {
        let (socket, stale) = (directory.join("app.sock"), directory.join("stale.sock"));
        let random = Seed::new(seed, 1);
        let state = State {
            mode: Mode::Works,
            random,
            events: HashMap::new(),
            acknowledged: (0, String::new()),
            wrong: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let server = HttpServer::unix(&socket, move |request| answer(&shared, request));
        // A socket on which nobody listens, as a killed application leaves it.
        drop(UnixListener::bind(&stale).unwrap());
        for path in [&socket, &stale] {
            fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        }
        Self { server, socket, stale, state }
    }

    /// Changes what it does.
    pub fn set(&self, mode: Mode) {
        let before = std::mem::replace(&mut self.state.lock().unwrap().mode, mode);
        if before.is_gone() != mode.is_gone() {
            self.swap_sockets();
        }
    }

    fn swap_sockets(&self) {
        let between = self.socket.with_extension("between");
        for (from, to) in [(&self.socket, &between), (&self.stale, &self.socket), (&between, &self.stale)] {
            fs::rename(from, to).unwrap();
        }
    }

    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits for the next acknowledgement; its answer may not even be written yet. Gives whose it is.
    pub fn next_acknowledged(&self, limit: Duration) -> Option<String> {
        let last = || self.state.lock().unwrap().acknowledged.clone();
        let (start, before) = (Instant::now(), last().0);
        loop {
            let (count, whose) = last();
            if count > before {
                return Some(whose);
            }
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// How many events it was shown.
    pub fn events(&self) -> usize {
        self.state.lock().unwrap().events.len()
    }

    /// All events by id, and what must not have been.
    pub fn record(&self) -> (HashMap<String, Event>, Vec<String>) {
        let state = self.state.lock().unwrap();
        (state.events.clone(), state.wrong.clone())
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let began = Instant::now();
    let is_gitlab = request.path.starts_with("/api/v4/internal/mail_room/");
    let id = request.header("idempotency-key").to_owned();
    let whose = whose(request, is_gitlab);
    let mut state = state.lock().unwrap();
    let fault = match state.mode {
        Mode::Works => None,
        Mode::Fails(fault) => Some(fault),
        Mode::Gone | Mode::Away => Some(Fault::ClosedWithoutAnswer),
        Mode::Mixed => {
            let mixed = mixture();
            let index = state.random.below(mixed.len() as u64 * 2) as usize;
            mixed.get(index).copied()
        }
    };
    // Where it breaks off, it has done its work before or not: nobody can tell from outside.
    let has_worked = !state.mode.is_gone() && state.random.per_mille(500);
    let (reply, ended) = decide(fault, is_gitlab, &whose, has_worked);
    let whose = whose.unwrap_or_else(|wrong| {
        state.wrong.push(wrong);
        String::new()
    });
    let attempt = Attempt { began, ended, hung: fault == Some(Fault::Hang) };
    let event = state.events.entry(id.clone()).or_insert_with(|| Event { whose: whose.clone(), attempts: Vec::new() });
    event.attempts.push(attempt);
    if event.whose != whose {
        let wrong = format!("the id {id} stands for {} and for {whose}", event.whose);
        state.wrong.push(wrong);
    }
    if ended == Ended::Acknowledged {
        state.acknowledged = (state.acknowledged.0 + 1, whose);
    }
    drop(state);
    if fault == Some(Fault::Hang) {
        std::thread::sleep(HANG);
    }
    reply
}

/// The faults that one request can meet while the next one meets another.
fn mixture() -> Vec<Fault> {
    Fault::ALL.into_iter().filter(|fault| !elsewhere(*fault) && *fault != Fault::Hang).collect()
}

/// The faults that no request reaches the application with.
pub fn elsewhere(fault: Fault) -> bool {
    matches!(fault, Fault::ConnectionRefused | Fault::DnsFailure | Fault::UntrustedCertificate)
}

fn decide(fault: Option<Fault>, is_gitlab: bool, whose: &Result<String, String>, has_worked: bool) -> (Reply, Ended) {
    let broken = if has_worked { Ended::BrokenOff } else { Ended::NotTaken };
    match fault {
        // For a webhook that is an acknowledgement like any other.
        None => {}
        Some(Fault::OtherJson) if !is_gitlab => {}
        Some(Fault::Hang) => return (Reply::Close, broken),
        Some(fault @ (Fault::ShortAnswer | Fault::ClosedWithoutAnswer | Fault::Garbage)) => {
            return (fault.reply(), broken);
        }
        Some(fault) => return (fault.reply(), Ended::NotTaken),
    }
    match whose {
        Ok(whose) if whose.contains("-drop@") => (Reply::json(200, r#"{"result":"drop"}"#), Ended::Declined),
        Ok(whose) if whose.contains("-reject@") => {
            (Reply::json(403, r#"{"result":"reject","reason":"closed"}"#), Ended::Declined)
        }
        _ => (Reply::json(200, r#"{"success":true}"#), Ended::Acknowledged),
    }
}

/// Which recipient of which message it is; an error if the message is not whole.
fn whose(request: &Request, is_gitlab: bool) -> Result<String, String> {
    let wrong = |what: &str| format!("a request with {what}: {}", String::from_utf8_lossy(&request.body));
    let (key, number, text) = if is_gitlab {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let key = between(&text, "gitlab+", "@").ok_or_else(|| wrong("no key"))?;
        let number = between(&text, "Message-ID: <", "@").ok_or_else(|| wrong("no Message-ID"))?;
        (key, number, text)
    } else {
        let event: serde_json::Value = serde_json::from_slice(&request.body).map_err(|_| wrong("no JSON"))?;
        let part = |pointer| event.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        if part("/id") != request.header("idempotency-key") {
            return Err(wrong("another id in the body"));
        }
        let number = part("/data/message/message_id");
        (part("/data/key"), number.split('@').next().unwrap_or_default().to_owned(), part("/data/message/text"))
    };
    if !text.trim_end().ends_with(&format!("The end of message {number}.")) {
        return Err(wrong("half a message"));
    }
    if key.trim_end_matches("-drop").trim_end_matches("-reject").trim_end_matches(['a', 'b']) != number {
        return Err(wrong("the key of another message"));
    }
    Ok(format!("{key}@{}", if is_gitlab { "gitlab" } else { "hook" }))
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(rest[..rest.find(end)?].to_owned())
}
