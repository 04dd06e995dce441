//! What several subcommands set up: the engine with its ledger, held copies and log, and the runtimes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::age_clock::{AgeClock, ClockJump};
use crate::app::Apps;
use crate::config::{Config, ConfigError, LogConfig};
use crate::held::HeldStore;
use crate::ledger::Ledger;
use crate::log_line::{Level, LogLine};
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
    clock: Arc<AgeClock>,
}

/// What is in a state directory.
struct State {
    clock: Arc<AgeClock>,
    ledger: Ledger,
    held: HeldStore,
}

impl State {
    fn of(config: &Config) -> Self {
        let clock = Arc::new(AgeClock::new(&StateDir::new(&config.state_dir)));
        let (ledger, held) = (Ledger::with_clock(clock.clone(), config), HeldStore::with_clock(clock.clone(), config));
        Self { clock, ledger, held }
    }
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
        let apps = Apps::new(&config)?;
        Self::on(State::of(&config), config, apps, telemetry)
    }

    /// Under a configuration that was read again. What this process knows stays known.
    pub(super) fn reloaded(&self, config: Config, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let apps = self.engine.apps().reloaded(&config)?;
        let state = match self.engine.config().state_dir == config.state_dir {
            true => State {
                clock: self.clock.clone(),
                ledger: self.ledger.reloaded(&config),
                held: self.engine.held().reloaded(&config),
            },
            false => State::of(&config),
        };
        Self::on(state, config, apps, telemetry)
    }

    fn on(state: State, config: Config, apps: Apps, telemetry: Arc<Telemetry>) -> Result<Self, ConfigError> {
        let State { clock, ledger, held } = state;
        let ledger = Arc::new(ledger);
        ledger.observe_sharing(telemetry.clone());
        let engine = Arc::new(Engine::with_apps(config, apps, ledger.clone(), Arc::new(held), telemetry)?);
        Ok(Self { engine, ledger, clock })
    }

    /// What is due about held copies; what is wrong with them, and with the clock, goes to the log. It blocks.
    pub(super) fn maintain(&self) {
        let swept = self.engine.held().sweep_if_due();
        let jumps = self.clock_jumps();
        let faults = jumps.iter().map(ToString::to_string).chain(swept.err().map(|error| error.to_string()));
        for fault in faults {
            self.engine.telemetry().log(&LogLine::event(Level::Error, fault));
        }
    }

    /// The jumps of the clock that were found since this was asked last.
    pub(super) fn clock_jumps(&self) -> Vec<ClockJump> {
        self.clock.take_jumps()
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
