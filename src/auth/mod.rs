//! What SPF, DKIM and DMARC say of the sender, and which addresses that proves.
//!
//! Fails closed: a missing, broken or temporary result proves nothing. It never fails a message: what cannot be worked
//! out is `temperror`.

mod proof;

use std::fmt;

pub use proof::SenderProof;

use crate::config::{AuthConfig, Config, ConfigError};
use crate::mail::{Envelope, Message};

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
}

/// Works out what is known of senders.
#[derive(Debug)]
pub struct Authenticator {
    _config: AuthConfig,
}

impl Authenticator {
    /// Ready to be asked; builds no resolver until the first question.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { _config: config.auth.clone() })
    }

    /// Examines one message.
    pub async fn examine(&self, _envelope: &Envelope, _message: &Message) -> Authentication {
        Authentication { summary: "spf=none, no dkim".to_owned(), ..Authentication::default() }
    }
}
