//! The id of an event: two messages that differ in one octet, and in anything that an application can see of them, never share one.
#![no_main]

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use mailhatch::app::Event;
use mailhatch::config::{Config, EventPart};
use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::mail::{Client, Content, Envelope, Message, Origin, Recipient, Sender};
use mailhatch::route::{Route, Routes};
use mailhatch::trail::Trail;

const CONFIG: &str = r#"
[[mailbox]]
name = "any"
address = "any-%{key}@example.com"
app = "s"
[[app]]
name = "s"
kind = "spool"
path = "/s"
"#;

static ROUTES: OnceLock<Routes> = OnceLock::new();

/// All that an application gets but the octets themselves, which hold the trace fields too.
const PARTS: [EventPart; 3] = [EventPart::Attachments, EventPart::Body, EventPart::Reply];

fn seen(message: &Message, route: &Route, recipient: &Recipient) -> Vec<u8> {
    let envelope = Envelope {
        sender: Sender::from_path("jane@example.org"),
        recipients: vec![recipient.clone()],
        client: Client::default(),
        queue_id: Some("4XyZ".to_owned()),
        origin: Origin::Smtp,
    };
    let event = Event {
        id: EventId::parse("00000000000000000000000000000000").expect("an id"),
        time: SystemTime::UNIX_EPOCH,
        route: route.clone(),
        envelope: Arc::new(envelope),
        recipient: recipient.clone(),
        message: message.clone(),
        authentication: None,
    };
    let mut json = Vec::new();
    event.write_json(&PARTS, &mut json).expect("written to memory");
    json
}

fn digest(message: &Message) -> MessageDigest {
    MessageDigest::of(message, Some("4XyZ")).expect("whole in memory")
}

// The first three octets say which one is changed, and into what.
fuzz_target!(|data: &[u8]| {
    let [high, low, octet, first @ ..] = data else { return };
    if first.is_empty() {
        return;
    }
    let routes = ROUTES.get_or_init(|| {
        Routes::new(&Config::parse(Path::new("fuzz.toml"), CONFIG).expect("configuration")).expect("routes")
    });
    let mut second = first.to_vec();
    let position = usize::from(u16::from_be_bytes([*high, *low])) % second.len();
    second[position] = *octet;
    let recipient = Recipient::new("any-key@example.com");
    let [first, second] = [first.to_vec(), second].map(|octets| Message::parse(Content::whole(octets)));
    let Ok(route) = routes.find(&first, &recipient, &mut Trail::off()) else { return };
    if digest(&first) == digest(&second) {
        let [one, other] = [&first, &second].map(|message| seen(message, &route, &recipient));
        assert!(
            one == other,
            "one id, and two events:\n{}\n{}",
            String::from_utf8_lossy(&one),
            String::from_utf8_lossy(&other)
        );
    }
});
