//! Why no whole answer came, and what to do about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::application::AppError;
use crate::printable::one_line;
use crate::verdict::Status;

/// Why no whole answer came.
#[derive(Debug)]
pub(super) enum Failure {
    /// No client for TLS could be made.
    NoTls(rustls::Error),
    /// The name has no address.
    Resolve(io::Error),
    /// There is no connection.
    Connect(io::Error),
    /// There is no connection in time.
    ConnectTimeout,
    /// There is no secure connection.
    Handshake(io::Error),
    /// The answer did not come in time.
    Timeout,
    /// What came is not HTTP.
    NotHttp(hyper::Error),
    /// It answered before it was asked.
    Unasked,
    /// We could not send what we had announced.
    Ours(hyper::Error),
    /// The connection ended before the whole answer was there.
    Ended(hyper::Error),
}

impl Failure {
    /// What a TLS handshake failed with.
    pub fn of_handshake(error: io::Error) -> Self {
        match rustls_error(&error) {
            Some(_) => Self::Handshake(error),
            None => Self::Connect(error),
        }
    }

    /// What sending a request or reading its answer failed with.
    pub fn of_exchange(error: hyper::Error) -> Self {
        if error.is_user() {
            Self::Ours(error)
        } else if error.is_parse() {
            Self::NotHttp(error)
        } else {
            Self::Ended(error)
        }
    }

    /// Whether the application may have got the request all the same.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::NoTls(_) | Self::Resolve(_) | Self::Connect(_) | Self::ConnectTimeout | Self::Handshake(_) => false,
            Self::Timeout | Self::NotHttp(_) | Self::Unasked | Self::Ours(_) | Self::Ended(_) => true,
        }
    }

    /// What it means for the message.
    pub fn into_error(self, asked: &str, timeout: Duration) -> AppError {
        use Status as S;
        let (status, alarm, what) = match self {
            Self::NoTls(error) => (
                S::CONFIGURATION,
                true,
                format!(
                    "TLS cannot be set up: {error}; install the system's certificates (ca-certificates) or set ca_file"
                ),
            ),
            Self::Handshake(error) => (S::SECURITY, true, handshake_advice(&error)),
            Self::Resolve(error) => (
                S::DIRECTORY,
                false,
                format!("its name cannot be resolved: {}; look at url and at the name servers", innermost(&error)),
            ),
            Self::ConnectTimeout => {
                (S::NO_ANSWER, false, "no connection in time; does it run, is a firewall between?".to_owned())
            }
            Self::Connect(error) if error.kind() == io::ErrorKind::PermissionDenied => (
                S::CONFIGURATION,
                true,
                "its socket may not be opened: give mailhatch's user write permission on it".to_owned(),
            ),
            Self::Connect(error) => {
                (S::NO_ANSWER, false, format!("no connection: {}; does it run, is url right?", innermost(&error)))
            }
            Self::Timeout => {
                (S::NO_ANSWER, false, format!("no whole answer within {} s; look at its load", timeout.as_secs_f32()))
            }
            Self::NotHttp(error) => {
                let why = innermost(&error);
                (S::PROTOCOL, true, format!("what answers does not speak HTTP ({why}): look at url"))
            }
            Self::Unasked => (
                S::PROTOCOL,
                true,
                "what answers spoke before it was asked, so its answers mean nothing: look at url".to_owned(),
            ),
            Self::Ours(error) => (S::SYSTEM, true, format!("the request cannot be written: {}", innermost(&error))),
            Self::Ended(error) => (
                S::BAD_CONNECTION,
                false,
                format!(
                    "the connection ended before the whole answer was there: {}; look at its log",
                    innermost(&error)
                ),
            ),
        };
        AppError::Unavailable {
            status,
            public: "the application cannot be reached at the moment".to_owned(),
            detail: format!("{asked}: {what}"),
            retry_after: None,
            alarm,
        }
    }
}

fn handshake_advice(error: &io::Error) -> String {
    let advice = match rustls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "set ca_file to the certificate that signs the application's, or look at the name in url"
        }
        _ => "look at url and at the application's TLS settings",
    };
    format!("no secure connection: {}; {advice}", innermost(error))
}

/// An `io::Error` hides the one it wraps from `source`.
fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The innermost cause: the outer ones only say that the request failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    one_line(&last.to_string(), 300)
}
