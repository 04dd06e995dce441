//! An HTTP/1.1 server for tests, over TCP, TLS or a Unix socket: it does what it is told, faults too, and remembers what it
//! was sent.
//!
//! ```ignore
//! let server = HttpServer::tcp(|request| Reply::json(200, r#"{"success":true}"#));
//! // … url = server.url() …
//! assert_eq!(server.requests().len(), 1);
//! server.fault(Some(Fault::Status(503)));   // from now on
//! ```
#![allow(dead_code, reason = "shared by several test modules, of which each uses a part")]

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::events;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case; of two fields of one name the last.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// The number of the connection, from 0: equal numbers mean that it was kept.
    pub connection: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers, and keeps the connection.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// Writes these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Writes these bytes and keeps the connection.
    Kept(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Says nothing until the server ends.
    Hang,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self::Answer { status, headers, body: body.as_bytes().to_vec() }
    }

    pub fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", body)
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// The faults of an application, all of which must cost no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    /// 200 with the page of a login form.
    LoginPage,
    /// 200 with JSON of another kind.
    OtherJson,
    /// Takes the request and never answers.
    Hang,
    /// Says how long the answer is, and sends less.
    ShortAnswer,
    /// Takes the request and closes the connection.
    ClosedWithoutAnswer,
    /// Answers in another protocol.
    Garbage,
    ConnectionRefused,
    DnsFailure,
    /// TLS with a certificate that nobody trusts.
    UntrustedCertificate,
}

impl Fault {
    /// The 22 faults.
    pub const ALL: [Self; 22] = [
        Self::Status(302),
        Self::Status(400),
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(408),
        Self::Status(413),
        Self::Status(422),
        Self::Status(429),
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Status(504),
        Self::ConnectionRefused,
        Self::DnsFailure,
        Self::UntrustedCertificate,
        Self::Hang,
        Self::LoginPage,
        Self::OtherJson,
        Self::ShortAnswer,
        Self::ClosedWithoutAnswer,
        Self::Garbage,
    ];

    /// Starts a server with the fault; its URL is that of the faulty application.
    pub fn start(self) -> HttpServer {
        match self {
            Self::ConnectionRefused => HttpServer::nowhere(&format!("http://{}", unused_address())),
            Self::DnsFailure => HttpServer::nowhere("http://app.invalid"),
            Self::UntrustedCertificate => HttpServer::tls(|_| Reply::json(200, "{}")),
            _ => {
                let server = HttpServer::tcp(|_| Reply::json(200, "{}"));
                server.fault(Some(self));
                server
            }
        }
    }

    /// What the faulty application does with a request.
    pub fn reply(self) -> Reply {
        match self {
            Self::Status(302) => Reply::new(302, "text/html", "").with_header("Location", "/elsewhere"),
            Self::Status(status) => Reply::new(status, "text/plain", "no"),
            Self::LoginPage => Reply::new(200, "text/html; charset=utf-8", "<!DOCTYPE html><title>Sign in</title>"),
            Self::OtherJson => Reply::json(200, r#"{"status":"ok"}"#),
            Self::Hang => Reply::Hang,
            Self::ShortAnswer => {
                Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"success\":true}".to_vec())
            }
            Self::Garbage => Reply::Raw(b"220 mx.example.com ESMTP\r\n".to_vec()),
            Self::ClosedWithoutAnswer | Self::ConnectionRefused | Self::DnsFailure | Self::UntrustedCertificate => {
                Reply::Close
            }
        }
    }
}

type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    handler: Handler,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<Vec<Request>>,
    drops_bodies: AtomicBool,
    connections: AtomicUsize,
    unread: Mutex<Vec<usize>>,
    reads_on: AtomicBool,
    ended: Mutex<bool>,
    end: Condvar,
    is_ending: AtomicBool,
}

