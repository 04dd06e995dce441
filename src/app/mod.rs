//! Handing an event over to the application.
//!
//! The only module that knows HTTP. It never decides what becomes of the mail: it says what the application
//! answered, and `pipeline` and `disposition` draw the conclusion.

mod action_mailbox;
mod application;
mod circuit_breaker;
mod discourse;
mod endpoint;
mod event;
mod event_json;
mod fields;
mod gitlab;
mod gitlab_lookup;
mod http;
mod http_answer;
mod http_connection;
mod http_exchange;
mod http_failure;
mod multipart;
mod osticket;
mod poison;
mod redmine;
mod registry;
mod request_body;
mod request_tracker;
mod settings;
mod spool;
mod to_field;
mod webhook;

pub use application::{AfterRefusals, Answer, App, AppError, Refusals, hide_keys};
pub use event::Event;
pub use registry::Apps;
