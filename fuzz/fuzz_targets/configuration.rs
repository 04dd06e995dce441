//! The configuration: any text is read or refused with an error that can be shown.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mailhatch::config::Config;
use mailhatch::held::HeldStore;
use mailhatch::ledger::Ledger;
use mailhatch::pipeline::Engine;
use mailhatch::telemetry::Telemetry;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(Path::new("fuzz.toml"), text) {
        Err(error) => drop((error.to_string(), error.brief())),
        // Names, patterns and URLs are read by their modules.
        Ok(config) => {
            let (ledger, held) = (Arc::new(Ledger::new(&config)), Arc::new(HeldStore::new(&config)));
            if let Err(error) = Engine::new(config, ledger, held, Arc::new(Telemetry::silent())) {
                let _ = (error.to_string(), error.brief());
            }
        }
    }
});
