//! SPF (RFC 7208): what the record of a domain says of a client, and whether that record says it of everybody.
//!
//! The evaluation is ours, because every question must be counted and every void look-up seen: mail-auth 0.13.3 asks on its own, and
//! tells neither.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_resolver::proto::rr::RecordType;
use tokio::sync::OnceCell;

use super::answer::{Answer, Question};
use super::auth_result::AuthResult;
use super::questions::Questions;
use super::spf_macro::{DomainSpec, Letters};
use super::spf_record::{self, Mechanism, PrefixLengths, Qualifier, Record};
use crate::mail::comparable_domain;

/// RFC 7208 section 4.6.4: terms that ask DNS, in one evaluation.
const MOST_LOOKUPS: usize = 10;
/// The same section: names that do not exist or have no such record.
const MOST_VOID_LOOKUPS: usize = 2;
/// The same section: hosts of one `mx`, and names of a client that are looked at.
const MOST_HOSTS: usize = 10;

/// What SPF says, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) result: AuthResult,
    pub(super) why: String,
    /// Whether it would take more of DNS than a message may cost.
    is_too_much: bool,
}

/// Whether a `pass` says anything of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// The record does not pass addresses that nobody can send from.
    Refused,
    /// It passes one of them too: `+all`, `/0`, most of the address space, a wildcard behind `exists`.
    PassesEverybody,
    /// The control could not be worked out: why.
    Unknown(String),
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
pub(super) async fn check(questions: &Questions<'_>, client: IpAddr, helo: &str, sender: &str) -> Checked {
    let (local, domain) = sender.rsplit_once('@').unwrap_or(("", helo));
    // Section 4.3: what is not a domain name has no record; RFC 8616 section 4: a record is asked for by its A-label.
    let Some(domain) = comparable_domain(domain).filter(|domain| domain.contains('.')) else {
        return Checked::done(AuthResult::None, "this is not a domain that could have a record");
    };
    let evaluation = Evaluation {
        questions,
        client: client.to_canonical(),
        helo,
        sender_local: if local.is_empty() { "postmaster" } else { local },
        sender_domain: &domain,
        lookups: AtomicUsize::new(0),
        void_lookups: AtomicUsize::new(0),
        names: OnceCell::new(),
    };
    match evaluation.check_host(domain.clone()).await {
        Ok(result) => Checked::done(result, "asked"),
        Err(Stop { result, why, is_too_much }) => Checked { result, why, is_too_much },
    }
}

impl Checked {
    fn done(result: AuthResult, why: &str) -> Self {
        Self { result, why: why.to_owned(), is_too_much: false }
    }
}

/// Asks the record that passed `client` about addresses from which nobody can send, spread over the address space so that no record
/// that covers most of it leaves all of them out. One that passes is enough.
///
/// Of the three networks of RFC 5737 the first stands for all: what documentation and tests use as the address of a sender is
/// mostly of the others.
pub(super) async fn control(questions: &Questions<'_>, client: IpAddr, helo: &str, sender: &str) -> Control {
    let addresses: [IpAddr; 6] = match client.to_canonical() {
        IpAddr::V4(_) => [
            v4(0, 99, 113, 213),   // this network, RFC 6890
            v4(100, 99, 113, 213), // between provider and customer, RFC 6598
            v4(169, 254, 0, 213),  // link-local, and there given to nobody, RFC 3927 section 2.1
            v4(192, 0, 2, 213),    // documentation, RFC 5737
            v4(198, 18, 113, 213), // benchmarks, RFC 2544
            v4(240, 99, 113, 213), // unassigned, RFC 1112
        ],
        IpAddr::V6(_) => [
            v6(0x0100, 0),      // to be discarded, RFC 6666
            v6(0x2001, 0x0db8), // documentation, RFC 3849
            v6(0x3fff, 0x0db8), // documentation, RFC 9637
            v6(0x5f00, 0x0db8), // segment routing, RFC 9602
            v6(0x9fff, 0x0db8), // unassigned, RFC 4291
            v6(0xd000, 0x0db8), // unassigned, RFC 4291
        ],
    };
    for address in addresses {
        let checked = check(questions, address, helo, sender).await;
        match checked.result {
            AuthResult::Pass => return Control::PassesEverybody,
            AuthResult::TempError => return Control::Unknown("temperror".to_owned()),
            _ if checked.is_too_much => return Control::Unknown(checked.why),
            _ => {}
        }
    }
    Control::Refused
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(a: u16, b: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0xc0de, 0x99, 0x71, 0xd5, 0x99, 0x71))
}

