//! The policy service of the real binary: what it answers, logs and counts, and how it gets its sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::config::{BASE, REPLY_ADDRESS, REPLY_KEY, SPOOL};
use crate::support::needs;
use crate::support::process::Process;
use crate::support::service::{MAILHATCH, Place, Service};
use crate::support::wait::{LIMIT, wait_until};

const DUNNO: &str = "DUNNO";
const UNKNOWN: &str = "550 5.1.1 The address is not known here.";
const TOO_LARGE: &str = "552 5.3.4 The message is too large: the limit is 1 MiB.";

/// GitLab's mailbox with the policy service, and what else stands in `[refuse]`.
fn config(refuse: &str) -> String {
    let base = BASE.replace("[listen]", "[listen]\npolicy = [\"unix:{dir}/policy.sock\"]");
    format!("{base}[limits]\nmessage_size = \"1MiB\"\n[refuse]\n{refuse}\n{SPOOL}")
}

struct Policy(UnixStream);

impl Policy {
    fn connect(place: &Path) -> Self {
        let stream = UnixStream::connect(place.join("policy.sock")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(stream)
    }

    /// Gives what stands behind `action=`.
    fn ask(&mut self, recipient: &str, more: &str) -> String {
        let request = format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=203.0.113.7\nsender=jane@example.org\n\
             recipient={recipient}\ninstance=1.2.3\n{more}\n"
        );
        self.0.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut octet) = (Vec::new(), [0]);
        while !answer.ends_with(b"\n\n") {
            assert_eq!(self.0.read(&mut octet).unwrap(), 1, "the service hung up");
            answer.extend(octet);
        }
        let answer = String::from_utf8(answer).unwrap();
        answer.strip_prefix("action=").unwrap().trim_end().to_owned()
    }
}

#[test]
fn each_row_of_the_contract() {
    let dedicated = "[[mailbox]]\nname = \"desk\"\naddress = \"gitlab@gitlab.example.com\"\nsources = [\"references\"]\n\
                     actions = \"gitlab\"\napp = \"spool\"\n[[mailbox]]\nname = \"shop\"\naddress = \
                     \"order-%{key}@shop.example\"\napp = \"spool\"\n";
    let refuse = "closed = [\"gitlab.example.com\"]\naccept = [\"landing@gitlab.example.com\"]";
    let service = Service::start(&format!("{}{dedicated}", config(refuse)));
    let mut policy = Policy::connect(service.place.path());
    let rows: &[(&str, &str, &str, &str)] = &[
        ("another request", "jane@gitlab.example.com", "request=x\n", DUNNO),
        ("another stage", "jane@gitlab.example.com", "protocol_state=DATA\n", DUNNO),
        ("no recipient", "", "", DUNNO),
        ("no domain", "postmaster", "", DUNNO),
        ("a domain of no mailbox", "jane@example.com", "size=99999999\n", DUNNO),
        ("accepted, in a sub-address", "landing+x@gitlab.example.com", "size=99999999\n", DUNNO),
        ("dedicated", "gitlab@gitlab.example.com", "size=1048576\n", DUNNO),
        ("a known key", REPLY_ADDRESS, "size=1048576\n", DUNNO),
        ("a known key in upper case", &REPLY_ADDRESS.replace("incoming", "Incoming"), "", DUNNO),
        ("an unknown key", "incoming+nota@gitlab.example.com", "", UNKNOWN),
        ("an unknown key, too large", "incoming+nota@gitlab.example.com", "size=99999999\n", UNKNOWN),
        ("no mailbox's form where it is closed", "jane@gitlab.example.com", "", UNKNOWN),
        ("no mailbox's form where it is open", "jane@shop.example", "size=99999999\n", DUNNO),
        ("a known key, too large", REPLY_ADDRESS, "size=1048577\n", TOO_LARGE),
        ("dedicated, too large", "gitlab@gitlab.example.com", "size=1048577\n", TOO_LARGE),
    ];
    for (name, recipient, more, wanted) in rows {
        assert_eq!(policy.ask(recipient, more), *wanted, "{name}");
    }
    let log = service.log();
    for line in [
        "event=refused-at-rcpt reason=unknown-address to=incoming+…@gitlab.example.com sender=jane@example.org \
         client=203.0.113.7 instance=1.2.3\n",
        "event=refused-at-rcpt reason=too-large to=incoming+59d8…@gitlab.example.com sender=jane@example.org \
         client=203.0.113.7 instance=1.2.3\n",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    assert_eq!(log.matches("refused-at-rcpt").count(), 5, "one line a refusal: {log}");
    assert!(!log.contains(REPLY_KEY), "{log}");
}

#[test]
fn in_mode_log_nobody_is_refused() {
    let service = Service::start(&config("mode = \"log\""));
    let mut policy = Policy::connect(service.place.path());
    assert_eq!(policy.ask("incoming+nota@gitlab.example.com", ""), DUNNO);
    let log = service.log();
    let line = "event=refused-at-rcpt reason=unknown-address to=incoming+…@gitlab.example.com sender=jane@example.org \
                client=203.0.113.7 instance=1.2.3 mode=log\n";
    assert!(log.contains(line), "{log}");
}

#[test]
fn a_reload_under_load_takes_effect_at_the_next_request_and_costs_no_answer() {
    let service = Service::start(&config(""));
    let (open, closed) = (config(""), config("closed = [\"gitlab.example.com\"]"));
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut policy = Policy::connect(service.place.path());
                    let mut asked = 0;
                    while !ends.load(Ordering::Relaxed) {
                        let answer = policy.ask("jane@gitlab.example.com", "");
                        assert!([DUNNO, UNKNOWN].contains(&answer.as_str()), "{answer}");
                        assert_eq!(policy.ask(REPLY_ADDRESS, ""), DUNNO);
                        asked += 2;
                    }
                    asked
                })
            })
            .collect();
        let mut policy = Policy::connect(service.place.path());
        for _ in 0..5 {
            for (text, wanted) in [(&closed, UNKNOWN), (&open, DUNNO)] {
                service.place.configure(text);
                service.reload();
                assert_eq!(policy.ask("jane@gitlab.example.com", ""), wanted);
            }
        }
        // A wrong one changes nothing.
        service.place.configure(&config("closed = [\"example.com\"]"));
        service.signal("HUP");
        wait_until("the old configuration", || service.log().contains("the old configuration stays in force"));
        assert_eq!(policy.ask("jane@gitlab.example.com", ""), DUNNO);
        ends.store(true, Ordering::Relaxed);
        let asked: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(asked > 0);
    });
    assert!(!service.log().contains("connection-closed"), "{}", service.log());
}

