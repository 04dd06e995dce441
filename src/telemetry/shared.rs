//! The shared ledger in numbers, which are there only where `[shared]` is.

use std::time::Duration;

use prometheus::{Error, HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry};

/// Upper bounds in seconds: Redis answers in tens of microseconds, and `shared.timeout` ends what takes long.
const BUCKETS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What is asked of the store.
const OPERATIONS: [&str; 7] = ["claim", "renew", "release", "record", "reserve", "cancel", "probe"];

/// The numbers of the shared ledger.
#[derive(Debug)]
pub(super) struct SharedMetrics {
    up: IntGauge,
    seconds: HistogramVec,
    errors: IntCounter,
    unshared: IntGauge,
}

impl SharedMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let durations = HistogramOpts::new(
            "mailhatch_shared_seconds",
            "Time that a question to the shared ledger took, by operation.",
        )
        .buckets(BUCKETS.to_vec());
        let metrics = Self {
            up: IntGauge::new("mailhatch_shared_up", "1 if the shared ledger answers, 0 while it is left alone.")?,
            seconds: HistogramVec::new(durations, &["operation"])?,
            errors: IntCounter::new(
                "mailhatch_shared_errors_total",
                "Questions to the shared ledger that got no answer, or an error.",
            )?,
            unshared: IntGauge::new(
                "mailhatch_unshared",
                "Deliveries and notices that the other hosts of the shared ledger may not know yet.",
            )?,
        };
        registry.register(Box::new(metrics.up.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.unshared.clone()))?;
        for operation in OPERATIONS {
            metrics.seconds.with_label_values(&[operation]);
        }
        metrics.up.set(1);
        Ok(metrics)
    }

    pub(super) fn asked(&self, operation: &'static str, took: Duration, has_failed: bool) {
        self.seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
        if has_failed {
            self.errors.inc();
        }
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.up.set(i64::from(is_up));
    }

    pub(super) fn set_unshared(&self, count: u64) {
        self.unshared.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
