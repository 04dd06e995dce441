//! Places where a test kills the process, to show what the next try does. Nothing in a build without the feature
//! `crash-points`.

/// Kills this process (SIGKILL) if `MAILHATCH_CRASH` names the place, or panics if it names `panic:PLACE`.
#[cfg(feature = "crash-points")]
pub fn crash_point(place: &str) {
    let Ok(wanted) = std::env::var("MAILHATCH_CRASH") else { return };
    if wanted == place {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
    assert!(wanted.strip_prefix("panic:") != Some(place), "crash point {place}");
}

/// Nothing.
#[cfg(not(feature = "crash-points"))]
pub fn crash_point(_place: &str) {}
