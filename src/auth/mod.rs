//! What SPF, DKIM and DMARC say of the sender, and which addresses that proves.
//!
//! Fails closed: a missing, broken or temporary result proves nothing. It never fails a message: what cannot be worked
//! out is `temperror`.

mod alignment;
mod dkim;
mod dmarc;
mod field_reader;
mod proof;
mod received;
mod resolver;
mod results;
mod spf;
mod spf_record;
mod trust;
mod verify;

use std::fmt;
use std::net::IpAddr;

use proof::Evidence;
pub use proof::SenderProof;
use resolver::Resolver;
pub use resolver::{NameServerCheck, TimeLimits};

use crate::config::{AuthMethod, Config, ConfigError};
use crate::mail::{Address, Envelope, Message};
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
    /// The envelope sender, if it is proven (DESIGN section 2.7, number 4).
    pub envelope_sender: Option<SenderProof>,
    /// The From address, if it is proven by an aligned pass.
    pub from: Option<SenderProof>,
    /// Why nothing is proven, or what proved it: for logs and `explain`.
    pub summary: String,
    /// What was looked at, in order: for `explain`.
    pub steps: Vec<Step>,
}

impl Authentication {
    /// Whether the From domain wants such a message quarantined or rejected: then nobody is written to, whoever the
    /// envelope names.
    pub fn is_refused_by_dmarc(&self) -> bool {
        self.dmarc == AuthResult::Fail && self.dmarc_enforced
    }

    /// Whether DNS gave no answer to something that could have proven the sender.
    pub fn is_undecided(&self) -> bool {
        let mut results = self.dkim.iter().map(|signature| signature.result).chain([self.spf, self.dmarc]);
        results.any(|result| result == AuthResult::TempError)
    }

    /// Applies the proof rule to what was found.
    fn conclude(
        evidence: Evidence,
        envelope: &Envelope,
        from: Option<&Address>,
        dmarc: AuthResult,
        dmarc_enforced: bool,
    ) -> Self {
        let envelope_sender = evidence.envelope_sender(&envelope.sender);
        let mut found = Self {
            from: evidence.from(from),
            summary: evidence.summary(envelope_sender.as_ref()),
            envelope_sender,
            spf: evidence.spf.result,
            dkim: evidence.dkim,
            dmarc,
            dmarc_enforced,
            steps: Vec::new(),
        };
        if found.envelope_sender.is_some() && found.is_refused_by_dmarc() {
            found.summary.push_str(", but dmarc=fail and the From domain asks to quarantine or reject");
        }
        found
    }
}

/// Works out what is known of senders. Cheap to make: the resolver is built at the first question.
#[derive(Debug)]
pub struct Authenticator {
    method: AuthMethod,
    hostname: String,
    authserv_ids: Vec<String>,
    resolver: Resolver,
}

impl Authenticator {
    /// Ready to be asked; builds no resolver until the first question.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self::with_limits(config, TimeLimits::default()))
    }

    /// The same with other time limits, for tests.
    pub fn with_limits(config: &Config, limits: TimeLimits) -> Self {
        Self {
            method: config.auth.method,
            hostname: config.hostname.clone(),
            authserv_ids: config.auth.authserv_ids.clone(),
            resolver: Resolver::new(config.auth.nameservers.clone(), limits),
        }
    }

    /// Examines one message. Never fails and takes at most [`TimeLimits::message`] of waiting for DNS.
    pub async fn examine(&self, envelope: &Envelope, message: &Message) -> Authentication {
        match self.method {
            AuthMethod::Off => Authentication { summary: "authentication is off".to_owned(), ..Default::default() },
            AuthMethod::Trust => trust::examine(&self.authserv_ids, &self.hostname, envelope, message),
            AuthMethod::Verify => verify::examine(&self.resolver, &self.hostname, envelope, message).await,
        }
    }

    /// Asks every name server by itself whether it answers; nothing where no DNS is used. For `mailhatch check`.
    pub async fn check(&self) -> Result<Vec<NameServerCheck>, String> {
        match self.method {
            AuthMethod::Verify => self.resolver.check(&self.hostname).await,
            AuthMethod::Off | AuthMethod::Trust => Ok(Vec::new()),
        }
    }

    /// check_host() of RFC 7208 alone, for MAIL FROM, or for HELO where `sender` is empty: what a record says of any
    /// client, whether or not that proves anything.
    pub async fn check_spf(&self, client: IpAddr, helo: &str, sender: &str) -> AuthResult {
        match self.resolver.dns().await {
            Ok(dns) => spf::check(dns, &self.hostname, client, helo, sender).await,
            Err(_) => AuthResult::TempError,
        }
    }
}
