//! What the service does for the shared ledger beside the messages: it tells the other hosts what waited, and notices when the
//! store goes and comes back, also while no mail comes in. Without `[shared]` it does nothing.

use std::sync::Arc;
use std::time::Duration;

use super::reload::ReloadableEngine;
use crate::log_line::{Level, LogLine};

/// How often it is looked whether something waits.
const LOOK: Duration = Duration::from_secs(1);

/// Every how many looks the store is asked whether it is there.
const PROBES: u32 = 5;

/// After what could not be told.
const ANOTHER_TRY: Duration = Duration::from_secs(5);

/// Runs as long as the service.
pub(super) async fn keep_the_others_informed(service: Arc<ReloadableEngine>) {
    let mut looks: u32 = 0;
    let mut is_broken = false;
    loop {
        let site = service.site();
        if looks.is_multiple_of(PROBES) {
            site.ledger.probe_sharing().await;
        }
        looks = looks.wrapping_add(1);
        let waiting = site.ledger.tell_the_others().await;
        if let (Ok(Some(count)), Some(metrics)) = (&waiting, &service.metrics) {
            metrics.set_unshared(*count);
        }
        if let Err(error) = &waiting
            && !is_broken
        {
            // Each message says the same; a service without mail says it once.
            service.log(&LogLine::event(Level::Error, error));
        }
        is_broken = waiting.is_err();
        let is_left = is_broken || waiting.is_ok_and(|count| count.is_some_and(|count| count > 0));
        tokio::time::sleep(if is_left { ANOTHER_TRY } else { LOOK }).await;
    }
}
