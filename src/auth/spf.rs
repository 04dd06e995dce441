//! SPF (RFC 7208): what the record of a domain says of a client, and whether that record says it of everybody.
//!
//! mail-auth evaluates records; what it lets through is caught here: several records for one name (section 4.5), a
//! record that cannot be read beside other text records, and too many void lookups (section 4.6.4).

use std::borrow::Borrow;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mail_auth::common::to_a_label;
use mail_auth::hickory_resolver::proto::rr::{Name, RData};
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, SpfResult, Txt};

use super::AuthResult;

/// RFC 7208 section 4.6.4: names that do not exist or have no such record, in one evaluation.
const MOST_VOID_LOOKUPS: usize = 2;

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
    // RFC 8616 section 4: a record is asked for by its A-label.
    let domain = to_a_label(domain.strip_suffix('.').unwrap_or(domain)).into_owned();
    let local = if local.is_empty() { "postmaster" } else { local };
    let sender = format!("{local}@{domain}");
    if !has_good_labels(&domain) {
        return AuthResult::None;
    }
    let watch = Watch::default();
    let parameters = Parameters {
        params: SpfParameters::verify_mail_from(client, helo, host, &sender),
        cache_txt: Some(&watch.txt),
        cache_mx: Some(&watch.mx),
        cache_ptr: Some(&watch.ptr),
        cache_ipv4: Some(&watch.ipv4),
        cache_ipv6: Some(&watch.ipv6),
    };
    let result = match dns.check_host(parameters).await.result() {
        SpfResult::Pass => AuthResult::Pass,
        SpfResult::Fail => AuthResult::Fail,
        SpfResult::SoftFail => AuthResult::SoftFail,
        SpfResult::Neutral => AuthResult::Neutral,
        SpfResult::TempError => AuthResult::TempError,
        SpfResult::PermError => AuthResult::PermError,
        SpfResult::None => AuthResult::None,
    };
    let unreadable = result == AuthResult::None && spf_records(dns, &domain).await > 0;
    if unreadable || watch.void_lookups(client) > MOST_VOID_LOOKUPS {
        return AuthResult::PermError;
    }
    for name in watch.txt.found() {
        if spf_records(dns, &name).await > 1 {
            return AuthResult::PermError;
        }
    }
    result
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

/// RFC 7208 section 4.3: a name that DNS cannot carry has no record.
fn has_good_labels(domain: &str) -> bool {
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// How many of a name's text records are SPF records (section 4.5). Answered from the cache: the name was just asked.
async fn spf_records(dns: &MessageAuthenticator, name: &str) -> usize {
    let Ok(mut name) = Name::from_str_relaxed(name) else { return 0 };
    name.set_fqdn(true);
    let Ok(answer) = dns.resolver().txt_lookup(name).await else { return 0 };
    let is_spf = |text: &[u8]| {
        text.get(..6).is_some_and(|version| version.eq_ignore_ascii_case(b"v=spf1"))
            && text.get(6).is_none_or(|&after| after == b' ')
    };
    let texts = answer.answers().iter().filter_map(|record| match &record.data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    });
    texts.filter(|text| is_spf(text)).count()
}

/// Watches what an evaluation asks for; a cache that keeps nothing, because the resolver has one.
#[derive(Default)]
struct Watch {
    txt: Asked<Box<str>>,
    mx: Asked<Box<str>>,
    ptr: Asked<IpAddr>,
    ipv4: Asked<Box<str>>,
    ipv6: Asked<Box<str>>,
}

impl Watch {
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

struct Asked<K> {
    questions: AtomicUsize,
    answered: Mutex<Vec<K>>,
}

impl<K> Default for Asked<K> {
    fn default() -> Self {
        Self { questions: AtomicUsize::new(0), answered: Mutex::new(Vec::new()) }
    }
}

impl<K: Clone> Asked<K> {
    fn found(&self) -> Vec<K> {
        self.answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn void(&self) -> usize {
        self.questions.load(Ordering::Relaxed).saturating_sub(self.found().len())
    }
}

macro_rules! watch {
    ($key:ty, $($value:ty),+) => {$(
        impl ResolverCache<$key, $value> for Asked<$key> {
            fn get<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                self.questions.fetch_add(1, Ordering::Relaxed);
                None
            }

            fn remove<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&self, key: $key, _: $value, _: Instant) {
                self.answered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(key);
            }
        }
    )+};
}

watch!(Box<str>, Txt, RecordSet<MX>, RecordSet<Ipv4Addr>, RecordSet<Ipv6Addr>);
watch!(IpAddr, RecordSet<Box<str>>);
