//! The whole path of `explain`: any message ends in a verdict, with a reply that a client can read.
#![no_main]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use mailhatch::config::Config;
use mailhatch::held::HeldStore;
use mailhatch::ledger::Ledger;
use mailhatch::mail::{Client, Content, Envelope, Recipient, Sender};
use mailhatch::pipeline::Engine;
use mailhatch::telemetry::Telemetry;

const CONFIG: &str = r#"
hostname = "mx.example.com"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{key}@gitlab.example.com"
actions = "gitlab"
app = "s"
unproven = "hold"
[[mailbox]]
name = "any"
address = "any-%{key}@example.com"
app = "s"
[[app]]
name = "s"
kind = "spool"
path = "/s"
[auth]
method = "trust"
authserv_ids = ["mx.example.com"]
"#;

static ENGINE: OnceLock<Engine> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let engine = ENGINE.get_or_init(|| {
        let config = Config::parse(Path::new("fuzz.toml"), CONFIG).expect("configuration");
        let (ledger, held) = (Arc::new(Ledger::new(&config)), Arc::new(HeldStore::new(&config)));
        Engine::new(config, ledger, held, Arc::new(Telemetry::silent())).expect("engine")
    });
    let envelope = Envelope {
        sender: Sender::from_path("jane@example.org"),
        recipients: vec![Recipient::new("x@example.com"), Recipient::new("any-key@example.com")],
        client: Client::default(),
        queue_id: None,
        origin: mailhatch::mail::Origin::Smtp,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
    let explained = runtime.block_on(engine.explain(envelope, Content::whole(data.to_vec())));
    let explanations = explained.expect("what is whole in memory can be read");
    assert_eq!(explanations.len(), 2);
    for explanation in explanations {
        let reply = explanation.outcome.reply();
        assert!(reply.len() <= 510 && reply.bytes().all(|b| (b' '..=b'~').contains(&b)), "{reply}");
        assert!(!reply.starts_with('5'), "{reply}");
    }
});
