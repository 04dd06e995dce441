//! How mail comes in.

mod dialog;
mod lmtp_server;
mod lmtp_session;
mod policy_server;
mod policy_service;
mod policy_session;
mod postfix_client;
mod service;