/// An evaluation that ends before its result: temperror or permerror.
struct Stop {
    result: AuthResult,
    why: String,
    is_too_much: bool,
}

impl Stop {
    fn permanent(why: impl Into<String>) -> Self {
        Self { result: AuthResult::PermError, why: why.into(), is_too_much: false }
    }

    fn at(answer: &Answer) -> Result<(), Self> {
        let (result, why, is_too_much) = match answer {
            Answer::Records(_) | Answer::Nothing { .. } => return Ok(()),
            Answer::Fault(why) => (AuthResult::TempError, why.to_string(), false),
            Answer::TooMuch(why) => (AuthResult::PermError, (*why).to_owned(), true),
        };
        Err(Self { result, why, is_too_much })
    }
}

/// One evaluation, with what it has used up.
struct Evaluation<'a> {
    questions: &'a Questions<'a>,
    client: IpAddr,
    helo: &'a str,
    sender_local: &'a str,
    sender_domain: &'a str,
    lookups: AtomicUsize,
    void_lookups: AtomicUsize,
    /// The names of the client that lead back to it.
    names: OnceCell<Vec<String>>,
}

impl Evaluation<'_> {
    /// Section 4. Boxed, because a record may include another.
    fn check_host(&self, domain: String) -> BoxFuture<'_, Result<AuthResult, Stop>> {
        async move {
            let Some(record) = self.record(&domain).await? else { return Ok(AuthResult::None) };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    return Ok(match directive.qualifier {
                        Qualifier::Fail => AuthResult::Fail,
                        Qualifier::Neutral => AuthResult::Neutral,
                        Qualifier::Pass => AuthResult::Pass,
                        Qualifier::SoftFail => AuthResult::SoftFail,
                    });
                }
            }
            let Some(redirect) = &record.redirect else { return Ok(AuthResult::Neutral) };
            self.count_lookup()?;
            let target = self.expand(redirect, &domain).await?;
            match self.check_host(target).await? {
                AuthResult::None => Err(Stop::permanent("redirect leads to no record")),
                result => Ok(result),
            }
        }
        .boxed()
    }

    /// Sections 4.4 to 4.6.
    async fn record(&self, domain: &str) -> Result<Option<Record>, Stop> {
        let answer = self.questions.ask(domain, RecordType::TXT).await;
        Stop::at(&answer)?;
        let mut records = answer.texts().filter(|text| spf_record::is_spf(text));
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(record), None) => match spf_record::read(record) {
                Some(record) => Ok(Some(record)),
                None => Err(Stop::permanent(format!("the record of {domain} breaks the grammar"))),
            },
            (Some(_), Some(_)) => Err(Stop::permanent(format!("{domain} has several records"))),
        }
    }

    /// Section 5.
    async fn matches(&self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { network, prefix } => Ok(self.is_in(IpAddr::V4(*network), *prefix)),
            Mechanism::Ip6 { network, prefix } => Ok(self.is_in(IpAddr::V6(*network), *prefix)),
            Mechanism::Include(target) => {
                self.count_lookup()?;
                let target = self.expand(target, domain).await?;
                match self.check_host(target).await? {
                    AuthResult::None => Err(Stop::permanent("include leads to no record")),
                    result => Ok(result == AuthResult::Pass),
                }
            }
            Mechanism::A { domain: target, prefix } => {
                self.count_lookup()?;
                let host = self.target(target.as_ref(), domain).await?;
                self.has_address_near(&host, *prefix).await
            }
            Mechanism::Mx { domain: target, prefix } => {
                self.count_lookup()?;
                let target = self.target(target.as_ref(), domain).await?;
                let answer = self.look_up(&target, RecordType::MX).await?;
                for (number, host) in answer.hosts().enumerate() {
                    if number == MOST_HOSTS {
                        return Err(Stop::permanent("mx names over ten hosts"));
                    }
                    if self.has_address_near(host, *prefix).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Mechanism::Exists(target) => {
                self.count_lookup()?;
                let name = self.expand(target, domain).await?;
                // Section 5.7: an A record, also for an IPv6 client.
                Ok(self.look_up(&name, RecordType::A).await?.addresses().next().is_some())
            }
            Mechanism::Ptr(target) => {
                self.count_lookup()?;
                let target = self.target(target.as_ref(), domain).await?.to_ascii_lowercase();
                Ok(self.names().await.iter().any(|name| *name == target || is_below(name, &target)))
            }
        }
    }

    fn is_in(&self, network: IpAddr, prefix: u8) -> bool {
        match (self.client, network) {
            (IpAddr::V4(client), IpAddr::V4(network)) => {
                let shift = 32 - u32::from(prefix.min(32));
                (client.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(client), IpAddr::V6(network)) => {
                let shift = 128 - u32::from(prefix.min(128));
                (client.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    async fn has_address_near(&self, host: &str, prefix: PrefixLengths) -> Result<bool, Stop> {
        let (kind, prefix) =
            if self.client.is_ipv4() { (RecordType::A, prefix.v4) } else { (RecordType::AAAA, prefix.v6) };
        Ok(self.look_up(host, kind).await?.addresses().any(|address| self.is_in(address, prefix)))
    }

    /// A question of a term; too many that come to nothing end the evaluation.
    async fn look_up(&self, name: &str, kind: RecordType) -> Result<Answer, Stop> {
        let answer = self.questions.ask(name, kind).await;
        Stop::at(&answer)?;
        if matches!(answer, Answer::Nothing { .. })
            && self.void_lookups.fetch_add(1, Ordering::Relaxed) >= MOST_VOID_LOOKUPS
        {
            return Err(Stop::permanent("over two look-ups come to nothing"));
        }
        Ok(answer)
    }

    fn count_lookup(&self) -> Result<(), Stop> {
        if self.lookups.fetch_add(1, Ordering::Relaxed) >= MOST_LOOKUPS {
            return Err(Stop::permanent("it takes over ten look-ups"));
        }
        Ok(())
    }

    async fn target(&self, spec: Option<&DomainSpec>, domain: &str) -> Result<String, Stop> {
        match spec {
            Some(spec) => self.expand(spec, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn expand(&self, spec: &DomainSpec, domain: &str) -> Result<String, Stop> {
        let mut validated = "unknown";
        if spec.asks_for_names() {
            if !self.names.initialized() {
                self.count_lookup()?;
            }
            // Section 7.3: the domain itself, else a name below it, else any.
            let names = self.names().await;
            let best = names.iter().find(|name| *name == domain).or_else(|| names.iter().find(|n| is_below(n, domain)));
            validated = best.or(names.first()).map_or(validated, String::as_str);
        }
        Ok(spec.expand(Letters {
            client: self.client,
            helo: self.helo,
            sender_local: self.sender_local,
            sender_domain: self.sender_domain,
            domain,
            validated,
        }))
    }

    /// Section 5.5: the names of the client that lead back to its address. What DNS does not answer is not a name.
    async fn names(&self) -> &[String] {
        let find = || async {
            let kind = if self.client.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            let mut names = Vec::new();
            let pointers = self.questions.answer(Question::reverse(self.client)).await;
            for name in pointers.hosts().take(MOST_HOSTS) {
                if self.questions.ask(name, kind).await.addresses().any(|address| address == self.client) {
                    names.push(name.to_owned());
                }
            }
            names
        };
        self.names.get_or_init(find).await
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}
