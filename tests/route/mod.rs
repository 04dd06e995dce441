//! Whose it is: every case of the reference on GitLab's incoming email, and what the contract adds to it.
//!
//! A row names the section of the reference it comes from. Where we differ from GitLab on purpose, the row says so.

mod could_be;
mod keys;
mod mailboxes;
mod sources;

use std::path::Path;

use mailhatch::config::Config;
use mailhatch::mail::{Content, Message, Recipient};
use mailhatch::route::{Route, Routes, Unrouted};
use mailhatch::trail::Trail;

/// The mailbox of most tests.
const INCOMING: &str = "name = \"incoming_email\"\naddress = \"incoming+%{key}@example.com\"\nactions = \"any\"";

/// A configuration with these mailboxes; each is the body of a `[[mailbox]]` without its `app`.
fn config(mailboxes: &[&str]) -> Config {
    let mut text = "[[app]]\nname = \"store\"\nkind = \"spool\"\npath = \"/nowhere\"\n".to_owned();
    for mailbox in mailboxes {
        // `app` comes first, because a mailbox may end with a [[mailbox.action]].
        text.push_str(&format!("[[mailbox]]\napp = \"store\"\n{mailbox}\n"));
    }
    Config::parse(Path::new("test.toml"), &text).unwrap()
}

fn routes(mailboxes: &[&str]) -> Routes {
    Routes::new(&config(mailboxes)).unwrap()
}

fn message(header: &str) -> Message {
    Message::parse(Content::whole(format!("{header}\r\nSubject: test\r\n\r\nbody\r\n")))
}

/// An envelope recipient that lost the key.
fn nobody() -> Recipient {
    Recipient::new("catchall@relay.example")
}

fn find(routes: &Routes, header: &str, recipient: &Recipient) -> Result<Route, Unrouted> {
    routes.find(&message(header), recipient, &mut Trail::off())
}

/// The key and the source, as a row writes them: `to KEY`, or `none`.
fn found(result: Result<Route, Unrouted>) -> String {
    match result {
        Ok(route) => format!("{} {}", route.matched.source.name(), route.key.reveal()),
        Err(Unrouted::NoMailbox) => "none".to_owned(),
        Err(Unrouted::UnknownAction { key, .. }) => format!("unknown {}", key.reveal()),
    }
}
