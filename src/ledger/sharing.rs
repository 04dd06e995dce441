//! The shared store as this host uses it: asked unless it is left alone, and watched.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::availability::{Availability, Change};
use super::redis_store::RedisStore;
use super::renewals::Renewals;
use super::shared_store::{Answer, Store, StoreError};
use crate::config::{Config, SharedConfig, WhenDown};

/// Failures in a row after which the store is left alone: it may be one connection that was lost.
const FAILURES: u32 = 3;

/// What a claim outlives the deadline by: recording the answer.
const AFTER_THE_DEADLINE: Duration = Duration::from_secs(30);

/// Who wants to know how the shared store is.
pub trait SharedObserver: fmt::Debug + Send + Sync {
    /// One question was asked.
    fn asked(&self, operation: &'static str, took: Duration, has_failed: bool);

    /// The store is left alone for a while; with the reason, and what becomes of mail.
    fn went_down(&self, why: &str, when_down: WhenDown);

    /// It answers again.
    fn came_back(&self);
}

/// The shared store as this host uses it.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: SharedConfig,
    pub(super) lease: Duration,
    hostname: String,
    pub(super) renewals: Renewals,
    availability: Availability,
    observer: RwLock<Option<Arc<dyn SharedObserver>>>,
}

impl Sharing {
    /// `None` without `[shared]`. Connects to nothing.
    pub(super) fn of(config: &Config) -> Option<Arc<Self>> {
        let shared = config.shared.as_ref()?;
        Some(Arc::new(Self {
            store: Arc::new(RedisStore::new(config, shared)),
            config: shared.clone(),
            lease: lease(config),
            hostname: config.hostname.clone(),
            renewals: Renewals::default(),
            availability: Availability::new(FAILURES),
            observer: RwLock::default(),
        }))
    }

    /// Whether it is the same under another configuration.
    pub(super) fn is_of(&self, config: &Config) -> bool {
        config.shared.as_ref() == Some(&self.config) && lease(config) == self.lease && config.hostname == self.hostname
    }

    pub(super) fn observe(&self, observer: Arc<dyn SharedObserver>) {
        *self.observer.write().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// For a process with one message: it does not wait a second time for a store that is away.
    pub(super) fn give_up_early(&self) {
        self.availability.give_up_early();
    }

    /// Asks the store, unless it is left alone.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask<T>(&self, operation: &'static str, question: Answer<'_, T>) -> Result<T, StoreError> {
        let asked = self.availability.admit().map_err(StoreError::new)?;
        let started = Instant::now();
        let answered = question.await;
        let observer = self.observer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let change = match &answered {
            Ok(_) => asked.answered(),
            Err(why) => asked.failed(&why.to_string()),
        };
        if let Some(observer) = observer {
            observer.asked(operation, started.elapsed(), answered.is_err());
            match (change, &answered) {
                (Change::WentDown, Err(why)) => observer.went_down(&why.to_string(), self.config.when_down),
                (Change::CameBack, _) => observer.came_back(),
                _ => {}
            }
        }
        answered
    }

    pub(super) fn defers(&self) -> bool {
        self.config.when_down == WhenDown::Defer
    }
}

/// How long a claim or a reservation holds without being renewed.
fn lease(config: &Config) -> Duration {
    config.limits.deadline + AFTER_THE_DEADLINE
}