#[test]
fn answers_are_counted() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config("").replace("[listen]", &format!("[listen]\nmetrics = \"{port}\""));
    let service = Service::start(&config);
    let mut policy = Policy::connect(service.place.path());
    policy.ask(REPLY_ADDRESS, "");
    policy.ask("incoming+nota@gitlab.example.com", "");
    policy.ask(REPLY_ADDRESS, "size=2000000\n");
    let mut junk = Policy::connect(service.place.path());
    junk.0.write_all(b"junk\n").unwrap();
    assert_eq!(junk.0.read(&mut [0]).unwrap(), 0);
    let mut stream = TcpStream::connect(port).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    for line in [
        "mailhatch_policy_requests_total{answer=\"dunno\"} 1",
        "mailhatch_policy_requests_total{answer=\"unknown-address\"} 1",
        "mailhatch_policy_requests_total{answer=\"too-large\"} 1",
        "mailhatch_policy_requests_total{answer=\"error\"} 1",
        "mailhatch_policy_seconds_count 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_policy_socket_that_cannot_be_bound_costs_no_mail() {
    let service = Service::start(&config("").replace("/policy.sock", "/not/there/policy.sock"));
    let log = service.log();
    assert!(log.contains("unknown addresses are not refused at RCPT TO: listen.policy: cannot listen on "), "{log}");
    service.lmtp();
}

/// systemd hands over descriptors with the names of their units; only `policy` has a meaning.
#[needs(systemd)]
#[test]
fn a_descriptor_is_known_by_its_name_whatever_its_place() {
    for names in ["mailhatch.socket:policy", "policy:mailhatch.socket", "policies:policy"] {
        let place = Place::new(&format!("{BASE}{SPOOL}").replace("lmtp = [\"unix:{dir}/lmtp.sock\"]", "lmtp = []"));
        let path = |name: &str| place.path().join(format!("{name}.sock"));
        let sockets = names.split(':').map(|name| if name == "policy" { path("policy") } else { path("lmtp") });
        let log = std::fs::File::create(place.path().join("log")).unwrap();
        let mut command = Command::new("systemd-socket-activate");
        sockets.for_each(|socket| {
            command.arg("-l").arg(socket);
        });
        command.arg(format!("--fdname={names}")).args([MAILHATCH, "--config"]).arg(place.config()).arg("serve");
        let _process = Process::start(command.stdin(Stdio::null()).stderr(log));
        // The first connection starts the service; those behind it are served like any other. That the file is there does not
        // mean that anybody listens yet.
        wait_until("systemd-socket-activate to listen", || UnixStream::connect(path("policy")).is_ok());
        let answer = Policy::connect(place.path()).ask("incoming+nota@gitlab.example.com", "");
        let mut greeting = [0; 4];
        UnixStream::connect(path("lmtp")).unwrap().read_exact(&mut greeting).unwrap();
        let log = std::fs::read_to_string(place.path().join("log")).unwrap();
        assert_eq!(answer, UNKNOWN, "{names}: {log}");
        assert_eq!(&greeting, b"220 ", "{names}: {log}");
    }
}
