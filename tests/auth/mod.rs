//! The sender's proof, against a real name server on loopback.

mod rfc7208;

use std::path::Path;
use std::time::Duration;

use mailhatch::auth::{Authenticator, TimeLimits};
use mailhatch::config::Config;

use crate::support::name_server::NameServer;

/// A configuration whose `[auth]` section is `auth`.
fn config(auth: &str) -> Config {
    let text = format!(
        "hostname = \"mx.example.com\"\n[[mailbox]]\nname = \"m\"\naddress = \"incoming+%{{key}}@example.com\"\nactions = \"any\"\n\
         app = \"a\"\n[[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/nonexistent\"\n[auth]\n{auth}\n"
    );
    Config::parse(Path::new("test.toml"), &text).unwrap_or_else(|error| panic!("{error}"))
}

/// An authenticator that asks `server`. The limits are far beyond what loopback needs: no test may hang on them.
fn authenticator(server: &NameServer) -> Authenticator {
    let limits = TimeLimits { question: Duration::from_secs(10), retries: 0, message: Duration::from_secs(60) };
    Authenticator::with_limits(&config(&format!("nameservers = [\"{}\"]", server.address())), limits)
}
