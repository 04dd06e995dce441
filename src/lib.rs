//! mailhatch: a local delivery filter between Postfix and an application.
//!
//! A message goes through the modules once, in this order, and never back:
//!
//! ```text
//! intake ─► mail ─► screen ─► route ─► auth ─► app ─► notice ─► disposition ─► intake's answer
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`credential`] | encrypted credentials: names, contents, `systemd-creds` |
//! | [`config`] | `mailhatch.toml` as types; errors that point at the line; secrets |
//! | [`intake`] | how mail comes in: the LMTP session and server, the pipe command |
//! | [`mail`] | what came in: envelope, message, address |
//! | [`screen`] | the rules that set machine-made mail aside |
//! | [`route`] | whose it is: mailbox, key, action |
//! | [`auth`] | what SPF, DKIM and DMARC say of the sender |
//! | [`app`] | handing the event over to the application |
//! | [`notice`] | the reject notice: may we, what it says, sending it |
//! | [`ledger`] | what was done before |
//! | [`held`] | the copies kept back |
//! | [`pipeline`] | the walk as one function |
//! | [`disposition`] | verdict → LMTP reply, exit status, log line: the one table |
//! | [`telemetry`] | syslog, journald, stderr; metrics |
//! | [`sandbox`] | what a process that handles mail may not do |
//!
//! `docs/architecture.md` tells the story; the rules that each module follows are cited beside the code.

pub mod age_clock;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod crash_point;
pub mod credential;
pub mod directory;
pub mod disposition;
pub mod durable;
pub mod event_id;
pub mod held;
pub mod in_flight;
pub mod intake;
pub mod ledger;
pub mod log_line;
pub mod mail;
pub mod notice;
pub mod outcome;
pub mod pipeline;
pub mod printable;
pub mod route;
pub mod sandbox;
pub mod screen;
pub mod service_user;
pub mod state_dir;
pub mod telemetry;
pub mod tls;
pub mod trail;
pub mod verdict;
