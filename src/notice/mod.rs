//! The reject notice: may we (`policy`), what it says (`render`), sending it (`submit`).
//!
//! Writes to nobody whom SPF or DKIM does not prove. A notice that cannot be handed to the local MTA is an error, and the
//! message is deferred; it is never dropped in silence.

mod canonical;
mod policy;
mod render;
mod submit;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

pub use canonical::canonical_sender;
pub use policy::Withheld;

use self::render::{Mailer, Templates};
use self::submit::LocalMta;
use crate::app::EventId;
use crate::auth::{Authentication, comparable_domain};
use crate::config::{Config, ConfigError, NoticeConfig};
use crate::crash_point::crash_point;
use crate::disposition::{Deferral, Rejection, Status};
use crate::ledger::{Ledger, LedgerError, NoticeRequest, Reservation};
use crate::mail::{Envelope, Message, Recipient};
use crate::route::Routes;
use crate::trail::Step;

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// It was handed to the local MTA.
    Sent {
        /// For whom.
        to: String,
    },
    /// It was not written.
    Withheld(Withheld),
}

impl fmt::Display for NoticeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { .. } => f.write_str("sent"),
            Self::Withheld(why) => write!(f, "withheld: {why}"),
        }
    }
}

/// A message that nobody takes, for one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'a> {
    /// The event's id: a second try must not write a second notice.
    pub id: &'a EventId,
    /// What the MTA said.
    pub envelope: &'a Envelope,
    /// What came in.
    pub message: &'a Message,
    /// For whom it was.
    pub recipient: &'a Recipient,
    /// Why nobody takes it.
    pub rejection: &'a Rejection,
    /// Our own addresses, which are never written to.
    pub routes: &'a Routes,
}

/// Whether a notice would go out, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// Whether it would.
    pub would_send: bool,
    /// To whom.
    pub to: Option<String>,
    /// Why not, or what proves the sender.
    pub why: String,
}

impl Foreseen {
    /// What the screen sets aside gets none.
    pub fn machine_made() -> Self {
        Self { would_send: false, to: None, why: "machine-made mail is set aside without a notice".to_owned() }
    }

    /// The last step of the trail.
    pub fn step(&self) -> Step {
        let result = if self.would_send { "would be sent" } else { "withheld" };
        Step { step: "notice", rule: "policy".to_owned(), result, detail: self.why.clone() }
    }
}

/// Writes reject notices.
#[derive(Debug)]
pub struct Notifier {
    config: NoticeConfig,
    hostname: String,
    mailer: Mailer,
    templates: Templates,
    mta: LocalMta,
}

impl Notifier {
    /// Reads the addresses of the configuration; connects to nothing.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let notice = &config.notice;
        Ok(Self {
            mailer: Mailer::parse(&notice.from.value).map_err(|why| config.error_at(&notice.from, why))?,
            mta: LocalMta::parse(&notice.smtp.value, &config.hostname)
                .map_err(|why| config.error_at(&notice.smtp, why))?,
            templates: Templates::new(notice.templates.clone()),
            hostname: config.hostname.clone(),
            config: notice.clone(),
        })
    }

    /// What is wrong with the administrator's texts, for the `check` command; `None` where there are none.
    pub fn template_faults(&self) -> Option<Vec<String>> {
        self.templates.faults()
    }

    /// Writes the notice if it may be written, at most once for an event. The sender is examined only if everything cheaper
    /// says yes.
    pub async fn notify(
        &self,
        rejected: Rejected<'_>,
        authentication: impl Future<Output = Arc<Authentication>>,
        ledger: &Ledger,
        deadline: Instant,
    ) -> Result<NoticeOutcome, Deferral> {
        let permission = self.permission(rejected.envelope, rejected.message, rejected.routes, authentication).await;
        let proof = match permission {
            Ok(proof) => proof,
            Err(withheld) => return Ok(NoticeOutcome::Withheld(withheld)),
        };
        let to = proof.address();
        let request = NoticeRequest {
            id: rejected.id.clone(),
            canonical: canonical_sender(to).to_string(),
            domain: comparable_domain(to.domain()).unwrap_or_else(|| to.domain().to_lowercase()),
        };
        let sent = || NoticeOutcome::Sent { to: to.to_string() };
        let slot = match ledger.reserve_notice(request).await.map_err(|error| ledger_failed(&error))? {
            Reservation::Granted(slot) => slot,
            Reservation::AlreadySent => return Ok(sent()),
            Reservation::InFlight => return Err(in_flight()),
            Reservation::TooSoon { .. } => return Ok(NoticeOutcome::Withheld(Withheld::Interval)),
            Reservation::DomainLimit => return Ok(NoticeOutcome::Withheld(Withheld::DomainLimit)),
            Reservation::TotalLimit => return Ok(NoticeOutcome::Withheld(Withheld::TotalLimit)),
        };
        let submitted = match render::render(&self.mailer, &self.hostname, &self.templates, rejected, &proof) {
            Ok(notice) => self.mta.submit(to, &notice, deadline).await,
            Err(error) => Err(format!("it cannot be built: {error}")),
        };
        if let Err(why) = submitted {
            // A failure to take the reservation back is not worse: it runs out by itself.
            let _ = ledger.cancel_notice(slot).await;
            return Err(not_submitted(&self.config.smtp.value, &why));
        }
        crash_point("notice-submitted");
        // It is sent, so the message is answered; the ledger goes on trying to write that down.
        let _ = ledger.confirm_notice(slot).await;
        Ok(sent())
    }

    /// Whether a notice would go out; asks no limit, because asking would not change it.
    pub async fn foresee(
        &self,
        envelope: &Envelope,
        message: &Message,
        routes: &Routes,
        authentication: impl Future<Output = Arc<Authentication>>,
    ) -> Foreseen {
        match self.permission(envelope, message, routes, authentication).await {
            Ok(proof) => Foreseen {
                would_send: true,
                to: Some(proof.address().to_string()),
                why: format!("proven by {}", proof.by()),
            },
            Err(withheld) => Foreseen { would_send: false, to: None, why: withheld.to_string() },
        }
    }

    async fn permission(
        &self,
        envelope: &Envelope,
        message: &Message,
        routes: &Routes,
        authentication: impl Future<Output = Arc<Authentication>>,
    ) -> Result<crate::auth::SenderProof, Withheld> {
        if !self.config.enabled {
            return Err(Withheld::Off);
        }
        policy::without_proof(envelope, message, routes, self.mailer.address())?;
        policy::proven(&*authentication.await)
    }
}

fn ledger_failed(error: &LedgerError) -> Deferral {
    Deferral {
        status: Status::SYSTEM,
        cause: "ledger",
        public: "local state cannot be written".to_owned(),
        detail: format!("the notice cannot be recorded: {error}"),
        alarm: true,
    }
}

fn in_flight() -> Deferral {
    Deferral {
        status: Status::SYSTEM,
        cause: "in-flight",
        public: "another copy of this message is being answered".to_owned(),
        detail: "another connection or process is writing the notice for this message".to_owned(),
        alarm: false,
    }
}

fn not_submitted(smtp: &str, why: &str) -> Deferral {
    Deferral {
        status: Status::SYSTEM,
        cause: "notice",
        public: "the answer to this message cannot be sent yet".to_owned(),
        detail: format!("the notice cannot be handed to {smtp} (notice.smtp): {why}"),
        alarm: true,
    }
}
