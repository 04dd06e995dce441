//! What refusing at RCPT TO costs: an answer by itself, and ten thousand mails refused beside ten thousand accepted and held.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::latency::Smtp;
use crate::lmtp::message;
use crate::place::{Kind, Place, Setup};
use crate::postfix::{Postfix, Transport};
use crate::process::{Server, cpu_of, run};
use crate::report::{Report, at_most, mebibytes, percentile};
use crate::{Options, place};

const REQUESTS: usize = 10_000;
const MAILS: usize = 10_000;
const CLIENTS: usize = 10;

const KNOWN: &str = "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@hatch.test";
const UNKNOWN: &str = "incoming+guess@hatch.test";

pub fn measure(options: &Options, report: &mut Report) {
    measure_answers(options, report);
    measure_mails(options, report);
}

/// mailhatch with GitLab's keys at hatch.test, and a policy socket.
fn start(options: &Options, policy: &Path) -> (Server, Place) {
    let place = Place::new(&options.dir, &Setup::new(Kind::Spool));
    let text = fs::read_to_string(place.config()).unwrap();
    let text = text
        .replace("[listen]\n", &format!("[listen]\npolicy = [\"unix:{}\"]\n", policy.display()))
        .replace("app.example.com", "hatch.test")
        .replace("\"any\"", "\"gitlab\"");
    fs::write(place.config(), text).unwrap();
    let mut command = Command::new(&options.binary);
    command.arg("--config").arg(place.config()).arg("serve");
    let (server, _) = Server::start_and_wait(&mut command, &place.path("log"), &place.socket());
    (server, place)
}

/// Says DUNNO to everything, a thread a connection.
fn floor(path: PathBuf) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> io::Result<()> {
                let mut request = [0; 4096];
                while stream.read(&mut request)? > 0 {
                    stream.write_all(b"action=DUNNO\n\n")?;
                }
                Ok(())
            });
        }
    });
}

/// What Postfix 3.7.11 sends.
fn request(recipient: &str) -> Vec<u8> {
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=203.0.113.7\n\
         client_name=mail.example.org\nclient_port=44300\nreverse_client_name=mail.example.org\n\
         server_address=192.0.2.25\nserver_port=25\nhelo_name=mail.example.org\nsender=jane@example.org\n\
         recipient={recipient}\nrecipient_count=0\nqueue_id=\ninstance=a2.6565b8b9.b4a1.0\nsize=12345\netrn_domain=\n\
         stress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\n\
         ccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n"
    )
    .into_bytes()
}

fn measure_answers(options: &Options, report: &mut Report) {
    let scratch = TempDir::new_in(&options.dir).unwrap();
    let (floor_socket, socket) = (scratch.path().join("floor.sock"), scratch.path().join("policy.sock"));
    floor(floor_socket.clone());
    let (_server, _place) = start(options, &socket);
    let rows = [
        ("a thread that says DUNNO", &floor_socket, KNOWN),
        ("mailhatch, a known key", &socket, KNOWN),
        ("mailhatch, an unknown key, with its log line", &socket, UNKNOWN),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ways: [(&str, usize, Pace); 4] = [
        ("1", 1, Pace::AtOnce),
        ("100, one after the other", 100, Pace::OneByOne),
        ("100, 5000 a second in all", 100, Pace::Every(Duration::from_millis(20))),
        ("100, all at once", 100, Pace::AtOnce),
    ];
    let mut takes = vec![vec![Vec::new(); rows.len()]; ways.len()];
    for _ in 0..options.rounds {
        for ((_, connections, pace), takes) in ways.iter().zip(&mut takes) {
            for ((_, socket, recipient), takes) in rows.iter().zip(takes) {
                takes.push(runtime.block_on(ask(socket, *connections, *pace, &request(recipient))));
            }
        }
    }
    let table = report.table(
        "An answer at RCPT TO",
        &format!(
            "{REQUESTS} requests as Postfix sends them, over one connection and over 100, each answered before the next on its \
             connection is sent; from the first octet written to the last one read. Of {} rounds in turn, the median of each \
             round's figure. The client is one thread. All at once is what the machine can do: the time is that of the queue, \
             as it is for the thread that says DUNNO.",
            options.rounds
        ),
        &["server", "connections", "median µs", "99 % µs", "requests/s", "target, 99 %"],
    );
    for ((way, connections, pace), takes) in ways.iter().zip(&mut takes) {
        let is_queueing = *connections > 1 && matches!(pace, Pace::AtOnce);
        for ((name, _, _), takes) in rows.iter().zip(takes) {
            let of = |figure: fn(&mut Take) -> f64, takes: &mut Vec<Take>| {
                percentile(&mut takes.iter_mut().map(figure).collect::<Vec<_>>(), 50.0)
            };
            let high = of(|take| percentile(&mut take.micros, 99.0), takes);
            table.row([
                (*name).to_owned(),
                (*way).to_owned(),
                format!("{:.0}", of(|take| percentile(&mut take.micros, 50.0), takes)),
                format!("{high:.0}"),
                format!("{:.0}", of(|take| take.micros.len() as f64 / take.whole.as_secs_f64(), takes)),
                if name.starts_with("mailhatch") && !is_queueing { at_most(high, 1000.0) } else { String::new() },
            ]);
        }
    }
}

/// One round.
#[derive(Clone)]
struct Take {
    micros: Vec<f64>,
    whole: Duration,
}

/// When the next request is sent.
#[derive(Clone, Copy)]
enum Pace {
    /// On each connection when the answer to its last one is there.
    AtOnce,
    /// On each connection after this time, however long the answer takes.
    Every(Duration),
    /// On the next connection when the answer on this one is there.
    OneByOne,
}

async fn ask(socket: &Path, connections: usize, pace: Pace, request: &[u8]) -> Take {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(tokio::net::UnixStream::connect(socket).await.unwrap());
    }
    let started = Instant::now();
    let each = REQUESTS / connections;
    let micros = if let Pace::OneByOne = pace {
        let mut micros = Vec::with_capacity(REQUESTS);
        for _ in 0..each {
            for stream in &mut streams {
                micros.push(exchange(stream, request).await);
            }
        }
        micros
    } else {
        let asking = streams.into_iter().enumerate().map(|(place, mut stream)| async move {
            let mut micros = Vec::with_capacity(each);
            for number in 0..each {
                if let Pace::Every(time) = pace {
                    // Each connection has its own moment within the time.
                    let due = time * number as u32 + time * place as u32 / connections as u32;
                    tokio::time::sleep_until((started + due).into()).await;
                }
                micros.push(exchange(&mut stream, request).await);
            }
            micros
        });
        futures_util::future::join_all(asking).await.concat()
    };
    Take { micros, whole: started.elapsed() }
}

