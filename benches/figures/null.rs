//! The LMTP service with an application that acknowledges at once inside the process: what all of mailhatch but the
//! application costs. It is linked into this program only, never into the released binary.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mailhatch::app::{Answer, App, AppError, Apps, Event};
use mailhatch::cli::service_runtime;
use mailhatch::config::Config;
use mailhatch::held::HeldStore;
use mailhatch::intake::listener::Listener;
use mailhatch::intake::lmtp::{self, ServerSettings};
use mailhatch::intake::shutdown::Shutdown;
use mailhatch::ledger::Ledger;
use mailhatch::pipeline::Engine;
use mailhatch::state_dir::StateDir;
use mailhatch::telemetry::Telemetry;

use crate::place::APP;

#[derive(Debug)]
struct Null;

impl App for Null {
    fn hand_over<'a>(&'a self, _: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(async { Ok(Answer::delivered(String::new())) })
    }

    fn wants_authentication(&self) -> bool {
        true
    }
}

/// Serves until it is killed.
pub fn serve(path: &Path) {
    let config = Config::load(path).unwrap_or_else(|error| panic!("{error}"));
    let (ledger, held) = (Arc::new(Ledger::new(&config)), Arc::new(HeldStore::new(&config)));
    let telemetry = Arc::new(Telemetry::new(config.log));
    StateDir::new(&config.state_dir).prepare().unwrap();
    let apps = Apps::only(APP, Arc::new(Null));
    let engine = Arc::new(Engine::with_apps(config, apps, ledger, held, telemetry.clone()).unwrap());
    service_runtime().unwrap().block_on(async {
        let bind = |address| Listener::bind(address, 0o666).unwrap();
        let listeners = engine.config().listen.lmtp.iter().map(bind).collect();
        let settings = ServerSettings::new(engine.config(), Arc::new(move |line| telemetry.log(&line)));
        let (_trigger, shutdown) = Shutdown::new();
        tokio::spawn(lmtp::serve(listeners, engine.clone(), settings, shutdown)).await.unwrap();
    });
}
