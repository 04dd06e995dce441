//! A private Redis on loopback, Sentinels that watch it, and a network between that can be cut or slowed down.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::process::Process;
use super::wait::{wait_for_or, wait_until};

/// A port that nobody listens on at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A redis-server with a data directory of its own; killed when dropped.
pub struct Redis {
    process: Option<Process>,
    directory: TempDir,
    address: String,
    port: u16,
    options: Vec<String>,
    namespace: Option<Arc<Namespace>>,
}

impl Redis {
    /// With an append-only file, as `docs/several-hosts.md` asks for.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with options of redis.conf: `--requirepass`, `hush`.
    #[track_caller]
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_at("127.0.0.1", None, options)
    }

    /// The same at an address other than loopback, or in another network.
    #[track_caller]
    pub fn start_at(address: &str, namespace: Option<Arc<Namespace>>, options: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("mh-redis-").tempdir().unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let address = address.to_owned();
        let mut redis = Self { process: None, directory, address, port: free_port(), options, namespace };
        redis.start_again();
        redis
    }

    /// With TLS and nothing else.
    #[track_caller]
    pub fn with_tls(certificate: &str, key: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mh-redis-").tempdir().unwrap();
        let port = free_port();
        let options = [
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            certificate,
            "--tls-auth-clients",
            "no",
        ];
        let options = options.map(str::to_owned).to_vec();
        let address = "127.0.0.1".to_owned();
        let mut redis = Self { process: None, directory, address, port, options, namespace: None };
        redis.start_again();
        redis
    }

    /// A signal to it.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("a running redis-server").signal(signal);
    }

    /// After its end, with what it has on its disk.
    #[track_caller]
    pub fn start_again(&mut self) {
        let port = self.port.to_string();
        let directory = self.directory.path().to_str().unwrap();
        let mut command = in_network(self.namespace.as_deref(), "redis-server");
        command.args(["--port", &port, "--bind", &self.address, "--dir", directory, "--save", ""]);
        command.args(["--protected-mode", "no"]);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"]);
        command.args(&self.options).stdin(Stdio::null());
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        self.process = Some(Process::start(command.stdout(log)));
        let (address, port, log) = (self.address.clone(), self.port, self.directory.path().join("log"));
        let options = self.options.clone();
        wait_for_or(
            "redis-server to answer",
            || {
                // One with TLS alone, or with a password, says no; but it answers.
                if options.iter().any(|option| option == "--tls-port") {
                    return TcpStream::connect((address.as_str(), port)).ok().map(drop);
                }
                let answer = Self::ask_at(&address, port, None, &["PING"])?;
                (!answer.contains("LOADING")).then_some(())
            },
            || std::fs::read_to_string(log).unwrap_or_default(),
        );
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.address, self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it something; the answer as Redis writes it, errors too.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> String {
        let password = self.options.iter().position(|option| option == "--requirepass");
        let password = password.and_then(|at| self.options.get(at + 1)).map(String::as_str);
        Self::ask_at(&self.address, self.port, password, command)
            .unwrap_or_else(|| panic!("{command:?}: no answer of Redis"))
    }

    /// Its keys of one kind: `d`, `n`, `a`.
    pub fn keys(&self, kind: &str) -> Vec<String> {
        let answer = self.ask(&["KEYS", &format!("*}}:{kind}:*")]);
        answer.lines().filter(|line| line.contains("}:")).map(str::to_owned).collect()
    }

    fn ask_at(address: &str, port: u16, password: Option<&str>, command: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect((address, port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut question = Vec::new();
        let login = password.map(|password| ["AUTH", password]);
        for words in login.iter().map(|login| &login[..]).chain([command]) {
            write!(question, "*{}\r\n", words.len()).ok()?;
            for word in words {
                write!(question, "${}\r\n{word}\r\n", word.len()).ok()?;
            }
        }
        stream.write_all(&question).ok()?;
        let mut reader = BufReader::new(stream);
        if login.is_some() {
            reply(&mut reader)?;
        }
        reply(&mut reader)
    }
}

fn in_network(namespace: Option<&Namespace>, program: &str) -> Command {
    namespace.map_or_else(|| Command::new(program), |namespace| namespace.command(program))
}

/// One reply, as it came (RESP2).
fn reply(reader: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    reader.read_line(&mut text).ok().filter(|size| *size > 0)?;
    let number: i64 = text.get(1..)?.trim().parse().unwrap_or(0);
    match text.get(..1)? {
        "$" if number >= 0 => {
            let mut octets = vec![0; usize::try_from(number).ok()? + 2];
            reader.read_exact(&mut octets).ok()?;
            text.push_str(&String::from_utf8_lossy(&octets));
        }
        "*" => {
            for _ in 0..number {
                text.push_str(&reply(reader)?);
            }
        }
        _ => {}
    }
    Some(text)
}

/// Three Sentinels that watch one master, called `mailhatch`.
pub struct Sentinels {
    _processes: Vec<Process>,
    directory: TempDir,
    address: String,
    ports: Vec<u16>,
}

impl Sentinels {
    /// They know each other and the replicas when this returns.
    #[track_caller]
    pub fn watch(master: &Redis, replicas: usize) -> Self {
        Self::watch_from("127.0.0.1", None, master, replicas)
    }

    /// The same at an address other than loopback, or in another network.
    #[track_caller]
    pub fn watch_from(address: &str, namespace: Option<&Namespace>, master: &Redis, replicas: usize) -> Self {
        let place = format!("{} {}", master.address, master.port);
        let directory = tempfile::Builder::new().prefix("mh-sentinel-").tempdir().unwrap();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let start = |port: &u16| {
            let file = directory.path().join(format!("{port}.conf"));
            let text = format!(
                "port {port}\nbind {address}\nprotected-mode no\ndir {}\nsentinel monitor mailhatch {place} 2\n\
                 sentinel down-after-milliseconds mailhatch 1500\nsentinel failover-timeout mailhatch 10000\n",
                directory.path().display()
            );
            std::fs::write(&file, text).unwrap();
            let log = std::fs::File::create(directory.path().join(format!("{port}.log"))).unwrap();
            Process::start(in_network(namespace, "redis-sentinel").arg(file).stdin(Stdio::null()).stdout(log))
        };
        let processes = ports.iter().map(start).collect();
        let sentinels = Self { _processes: processes, directory, address: address.to_owned(), ports };
        wait_until("the Sentinels to know each other", || {
            sentinels.ports.iter().all(|&port| {
                let answer =
                    Redis::ask_at(address, port, None, &["SENTINEL", "master", "mailhatch"]).unwrap_or_default();
                let value =
                    |name: &str| answer.split("\r\n").skip_while(|text| *text != name).nth(2).map(str::to_owned);
                value("num-other-sentinels").as_deref() == Some("2")
                    && value("num-slaves").is_some_and(|slaves| slaves == replicas.to_string())
            })
        });
        sentinels
    }

    /// What they logged.
    pub fn log(&self) -> String {
        let log = |port: &u16| std::fs::read_to_string(self.directory.path().join(format!("{port}.log")));
        self.ports.iter().filter_map(|port| log(port).ok()).collect()
    }

    /// The port of the master, as the first one knows it.
    pub fn master(&self) -> Option<u16> {
        let question = ["SENTINEL", "get-master-addr-by-name", "mailhatch"];
        let answer = Redis::ask_at(&self.address, self.ports[0], None, &question)?;
        answer.split("\r\n").filter_map(|line| line.parse().ok()).next()
    }

    /// `redis+sentinel://…/mailhatch`
    pub fn url(&self) -> String {
        let places: Vec<_> = self.ports.iter().map(|port| format!("{}:{port}", self.address)).collect();
        format!("redis+sentinel://{}/mailhatch", places.join(","))
    }
}

/// A network between two programs: what comes in on its port goes on to another, unless it is cut.
pub struct Network {
    port: u16,
    state: Arc<NetworkState>,
}

#[derive(Default)]
struct NetworkState {
    is_cut: AtomicBool,
    delay: Mutex<Duration>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Network {
    /// To a port on loopback.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(NetworkState::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(onward) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let ends = [stream.try_clone().unwrap(), onward.try_clone().unwrap()];
                shared.streams.lock().unwrap().extend(ends);
                let (back, forth) = (onward.try_clone().unwrap(), stream.try_clone().unwrap());
                carry(stream, onward, Arc::clone(&shared));
                carry(back, forth, Arc::clone(&shared));
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on each piece takes this long, in both directions.
    pub fn delay(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// Ends all connections, and lets none in.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::Relaxed);
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn fix(&self) {
        self.state.is_cut.store(false, Ordering::Relaxed);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.cut();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: Arc<NetworkState>) {
    thread::spawn(move || {
        let mut octets = [0; 16 * 1024];
        while let Ok(size @ 1..) = from.read(&mut octets) {
            let delay = *state.delay.lock().unwrap();
            thread::sleep(delay);
            if to.write_all(&octets[..size]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
