//! Places where a test kills the process, to show what the next try does, and the second that a test makes shorter. Nothing in
//! a build without the feature `crash-points`.
//!
//! | place | done so far |
//! |---|---|
//! | `message-read` | the message is read (pipe) |
//! | `before-app` | the event is claimed |
//! | `app-acknowledged` | the application has it: delivered, dropped or rejected |
//! | `delivery-unshared` | this host's ledger knows that it is delivered, the shared one does not |
//! | `delivery-recorded` | the ledger knows that it is delivered |
//! | `copy-held` | a copy is kept back |
//! | `notice-submitted` | the MTA has the notice, the ledger does not know |
//! | `before-answer` | everything but the answer |
//! | `message-begun` | the ledger knows that the message of a mailbox is begun (fetch) |
//! | `message-settled` | the ledger knows that all its verdicts are final; the mailbox does not show it (fetch) |
//! | `message-marked` | the mailbox shows it, the ledger does not know that (fetch) |
//! | `answered` | the output is written, the exit status is not given (pipe) |

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

/// The unit of the waits between connections to a mailbox, and between renewals in a shared ledger: a second, or with
/// `MAILHATCH_SECOND` so many milliseconds. Some of these waits are hours, which no test has.
#[cfg(feature = "crash-points")]
pub fn second() -> std::time::Duration {
    let wanted = std::env::var("MAILHATCH_SECOND").ok().and_then(|text| text.parse().ok());
    std::time::Duration::from_millis(wanted.unwrap_or(1000))
}

/// A second.
#[cfg(not(feature = "crash-points"))]
pub fn second() -> std::time::Duration {
    std::time::Duration::from_secs(1)
}
