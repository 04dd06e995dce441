//! A name server of the tests' own on loopback, UDP and TCP: answers from a zone given as data, with faults.
//!
//! ```ignore
//! let server = NameServer::start(Zone::new().txt("example.org", "v=spf1 -all").fault("broken.org", Fault::ServFail));
//! config.auth.nameservers = [server.address()]
//! ```
//!
//! It runs on threads of its own, so it serves any runtime, and ends when it is dropped.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// What a name answers instead of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// NXDOMAIN, although there may be names below it.
    NxDomain,
    /// REFUSED.
    Refused,
    /// SERVFAIL.
    ServFail,
    /// No answer at all.
    Silence,
}

/// Records and faults by name. A name `*.example.org` answers for every name below that has nothing of its own.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: BTreeMap<String, HashMap<RecordType, Vec<RData>>>,
    faults: HashMap<String, Fault>,
    /// Faults only for types that have no record.
    late_faults: HashMap<String, Fault>,
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// A name by its labels as they are, without the escapes of a text form: `foo:bar` is a label.
fn spelled(name: &Name) -> String {
    let labels: Vec<_> = name.iter().map(|label| String::from_utf8_lossy(label).into_owned()).collect();
    key(&labels.join("."))
}

fn dns_name(name: &str) -> Name {
    // Labels as they are: a zone may hold names that no host may have, such as `foo:bar`.
    let labels = key(name);
    let labels = labels.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
    let mut parsed = Name::from_labels(labels).unwrap_or_else(|error| panic!("{name}: {error}"));
    parsed.set_fqdn(true);
    parsed
}

impl Zone {
    pub fn new() -> Self {
        Self::default()
    }

    /// Any record.
    pub fn record(mut self, name: &str, data: RData) -> Self {
        self.names.entry(key(name)).or_default().entry(data.record_type()).or_default().push(data);
        self
    }

    /// A text record, cut into strings of 255 octets as DNS needs it.
    pub fn txt(self, name: &str, text: &str) -> Self {
        self.txt_strings(name, &text.as_bytes().chunks(255).collect::<Vec<_>>())
    }

    pub fn txt_strings(self, name: &str, strings: &[&[u8]]) -> Self {
        self.record(name, RData::TXT(TXT::from_bytes(strings.to_vec())))
    }

    pub fn a(self, name: &str, address: &str) -> Self {
        let address: IpAddr = address.parse().expect("address");
        self.record(
            name,
            match address {
                IpAddr::V4(v4) => RData::A(A(v4)),
                IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            },
        )
    }

    pub fn mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        self.record(name, RData::MX(MX::new(preference, dns_name(exchange))))
    }

    pub fn ptr(self, name: &str, target: &str) -> Self {
        self.record(name, RData::PTR(PTR(dns_name(target))))
    }

    pub fn cname(self, name: &str, target: &str) -> Self {
        self.record(name, RData::CNAME(CNAME(dns_name(target))))
    }

    /// Every question about the name ends so.
    pub fn fault(mut self, name: &str, fault: Fault) -> Self {
        self.faults.insert(key(name), fault);
        self
    }

    /// Questions for which the name has no record end so.
    pub fn fault_elsewhere(mut self, name: &str, fault: Fault) -> Self {
        self.late_faults.insert(key(name), fault);
        self
    }

    /// The answer, or a fault.
    fn answer(&self, name: &str, wanted: RecordType) -> Result<Vec<Record>, Fault> {
        let mut answers = Vec::new();
        let mut name = key(name);
        // A chain of CNAMEs is followed as a resolver does, and a loop gives what was found so far.
        for _ in 0..8 {
            if let Some(fault) = self.faults.get(&name) {
                return Err(*fault);
            }
            let Some(types) = self.lookup(&name) else {
                return match self.late_faults.get(&name) {
                    Some(fault) => Err(*fault),
                    None if answers.is_empty() && !self.has_names_below(&name) => Err(Fault::NxDomain),
                    None => Ok(answers),
                };
            };
            let mut add = |data: &RData| answers.push(Record::from_rdata(dns_name(&name), 300, data.clone()));
            if let Some(records) = types.get(&wanted) {
                records.iter().for_each(&mut add);
                return Ok(answers);
            }
            match types.get(&RecordType::CNAME).map(Vec::as_slice) {
                Some([data @ RData::CNAME(CNAME(target)), ..]) => {
                    add(data);
                    name = spelled(target);
                }
                _ => return self.late_faults.get(&name).map_or(Ok(answers), |fault| Err(*fault)),
            }
        }
        Ok(answers)
    }

    fn lookup(&self, name: &str) -> Option<&HashMap<RecordType, Vec<RData>>> {
        let wildcards = || name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..]));
        self.names.get(name).or_else(|| {
            let found = wildcards().find_map(|wildcard| self.names.get(&wildcard));
            found.filter(|_| !self.late_faults.contains_key(name))
        })
    }

    fn has_names_below(&self, name: &str) -> bool {
        let tail = format!(".{name}");
        self.names.keys().any(|other| other.ends_with(&tail))
    }
}

