//! What SPF, DKIM and DMARC say of the sender, and which addresses that proves.
//!
//! Fails closed: a missing, broken or temporary result proves nothing. It never fails a message: what cannot be worked
//! out is `temperror`.

mod alignment;
mod answer;
mod cache;
mod coverage;
mod dkim;
mod dmarc;
mod field_reader;
mod from_field;
mod key_record;
mod proof;
mod provider;
mod questions;
mod received;
mod resolver;
mod results;
mod spf;
mod spf_macro;
mod spf_record;
mod tag_list;
mod trust;
mod verify;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use from_field::Author;
use proof::{Findings, SenderEvidence};
pub use proof::{ProvenEnvelopeSender, ProvenFrom};
pub use provider::Trace;
use questions::{FOR_SPF, Questions};
use resolver::Resolver;
pub use resolver::{NameServerCheck, TimeLimits};

use crate::config::{AuthMethod, Config, ConfigError};
use crate::mail::{Envelope, Message, Recipient, canonical_domain};
use crate::trail::Step;

/// A result of RFC 8601 section 2.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are RFC 8601's")]
pub enum AuthResult {
    Fail,
    Neutral,
    #[default]
    None,
    Pass,
    PermError,
    Policy,
    SoftFail,
    TempError,
}

impl AuthResult {
    /// The RFC's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::Pass => "pass",
            Self::PermError => "permerror",
            Self::Policy => "policy",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
        }
    }
}

impl fmt::Display for AuthResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The result for one DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimOutcome {
    /// d=
    pub domain: String,
    /// Its result.
    pub result: AuthResult,
}

/// What is known of a message's sender.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// SPF of MAIL FROM (of HELO for the null sender).
    pub spf: AuthResult,
    /// One entry a signature, in order.
    pub dkim: Vec<DkimOutcome>,
    /// DMARC of the From domain.
    pub dmarc: AuthResult,
    /// The From domain asks to quarantine or reject what fails DMARC.
    pub dmarc_enforced: bool,
    /// The From address, if it is proven: for the event, and for mailboxes that hold what is unproven.
    pub from: Option<ProvenFrom>,
    /// DNS gave no answer to something that could have proven the From.
    pub is_undecided: bool,
    /// Why the envelope sender is not proven, or what proved it, whoever the recipient is: for logs and `explain`.
    pub summary: String,
    /// What was looked at, in order: for `explain`.
    pub steps: Vec<Step>,
    sender: SenderEvidence,
    own_domains: Arc<HashSet<String>>,
}

impl Authentication {
    /// Nothing is known, for this reason.
    pub fn unknown(why: &str) -> Self {
        Self { summary: why.to_owned(), ..Self::default() }
    }

    /// The envelope sender of the copy for one recipient, if it is proven (docs/design.md 2.7, point 4).
    ///
    /// # Errors
    /// Why it is not.
    pub fn envelope_sender(&self, recipient: &Recipient) -> Result<ProvenEnvelopeSender, String> {
        let is_ours = |domain: &str| self.own_domains.contains(domain);
        self.sender.for_recipient(recipient, is_ours).ok_or_else(|| self.summary.clone())
    }

    /// Whether the From domain wants such a message quarantined or rejected: then nobody is written to, whoever the
    /// envelope names.
    pub fn is_refused_by_dmarc(&self) -> bool {
        self.dmarc == AuthResult::Fail && self.dmarc_enforced
    }
}

/// What turns evidence into what is known: the same for what we verify and for what we are told.
#[derive(Debug)]
struct Conclusion {
    own_domains: Arc<HashSet<String>>,
}

impl Conclusion {
    /// Applies the proof rules to what was found.
    fn draw(&self, findings: Findings, envelope: &Envelope, author: &Author) -> Authentication {
        let Findings { evidence, dmarc, steps } = findings;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let sender = evidence.envelope_sender(&envelope.sender, author, now);
        Authentication {
            spf: evidence.spf.result,
            dkim: evidence.outcomes(),
            dmarc: dmarc.result,
            dmarc_enforced: dmarc.enforced,
            from: evidence.from(author),
            is_undecided: evidence.is_undecided(author),
            summary: sender.summary(),
            steps,
            sender,
            own_domains: Arc::clone(&self.own_domains),
        }
    }
}

/// Works out what is known of senders. Cheap to make: no name server is asked for anything before the first question.
#[derive(Debug)]
pub struct Authenticator {
    method: AuthMethod,
    hostname: String,
    authserv_ids: Vec<String>,
    resolver: Resolver,
    conclusion: Conclusion,
}

impl Authenticator {
    /// Ready to be asked; reads no resolv.conf until the first question.
    ///
    /// # Errors
    /// None at present.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self::with_limits(config, TimeLimits::default()))
    }

    /// The same with other time limits, for tests.
    pub fn with_limits(config: &Config, limits: TimeLimits) -> Self {
        let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| canonical_domain(domain));
        let own_domains = config.mailboxes.iter().filter_map(|mailbox| domain(&mailbox.address.value)).collect();
        Self {
            method: config.auth.method,
            hostname: config.hostname.clone(),
            authserv_ids: config.auth.authserv_ids.clone(),
            resolver: Resolver::new(config.auth.nameservers.clone(), limits),
            conclusion: Conclusion { own_domains: Arc::new(own_domains) },
        }
    }

    /// Examines one message. Never fails and takes at most [`TimeLimits::message`] of waiting for DNS.
    pub async fn examine(&self, envelope: &Envelope, message: &Message) -> Authentication {
        let author = Author::of(message);
        let verify = || verify::examine(&self.resolver, &author, envelope, message);
        let findings = match (self.method, envelope.origin.mailbox()) {
            (AuthMethod::Off, _) => return Authentication::unknown("authentication is off"),
            (AuthMethod::Trust, None) => {
                let fields = trust::believed(&self.authserv_ids, &self.hostname, message);
                trust::examine(&fields, &self.authserv_ids.join(", "), &author, envelope, message)
            }
            (AuthMethod::Verify, None) => verify().await,
            (method, Some(mailbox)) => {
                let trace = Trace::read(mailbox, &self.hostname, message);
                let told = trust::examine(&trace.results, "the provider", &author, envelope, message);
                // The client is not known, so SPF cannot be asked about here; DKIM can.
                if method == AuthMethod::Verify { told.and(verify().await) } else { told }
            }
        };
        self.conclusion.draw(findings, envelope, &author)
    }

    /// Asks every name server by itself whether it answers; nothing where no DNS is used. For `mailhatch check`.
    ///
    /// # Errors
    /// The system's name servers cannot be read.
    pub async fn check(&self) -> Result<Vec<NameServerCheck>, String> {
        match self.method {
            AuthMethod::Verify => self.resolver.check(&self.hostname).await,
            AuthMethod::Off | AuthMethod::Trust => Ok(Vec::new()),
        }
    }

    /// check_host() of RFC 7208 alone, for MAIL FROM, or for HELO where `sender` is empty: what a record says of any
    /// client, whether or not that proves anything.
    pub async fn check_spf(&self, client: IpAddr, helo: &str, sender: &str) -> AuthResult {
        let deadline = tokio::time::Instant::now() + self.resolver.limits().message;
        let questions = Questions::new(&self.resolver, FOR_SPF, deadline);
        spf::check(&questions, client, helo, sender).await.result
    }
}