/// A server that runs until it is dropped.
pub struct HttpServer {
    url: String,
    certificate: Option<String>,
    wake: Option<Wake>,
    shared: Arc<Shared>,
}

enum Wake {
    Tcp(std::net::SocketAddr),
    Unix(std::path::PathBuf),
}

impl HttpServer {
    /// Over TCP on a port of its own.
    pub fn tcp(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::tcp_on(([127, 0, 0, 1], 0).into(), handler)
    }

    /// The same on an address on which nobody listened before.
    pub fn tcp_on(address: std::net::SocketAddr, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("listen");
        let address = listener.local_addr().expect("address");
        let shared = Shared::new(handler);
        let accept = move |shared: &Arc<Shared>| {
            let (stream, _) = listener.accept()?;
            let _ = stream.set_nodelay(true);
            shared.serve(stream, |stream: &TcpStream| drop(stream.shutdown(Shutdown::Both)));
            Ok(())
        };
        Self::start(format!("http://{address}"), None, Some(Wake::Tcp(address)), shared, accept)
    }

    /// Over TCP, with each connection in the hands of `talk`. What still comes after it is left where it is until
    /// [`HttpServer::unread`] counts it: whoever sends more than the buffers hold must look for an answer.
    pub fn raw(talk: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let (shared, talk) = (Shared::new(|_| Reply::Close), Arc::new(talk));
        let accept = move |shared: &Arc<Shared>| {
            let (mut stream, _) = listener.accept()?;
            let (shared, talk) = (shared.clone(), talk.clone());
            thread::spawn(move || {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                talk(&mut stream);
                while !shared.reads_on.load(Ordering::SeqCst) && !shared.is_ending.load(Ordering::SeqCst) {
                    thread::sleep(std::time::Duration::from_millis(1));
                }
                let (mut left, mut buffer) = (0, [0; 64 * 1024]);
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    left += read;
                }
                shared.unread.lock().unwrap().push(left);
                shared.end.notify_all();
            });
            Ok(())
        };
        Self::start(format!("http://{address}"), None, Some(Wake::Tcp(address)), shared, accept)
    }

    /// Over TLS, for the name `localhost`, with a certificate of its own: [`HttpServer::certificate`].
    pub fn tls(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .expect("TLS configuration");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let shared = Shared::new(handler);
        let accept = move |shared: &Arc<Shared>| {
            let (stream, _) = listener.accept()?;
            let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            shared.serve(StreamOwned::new(connection, stream), |stream: &StreamOwned<_, TcpStream>| {
                drop(stream.sock.shutdown(Shutdown::Both));
            });
            Ok(())
        };
        let url = format!("https://localhost:{}", address.port());
        Self::start(url, Some(made.cert.pem()), Some(Wake::Tcp(address)), shared, accept)
    }

    /// Over a Unix socket, which must not exist.
    pub fn unix(path: &Path, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("listen");
        let shared = Shared::new(handler);
        let accept = move |shared: &Arc<Shared>| {
            let (stream, _) = listener.accept()?;
            shared.serve(stream, |stream: &UnixStream| drop(stream.shutdown(Shutdown::Both)));
            Ok(())
        };
        let url = format!("http+unix://{}", path.display());
        Self::start(url, None, Some(Wake::Unix(path.to_owned())), shared, accept)
    }

    fn nowhere(url: &str) -> Self {
        Self { url: url.to_owned(), certificate: None, wake: None, shared: Shared::new(|_| Reply::Close) }
    }

    fn start(
        url: String,
        certificate: Option<String>,
        wake: Option<Wake>,
        shared: Arc<Shared>,
        accept: impl Fn(&Arc<Shared>) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let server = Self { url, certificate, wake, shared: shared.clone() };
        thread::spawn(move || {
            while !shared.is_ending.load(Ordering::SeqCst) {
                let _ = accept(&shared);
            }
        });
        server
    }

    /// For `url = "…"`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of a TLS server in PEM, for `ca_file`.
    pub fn certificate(&self) -> &str {
        self.certificate.as_deref().unwrap_or_default()
    }

    /// From the next request on: a fault instead of the handler's answer, or no longer.
    pub fn fault(&self, fault: Option<Fault>) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far, where there are too many to keep.
    pub fn forget_requests(&self) {
        self.shared.requests.lock().unwrap().clear();
    }

    /// From now on forgets the bodies, where they are too large to keep.
    pub fn drop_bodies(&self) {
        self.shared.drops_bodies.store(true, Ordering::SeqCst);
    }

    /// The last request.
    pub fn last_request(&self) -> Request {
        self.requests().pop().expect("a request")
    }

    /// Waits until the other side has closed its first connection; the octets that came on it after all was said.
    pub fn unread(&self) -> usize {
        self.shared.reads_on.store(true, Ordering::SeqCst);
        let unread = self.shared.unread.lock().unwrap();
        let wait = std::time::Duration::from_secs(60);
        let (unread, _) = self.shared.end.wait_timeout_while(unread, wait, |unread| unread.is_empty()).unwrap();
        *unread.first().expect("the connection is closed within a minute")
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        *self.shared.ended.lock().unwrap() = true;
        self.shared.end.notify_all();
        if !thread::panicking() {
            // A body that was too large to keep is empty.
            let is_event = |request: &&Request| request.headers.contains_key("webhook-id") && !request.body.is_empty();
            self.requests().iter().filter(is_event).for_each(|request| drop(events::parse(&request.body)));
        }
        // The listener waits for a connection: the last one is ours.
        match &self.wake {
            Some(Wake::Tcp(address)) => drop(TcpStream::connect(address)),
            Some(Wake::Unix(path)) => drop(UnixStream::connect(path)),
            None => {}
        }
    }
}

