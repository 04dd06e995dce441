//! `mailhatch demo`, the first thing that anybody runs.

use std::process::Command;

use crate::support::process::succeed;
use crate::support::service::MAILHATCH;

#[test]
fn each_sample_has_its_verdict_and_an_event_is_shown() {
    let output = succeed(Command::new(MAILHATCH).arg("demo"));
    let text = String::from_utf8(output.stdout).unwrap();
    for verdict in
        ["250 2.0.0 delivered: ", "250 2.0.0 ignored: auto-submitted ", "250 2.0.0 rejected: unknown-address "]
    {
        assert!(text.contains(verdict), "{verdict}: {text}");
    }
    assert!(text.contains("The spool has 3 events"), "{text}");
    assert!(text.contains("\"action\": \"reply\""), "{text}");
}
