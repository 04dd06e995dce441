//! The metrics as Prometheus sees them, and what is made of them in packaging/.

mod prometheus;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use mailhatch::config::{AddressSource, Config};
use mailhatch::notice::NoticeOutcome;
use mailhatch::outcome::{Destination, Effects, Outcome};
use mailhatch::route::{Key, Matched};
use mailhatch::telemetry::{Metrics, MetricsListener, TimedStep};
use mailhatch::verdict::{Deferral, Rejection, Status, Verdict};

/// A service whose metrics are served, with some of everything in them.
pub struct Service {
    _runtime: tokio::runtime::Runtime,
    pub address: SocketAddr,
    scrapes: Arc<AtomicU64>,
}

impl Service {
    fn start() -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.expect(&config());
        fill(&metrics);
        let scrapes = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let address = runtime.block_on(async {
            let listener = MetricsListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let (held, counted) = (metrics.clone(), scrapes.clone());
            let refresh = Arc::new(move || {
                held.set_held(Some((counted.fetch_add(1, Ordering::Relaxed) + 1, 2048)));
                std::future::ready(()).boxed()
            });
            tokio::spawn(listener.serve(metrics, refresh));
            address
        });
        Self { _runtime: runtime, address, scrapes }
    }

    /// The whole answer to some octets.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn scrape(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        body.to_owned()
    }
}

fn destination() -> Destination {
    Destination {
        mailbox: "incoming_email".to_owned(),
        action: Some("reply".to_owned()),
        key: Key::new("59d8df8370b7e95c").unwrap(),
        matched: Matched { source: AddressSource::To, address: String::new() },
    }
}

fn fill(metrics: &Metrics) {
    let outcome =
        |verdict| Outcome { destination: Some(destination()), ..Outcome::new(verdict, "x", std::sync::Arc::default()) };
    metrics.count(&outcome(Verdict::Delivered));
    metrics.count(&outcome(Verdict::Ignored { rule: "auto-submitted", detail: String::new() }));
    metrics.count(&outcome(Verdict::Held { rule: "unexplained-refusal", detail: String::new() }));
    let (public, detail) = ("no answer".to_owned(), "connection refused".to_owned());
    let deferral =
        Deferral { status: Status::NO_ANSWER, cause: "app", public, detail, alarm: false, retry_after: None };
    metrics.count(&outcome(Verdict::Deferred(deferral)));
    let rejection = Rejection { rule: "unknown-address", reason: "not known".to_owned() };
    let rejected = outcome(Verdict::Rejected(rejection));
    let notice = Some(NoticeOutcome::Sent { to: "jane@example.org".to_owned() });
    metrics.count(&Outcome { effects: Effects { notice, ..Effects::default() }, ..rejected });
    let effects = Effects { warning: Some("not recorded".to_owned()), ..Effects::default() };
    metrics.count(&Outcome { effects, ..outcome(Verdict::Delivered) });
    for step in TimedStep::ALL {
        metrics.observe(step, Duration::from_millis(3));
    }
    metrics.log_line_dropped();
    metrics.connection_turned_away();
    drop(metrics.connection());
}

fn config() -> Config {
    let text = "[[mailbox]]\nname = \"incoming_email\"\naddress = \"a+%{key}@b\"\napp = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/x\"\n[shared]\nurl = \"redis://127.0.0.1:6379\"\n";
    Config::parse(Path::new("mailhatch.toml"), text).unwrap()
}

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

#[test]
fn held_copies_are_counted_at_each_scrape() {
    let service = Service::start();
    assert!(service.scrape().contains("\nmailhatch_held_copies 1\n"));
    assert!(service.scrape().contains("\nmailhatch_held_copies 2\n"));
    assert_eq!(service.scrapes.load(Ordering::Relaxed), 2);
}

#[test]
fn only_metrics_are_served() {
    let service = Service::start();
    let too_long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let rows = [
        ("head", "HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        ("bare line ends", "GET /metrics HTTP/1.0\n\n", "HTTP/1.1 200 OK"),
        ("root", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("post", "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 Method Not Allowed"),
        ("no request", "hello\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("too long", &too_long, "HTTP/1.1 400 Bad Request"),
    ];
    for (name, request, status) in rows {
        let answer = service.ask(request);
        assert_eq!(answer.lines().next(), Some(status), "{name}");
        let is_whole = answer.contains("\nmailhatch_messages_total{");
        assert_eq!(is_whole, name == "bare line ends", "{name}: {answer}");
    }
}

#[test]
fn readers_that_hang_do_not_keep_others_out() {
    let service = Service::start();
    let hanging = (0..20).map(|_| TcpStream::connect(service.address).unwrap()).collect::<Vec<_>>();
    assert!(service.scrape().contains("mailhatch_build_info"));
    drop(hanging);
}

/// All names that an expression of a rule or a panel uses.
fn metric_names(text: &str) -> Vec<String> {
    let names = regex::Regex::new(r"\bmailhatch_[a-z_]+").unwrap();
    names.find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_metrics_that_exist() {
    let scrape = Service::start().scrape();
    for file in ["grafana/mailhatch.json", "prometheus/mailhatch.rules.yml"] {
        let text = std::fs::read_to_string(packaging(file)).unwrap();
        let names = metric_names(&text);
        assert!(names.len() > 10, "{file}");
        // Those of mailboxes are served by `fetch`, see tests/mailbox.
        for name in names.into_iter().filter(|name| !name.starts_with("mailhatch_inbox_")) {
            let sample = scrape.lines().any(|line| line.split(['{', ' ']).next() == Some(&name));
            assert!(sample, "{file} uses {name}, which is not in\n{scrape}");
        }
    }
}

#[test]
fn the_dashboard_is_one() {
    let text = std::fs::read_to_string(packaging("grafana/mailhatch.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "every panel has its own id");
    for panel in panels {
        let right = panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap();
        assert!(right <= 24, "{} stands over the edge", panel["title"]);
    }
}
