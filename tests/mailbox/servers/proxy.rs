//! What stands between a client and its server, and plays faults one after the other: at a response of the server, at a
//! command of the client. Everything else goes through as it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Where a fault is played.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// The first response with this text while this command runs; a fault at `""` is in the greeting.
    Response(&'static str, &'static str),
    /// The first command with this text.
    Command(&'static str),
}

/// What is done there.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// So many octets of it go through, literals included; then the connection ends.
    Cut(usize),
    /// Not one octet more comes from the server; the connection stays.
    Silence,
    /// This stands before it. `{tag}` is the tag of the command that runs.
    Before(&'static str),
    /// This stands in its place.
    Instead(&'static str),
    /// The same, and the connection ends.
    InsteadAndCut(&'static str),
    /// In it, this text is replaced with that one.
    Replace(&'static str, &'static str),
    /// Its literal is announced so many octets longer than it is.
    Literal(i64),
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault(pub At, pub Act);

/// A text that is replaced with another one wherever it comes up at such a place: what the server cannot do.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite(pub At, pub &'static str, pub &'static str);

/// The proxy.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    faults: Vec<Fault>,
    rewrites: Vec<Rewrite>,
    played: Mutex<usize>,
    commands: Mutex<Vec<String>>,
    connections: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Proxy {
    /// In front of a port of this host. Each fault is played once, and not before the one before it.
    pub fn start(server: u16, faults: &[Fault]) -> Self {
        Self::with(server, faults, &[])
    }

    /// The same with no fault, but with what is rewritten each time.
    pub fn rewriting(server: u16, rewrites: &[Rewrite]) -> Self {
        Self::with(server, &[], rewrites)
    }

    fn with(server: u16, faults: &[Fault], rewrites: &[Rewrite]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            faults: faults.to_vec(),
            rewrites: rewrites.to_vec(),
            played: Mutex::default(),
            commands: Mutex::default(),
            connections: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let proxy = Self { port, shared: shared.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                connect(&shared, client.unwrap());
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many faults were played.
    pub fn played(&self) -> usize {
        *self.shared.played.lock().unwrap()
    }

    /// What the client has said, line by line.
    pub fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap().clone()
    }

    /// What ends every connection, for another thread.
    pub fn scissors(&self) -> impl Fn() + Send + Sync + use<> {
        let shared = self.shared.clone();
        move || shared.cut()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.shared.cut();
    }
}

impl Shared {
    fn cut(&self) {
        for stream in self.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What is said instead, each time.
    fn rewritten(&self, mut octets: Vec<u8>, is_here: impl Fn(At) -> bool) -> Vec<u8> {
        for Rewrite(_, from, to) in self.rewrites.iter().filter(|Rewrite(at, ..)| is_here(*at)) {
            if let Played::Goes(other) = play(Act::Replace(from, to), &octets, "") {
                octets = other;
            }
        }
        octets
    }

    /// What is played here: it counts.
    fn plays(&self, is_here: impl Fn(At) -> bool) -> Option<Act> {
        let mut played = self.played.lock().unwrap();
        let Fault(_, act) = self.faults.get(*played).filter(|Fault(at, _)| is_here(*at))?;
        *played += 1;
        Some(*act)
    }
}

/// The command that runs: its tag, and what it says.
type Running = Arc<Mutex<(String, String)>>;

fn connect(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)) else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
    }
    let running = Running::default();
    let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (state, command) = (shared.clone(), running.clone());
    std::thread::spawn(move || responses(&state, BufReader::new(from), to, &command));
    let state = shared.clone();
    std::thread::spawn(move || commands(&state, BufReader::new(client), server, &running));
}

fn end(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

fn responses(shared: &Shared, mut from: BufReader<TcpStream>, mut to: TcpStream, running: &Running) {
    while let Some(response) = whole(&mut from) {
        let (tag, command) = running.lock().unwrap().clone();
        let during = |at| match at {
            At::Response(during, text) => command.contains(during) && has(&response, text),
            At::Command(_) => false,
        };
        let response = shared.rewritten(response.clone(), during);
        let is_here = |at| match at {
            At::Response("", _) => command.is_empty() && during(at),
            at => during(at),
        };
        let goes = if let Some(act) = shared.plays(is_here) {
            match play(act, &response, &tag) {
                Played::Goes(octets) => to.write_all(&octets).is_ok(),
                Played::Ends(octets) => {
                    let _ = to.write_all(&octets);
                    false
                }
                // What comes is read, so that the server does not wait; nobody hears of it.
                Played::Silent => {
                    while whole(&mut from).is_some() {}
                    false
                }
            }
        } else {
            to.write_all(&response).is_ok()
        };
        if !goes {
            break;
        }
    }
    end(from.get_ref(), &to);
}

fn commands(shared: &Shared, mut from: BufReader<TcpStream>, mut to: TcpStream, running: &Running) {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
        let text = String::from_utf8_lossy(&line).into_owned();
        shared.commands.lock().unwrap().push(text.clone());
        if let Some((tag, command)) = text.trim_end().split_once(' ') {
            *running.lock().unwrap() = (tag.to_owned(), command.to_owned());
        } else if text.trim_end() == "DONE" {
            running.lock().unwrap().1 = "DONE".to_owned();
        }
        let is_here = |at| matches!(at, At::Command(what) if text.contains(what));
        line = shared.rewritten(line, is_here);
        let goes = if let Some(act) = shared.plays(is_here) {
            match play(act, &line, "") {
                Played::Goes(octets) => to.write_all(&octets).is_ok(),
                Played::Ends(octets) => {
                    let _ = to.write_all(&octets);
                    false
                }
                Played::Silent => true,
            }
        } else {
            to.write_all(&line).is_ok()
        };
        if !goes {
            break;
        }
        line.clear();
    }
    end(from.get_ref(), &to);
}

enum Played {
    Goes(Vec<u8>),
    Ends(Vec<u8>),
    Silent,
}

fn play(act: Act, octets: &[u8], tag: &str) -> Played {
    let said = |text: &str| text.replace("{tag}", tag).into_bytes();
    match act {
        Act::Cut(at) => Played::Ends(octets[..at.min(octets.len())].to_vec()),
        Act::Silence => Played::Silent,
        Act::Before(text) => Played::Goes([&said(text), octets].concat()),
        Act::Instead(text) => Played::Goes(said(text)),
        Act::InsteadAndCut(text) => Played::Ends(said(text)),
        Act::Replace(from, to) => Played::Goes(String::from_utf8_lossy(octets).replace(from, to).into_bytes()),
        Act::Literal(longer) => {
            let end = octets.iter().position(|octet| *octet == b'\n').unwrap() + 1;
            let line = String::from_utf8_lossy(&octets[..end]).into_owned();
            let size = literal(line.as_bytes()).expect("a literal") as i64;
            let line = line.replace(&format!("{{{size}}}"), &format!("{{{}}}", size + longer));
            Played::Goes([line.as_bytes(), &octets[end..]].concat())
        }
    }
}

fn has(octets: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(octets).contains(text)
}

/// One response, with the literals in it.
fn whole(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut response = Vec::new();
    loop {
        let mut line = Vec::new();
        if !from.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
            return None;
        }
        response.extend_from_slice(&line);
        let Some(size) = literal(&line) else { return Some(response) };
        let mut octets = vec![0; size];
        from.read_exact(&mut octets).ok()?;
        response.extend_from_slice(&octets);
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    String::from_utf8_lossy(line).trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
