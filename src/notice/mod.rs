//! The reject notice: may we (`policy`), what it says (`render`), sending it (`submit`).
//!
//! Writes to nobody whom SPF or DKIM does not prove. A notice that cannot be handed to the local MTA is an error, and the
//! message is deferred; it is never dropped in silence.

mod canonical;
mod policy;
mod rejected;
mod render;
mod submit;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

pub use canonical::canonical_sender;
pub use policy::Withheld;
pub use rejected::Rejected;

use self::canonical::canonical_address;
use self::render::{Mailer, Templates};
use self::submit::{LocalMta, NotSubmitted};
use crate::auth::{Authentication, ProvenEnvelopeSender};
use crate::config::{Config, ConfigError, NoticeConfig};
use crate::crash_point::crash_point;
use crate::event_id::EventId;
use crate::ledger::{DeliveryLog, NoticeRequest, Reservation};
use crate::mail::canonical_domain;
use crate::state_dir::StateError;
use crate::trail::Step;
use crate::verdict::Deferral;

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// It was handed to the local MTA.
    Sent {
        /// For whom.
        to: String,
    },
    /// It was handed over on an earlier try of the same message.
    SentBefore {
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
            Self::SentBefore { .. } => f.write_str("sent before"),
            Self::Withheld(why) => write!(f, "withheld: {why}"),
        }
    }
}

/// Whether a notice would go out, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoticePreview {
    /// Whether it would.
    pub would_send: bool,
    /// To whom.
    pub to: Option<String>,
    /// Why not, or what proves the sender.
    pub why: String,
}

impl NoticePreview {
    /// What the screen sets aside gets none.
    pub fn set_aside() -> Self {
        Self { would_send: false, to: None, why: "mail that the screen sets aside gets no notice".to_owned() }
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
    /// `limits.undecided`: how long after the first try a notice that the MTA refuses is tried again.
    given_up_after: Duration,
    mailer: Mailer,
    templates: Templates,
    mta: LocalMta,
}

impl Notifier {
    /// Reads the addresses of the configuration; connects to nothing.
    ///
    /// # Errors
    /// `notice.from` is not a mailbox, or `notice.smtp` not an address: the error shows the line.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let notice = &config.notice;
        let from = notice.from(&config.hostname);
        Ok(Self {
            mailer: Mailer::parse(&from.value).map_err(|why| config.error_at(&from, why))?,
            mta: LocalMta::parse(&notice.smtp.value, &config.hostname)
                .map_err(|why| config.error_at(&notice.smtp, why))?,
            templates: Templates::new(notice.templates.clone()),
            hostname: config.hostname.clone(),
            given_up_after: config.limits.undecided,
            config: notice.clone(),
        })
    }

    /// What is wrong with the administrator's texts, for the `check` command; `None` where there are none.
    pub fn template_faults(&self) -> Option<Vec<String>> {
        self.templates.faults()
    }

    /// Writes the notice if it may be written, at most once for an event and a sender. The sender is examined only if everything cheaper
    /// says yes.
    ///
    /// # Errors
    /// The notice cannot be handed over now, or nobody knows whether it may be: the message is deferred, and tried again with the same event.
    pub async fn notify(
        &self,
        rejected: Rejected<'_>,
        authentication: impl Future<Output = Arc<Authentication>>,
        log: &dyn DeliveryLog,
        deadline: Instant,
    ) -> Result<NoticeOutcome, Deferral> {
        let proof = match self.permission(rejected, authentication).await {
            Ok(proof) => proof,
            Err(withheld) => return Ok(NoticeOutcome::Withheld(withheld)),
        };
        let to = proof.address();
        let canonical = canonical_address(to).to_string();
        let id = rejected.id.of_notice_to(&canonical);
        let request = NoticeRequest {
            id: id.clone(),
            canonical,
            person: canonical_sender(to).to_string(),
            domain: canonical_domain(to.domain()),
        };
        let reserved = timeout_at(deadline, log.reserve_notice(request)).await;
        let reserved = reserved.map_err(|_| Deferral::deadline_missed("the ledger"))?;
        let slot = match reserved.map_err(|error| not_recorded(&error))? {
            Reservation::Granted(slot) => slot,
            Reservation::AlreadySent => return Ok(NoticeOutcome::SentBefore { to: to.to_string() }),
            Reservation::InFlight => return Err(Deferral::in_flight(IN_FLIGHT)),
            Reservation::SharedDown { why } => return Err(Deferral::shared_ledger(&why)),
            Reservation::TooSoon { .. } => return Ok(NoticeOutcome::Withheld(Withheld::Interval)),
            Reservation::DomainLimit => return Ok(NoticeOutcome::Withheld(Withheld::DomainLimit)),
            Reservation::TotalLimit => return Ok(NoticeOutcome::Withheld(Withheld::TotalLimit)),
        };
        let submitted = match render::render(&self.mailer, &self.hostname, &self.templates, rejected, &id, &proof) {
            Ok(notice) => self.mta.submit(to, &notice, deadline).await,
            Err(error) => Err(NotSubmitted::for_good(format!("it cannot be built: {error}"))),
        };
        if let Err(failed) = submitted {
            // A failure to take the reservation back is not worse: it runs out by itself.
            let _ = log.cancel_notice(slot).await;
            return self.after_failure(rejected.id, failed, log).await;
        }
        crash_point("notice-submitted");
        // It is sent, so the message is answered; the ledger goes on trying to write that down.
        let _ = log.confirm_notice(slot).await;
        Ok(NoticeOutcome::Sent { to: to.to_string() })
    }

    /// What the MTA refuses for good is tried again all the same, because that may be a fault of its configuration; but not for ever:
    /// a sender could choose an address that it refuses, and what Postfix still has in the end it returns.
    async fn after_failure(
        &self,
        event: &EventId,
        failed: NotSubmitted,
        log: &dyn DeliveryLog,
    ) -> Result<NoticeOutcome, Deferral> {
        if failed.is_permanent {
            let waited = log.first_deferral(event).await.map_err(|error| not_recorded(&error))?;
            if waited >= self.given_up_after {
                return Ok(NoticeOutcome::Withheld(Withheld::Refused(failed.why)));
            }
        }
        Err(not_submitted(&self.config.smtp.value, &failed.why))
    }

    /// Whether a notice would go out; asks no limit, because asking would not change it.
    pub async fn preview(
        &self,
        rejected: Rejected<'_>,
        authentication: impl Future<Output = Arc<Authentication>>,
    ) -> NoticePreview {
        match self.permission(rejected, authentication).await {
            Ok(proof) => NoticePreview {
                would_send: true,
                to: Some(proof.address().to_string()),
                why: format!("proven by {}", proof.by()),
            },
            Err(withheld) => NoticePreview { would_send: false, to: None, why: withheld.to_string() },
        }
    }

    async fn permission(
        &self,
        rejected: Rejected<'_>,
        authentication: impl Future<Output = Arc<Authentication>>,
    ) -> Result<ProvenEnvelopeSender, Withheld> {
        if !self.config.enabled {
            return Err(Withheld::Off);
        }
        policy::without_proof(rejected, self.mailer.address())?;
        policy::proven(&*authentication.await, rejected.recipient)
    }
}

const IN_FLIGHT: &str = "another connection or process is writing the notice for this message";

fn not_recorded(error: &StateError) -> Deferral {
    Deferral::local_state(format!("the notice cannot be recorded: {error}"), error.full)
}

fn not_submitted(smtp: &str, why: &str) -> Deferral {
    Deferral::notice(format!("the notice cannot be handed to {smtp} (notice.smtp): {why}"))
}
