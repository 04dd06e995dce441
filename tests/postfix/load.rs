//! Many messages at once, by Postfix's own load generator.

use std::process::Command;

use crate::service::{Site, Variant};
use crate::support::needs;
use crate::support::process::run;

#[needs(postfix, root)]
#[test]
fn twenty_thousand_messages_in_fifty_sessions_lose_nothing() {
    let count = 20_000;
    let site = Site::start(Variant::Lmtp);
    let socket = format!("unix:{}", site.postfix.path("run/lmtp.sock").display());
    let recipient = "incoming+Key1@mail.example.com";
    // Without -d each message has a connection of its own, as Postfix without connection cache.
    let mut command = Command::new("smtp-source");
    command
        .args(["-L", "-s", "50", "-l", "4000", "-f", "jane@example.org", "-t", recipient, "-m"])
        .args([&count.to_string(), &socket]);
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}\n{}", site.service_log());
    assert_eq!(site.delivered().len(), count, "{}", site.service_log());
}
