//! The ledger on real files, with real processes.

mod deliveries;
mod faults;
mod inboxes;
mod notices;
mod processes;
mod upgrade;

use std::path::Path;

use mailhatch::config::Config;
use mailhatch::event_id::EventId;
use mailhatch::ledger::{Begin, Claim, DeliveryLog, Ledger};

/// A configuration with a state directory and some lines more.
pub fn config(state_dir: &Path, more: &str) -> Config {
    let text = format!(
        "hostname = \"mx.example.com\"\nstate_dir = \"{}\"\n[listen]\nlmtp = [\"127.0.0.1:2424\"]\n\
         [[mailbox]]\nname = \"in\"\naddress = \"in+%{{key}}@example.com\"\nactions = \"any\"\napp = \"spool\"\n\
         [[app]]\nname = \"spool\"\nkind = \"spool\"\npath = \"/var/spool/mailhatch\"\n{more}",
        state_dir.display()
    );
    Config::parse(Path::new("mailhatch.toml"), &text).expect("configuration")
}

fn ledger(state_dir: &Path) -> Ledger {
    Ledger::new(&config(state_dir, ""))
}

pub fn id(number: u128) -> EventId {
    EventId::parse(&format!("{number:032x}")).expect("id")
}

async fn claimed(ledger: &Ledger, number: u128) -> Claim {
    match ledger.begin(&id(number)).await.expect("begun") {
        Begin::New(claim) => claim,
        other => panic!("{number} is not new: {other:?}"),
    }
}

/// The database from outside, as another process would use it.
fn database(state_dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(state_dir.join("ledger.sqlite")).expect("database")
}