async fn exchange(stream: &mut tokio::net::UnixStream, request: &[u8]) -> f64 {
    let started = Instant::now();
    stream.write_all(request).await.unwrap();
    let (mut answer, mut length) = ([0; 256], 0);
    while !answer[..length].ends_with(b"\n\n") {
        let read = stream.read(&mut answer[length..]).await.unwrap();
        assert!(read > 0, "the service hung up");
        length += read;
    }
    started.elapsed().as_secs_f64() * 1e6
}

fn measure_mails(options: &Options, report: &mut Report) {
    if !Postfix::is_possible() {
        return;
    }
    let sockets = tempfile::TempDir::new_in(&options.dir).unwrap();
    fs::set_permissions(sockets.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let policy = sockets.path().join("policy.sock");
    let (server, place) = start(options, &policy);
    let postfix = Postfix::start(&options.dir, &[Transport::lmtp("hatch", "hatch.test".to_owned(), &place.socket())]);
    let queue = postfix.config_dir().with_file_name("q");
    let set = |parameters: &[&str]| {
        let config = postfix.config_dir();
        run("postconf", &[&["-c", config.to_str().unwrap(), "-e"], parameters].concat());
        run("postfix", &["-c", config.to_str().unwrap(), "reload"]);
        std::thread::sleep(Duration::from_millis(500));
    };
    // A client that is refused is slowed down by Postfix after ten times; here the work counts, not the wait.
    set(&["smtpd_error_sleep_time=0", "smtpd_hard_error_limit=1000000", "smtpd_junk_command_limit=1000000"]);
    let table = report.table(
        "Ten thousand mails to unknown addresses: refused, or accepted and held",
        &format!(
            "{MAILS} mails of 4 KB from forged senders to unknown keys, each in a transaction of its own, over {CLIENTS} \
             connections to a private Postfix; notices are off, so accepting costs no DNS. One run, accepted first. CPU is that of \
             all of Postfix's processes and of mailhatch."
        ),
        &["way", "mails/s", "CPU ms/mail, Postfix", "CPU ms/mail, mailhatch", "held copies", "left on disk"],
    );
    let master = fs::read_to_string(queue.join("pid/master.pid")).unwrap().trim().parse().unwrap();
    for refuses in [false, true] {
        if refuses {
            place::empty(&place.path("state/held"));
            set(&[&format!(
                "smtpd_recipient_restrictions=check_policy_service \
                 {{ unix:{}, timeout=3s, try_limit=1, default_action=DUNNO }}",
                policy.display()
            )]);
        }
        let state = || size(&place.path("state/held")) + size(&queue.join("deferred"));
        let before = (cpu_of(master), server.cpu(), state());
        let started = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let port = postfix.port();
                scope.spawn(move || {
                    let mut smtp = Smtp::connect(port);
                    for number in 0..MAILS / CLIENTS {
                        smtp.0.command(&format!("MAIL FROM:<victim-{client}-{number}@example.org>"), "250");
                        let recipient = format!("RCPT TO:<incoming+guess-{client}-{number}@hatch.test>");
                        if refuses {
                            smtp.0.command(&recipient, "550");
                            smtp.0.command("RSET", "250");
                        } else {
                            smtp.0.command(&recipient, "250");
                            smtp.0.command("DATA", "354");
                            smtp.send_text(&message((client * MAILS + number) as u64, 4096));
                        }
                    }
                });
            }
        });
        postfix.wait_empty();
        let whole = started.elapsed();
        let held =
            fs::read_dir(place.path("state/held")).map_or(0, |entries| entries.flatten().filter(is_copy).count());
        assert_eq!(held, if refuses { 0 } else { MAILS }, "held copies");
        let per_mail = |cpu: Duration| format!("{:.3}", cpu.as_secs_f64() * 1000.0 / MAILS as f64);
        table.row([
            if refuses { "refused at RCPT TO" } else { "accepted, rejected by mailhatch, held" }.to_owned(),
            format!("{:.0}", MAILS as f64 / whole.as_secs_f64()),
            per_mail(cpu_of(master).saturating_sub(before.0)),
            per_mail(server.cpu().saturating_sub(before.1)),
            held.to_string(),
            mebibytes(state() - before.2),
        ]);
    }
}

/// A dot hides what is being written.
fn is_copy(entry: &fs::DirEntry) -> bool {
    !entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// Octets of all files below a directory.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}
