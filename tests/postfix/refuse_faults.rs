//! Whatever becomes of the policy service, Postfix takes mail and it is delivered. A stub stands in the service's place and does
//! what a broken one could do; mailhatch takes the mail by LMTP as ever.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::refuse::{GITLAB, KNOWN, UNKNOWN, socket, start, wired};
use crate::service::{Site, message};
use crate::support::needs;
use crate::support::process::run;
use crate::support::submission::{REMOTE, Session, Submission};
use crate::support::wait::wait_for;

/// Longer than the 3 s that Postfix may wait for an answer, on a machine that does other things as well; far less than the
/// 100 s that it waits without `timeout=3s`.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a service that works would say; the stubs say less of it, or something else.
const REFUSAL: &[u8] = b"action=550 5.1.1 The address is not known here.\n\n";

/// Says something for each connection, in turn.
struct Stub {
    ends: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Stub {
    /// Listens where the service would; `serve` gets each connection with its number.
    fn start(path: &Path, serve: impl Fn(usize, UnixStream) + Send + Sync + 'static) -> Self {
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        let stub = Self { ends: Arc::default(), connections: Arc::default() };
        let (ends, connections) = (stub.ends.clone(), stub.connections.clone());
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                std::thread::spawn(move || serve(number, stream));
            }
        });
        stub
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Reads a whole request.
fn request(stream: &mut UnixStream) -> Vec<u8> {
    let (mut request, mut octet) = (Vec::new(), [0]);
    while !request.ends_with(b"\n\n") && stream.read(&mut octet).unwrap_or(0) == 1 {
        request.push(octet[0]);
    }
    request
}

/// Sends messages, one a connection with Postfix; all must be taken and delivered, each in time.
fn all_come_in(site: &Site, what: &str, messages: usize) {
    let mut left = 0..messages;
    all_come_in_until(site, what, || left.next().is_none());
}

/// The same until it is enough. smtpd(8) does not ask again over a connection that it has not yet seen to be dead.
fn all_come_in_until(site: &Site, what: &str, mut enough: impl FnMut() -> bool) {
    let (before, mut sent) = (site.delivered().len(), 0);
    while !enough() {
        let name = format!("{}-{sent}", what.replace(' ', "-"));
        let started = Instant::now();
        site.postfix.send(&Submission::new("jane@example.org", &[KNOWN], message(&name)));
        assert!(started.elapsed() < PATIENCE, "{name}: {:?}", started.elapsed());
        sent += 1;
        assert!(sent < 2000, "{what}: it was asked too seldom");
    }
    site.postfix
        .wait_for(&format!("{what}: all delivered"), || (site.delivered().len() == before + sent).then_some(()));
    site.postfix.assert_nobody_was_written_to();
}

/// mailhatch takes mail by LMTP, and somebody else is to stand at the policy socket.
fn without_policy_service() -> Site {
    let site = wired("");
    site.configure(GITLAB);
    site.start_service();
    site
}

#[needs(postfix, root)]
#[test]
fn a_service_that_is_stopped() {
    let site = start("");
    all_come_in(&site, "running", 2);
    // Killed: its socket stays behind, and nobody listens.
    site.kill_service();
    assert!(socket(&site).exists());
    let sent: Vec<_> = (0..3)
        .map(|number| {
            let submission = Submission::new("jane@example.org", &[KNOWN], message(&format!("stopped-{number}")));
            let started = Instant::now();
            let queue_id = site.postfix.send(&submission);
            assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
            queue_id
        })
        .collect();
    site.start_service();
    for queue_id in sent {
        assert!(site.postfix.wait_done(&queue_id).last().unwrap().contains("status=sent"));
    }
    // Its socket taken away, or never made.
    let site = without_policy_service();
    assert!(!socket(&site).exists());
    all_come_in(&site, "no socket", 3);
    assert!(site.postfix.log().contains("mailhatch/policy.sock"), "Postfix says so in its log");
}

#[needs(postfix, root)]
#[test]
fn a_service_that_hangs() {
    let site = without_policy_service();
    // Takes the connection, reads, and says nothing; and one that does not even accept.
    let stub = Stub::start(&socket(&site), |_, mut stream| while stream.read(&mut [0; 512]).unwrap_or(0) > 0 {});
    all_come_in(&site, "hanging", 2);
    drop(stub);
    let _ = fs::remove_file(socket(&site));
    let deaf = UnixListener::bind(socket(&site)).unwrap();
    fs::set_permissions(socket(&site), fs::Permissions::from_mode(0o666)).unwrap();
    all_come_in(&site, "deaf", 2);
    drop(deaf);
}

#[needs(postfix, root)]
#[test]
fn a_service_that_dies_at_each_octet_of_its_answer() {
    let site = without_policy_service();
    let stub = Stub::start(&socket(&site), |number, mut stream| {
        request(&mut stream);
        let _ = stream.write_all(&REFUSAL[..number.min(REFUSAL.len())]);
    });
    // All but its last octet is the last that is no answer.
    let asked = || stub.connections.load(Ordering::Relaxed);
    all_come_in_until(&site, "dying in its answer", || asked() == REFUSAL.len());
    // The control: with the last octet it is one.
    let refused = wait_for("the refusal", || {
        site.postfix.submit(&Submission::new("jane@example.org", &[KNOWN], message("whole"))).err()
    });
    assert!(refused.reply.starts_with("550 5.1.1 "), "{refused:?}");
}

