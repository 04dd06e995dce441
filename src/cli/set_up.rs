//! What several subcommands set up: the engine with its ledger and log, and the runtimes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, ConfigError, LogConfig};
use crate::ledger::Ledger;
use crate::pipeline::Engine;
use crate::telemetry::Telemetry;

/// A stack overflow would end the whole service, and a page that is never touched costs nothing.
const WORKER_STACK: usize = 16 * 1024 * 1024;

/// All modules, with a ledger and a log of their own.
pub(super) fn engine(path: &Path, telemetry: impl FnOnce(LogConfig) -> Telemetry) -> Result<Arc<Engine>, ConfigError> {
    let config = Config::load(path)?;
    let telemetry = Arc::new(telemetry(config.log));
    let ledger = Arc::new(Ledger::new(&config));
    Ok(Arc::new(Engine::new(config, ledger, telemetry)?))
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