impl Shared {
    fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            handler: Box::new(handler),
            fault: Mutex::default(),
            requests: Mutex::default(),
            drops_bodies: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            unread: Mutex::default(),
            reads_on: AtomicBool::new(false),
            ended: Mutex::default(),
            end: Condvar::new(),
            is_ending: AtomicBool::new(false),
        })
    }

    fn serve<S: Read + Write + Send + 'static>(self: &Arc<Self>, stream: S, close: fn(&S)) {
        let shared = self.clone();
        thread::spawn(move || {
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            let mut stream = BufReader::new(stream);
            while let Ok(Some(mut request)) = read_request(&mut stream, number) {
                if shared.drops_bodies.load(Ordering::SeqCst) {
                    request.body = Vec::new();
                }
                shared.requests.lock().unwrap().push(request.clone());
                let fault = *shared.fault.lock().unwrap();
                let reply = fault.map_or_else(|| (shared.handler)(&request), Fault::reply);
                if !shared.answer(stream.get_mut(), reply) {
                    break;
                }
            }
            close(stream.get_ref());
        });
    }

    /// Whether the connection is kept.
    fn answer(&self, out: &mut dyn Write, reply: Reply) -> bool {
        match reply {
            Reply::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                let whole = [head.into_bytes(), body].concat();
                out.write_all(&whole).and_then(|()| out.flush()).is_ok()
            }
            Reply::Raw(bytes) => {
                let _ = out.write_all(&bytes).and_then(|()| out.flush());
                false
            }
            Reply::Kept(bytes) => out.write_all(&bytes).and_then(|()| out.flush()).is_ok(),
            Reply::Close => false,
            Reply::Hang => {
                let ended = self.ended.lock().unwrap();
                drop(self.end.wait_while(ended, |ended| !*ended).unwrap());
                false
            }
        }
    }
}

fn read_request(stream: &mut impl BufRead, connection: usize) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    // A body of unknown length is none: the applications behind us want Content-Length.
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request { method, path, headers, body, connection }))
}

/// An address on which nobody listens.
pub fn unused_address() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.local_addr().expect("address")
}
