//! The Authentication-Results parser: no bytes make it panic, and a field that does not bear our own id proves nobody.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mailhatch::auth::Authenticator;
use mailhatch::config::Config;
use mailhatch::mail::{Client, Content, Envelope, Message, Recipient, Sender};

const CONFIG: &str = r#"
hostname = "mx.example.com"
[[mailbox]]
name = "m"
address = "m+%{key}@example.com"
app = "s"
[[app]]
name = "s"
kind = "spool"
path = "/s"
[auth]
method = "trust"
authserv_ids = ["mx.example.com"]
"#;

fuzz_target!(|data: &[u8]| {
    let config = Config::parse(Path::new("fuzz.toml"), CONFIG).expect("configuration");
    let authenticator = Authenticator::new(&config).expect("authenticator");
    let envelope = Envelope {
        sender: Sender::from_path("jane@example.org"),
        recipients: vec![Recipient::new("m+k@example.com")],
        client: Client::default(),
        queue_id: None,
        origin: mailhatch::mail::Origin::Smtp,
    };
    let header = [b"Authentication-Results: ", data, b"\r\nFrom: jane@example.org\r\n\r\n"].concat();
    let message = Message::parse(Content::whole(header));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let known = runtime.block_on(authenticator.examine(&envelope, &message));
    let names_us = data.to_ascii_lowercase().windows(14).any(|window| window == b"mx.example.com");
    assert!(names_us || (known.envelope_sender(&envelope.recipients[0]).is_err() && known.from.is_none()));
});
