//! A small SMTP server that records what it takes, and fails where it is told.
//!
//! ```ignore
//! let server = SmtpServer::start();
//! server.fail(Some((At::Rcpt, Then::Reply("451 4.3.0 later"))));   // from now on
//! assert_eq!(server.taken().len(), 1);
//! ```

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A step of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Connect,
    Ehlo,
    Mail,
    /// Every RCPT.
    Rcpt,
    /// RCPT with NOTIFY, as a server answers that does not know DSN.
    RcptNotify,
    Data,
    /// The dot at the end of the message.
    Message,
    Quit,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Reply(&'static str),
    /// Says nothing until the client hangs up.
    Hang,
    Close,
}

/// A message that was answered 250.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Everything behind `MAIL FROM:`.
    pub mail: String,
    /// Everything behind `RCPT TO:`.
    pub rcpt: Vec<String>,
    /// The message, dots unstuffed.
    pub message: Vec<u8>,
}

/// Runs until it is dropped.
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    failure: Mutex<Option<(At, Then)>>,
    keywords: Mutex<Vec<&'static str>>,
    taken: Mutex<Vec<Taken>>,
    ends: AtomicBool,
}

impl SmtpServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        *shared.keywords.lock().unwrap() = vec!["8BITMIME", "SMTPUTF8", "DSN"];
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if served.ends.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&served);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// For `notice.smtp`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next step on.
    pub fn fail(&self, failure: Option<(At, Then)>) {
        *self.shared.failure.lock().unwrap() = failure;
    }

    /// What it says it can.
    pub fn keywords(&self, keywords: &[&'static str]) {
        *self.shared.keywords.lock().unwrap() = keywords.to_vec();
    }

    /// All messages so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// The only message.
    #[track_caller]
    pub fn only(&self) -> Taken {
        let mut taken = self.taken();
        assert_eq!(taken.len(), 1, "messages");
        taken.remove(0)
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes accept()
    }
}

impl Shared {
    /// Answers one step; `None` ends the connection.
    fn answer(&self, stream: &mut BufReader<TcpStream>, at: At, usual: &str) -> Option<bool> {
        let failure = *self.failure.lock().unwrap();
        let reply = match failure.filter(|(failing, _)| *failing == at).map(|(_, then)| then) {
            None => usual,
            Some(Then::Reply(reply)) => reply,
            Some(Then::Close) => return None,
            Some(Then::Hang) => {
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                    line.clear();
                }
                return None;
            }
        };
        stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).ok()?;
        Some(reply.starts_with(['2', '3']))
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        self.answer(&mut stream, At::Connect, "220 test ESMTP")?;
        let (mut mail, mut rcpt) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.starts_with("EHLO") {
                let keywords: String = self.keywords.lock().unwrap().iter().map(|k| format!("250-{k}\r\n")).collect();
                self.answer(&mut stream, At::Ehlo, &format!("250-test\r\n{keywords}250 HELP"))?;
            } else if let Some(rest) = line.strip_prefix("MAIL FROM:") {
                (mail, rcpt) = (rest.to_owned(), Vec::new());
                self.answer(&mut stream, At::Mail, "250 2.1.0 Ok")?;
            } else if let Some(rest) = line.strip_prefix("RCPT TO:") {
                let failing = self.failure.lock().unwrap().map(|(at, _)| at);
                let with_notify = rest.contains("NOTIFY=") && failing == Some(At::RcptNotify);
                if self.answer(&mut stream, if with_notify { At::RcptNotify } else { At::Rcpt }, "250 2.1.5 Ok")? {
                    rcpt.push(rest.to_owned());
                }
            } else if line == "DATA" {
                if self.answer(&mut stream, At::Data, "354 go on")? {
                    let message = data(&mut stream)?;
                    let taken = Taken { mail: mail.clone(), rcpt: rcpt.clone(), message };
                    // Counted before it is answered: a client that has the answer finds it here.
                    self.taken.lock().unwrap().push(taken);
                    let failing = self.failure.lock().unwrap().map(|(at, _)| at);
                    if failing == Some(At::Message) {
                        self.taken.lock().unwrap().pop();
                    }
                    self.answer(&mut stream, At::Message, "250 2.0.0 Ok: queued")?;
                }
            } else if line == "QUIT" {
                self.answer(&mut stream, At::Quit, "221 2.0.0 Bye")?;
                return None;
            } else {
                self.answer(&mut stream, At::Connect, "250 2.0.0 Ok")?;
            }
        }
    }
}

fn data(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
