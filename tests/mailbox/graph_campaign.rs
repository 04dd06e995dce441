//! The fault campaign with a mailbox of Microsoft Graph: `fetch` is killed again and again, at random, right after an
//! acknowledgement and at each crash point, while the application fails in its 22 ways, Graph in ways of its own, and mail goes
//! on coming in. In the end each message was acknowledged under one id, and is marked; a stranger's is as it was.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::seed::Seed;
use crate::servers::graph::{Graph, refused};
use crate::site::{Site, address, key, message};
use crate::support::config::{BASE, WEBHOOK_SECRET, http_app};
use crate::support::http_server::{Fault, HttpServer, Reply, Request};
use crate::support::needs;

/// All that a reader passes; the last one only when it has marked something.
const PLACES: [&str; 6] =
    ["message-begun", "before-app", "app-acknowledged", "delivery-recorded", "message-settled", "message-marked"];

/// Every fault has its run, and between two of them everything works.
const RUNS: usize = 2 * Fault::ALL.len();

/// Longer than any campaign takes.
const LONGEST: Duration = Duration::from_secs(3600);

/// In which a reader comes to what it must meet: a fault of the application, a crash point.
const ENOUGH: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Plan {
    messages: u64,
    seed: u64,
    /// How long a reader lives, in milliseconds.
    life: (u64, u64),
}

#[needs(crash_points)]
#[test]
fn a_small_campaign_loses_nothing() {
    run(Plan { messages: 220, seed: 13, life: (150, 450) });
}

/// `make faults-graph`
#[test]
#[ignore = "takes a quarter of an hour"]
fn full_graph_campaign() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(or);
    let (messages, seed) = (number("MAILHATCH_FAULTS_MESSAGES", 5_000), number("MAILHATCH_FAULTS_SEED", 1));
    run(Plan { messages, seed, life: (300, 1300) });
}

/// The application: what it acknowledges whole, it has.
#[derive(Clone, Default)]
struct Application(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    fault: Option<Fault>,
    /// How often it acknowledged each id, by the message's key.
    acknowledged: HashMap<String, HashMap<String, usize>>,
    acknowledgements: usize,
    failed: BTreeMap<String, usize>,
}

impl Application {
    fn serve(&self) -> HttpServer {
        let books = self.0.clone();
        HttpServer::tcp(move |request| answer(&books, request))
    }

    fn acknowledgements(&self) -> usize {
        self.0.lock().unwrap().acknowledgements
    }

    fn failures(&self) -> usize {
        self.0.lock().unwrap().failed.values().sum()
    }

    fn must_fail(&self) -> bool {
        self.0.lock().unwrap().fault.is_some()
    }

    fn messages(&self) -> usize {
        self.0.lock().unwrap().acknowledged.len()
    }
}

fn answer(books: &Mutex<Books>, request: &Request) -> Reply {
    // So slow that a reader rarely gets through before it is killed.
    thread::sleep(Duration::from_millis(30));
    let event: serde_json::Value = serde_json::from_slice(&request.body).expect("an event");
    let key = event["data"]["key"].as_str().expect("a key").to_owned();
    let mut books = books.lock().unwrap();
    if let Some(fault) = books.fault {
        *books.failed.entry(format!("{fault:?}")).or_default() += 1;
        // For a webhook that is an acknowledgement like any other.
        if fault != Fault::OtherJson {
            drop(books);
            return fault.reply();
        }
    }
    books.acknowledgements += 1;
    *books.acknowledged.entry(key).or_default().entry(request.header("webhook-id").to_owned()).or_default() += 1;
    Reply::json(200, "{}")
}

/// Where the application is for a fault that no request reaches it with.
fn elsewhere(fault: Fault) -> Option<HttpServer> {
    matches!(fault, Fault::ConnectionRefused | Fault::DnsFailure | Fault::UntrustedCertificate).then(|| fault.start())
}

/// What Graph does wrong now and then.
fn trouble_of_graph(random: &mut Seed) -> (&'static str, Reply) {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nFrom: half@example.org\r\n".to_vec();
    let troubles = [
        ("/$value", Reply::Close),
        ("/$value", Reply::Raw(half)),
        ("/$value", refused(503, "ServiceUnavailable", "no")),
        ("/$value", Reply::json(429, "{}").with_header("Retry-After", "1")),
        ("PATCH", Reply::Close),
        ("PATCH", refused(504, "UnknownError", "no")),
        ("/delta", Reply::Close),
        ("/delta", refused(410, "syncStateNotFound", "The sync state generation is not found.")),
        ("", refused(401, "InvalidAuthenticationToken", "expired")),
    ];
    troubles[random.below(troubles.len() as u64) as usize].clone()
}

/// What came of it, beside the books.
#[derive(Default)]
struct Played {
    killed: BTreeMap<&'static str, usize>,
    ended: usize,
    of_graph: usize,
}

