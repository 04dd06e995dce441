//! SPF (RFC 7208): what the record of a domain says of a client, and whether that record says it of everybody.
//!
//! mail-auth evaluates records, but takes them as we read them: it would let through several records for one name
//! (section 4.5), terms that no grammar allows, names of a client that do not lead back to it (section 5.5), and any
//! number of void lookups (section 4.6.4).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::hickory_resolver::proto::rr::{Name, RData};
use mail_auth::spf::Spf;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{Error, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, SpfResult, Txt};

use super::{AuthResult, spf_record};
use crate::mail::comparable_domain;

/// RFC 7208 section 4.6.4: names that do not exist or have no such record, in one evaluation.
const MOST_VOID_LOOKUPS: usize = 2;
/// The same section: names of a client that are looked at.
const MOST_NAMES: usize = 10;
/// Evaluations of one record: mail-auth finds a record behind include or redirect, we read it, it evaluates again.
/// One round finds a whole chain, so this is far beyond what ten look-ups can need.
const MOST_ROUNDS: usize = 12;

/// Whether a `pass` says anything of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// The record does not pass addresses that nobody can send from.
    Refused,
    /// It passes them too: `+all`, `/0`, both halves of the address space, a wildcard behind `exists`.
    PassesEverybody,
    /// The control could not be worked out.
    Unknown,
}

/// Whether SPF can say anything of an address: not of our own host, of our own network, or of no host at all.
pub(super) fn is_public(client: IpAddr) -> bool {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b); // RFC 6598
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local())
        }
    }
}

/// check_host() of RFC 7208 for MAIL FROM, or for HELO where `sender` is empty.
pub(super) async fn check(
    dns: &MessageAuthenticator,
    host: &str,
    client: IpAddr,
    helo: &str,
    sender: &str,
) -> AuthResult {
    let client = client.to_canonical();
    let (local, domain) = sender.rsplit_once('@').unwrap_or(("", helo));
    // Section 4.3: what is no domain name has no record; RFC 8616 section 4: a record is asked for by its A-label.
    let Some(domain) = comparable_domain(domain).filter(|domain| domain.contains('.')) else { return AuthResult::None };
    let sender = format!("{}@{domain}", if local.is_empty() { "postmaster" } else { local });

    let mut known = Known::default();
    match known.add_record(dns, &domain, client).await {
        Found::Nothing => return AuthResult::None,
        Found::Fault => return AuthResult::TempError,
        Found::Record => {}
    }
    for _ in 0..MOST_ROUNDS {
        let watch = Watch::new(&known);
        let parameters = Parameters {
            params: SpfParameters::verify_mail_from(client, helo, host, &sender),
            cache_txt: Some(&watch.txt),
            cache_mx: Some(&watch.mx),
            cache_ptr: Some(&watch.ptr),
            cache_ipv4: Some(&watch.ipv4),
            cache_ipv6: Some(&watch.ipv6),
        };
        let output = dns.check_host(parameters).await;
        let (void_lookups, wants_names) = (watch.void_lookups(client), watch.ptr.open() > 0);
        let new_records = watch.txt.answers();
        let mut again = false;
        if wants_names {
            known.names = Some(validated_names(dns, client, &domain).await);
            again = true;
        }
        for name in new_records {
            if !known.seen(&name) {
                again |= matches!(known.add_record(dns, &name, client).await, Found::Record);
            }
        }
        if !again {
            return if void_lookups > MOST_VOID_LOOKUPS { AuthResult::PermError } else { result(output.result()) };
        }
    }
    AuthResult::PermError
}

fn result(result: SpfResult) -> AuthResult {
    match result {
        SpfResult::Pass => AuthResult::Pass,
        SpfResult::Fail => AuthResult::Fail,
        SpfResult::SoftFail => AuthResult::SoftFail,
        SpfResult::Neutral => AuthResult::Neutral,
        SpfResult::TempError => AuthResult::TempError,
        SpfResult::PermError => AuthResult::PermError,
        SpfResult::None => AuthResult::None,
    }
}