/// A running name server.
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    zone: Mutex<Zone>,
    questions: Mutex<Vec<(String, RecordType)>>,
    ends: AtomicBool,
}

impl NameServer {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(zone: Zone) -> Self {
        let (udp, tcp) = (0..50).find_map(|_| bind()).expect("a port that is free for UDP and TCP");
        let address = udp.local_addr().expect("address");
        let shared =
            Arc::new(Shared { zone: Mutex::new(zone), questions: Mutex::default(), ends: AtomicBool::new(false) });
        udp.set_read_timeout(Some(Duration::from_millis(200))).expect("read timeout");
        let on_udp = Arc::clone(&shared);
        thread::spawn(move || serve_udp(&udp, &on_udp));
        let on_tcp = Arc::clone(&shared);
        thread::spawn(move || serve_tcp(&tcp, &on_tcp));
        Self { address, shared }
    }

    /// For `auth.nameservers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from another zone from now on.
    pub fn set_zone(&self, zone: Zone) {
        *self.shared.zone.lock().expect("zone") = zone;
    }

    /// The questions so far: name in lower case without the last dot, and type.
    pub fn questions(&self) -> Vec<(String, RecordType)> {
        self.shared.questions.lock().expect("questions").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes accept()
    }
}

fn bind() -> Option<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
    Some((udp, tcp))
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.ends.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(reply) = shared.reply(&buffer[..length], Some(1232)) {
            let _ = socket.send_to(&reply, client);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ends.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || serve_connection(stream, &shared));
    }
}

fn serve_connection(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).ok()?;
        if let Some(reply) = shared.reply(&question, None) {
            let length = u16::try_from(reply.len()).ok()?.to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat()).ok()?;
        }
    }
}

impl Shared {
    /// `None` is silence. A reply over `limit` is cut, so that the client comes again over TCP.
    fn reply(&self, question: &[u8], limit: Option<usize>) -> Option<Vec<u8>> {
        let request = Message::from_vec(question).ok()?;
        let query = request.queries.first()?.clone();
        let name = spelled(&query.name);
        self.questions.lock().expect("questions").push((name.clone(), query.query_type));
        let answer = self.zone.lock().expect("zone").answer(&name, query.query_type);
        let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
        reply.metadata.message_type = MessageType::Response;
        reply.metadata.recursion_desired = true;
        reply.metadata.recursion_available = true;
        reply.add_query(query);
        match answer {
            Ok(answers) => {
                if answers.is_empty() {
                    reply.add_authority(start_of_authority(&name));
                }
                reply.add_answers(answers);
            }
            Err(Fault::NxDomain) => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                reply.add_authority(start_of_authority(&name));
            }
            Err(Fault::Refused) => reply.metadata.response_code = ResponseCode::Refused,
            Err(Fault::ServFail) => reply.metadata.response_code = ResponseCode::ServFail,
            Err(Fault::Silence) => return None,
        }
        let bytes = reply.to_vec().ok()?;
        match limit {
            Some(limit) if bytes.len() > limit => reply.truncate().to_vec().ok(),
            _ => Some(bytes),
        }
    }
}

/// Negative answers are cached only with this (RFC 2308).
fn start_of_authority(name: &str) -> Record {
    let zone = name.rsplit_once('.').map_or(name, |(_, top)| top);
    let soa = SOA::new(dns_name("ns.invalid"), dns_name("hostmaster.invalid"), 1, 3600, 600, 86400, 300);
    Record::from_rdata(dns_name(zone), 300, RData::SOA(soa))
}

/// The name under which an address has its PTR record.
pub fn reverse(address: &str) -> String {
    match address.parse().expect("address") {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => reverse6(v6),
    }
}

fn reverse6(address: Ipv6Addr) -> String {
    let nibbles = address.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let mut labels: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
    labels.reverse();
    format!("{}.ip6.arpa", labels.join("."))
}
