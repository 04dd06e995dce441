//! What the services `serve` and `fetch` do alike: becoming unprivileged, metrics, maintenance, telling the service manager.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sd_notify::NotifyState;

use super::reload::ReloadableEngine;
use crate::config::ConfigError;
use crate::log_line::{Level, LogLine};
use crate::service_user::{Identity, become_owner};
use crate::telemetry::MetricsListener;

/// How often it is looked whether the held copies are to be swept, and what the clock says.
pub(super) const MAINTENANCE: Duration = Duration::from_secs(5);

/// On a thread of its own: the directory of the held copies may be large.
pub(super) fn maintain(service: &ReloadableEngine) {
    let site = service.site();
    tokio::task::spawn_blocking(move || site.maintain());
}

/// From here on, before the first message, this process is what it needs to be and no more.
pub(super) fn become_unprivileged(service: &ReloadableEngine) -> io::Result<()> {
    let state_dir = service.current().config().state_dir.clone();
    let identity = become_owner(&state_dir).map_err(|error| {
        io::Error::other(format!("cannot become the owner of {}: {error}; start it as that user", state_dir.display()))
    })?;
    let said = match identity {
        Identity::Unprivileged => None,
        Identity::Became(user) => {
            let text = format!("began as root, goes on as {user}, the owner of {}", state_dir.display());
            Some((Level::Info, text))
        }
        Identity::Root => {
            let text = format!(
                "runs as root: give {} to a user of its own (chown), and it becomes that user at its next start",
                state_dir.display()
            );
            Some((Level::Warning, text))
        }
    };
    if let Some((level, text)) = said {
        service.log(&LogLine::event(level, text));
    }
    let level = if service.sandbox.is_whole() { Level::Info } else { Level::Warning };
    service.log(&LogLine::event(level, &service.sandbox));
    Ok(())
}

/// Answers Prometheus at an address, which stands under `key`. That it cannot is no reason to take no mail.
pub(super) async fn serve_metrics(service: &Arc<ReloadableEngine>, key: &str, address: Option<SocketAddr>) {
    let config = service.current().config().clone();
    let (Some(address), Some(metrics)) = (address, service.metrics.clone()) else { return };
    metrics.expect(&config);
    match MetricsListener::bind(address).await {
        Ok(listener) => {
            let (counting, service) = (metrics.clone(), service.clone());
            let refresh = Arc::new(move || {
                let (metrics, engine) = (counting.clone(), service.current());
                let refresh: BoxFuture<'static, ()> = Box::pin(async move {
                    let held = engine.held().totals().await;
                    metrics.set_held(held.ok());
                });
                refresh
            });
            tokio::spawn(listener.serve(metrics, refresh));
        }
        Err(error) => {
            let text = format!("no metrics are served: {key} {address}: {error}");
            service.log(&LogLine::event(Level::Error, text));
        }
    }
}

/// A panic costs one message; where it was must be known all the same.
pub(super) fn log_panics(service: Arc<ReloadableEngine>) {
    std::panic::set_hook(Box::new(move |panic| {
        service.log(&LogLine::event(Level::Error, format_args!("panic: {panic}")));
    }));
}

/// Tells the service manager and the log what became of a reload.
pub(super) fn tell_reload(service: &ReloadableEngine, reloaded: Result<(), ConfigError>, needs_restart: &str) {
    let reloading = [NotifyState::Reloading, NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading)];
    let _ = sd_notify::notify(&reloading);
    let line = match reloaded {
        Ok(()) => LogLine::event(Level::Info, format_args!("configuration reloaded; {needs_restart}")),
        Err(error) => LogLine::event(Level::Error, format_args!("the old configuration stays in force: {error}")),
    };
    service.log(&line);
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}