#[needs(postfix, root)]
#[test]
fn a_service_that_dies_at_each_octet_of_the_request() {
    let site = without_policy_service();
    let length = Arc::new(AtomicUsize::new(usize::MAX));
    let stub = Stub::start(&socket(&site), {
        let length = length.clone();
        move |number, mut stream| match number {
            0 => length.store(request(&mut stream).len(), Ordering::Relaxed),
            number => {
                let _ = stream.read_exact(&mut vec![0; number - 1]);
            }
        }
    });
    // The first connection learns how many octets a request has.
    let asked = || stub.connections.load(Ordering::Relaxed);
    all_come_in_until(&site, "dying in the request", || asked() > length.load(Ordering::Relaxed));
    assert!(asked() > 300, "{}", asked());
}

/// The real service, stopped in the middle of a dialogue: what it says afterwards about one recipient must not be taken for the
/// answer about another.
#[needs(postfix, root)]
#[test]
fn a_service_that_stands_still_refuses_nobody_in_another_s_place() {
    let site = start("");
    let mut session = Session::open(site.postfix.port());
    session.introduce(&REMOTE).unwrap();
    for round in 0..3 {
        session.command("MAIL FROM:<jane@example.org>").unwrap();
        session.command(&format!("RCPT TO:<{KNOWN}>")).unwrap();
        site.pause_service();
        // Nobody answers, so it is taken.
        let started = Instant::now();
        session.command(&format!("RCPT TO:<{UNKNOWN}>")).unwrap();
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        // The service wakes up while Postfix is at the next one. smtpd(8) does not use a connection again that was too slow.
        let second = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                site.resume_service();
            });
            session.command(&format!("RCPT TO:<{KNOWN}>"))
        });
        assert!(second.is_ok(), "round {round}: {second:?}");
        session.command("RSET").unwrap();
        // smtpd(8) sees between two clients that the connection is dead.
        session = Session::open(site.postfix.port());
        session.introduce(&REMOTE).unwrap();
    }
    let refused = wait_for("the refusal", || {
        site.postfix.submit(&Submission::new("jane@example.org", &[UNKNOWN], message("unknown"))).err()
    });
    assert!(refused.reply.starts_with("550 5.1.1 "), "{refused:?}");
}

#[needs(postfix, root)]
#[test]
fn a_service_that_speaks_nonsense() {
    let nonsense: &[&[u8]] = &[
        b"\n\n",
        b"action\n\n",
        b"action=\n\n",
        b"action= \n\n",
        b"actoin=550 5.1.1 no\n\n",
        b"550 5.1.1 no\n\n",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"220 mx.example.com LMTP mailhatch\r\n",
        b"\0\0\0\0\n\n",
        b"\xff\xfe=\x80\n\n",
        b"action=DUNNO\r\n\r\n",
        b"a=b\nc=d\n\n",
        b"=\n\n",
    ];
    let site = without_policy_service();
    let _stub = Stub::start(&socket(&site), move |number, mut stream| {
        request(&mut stream);
        let answer = nonsense.get(number).copied().unwrap_or(&[b'x'; 100_000]);
        let _ = stream.write_all(answer);
    });
    all_come_in(&site, "nonsense", nonsense.len() + 1);
}

#[needs(postfix, root)]
#[test]
fn ten_thousand_spoofed_messages_leave_no_trace() {
    let count = 10_000;
    let site = start("");
    // For the tempo of the test alone: a client that is refused too often is slowed down by Postfix.
    site.postfix.set(&["smtpd_error_sleep_time=0", "smtpd_hard_error_limit=100000", "smtpd_junk_command_limit=100000"]);
    all_come_in(&site, "before", 1);
    let tree = |name: &str| {
        let output = run(Command::new("find").arg(site.postfix.path(name)).args(["-type", "f", "-printf", "%P %s\\n"]));
        let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        // The log that SQLite and Postfix write of themselves.
        lines.retain(|line| !line.contains("ledger") && !line.starts_with("pid/"));
        lines.sort();
        lines
    };
    let all = || ["q", "state", "spool", "out"].map(tree);
    let before = all();
    std::thread::scope(|scope| {
        for client in 0..10 {
            let port = site.postfix.port();
            scope.spawn(move || {
                for batch in 0..count / 100 {
                    let mut session = Session::open(port);
                    session.introduce(&REMOTE).unwrap();
                    for number in 0..10 {
                        let victim = format!("victim-{client}-{batch}-{number}@example.org");
                        session.command(&format!("MAIL FROM:<{victim}>")).unwrap();
                        let recipient = format!("incoming+guess-{client}-{batch}-{number}@mail.example.com");
                        let refused = session.command(&format!("RCPT TO:<{recipient}>")).unwrap_err();
                        assert!(refused.reply.starts_with("550 5.1.1 "), "{refused:?}");
                        session.command("RSET").unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(all(), before, "queue, held copies, spool and what went out");
    assert_eq!(site.service_log().matches("event=refused-at-rcpt").count(), count, "one line a refusal");
    assert!(!site.held().contains("unknown-address"), "{}", site.held());
    all_come_in(&site, "after", 1);
}
