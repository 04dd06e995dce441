//! What several subcommands set up: the engine with its ledger, held copies and log, and the runtimes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::app::Apps;
use crate::config::{Config, ConfigError, LogConfig};
use crate::held::HeldStore;
use crate::ledger::Ledger;
use crate::pipeline::Engine;
use crate::service_user::become_owner;
use crate::state_dir::{StateDir, StateError};
use crate::telemetry::Telemetry;

/// A stack overflow would end the whole service, and a page that is never touched costs nothing.
const WORKER_STACK: usize = 16 * 1024 * 1024;

/// All modules under one configuration, and the ledger, of which the engine knows only what it may ask.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) engine: Arc<Engine>,
    pub(super) ledger: Arc<Ledger>,
}

impl Site {
    /// From a configuration file. Where root runs the command, it goes on as the owner of the state directory.
    pub(super) fn load(path: &Path, telemetry: impl FnOnce(LogConfig) -> Telemetry) -> Result<Self, ConfigError> {
        let config = Config::load(path)?;
        become_owner(&config.state_dir).map_err(|error| {
            let state_dir = config.state_dir.display();
            config
                .error(format!("root cannot become the owner of state_dir {state_dir}: {error}; run this as that user"))
        })?;
        let telemetry = Arc::new(telemetry(config.log));
        Self::new(config, telemetry)
    }

    /// The same for a command that opens nothing in the state directory, or not yet: it stays who it is.
    pub(super) fn load_as_is(path: &Path, telemetry: impl FnOnce(LogConfig) -> Telemetry) -> Result<Self, ConfigError> {
        let config = Config::load(path)?;
        let telemetry = Arc::new(telemetry(config.log));
        Self::new(config, telemetry)
    }

    /// From a configuration, with a ledger and held copies of its own.
    pub(super) fn new(config: Config, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let (ledger, held) = (Ledger::new(&config), HeldStore::new(&config));
        let apps = Apps::new(&config)?;
        Self::on(ledger, held, config, apps, telemetry)
    }

    /// Under a configuration that was read again. What this process knows stays known.
    pub(super) fn reloaded(&self, config: Config, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let (ledger, held) = (self.ledger.reloaded(&config), self.engine.held().reloaded(&config));
        let apps = self.engine.apps().reloaded(&config)?;
        Self::on(ledger, held, config, apps, telemetry)
    }

    fn on(
        ledger: Ledger,
        held: HeldStore,
        config: Config,
        apps: Apps,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, ConfigError> {
        let ledger = Arc::new(ledger);
        ledger.observe_sharing(telemetry.clone());
        let engine = Arc::new(Engine::with_apps(config, apps, ledger.clone(), Arc::new(held), telemetry)?);
        Ok(Self { engine, ledger })
    }

    /// Makes the state directory if it is not there, so that a large message has a place before the first question.
    pub(super) fn prepare(&self) -> Result<(), StateError> {
        StateDir::new(&self.engine.config().state_dir).prepare()
    }
}

/// A runtime for one message or one question.
pub(super) fn small_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The runtime of the service.
///
/// # Errors
/// The system gives no threads or no file descriptors.
pub fn service_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK).build()
}
