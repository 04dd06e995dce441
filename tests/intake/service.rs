//! A running LMTP service for tests, a delivery that records, and a client.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mailhatch::config::ListenAddress;
use mailhatch::intake::Deliver;
use mailhatch::intake::listener::Listener;
use mailhatch::intake::lmtp::{ServerSettings, serve};
use mailhatch::intake::shutdown::{Shutdown, ShutdownTrigger};
use mailhatch::log_line::LogLine;
use mailhatch::mail::{Content, Envelope};
use mailhatch::outcome::Outcome;
use mailhatch::verdict::Verdict;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::support::wait::awaited;

/// Records every message. The sender's local part says what else: `panic`, `short` (an outcome too few), `slow` (waits for
/// the gate).
pub struct Recorder {
    pub messages: Mutex<Vec<(Envelope, Content)>>,
    /// How many deliveries began, and how many are done.
    pub begun: watch::Sender<usize>,
    pub done: watch::Sender<usize>,
    /// A permit lets one slow delivery go on.
    pub gate: Semaphore,
}

impl Deliver for Recorder {
    fn deliver(self: Arc<Self>, envelope: Envelope, content: Content) -> BoxFuture<'static, Vec<Outcome>> {
        async move {
            self.begun.send_modify(|count| *count += 1);
            let way = envelope.sender.address().map(|sender| sender.local().to_owned()).unwrap_or_default();
            match way.as_str() {
                "panic" => panic!("a bug in delivery"),
                "slow" => self.gate.acquire().await.unwrap().forget(),
                _ => {}
            }
            let outcome = |name: &str| match name.starts_with("held") {
                true => Verdict::Held { rule: "unproven-sender", detail: String::new() },
                false => Verdict::Delivered,
            };
            let mut outcomes: Vec<_> = envelope
                .recipients
                .iter()
                .map(|recipient| Outcome::new(outcome(&recipient.address), recipient.address.as_str(), Arc::default()))
                .collect();
            if way == "short" {
                outcomes.pop();
            }
            self.messages.lock().unwrap().push((envelope, content));
            self.done.send_modify(|count| *count += 1);
            outcomes
        }
        .boxed()
    }
}

pub struct Service {
    pub recorder: Arc<Recorder>,
    pub trigger: ShutdownTrigger,
    pub running: JoinHandle<usize>,
    pub log: Arc<Mutex<Vec<LogLine>>>,
    pub tcp: std::net::SocketAddr,
    pub folder: TempDir,
}

impl Service {
    /// A service on a Unix and on a TCP socket.
    pub fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        let mut settings = ServerSettings {
            hostname: "mx.example.com".into(),
            message_size: 1 << 20,
            memory: 1 << 24,
            connections: 20,
            recipients: 10,
            state_dir: folder.path().to_owned(),
            allowed_uids: None,
            memory_wait: Duration::from_millis(50),
            command_timeout: Duration::from_secs(60),
            data_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(60),
            metrics: None,
            log: Arc::new(move |line| lines.lock().unwrap().push(line)),
        };
        change(&mut settings);
        let recorder = Arc::new(Recorder {
            messages: Mutex::default(),
            begun: watch::Sender::new(0),
            done: watch::Sender::new(0),
            gate: Semaphore::new(0),
        });
        let unix = ListenAddress::Unix(folder.path().join("lmtp.sock"));
        let tcp = Listener::bind(&ListenAddress::Tcp("0.0.0.0:0".parse().unwrap()), 0).unwrap();
        let port = tcp.tcp_address().unwrap().port();
        let listeners = vec![Listener::bind(&unix, 0o600).unwrap(), tcp];
        let (trigger, shutdown) = Shutdown::new();
        let running = tokio::spawn(serve(listeners, recorder.clone(), settings, shutdown));
        Self { recorder, trigger, running, log, tcp: ([127, 0, 0, 1], port).into(), folder }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("lmtp.sock")
    }

    pub async fn unix(&self) -> Client<UnixStream> {
        Client::new(UnixStream::connect(self.socket()).await.unwrap())
    }

    pub async fn tcp(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.tcp).await.unwrap())
    }

    pub async fn begun(&self, count: usize) {
        let mut begun = self.recorder.begun.subscribe();
        awaited("a delivery to begin", begun.wait_for(|&begun| begun >= count)).await.unwrap();
    }

    pub async fn done(&self, count: usize) {
        let mut done = self.recorder.done.subscribe();
        awaited("a delivery to end", done.wait_for(|&done| done >= count)).await.unwrap();
    }

    pub fn senders(&self) -> Vec<String> {
        let messages = self.recorder.messages.lock().unwrap();
        messages.iter().map(|(envelope, _)| envelope.sender.as_text().unwrap().to_owned()).collect()
    }

    pub fn logged(&self, text: &str) -> bool {
        let lines = self.log.lock().unwrap();
        lines.iter().any(|line| line.render(mailhatch::config::LogFormat::Logfmt).contains(text))
    }
}

pub struct Client<S: AsyncRead + AsyncWrite>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self(BufStream::new(stream))
    }

    /// A reply line; empty at the end of the connection.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        // A reset is an end too.
        let _ = awaited("a line", self.0.read_line(&mut line)).await;
        line.trim_end().to_owned()
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        let mut text = String::new();
        let _ = awaited("the end of the connection", self.0.read_to_string(&mut text)).await;
        text
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends octets to a peer that may have hung up already, and reads to the end of what it says within one answer.
    pub async fn exchange(&mut self, octets: impl AsRef<[u8]>) -> String {
        let sent = async {
            self.0.write_all(octets.as_ref()).await?;
            self.0.flush().await
        };
        if sent.await.is_err() {
            return String::new();
        }
        let line = self.line().await;
        if line.is_empty() { line } else { format!("{line}\n{}\n", self.line().await) }
    }

    /// Reads the greeting, says LHLO and reads its reply.
    pub async fn greet(&mut self) {
        assert_eq!(self.line().await, "220 mx.example.com LMTP mailhatch");
        self.send("LHLO client\r\n").await;
        loop {
            let line = self.line().await;
            assert!(line.starts_with("250"), "LHLO: {line:?}");
            if line.starts_with("250 ") {
                return;
            }
        }
    }

    /// MAIL, RCPT and DATA in one piece; gives the reply to DATA.
    pub async fn begin(&mut self, sender: &str, recipients: &[&str]) -> String {
        let mut commands = format!("MAIL FROM:{sender}\r\n");
        for recipient in recipients {
            commands.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
        }
        self.send(commands + "DATA\r\n").await;
        assert!(self.line().await.starts_with("250 2.1.0"));
        for _ in recipients {
            assert!(self.line().await.starts_with("250 2.1.5"));
        }
        self.line().await
    }

    /// A whole message; gives the replies.
    pub async fn message(&mut self, sender: &str, recipients: &[&str], content: &[u8]) -> Vec<String> {
        assert!(self.begin(sender, recipients).await.starts_with("354 "));
        self.send([content, b".\r\n"].concat()).await;
        let mut replies = Vec::new();
        for _ in recipients {
            replies.push(self.line().await);
        }
        replies
    }
}
