//! What reading a mailbox of Microsoft Graph costs: `make bench-graph`, with a release build. Speed and memory are printed; that
//! each message comes once and that no limit of the service is exceeded is asserted.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::servers::graph::Graph;
use crate::site::{address, message};
use crate::support::config::{BASE, WEBHOOK_SECRET, http_app};
use crate::support::http_server::{HttpServer, Reply};
use crate::support::process::Process;
use crate::support::service::MAILHATCH;

/// The service's share for ten minutes makes it long: two requests a message, 10,000 in ten minutes.
const LONGEST: Duration = Duration::from_secs(3600);

#[test]
#[ignore = "takes half an hour: the service's limit of requests"]
fn figures_of_graph() {
    let binary = std::env::var("MAILHATCH_BINARY").unwrap_or_else(|_| MAILHATCH.to_owned());
    let most = std::env::var("MAILHATCH_GRAPH_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    println!(
        "| messages of 4 KB | seconds | a second | the first 400, a second | at once | requests | peak memory, MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for messages in [most / 10, most] {
        drain(&binary, messages);
    }
}

fn drain(binary: &str, messages: u64) {
    let server = Graph::start();
    // The latency of a data centre nearby, so that requests do overlap.
    server.state().takes = Duration::from_millis(10);
    for number in 1..=messages {
        let mut mail = message(&address(number), &format!("m{number:05}"));
        mail.extend_from_slice(format!("{}\r\n", "x".repeat(70)).repeat(52).as_bytes());
        server.add(mail);
    }
    let ids: Arc<Mutex<(HashSet<String>, usize)>> = Arc::default();
    let seen = ids.clone();
    let app = HttpServer::tcp(move |request| {
        let mut seen = seen.lock().unwrap();
        seen.0.insert(request.header("webhook-id").to_owned());
        seen.1 += 1;
        Reply::json(200, "{}")
    });
    app.drop_bodies();
    let config = format!("{BASE}{}{}", http_app("webhook", app.url(), ""), server.inbox("since = \"all\""));
    let site = server.site(&config);
    site.place.write_secret("secret", WEBHOOK_SECRET);
    let log = std::fs::File::create(site.place.path().join("log")).unwrap();
    let mut command = Command::new(binary);
    command.arg("--config").arg(site.place.config()).args(["fetch", "--once"]);
    let begun = Instant::now();
    let mut fetch = Process::start(command.stdin(Stdio::null()).stderr(log));
    let (mut peak, mut first, mut requests) = (0, None, 0);
    let status = loop {
        peak = peak_memory(fetch.id()).unwrap_or(peak);
        if first.is_none() && ids.lock().unwrap().1 >= 400 {
            first = Some(begun.elapsed());
        }
        requests += server.server.requests().len();
        server.server.forget_requests();
        app.forget_requests();
        if let Some(status) = fetch.ended() {
            break status;
        }
        assert!(begun.elapsed() < LONGEST, "{} after an hour", ids.lock().unwrap().1);
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(status.code(), Some(0), "see {}", site.place.path().join("log").display());
    let (ids, events) = &*ids.lock().unwrap();
    assert_eq!((ids.len() as u64, *events as u64), (messages, messages), "each once by its id");
    assert!(server.state().messages.iter().all(|kept| kept.is_read));
    server.check();
    println!(
        "| {messages} | {took:.0} | {:.1} | {} | {} | about {requests} | {:.1} |",
        messages as f64 / took,
        first.map_or("-".to_owned(), |first| format!("{:.0}", 400.0 / first.as_secs_f64())),
        server.most_at_once(),
        peak as f64 / 1024.0
    );
}

/// In KiB.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
