//! Handing an event over to the application.
//!
//! The only module that knows HTTP. It never decides what becomes of the mail: it says what the application
//! answered, and `pipeline` and `disposition` draw the conclusion.

mod application;
mod circuit_breaker;
mod endpoint;
mod event;
mod event_json;
mod gitlab;
mod gitlab_lookup;
mod http;
mod http_answer;
mod http_connection;
mod http_exchange;
mod http_failure;
mod poison;
mod registry;
mod request_body;
mod settings;
mod spool;
mod webhook;

pub use application::{Answer, App, AppError, hide_key};
pub use event::Event;
pub use registry::Apps;