/// Asks the record that passed `client` about addresses from which nobody can send.
///
/// One address is not enough: a record may list a documentation network by mistake, and a test may use one. So a
/// group counts only if all of its addresses pass, and there is one group in each half of the IPv4 address space.
pub(super) async fn control(
    dns: &MessageAuthenticator,
    host: &str,
    client: IpAddr,
    helo: &str,
    sender: &str,
) -> Control {
    let groups: &[&[IpAddr]] = match client.to_canonical() {
        IpAddr::V4(_) => &[
            // RFC 5737
            &[v4(192, 0, 2, 213), v4(198, 51, 100, 213), v4(203, 0, 113, 213)],
            // The lower half has no documentation network: this network, RFC 6598 and the host itself (RFC 6890).
            &[v4(100, 99, 113, 213), v4(0, 99, 113, 213), v4(127, 99, 113, 213)],
        ],
        // RFC 3849, RFC 9637
        IpAddr::V6(_) => &[&[v6(0x2001, 0xdb8), v6(0x3fff, 0xdb8)]],
    };
    let mut verdict = Control::Refused;
    for group in groups {
        let mut all_pass = true;
        for &address in *group {
            match check(dns, host, address, helo, sender).await {
                AuthResult::Pass => {}
                AuthResult::TempError => {
                    (all_pass, verdict) = (false, Control::Unknown);
                    break;
                }
                _ => {
                    all_pass = false;
                    break;
                }
            }
        }
        if all_pass {
            return Control::PassesEverybody;
        }
    }
    verdict
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(a: u16, b: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0xc0de, 0x99, 0x71, 0xd5, 0x99, 0x71))
}

/// The names of a client that lead back to its address (section 5.5), the best for the macro `p` first (section 7.3).
async fn validated_names(dns: &MessageAuthenticator, client: IpAddr, domain: &str) -> RecordSet<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    let pointers = dns.ptr_lookup(client, None::<&Asked<'_, IpAddr, RecordSet<Box<str>>>>).await;
    let pointers = pointers.map(|set| set.rrset.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>());
    for name in pointers.unwrap_or_default() {
        let leads_back = match client {
            IpAddr::V4(v4) => dns.ipv4_lookup_raw(&name).await.is_ok_and(|found| found.entry.contains(&v4)),
            IpAddr::V6(v6) => dns.ipv6_lookup_raw(&name).await.is_ok_and(|found| found.entry.contains(&v6)),
        };
        if leads_back {
            // mail-auth compares names without the dot at the end.
            names.push(Box::from(name.trim_end_matches('.')));
        }
    }
    let is_below = |name: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    names.sort_by_key(|name| if **name == *domain { 0 } else { 1 + usize::from(!is_below(name)) });
    if names.is_empty() {
        // Section 7.3: what the macro `p` becomes then. No host has this name, so `ptr` does not match it.
        names.push(Box::from("unknown"));
    }
    RecordSet { rrset: names.into(), dnssec_status: Default::default() }
}

/// What came of looking for a record.
enum Found {
    Fault,
    Nothing,
    Record,
}

/// What mail-auth is to take instead of its own look-ups: records that passed our grammar, and validated names.
#[derive(Default)]
struct Known {
    records: HashMap<Box<str>, Option<Txt>>,
    names: Option<RecordSet<Box<str>>>,
}

impl Known {
    fn seen(&self, name: &str) -> bool {
        self.records.contains_key(name)
    }

