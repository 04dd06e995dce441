//! What this host asks the others by the shared store, and tells them: asked after its own database, told after it.
//!
//! Nothing here can refuse what this host has done: what the others cannot be told waits in the table `unshared`.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::delivery_log::{Begin, Claim, Finished, Guard, NoticeClaim, NoticeRequest, Reservation, SharedState};
use super::lease::{Lease, Leased};
use super::row::UnsharedKey;
use super::shared_store::{Claimed, Nonce, NoticeLimits, Reserved, SharedRecord, SharedWhat, StoreError};
use super::sharing::Sharing;
use super::unshared;
use crate::crash_point::crash_point;
use crate::event_id::EventId;

impl Sharing {
    /// Claims for this host what it has claimed in its own database.
    pub(super) async fn claim(self: &Arc<Self>, claim: Claim) -> Begin {
        let claimed = async {
            let id = claim.id();
            let lease = Lease::new(self, Leased::Event(id.clone()), Nonce::new()?);
            let claimed = self.ask("claim", self.store.claim(id, lease.nonce(), self.lease)).await;
            Ok::<_, StoreError>((lease, claimed))
        };
        match claimed.await {
            Ok((lease, Ok(Claimed::Ours))) => {
                Begin::New(claim.shared(SharedState::Claimed, |local| Box::new(lease.renewed().with(local))))
            }
            Ok((lease, Ok(Claimed::Delivered(by)))) => {
                lease.keep();
                Begin::DeliveredElsewhere { by: by.to_string() }
            }
            Ok((lease, Ok(Claimed::InFlight))) => {
                lease.keep();
                Begin::InFlight
            }
            Ok((_, Err(why))) | Err(why) if self.defers() => Begin::SharedDown { why: why.to_string() },
            // The claim may be there all the same: it is given back if the application does not take the event.
            Ok((lease, Err(_))) => Begin::New(claim.shared(SharedState::Down, |local| Box::new(lease.with(local)))),
            Err(_) => Begin::New(claim.shared(SharedState::Down, |local| local)),
        }
    }

    /// Tells the other hosts of a delivery that is in this host's database.
    pub(super) async fn finish(
        &self,
        context: &Context,
        id: EventId,
        at: i64,
        claimed: Option<SharedState>,
    ) -> Finished {
        crash_point("delivery-unshared");
        let record = SharedRecord { id, age: Duration::ZERO, what: SharedWhat::Delivered };
        match self.record(context, at, record).await {
            Ok(doubled) => Finished {
                shared: claimed,
                warning: doubled.map(|by| format!("{by} too: the application has it twice, with the same id")),
            },
            Err(why) => Finished {
                shared: Some(SharedState::Down),
                warning: Some(format!("delivered, but the other hosts do not know it yet: {why}")),
            },
        }
    }

    /// Asks the limits of all hosts for a notice that this host's own allow. The first no decides, and the claim comes back.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        context: &Context,
        claim: NoticeClaim,
    ) -> Result<NoticeClaim, (NoticeClaim, Reservation)> {
        let request = claim.request().clone();
        let limits = context.limits();
        let limits =
            NoticeLimits { per_domain_per_hour: limits.per_domain_per_hour, total_per_hour: limits.total_per_hour };
        let reserved = async {
            let lease = Lease::new(self, Leased::Notice(request.clone()), Nonce::new()?);
            let reserved = self.ask("reserve", self.store.reserve(&request, lease.nonce(), limits, self.lease)).await;
            if matches!(&reserved, Ok(refused) if *refused != Reserved::Granted) {
                lease.keep();
            }
            Ok::<_, StoreError>((lease, reserved?))
        };
        let refusal = match reserved.await {
            Ok((lease, Reserved::Granted)) => return Ok(claim.shared(|local| Box::new(lease.with(local)))),
            Ok((_, Reserved::AlreadySent)) => Reservation::AlreadySent,
            Ok((_, Reserved::InFlight)) => Reservation::InFlight,
            Ok((_, Reserved::TooSoon(last))) => Reservation::TooSoon { last },
            Ok((_, Reserved::DomainLimit)) => Reservation::DomainLimit,
            Ok((_, Reserved::TotalLimit)) => Reservation::TotalLimit,
            Err(why) if self.defers() => Reservation::SharedDown { why: why.to_string() },
            Err(_) => return Ok(claim),
        };
        Err((claim, refusal))
    }

    /// Tells the other hosts of a notice; what they cannot be told waits.
    pub(super) async fn notice_sent(&self, context: &Context, request: NoticeRequest, at: i64) {
        let NoticeRequest { id, canonical, domain, person: _ } = request;
        let what = SharedWhat::NoticeSent { canonical, domain, interval: context.limits().interval };
        let _ = self.record(context, at, SharedRecord { id, age: Duration::ZERO, what }).await;
    }

    /// Tells the other hosts what waited; whether they know it now.
    pub(super) async fn tell(&self, context: &Context, waiting: Vec<(UnsharedKey, SharedRecord)>) -> bool {
        let (rows, records): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.ask("record", self.store.record(&records)).await {
            Ok(recorded) if recorded.is_replicated => {
                context.forget_unshared(rows);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    pub(super) async fn probe(&self) {
        let _ = self.ask("probe", self.store.probe()).await;
    }

    async fn record(&self, context: &Context, at: i64, record: SharedRecord) -> Result<Option<String>, StoreError> {
        let recorded = self.ask("record", self.store.record(std::slice::from_ref(&record))).await?;
        if !recorded.is_replicated {
            let wanted = self.config.replicas;
            return Err(StoreError::new(format!("fewer than {wanted} replicas have it (shared.replicas)")));
        }
        context.forget_unshared([unshared::key_of(&record, at)]);
        Ok(recorded.doubled.first().map(|(_, by)| by.to_string()))
    }
}
