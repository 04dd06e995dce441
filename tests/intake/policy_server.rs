//! The policy service over real sockets.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailhatch::config::{ListenAddress, LogFormat};
use mailhatch::intake::listener::Listener;
use mailhatch::intake::policy::{Answer, Decide, LONGEST_REQUEST, Request, ServerSettings, serve};
use mailhatch::intake::shutdown::{Shutdown, ShutdownTrigger};
use mailhatch::log_line::LogLine;
use mailhatch::telemetry::Metrics;
use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::service::Client;
use crate::support::needs;
use crate::support::wait::awaited;

const DUNNO: &str = "action=DUNNO\n\n";
const UNKNOWN: &str = "action=550 5.1.1 The address is not known here.\n\n";

/// Refuses `unknown@…`, panics at `panic@…`; `closed`: refuses everybody.
#[derive(Default)]
struct Stub {
    closed: AtomicBool,
}

impl Decide for Stub {
    fn decide(&self, request: &Request) -> Answer {
        match request.recipient.split('@').next() {
            Some("panic") => panic!("a bug"),
            Some("unknown") => Answer::UnknownAddress,
            _ if self.closed.load(Ordering::Relaxed) => Answer::UnknownAddress,
            _ => Answer::Dunno,
        }
    }
}

struct Service {
    stub: Arc<Stub>,
    metrics: Arc<Metrics>,
    trigger: ShutdownTrigger,
    running: JoinHandle<usize>,
    log: Arc<Mutex<Vec<LogLine>>>,
    tcp: std::net::SocketAddr,
    folder: TempDir,
}

impl Service {
    fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut settings = ServerSettings::new(Arc::new(move |line| lines.lock().unwrap().push(line)));
        settings.metrics = Some(metrics.clone());
        change(&mut settings);
        let unix = ListenAddress::Unix(folder.path().join("policy.sock"));
        let tcp = Listener::bind(&ListenAddress::Tcp("0.0.0.0:0".parse().unwrap()), 0).unwrap();
        let port = tcp.tcp_address().unwrap().port();
        let listeners = vec![Listener::bind(&unix, 0o600).unwrap(), tcp];
        let (trigger, shutdown) = Shutdown::new();
        let stub = Arc::new(Stub::default());
        let running = tokio::spawn(serve(listeners, stub.clone(), settings, shutdown));
        Self { stub, metrics, trigger, running, log, tcp: ([127, 0, 0, 1], port).into(), folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("policy.sock")
    }

    async fn unix(&self) -> Client<UnixStream> {
        Client::new(UnixStream::connect(self.socket()).await.unwrap())
    }

    async fn tcp(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.tcp).await.unwrap())
    }

    fn logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.render(LogFormat::Logfmt).contains(text))
    }

    fn counted(&self, answer: &str) -> String {
        let text = self.metrics.render().unwrap();
        let name = format!("mailhatch_policy_requests_total{{answer=\"{answer}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    }
}

fn request(recipient: &str) -> String {
    format!("request=smtpd_access_policy\nprotocol_state=RCPT\nsender=\nrecipient={recipient}\nsize=0\n\n")
}

/// Asks, and gives the answer up to its empty line; nothing where the connection ends.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, recipient: &str) -> String {
    client.exchange(request(recipient)).await
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other_on_both_kinds_of_socket() {
    let service = Service::start(|_| {});
    let (mut unix, mut tcp) = (service.unix().await, service.tcp().await);
    for _ in 0..3 {
        assert_eq!(ask(&mut unix, "known@h").await, DUNNO);
        assert_eq!(ask(&mut tcp, "unknown@h").await, UNKNOWN);
        assert_eq!(ask(&mut unix, "unknown@h").await, UNKNOWN);
    }
    assert_eq!((service.counted("dunno"), service.counted("unknown-address")), ("3".into(), "6".into()));
    let text = service.metrics.render().unwrap();
    assert!(text.contains("\nmailhatch_policy_seconds_count 9\n"), "{text}");
}

#[tokio::test]
async fn what_is_in_force_is_asked_at_each_request() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    assert_eq!(ask(&mut client, "known@h").await, DUNNO);
    service.stub.closed.store(true, Ordering::Relaxed);
    assert_eq!(ask(&mut client, "known@h").await, UNKNOWN);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.send(format!("{}{}{}junk\n", request("a@h"), request("unknown@h"), request("b@h"))).await;
    assert_eq!(client.rest().await, format!("{DUNNO}{UNKNOWN}{DUNNO}"));
    assert!(service.logged("reason=malformed-request"));
}