fn run(plan: Plan) {
    let (begun, mut random) = (Instant::now(), Seed::new(plan.seed, 7));
    let (server, application) = (Graph::start(), Application::default());
    let app = application.serve();
    let configuration = |url: &str| {
        let app = http_app("webhook", url, "timeout = \"1s\"");
        format!("{BASE}{app}{}", server.inbox("since = \"all\"\nconcurrency = 4"))
    };
    let site = server.site(&configuration(app.url()));
    site.place.write_secret("secret", WEBHOOK_SECRET);
    let mut faults = Fault::ALL;
    random.shuffle(&mut faults);
    let (mut played, mut coming, mut strangers) = (Played::default(), 1..=plan.messages, Vec::new());
    for nth in 0.. {
        for number in coming.by_ref().take((plan.messages as usize).div_ceil(RUNS)) {
            if number % 10 == 0 {
                strangers.push(server.add(message("joe@example.net", &format!("stranger{number}"))));
            }
            server.add(message(&address(number), &format!("m{number:05}")));
        }
        if nth >= RUNS && application.messages() as u64 == plan.messages {
            break;
        }
        assert!(begun.elapsed() < LONGEST, "{} messages are acknowledged after an hour", application.messages());
        let fault = (nth % 2 == 1).then(|| faults[nth / 2 % faults.len()]);
        let away = fault.and_then(elsewhere);
        application.0.lock().unwrap().fault = fault.filter(|_| away.is_none());
        site.place.configure(&configuration(away.as_ref().unwrap_or(&app).url()));
        if random.per_mille(300) {
            let (what, reply) = trouble_of_graph(&mut random);
            server.once(what, reply);
            played.of_graph += 1;
        }
        let place = (nth % 4 == 2).then(|| PLACES[nth / 4 % PLACES.len()]);
        one_life(&site, &application, plan, &mut random, place, &mut played);
        server.state().next.clear();
        server.server.forget_requests();
        app.forget_requests();
    }
    application.0.lock().unwrap().fault = None;
    site.place.configure(&configuration(app.url()));
    let is_marked = || server.state().messages.iter().filter(|kept| kept.is_read).count() as u64 == plan.messages;
    for _ in 0..10 {
        site.run(&["inbox", "retry", "test"]);
        site.once();
        if is_marked() {
            break;
        }
    }
    app.forget_requests();
    judge(plan, &server, &strangers, &application, &played, begun.elapsed());
}

/// Starts a reader, and kills it, if it does not kill itself.
fn one_life(
    site: &Site,
    application: &Application,
    plan: Plan,
    random: &mut Seed,
    place: Option<&'static str>,
    played: &mut Played,
) {
    // What was under way when it was killed waits; a person would not be so quick.
    site.run(&["inbox", "retry", "test"]);
    let environment: Vec<_> = place.map(|place| ("MAILHATCH_CRASH", place)).into_iter().collect();
    let (acknowledged, wanted) = (application.acknowledgements(), random.below(20) as usize);
    let failures = application.failures();
    let must_fail = || application.must_fail() && application.failures() == failures;
    let after_an_answer = random.per_mille(250).then(|| random.time(0, 6));
    let life = match place {
        // It gets there by itself, the mark after a second.
        Some(_) => ENOUGH,
        None => random.time(plan.life.0, plan.life.1),
    };
    let (begun, mut fetch) = (Instant::now(), site.fetch_with(&environment));
    let mut status = None;
    while status.is_none() && (begun.elapsed() < life || must_fail() && begun.elapsed() < ENOUGH) {
        if let Some(moment) = after_an_answer
            && application.acknowledgements() > acknowledged + wanted
        {
            thread::sleep(moment);
            break;
        }
        thread::sleep(Duration::from_micros(500));
        status = fetch.ended();
    }
    let kind = match (status, place, after_an_answer) {
        (Some(status), Some(place), _) if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) => place,
        (Some(_), ..) => {
            played.ended += 1;
            return;
        }
        (None, _, Some(_)) => "around an acknowledgement",
        (None, _, None) => "at random",
    };
    fetch.kill();
    *played.killed.entry(kind).or_default() += 1;
}

fn judge(plan: Plan, server: &Graph, strangers: &[String], application: &Application, played: &Played, took: Duration) {
    let books = application.0.lock().unwrap();
    let state = server.state();
    let list = |counts: &BTreeMap<&'static str, usize>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let twice = books.acknowledged.values().filter(|ids| ids.values().any(|count| *count > 1)).count();
    let ids: usize = books.acknowledged.values().map(HashMap::len).sum();
    let (ours, others): (Vec<_>, Vec<_>) = state.messages.iter().partition(|kept| !strangers.contains(&kept.id));
    let marked = ours.iter().filter(|kept| kept.is_read).count();
    let untouched = others.iter().filter(|kept| !kept.is_read && kept.folder == "inbox").count();
    let rows = [
        ("mails of ours, of strangers", format!("{}, {}", plan.messages, strangers.len())),
        ("readers killed, ended by a fault", format!("{}, {}", played.killed.values().sum::<usize>(), played.ended)),
        ("killed where", list(&played.killed)),
        (
            "failed hand-overs, by fault",
            format!(
                "{} in {} ways, and 3 ways to reach nobody",
                books.failed.values().sum::<usize>(),
                books.failed.len()
            ),
        ),
        ("troubles of Graph; answers of 429 for its limit", format!("{}; {}", played.of_graph, state.over_the_limit)),
        ("acknowledged, by id", ids.to_string()),
        ("of these seen twice with the same id (killed between the yes and its record)", twice.to_string()),
        ("marked in the mailbox", marked.to_string()),
        ("of strangers' mails untouched", untouched.to_string()),
        ("most requests at once", server.most_at_once().to_string()),
        ("seconds", took.as_secs().to_string()),
    ];
    drop(state);
    println!("| | |\n|---|---|");
    rows.iter().for_each(|(name, value)| println!("| {name} | {value} |"));
    let lost: Vec<_> = (1..=plan.messages).map(key).filter(|key| !books.acknowledged.contains_key(key)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(books.acknowledged.values().all(|ids| ids.len() == 1), "a message had two ids");
    assert_eq!((ids, marked), (plan.messages as usize, plan.messages as usize));
    assert_eq!(untouched, strangers.len());
    assert_eq!(books.failed.len(), Fault::ALL.len() - 3, "each fault that can be seen was met: {:?}", books.failed);
    let missing: Vec<_> = PLACES.iter().filter(|place| !played.killed.contains_key(*place)).collect();
    assert!(missing.is_empty(), "never killed at {missing:?}");
    server.check_requests();
}
