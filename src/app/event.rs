//! The event: one message for one key, as an application gets it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::auth::Authentication;
use crate::event_id::EventId;
use crate::mail::{Envelope, Message, Recipient};
use crate::route::Route;

/// One message for one key, as the application gets it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The same on every try.
    pub id: EventId,
    /// When this try began.
    pub time: SystemTime,
    /// Whose it is.
    pub route: Route,
    /// What the MTA said.
    pub envelope: Arc<Envelope>,
    /// The envelope recipient it is for.
    pub recipient: Recipient,
    /// What came in.
    pub message: Message,
    /// What is known of the sender, where it was worked out.
    pub authentication: Option<Arc<Authentication>>,
}
