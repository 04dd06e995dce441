//! What SPF, DKIM and DMARC say of the sender, and which addresses that proves.
//!
//! Fails closed: a missing, broken or temporary result proves nothing. It never fails a message: what cannot be worked
//! out is `temperror`.

mod alignment;
mod answer;
mod auth_result;
mod authentication;
mod cache;
mod coverage;
mod dkim;
mod dmarc;
mod field_reader;
mod findings;
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

use std::net::IpAddr;
use std::sync::Arc;

pub use auth_result::{AuthResult, DkimOutcome};
pub use authentication::Authentication;
use authentication::Conclusion;
use from_field::Author;
pub use proof::{ProvenEnvelopeSender, ProvenFrom};
pub use provider::Trace;
use questions::{FOR_SPF, Questions};
use resolver::Resolver;
pub use resolver::{NameServerCheck, TimeLimits};

use crate::config::{AuthMethod, Config, ConfigError};
use crate::mail::{Envelope, Message, canonical_domain};

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