    /// Looks for the SPF record of a name; for one that was just asked the answer comes from the resolver's cache.
    async fn add_record(&mut self, dns: &MessageAuthenticator, name: &str, client: IpAddr) -> Found {
        let key = format!("{}.", name.trim_end_matches('.').to_lowercase()).into_boxed_str();
        let texts = match text_records(dns, &key).await {
            Ok(texts) => texts,
            Err(NoAnswer::Nothing) => Vec::new(),
            Err(NoAnswer::Fault(_)) => return Found::Fault,
        };
        let is_spf = |text: &&Vec<u8>| {
            text.get(..6).is_some_and(|version| version.eq_ignore_ascii_case(b"v=spf1"))
                && text.get(6).is_none_or(|&after| after == b' ')
        };
        let mut records = texts.iter().filter(is_spf);
        let (entry, found) = match (records.next(), records.next()) {
            (None, _) => (None, Found::Nothing),
            (Some(record), None) => {
                let read = spf_record::read(record, client.is_ipv4());
                let parsed = read.ok_or(Error::ParseError).and_then(|record| Spf::parse(record.as_bytes()));
                (Some(parsed.map_or_else(Txt::Error, |spf| Txt::Spf(Arc::new(spf)))), Found::Record)
            }
            // Section 4.5: several records are an error.
            (Some(_), Some(_)) => (Some(Txt::Error(Error::ParseError)), Found::Record),
        };
        self.records.insert(key, entry);
        found
    }
}

/// Why there are no text records.
pub(super) enum NoAnswer {
    Fault(String),
    Nothing,
}

/// The text records of a name that ends in a dot.
pub(super) async fn text_records(dns: &MessageAuthenticator, name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
    let name = Name::from_str_relaxed(name).map_err(|_| NoAnswer::Nothing)?;
    match dns.resolver().txt_lookup(name).await {
        Ok(answer) => {
            let texts = answer.answers().iter().filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            });
            Ok(texts.collect())
        }
        Err(error) if error.is_no_records_found() => Err(NoAnswer::Nothing),
        Err(error) => Err(NoAnswer::Fault(error.to_string())),
    }
}

/// Watches what an evaluation asks for; keeps no answers, because the resolver has a cache.
struct Watch<'k> {
    txt: Asked<'k, Box<str>, Txt>,
    mx: Asked<'k, Box<str>, RecordSet<MX>>,
    ptr: Asked<'k, IpAddr, RecordSet<Box<str>>>,
    ipv4: Asked<'k, Box<str>, RecordSet<Ipv4Addr>>,
    ipv6: Asked<'k, Box<str>, RecordSet<Ipv6Addr>>,
}

impl<'k> Watch<'k> {
    fn new(known: &'k Known) -> Self {
        Self {
            txt: Asked::new(Instead::Records(&known.records)),
            mx: Asked::new(Instead::Nothing),
            ptr: Asked::new(known.names.as_ref().map_or(Instead::Nothing, Instead::Always)),
            ipv4: Asked::new(Instead::Nothing),
            ipv6: Asked::new(Instead::Nothing),
        }
    }

    /// Questions without an answer. `exists` asks both address caches and tells neither what came, so its own
    /// questions are the ones to the other family's cache; they are left out.
    fn void_lookups(&self, client: IpAddr) -> usize {
        let (own, exists) = match client {
            IpAddr::V4(_) => (self.ipv4.void(), self.ipv6.void()),
            IpAddr::V6(_) => (self.ipv6.void(), self.ipv4.void()),
        };
        own.saturating_sub(exists) + self.mx.void()
    }
}

/// What is given instead of an answer from DNS.
enum Instead<'k, K, V> {
    Always(&'k V),
    Nothing,
    Records(&'k HashMap<K, Option<V>>),
}

struct Asked<'k, K, V> {
    instead: Instead<'k, K, V>,
    open: AtomicUsize,
    answers: Mutex<Vec<K>>,
}

impl<'k, K, V> Asked<'k, K, V> {
    fn new(instead: Instead<'k, K, V>) -> Self {
        Self { instead, open: AtomicUsize::new(0), answers: Mutex::new(Vec::new()) }
    }

    /// Names for which DNS had an answer.
    fn answers(self) -> Vec<K> {
        self.answers.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Questions to DNS.
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Questions for which it had no answer.
    fn void(&self) -> usize {
        let answered = self.answers.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.open().saturating_sub(answered)
    }
}

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Asked<'_, K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let known = match &self.instead {
            Instead::Always(value) => Some((*value).clone()),
            Instead::Nothing => None,
            Instead::Records(records) => records.get(name).and_then(Clone::clone),
        };
        if known.is_none() {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        known
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, name: K, _: V, _: Instant) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}