#[tokio::test]
async fn a_panic_costs_one_connection_its_answer_and_no_other() {
    let service = Service::start(|_| {});
    let (mut client, mut other) = (service.unix().await, service.unix().await);
    client.send(request("panic@h")).await;
    assert_eq!(client.rest().await, "");
    assert!(service.logged("socket=policy reason=internal-error"));
    assert_eq!(service.counted("error"), "1");
    assert_eq!(ask(&mut other, "unknown@h").await, UNKNOWN);
    assert_eq!(ask(&mut service.unix().await, "known@h").await, DUNNO);
}

#[tokio::test]
async fn what_cannot_be_read_gets_no_answer() {
    let rows = [
        ("malformed-request", "hello\n\n".to_owned()),
        ("malformed-request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("request-too-long", format!("x={}", "y".repeat(LONGEST_REQUEST))),
        ("request-stalled", "request=smtpd_access_policy\n".to_owned()),
        ("request-stalled", "r".to_owned()),
    ];
    for (reason, octets) in rows {
        let service = Service::start(|settings| settings.line_timeout = Duration::from_millis(20));
        let mut client = service.unix().await;
        client.send(&octets).await;
        assert_eq!(client.rest().await, "", "{reason}");
        assert!(service.logged(&format!("socket=policy reason={reason} peer=\"uid ")), "{reason}");
        assert_eq!(service.counted("error"), "1", "{reason}");
    }
}

#[tokio::test]
async fn five_hundred_idle_connections_are_kept_and_one_more_is_turned_away() {
    let service = Service::start(|_| {});
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(service.unix().await);
    }
    // The first has a place for certain; after its answer all before the last have been accepted.
    assert_eq!(ask(&mut clients[499], "unknown@h").await, UNKNOWN);
    let mut one_more = service.unix().await;
    assert_eq!(one_more.rest().await, "");
    assert!(service.logged("reason=too-many-connections"));
    assert_eq!(service.counted("error"), "1");
    for client in &mut clients {
        assert_eq!(ask(client, "known@h").await, DUNNO);
    }
    drop(clients.pop());
    // The place is given back a moment after the socket is closed.
    let place = async {
        while ask(&mut service.unix().await, "known@h").await != DUNNO {
            tokio::task::yield_now().await;
        }
    };
    awaited("a place", place).await;
}

#[tokio::test]
async fn a_silent_client_is_closed_without_a_word() {
    let service = Service::start(|settings| settings.idle_timeout = Duration::from_millis(20));
    assert_eq!(service.unix().await.rest().await, "");
    assert!(service.log.lock().unwrap().is_empty());
    assert_eq!(service.counted("error"), "0");
}

#[tokio::test]
async fn only_allowed_users_are_served() {
    let me = Uid::current().as_raw();
    for (allowed, answer) in [(me, DUNNO), (me + 1, "")] {
        let service = Service::start(|settings| settings.allowed_uids = Some(vec![allowed]));
        let mut client = service.unix().await;
        assert_eq!(ask(&mut client, "known@h").await, answer);
        assert_eq!(service.logged("reason=foreign-user"), answer.is_empty());
    }
}

#[needs(interface)]
#[tokio::test]
async fn a_peer_that_is_not_loopback_is_turned_away() {
    let service = Service::start(|_| {});
    // The machine's own address: nothing is sent to find it out.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.connect("192.0.2.1:9").unwrap();
    let mut address = probe.local_addr().unwrap();
    address.set_port(service.tcp.port());
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    assert_eq!(ask(&mut client, "unknown@h").await, "");
    assert!(service.logged("reason=foreign-address"));
}

#[tokio::test]
async fn a_service_that_stops_answers_what_has_begun() {
    let service = Service::start(|_| {});
    let (mut idle, mut begun) = (service.unix().await, service.unix().await);
    assert_eq!(ask(&mut idle, "known@h").await, DUNNO);
    assert_eq!(ask(&mut begun, "known@h").await, DUNNO);
    let whole = request("unknown@h");
    let (start, rest) = whole.split_at(30);
    begun.send(start).await;
    // Read by now, or soon: nothing but the half request can have brought the service to wait for a line.
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.trigger.request();
    assert_eq!(idle.rest().await, "");
    begun.send(rest).await;
    assert_eq!(begun.rest().await, UNKNOWN);
    assert_eq!(service.running.await.unwrap(), 0);
}
