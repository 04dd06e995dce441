//! What an application's HTTP answer means: the one table (DESIGN section 2.5).
//!
//! Only an answer that is understood acknowledges, refuses or drops a message. Everything else is "not now": no fault of
//! an application, of the network or of our own configuration may cost a message.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::application::AppError;
use crate::printable::one_line;
use crate::verdict::Status;

/// The longest time an application can ask us to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// An HTTP answer, read whole.
#[derive(Clone, Debug)]
pub(super) struct HttpAnswer {
    pub status: u16,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
    /// False if the body was longer than what is read of it.
    pub is_whole: bool,
}

impl HttpAnswer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a JSON object, whatever Content-Type says: PHP sends JSON as text/html, .NET begins it with a byte
    /// order mark.
    pub fn json(&self) -> Option<serde_json::Map<String, Value>> {
        match serde_json::from_slice(self.text()) {
            Ok(Value::Object(object)) if self.is_whole => Some(object),
            _ => None,
        }
    }

    /// Whether the body is a page for people: a login page, a captive portal. No acknowledgement begins with markup, whatever
    /// comes before the page's first tag (a comment, an XML declaration).
    pub fn is_page(&self) -> bool {
        let html_type = self.content_type.as_deref().is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
        });
        let text = self.text();
        text.starts_with(b"<") || (html_type && !text.is_empty() && self.json().is_none())
    }

    /// Whether the body begins as a JSON object and is none: what it would have said, nobody knows.
    pub fn is_broken_json(&self) -> bool {
        self.text().starts_with(b"{") && self.json().is_none()
    }

    /// The body without a byte order mark and the white space before its first character.
    fn text(&self) -> &[u8] {
        self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body).trim_ascii_start()
    }

    /// The beginning of the body, for log lines.
    pub fn excerpt(&self) -> String {
        match one_line(&String::from_utf8_lossy(&self.body[..self.body.len().min(800)]), 200) {
            text if text.is_empty() => "an empty body".to_owned(),
            text => format!("\"{text}\""),
        }
    }
}

/// `Retry-After`: seconds or a date (RFC 9110 section 10.2.3), at most a day.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        http_date(value)?.duration_since(now).unwrap_or_default()
    };
    (!wait.is_zero()).then(|| wait.min(LONGEST_RETRY_AFTER))
}

/// RFC 9110 section 5.6.7: the preferred date form is a subset of the Internet message format's.
pub(super) fn http_date(value: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(value.trim(), &Rfc2822).ok().map(SystemTime::from)
}

/// What an answer means that is no acknowledgement: the table by status.
pub(super) fn not_taken(asked: &str, answer: &HttpAnswer) -> AppError {
    use Status as S;
    let status = answer.status;
    let excerpt = answer.excerpt();
    let (code, alarm, what) = match status {
        200..=299 if !answer.is_whole => (
            S::CONFIGURATION,
            true,
            "with more than 1 MiB, which is not an acknowledgement: is this the right url?".into(),
        ),
        200..=299 if answer.is_page() => (
            S::CONFIGURATION,
            true,
            format!(
                "with an HTML page instead of an acknowledgement (a login page? a captive portal?): look at url; if the \
                 application means to acknowledge, it must answer with Content-Type text/plain or application/json; {excerpt}"
            ),
        ),
        200..=299 => {
            (S::CONFIGURATION, true, format!("with something that is not an acknowledgement: look at url; {excerpt}"))
        }
        300..=399 => {
            let place = answer.location.as_deref().map(|place| one_line(place, 200)).unwrap_or_default();
            (
                S::CONFIGURATION,
                true,
                format!("with a redirect, which is not followed: write the final url; it points to {place}"),
            )
        }
        400 | 413 | 422 => {
            return AppError::Refused {
                public: "the application does not take this message".to_owned(),
                detail: format!("{asked} answered {status} without a reason that mailhatch can read: {excerpt}"),
            };
        }
        401 | 403 | 407 | 511 => (
            S::CONFIGURATION,
            true,
            format!("that we may not: compare secret_file with the application's, and look at the clock; {excerpt}"),
        ),
        404 => (S::CONFIGURATION, true, format!("that there is nothing at this place: look at url; {excerpt}")),
        408 | 409 | 421 | 423 | 425 | 429 => (S::NOT_ACCEPTING, false, format!("to try again later; {excerpt}")),
        400..=499 => (S::CONFIGURATION, true, format!("that it does not take such requests: look at url; {excerpt}")),
        500..=599 => (S::NOT_ACCEPTING, false, format!("that it has a fault: look at its log; {excerpt}")),
        _ => (S::PROTOCOL, true, format!("with a status that HTTP does not know; {excerpt}")),
    };
    let wait = answer.retry_after.map(|wait| format!(" (Retry-After: {} s)", wait.as_secs())).unwrap_or_default();
    AppError::Unavailable {
        status: code,
        public: "the application does not take messages at the moment".to_owned(),
        detail: format!("{asked} answered {status}{wait} {what}"),
        retry_after: answer.retry_after,
        alarm,
    }
}

/// What it means that no whole answer came.
pub(super) fn failure(asked: &str, timeout: Duration, error: &reqwest::Error) -> AppError {
    use Status as S;
    let why = innermost(error);
    let hyper = cause::<hyper::Error>(error);
    let io_kind = cause::<io::Error>(error).map(io::Error::kind);
    let (status, alarm, what) = if let Some(tls) = cause::<rustls::Error>(error) {
        let advice = match tls {
            rustls::Error::InvalidCertificate(_) => {
                "set ca_file to the certificate that signs the application's, or look at the name in url"
            }
            _ => "look at url and at the application's TLS settings",
        };
        (S::SECURITY, true, format!("no secure connection: {tls}; {advice}"))
    } else if error.is_dns() {
        (S::DIRECTORY, false, format!("its name cannot be resolved: {why}; look at url and at the name servers"))
    } else if error.is_timeout() && error.is_connect() {
        (S::NO_ANSWER, false, "no connection in time; does it run, is a firewall between?".to_owned())
    } else if error.is_timeout() {
        (S::NO_ANSWER, false, format!("no whole answer within {} s; look at its load", timeout.as_secs_f32()))
    } else if error.is_connect() && io_kind == Some(io::ErrorKind::PermissionDenied) {
        (
            S::CONFIGURATION,
            true,
            "its socket may not be opened: give mailhatch's user write permission on it".to_owned(),
        )
    } else if error.is_connect() {
        (S::NO_ANSWER, false, format!("no connection: {why}; does it run, is url right?"))
    } else if hyper.is_some_and(hyper::Error::is_parse) {
        (S::PROTOCOL, true, format!("what answers does not speak HTTP ({why}): look at url"))
    } else {
        (
            S::BAD_CONNECTION,
            false,
            format!("the connection ended before the whole answer was there: {why}; look at its log"),
        )
    };
    AppError::Unavailable {
        status,
        public: "the application cannot be reached at the moment".to_owned(),
        detail: format!("{asked}: {what}"),
        retry_after: None,
        alarm,
    }
}

/// What it means that no client could be built.
pub(super) fn no_client(asked: &str, error: &(dyn Error + 'static)) -> AppError {
    AppError::Unavailable {
        status: Status::CONFIGURATION,
        public: "the application cannot be reached at the moment".to_owned(),
        detail: format!(
            "{asked}: TLS cannot be set up: {}; install the system's certificates (ca-certificates) or set ca_file",
            innermost(error)
        ),
        retry_after: None,
        alarm: true,
    }
}

/// The first error of a type among the causes; an `io::Error` hides the one it wraps from `source`.
fn cause<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = cause::<T>(wrapped)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause: the outer ones only say that the request failed, and show the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    one_line(&last.to_string(), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> HttpAnswer {
        HttpAnswer {
            status,
            content_type: Some(content_type.to_owned()),
            location: None,
            retry_after: None,
            body: body.as_bytes().to_vec(),
            is_whole: true,
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let rows: &[(&str, Option<u64>)] = &[
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("0", None),
            ("86400", Some(86400)),
            ("86401", Some(86400)),
            ("99999999999999999999999", Some(86400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77)),
            ("Sun, 06 Nov 1994 08:47:37 GMT", None),
            ("soon", None),
            ("-5", None),
            ("", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn a_page_is_told_from_an_acknowledgement() {
        let rows: &[(&str, &str, &str, bool)] = &[
            ("html", "text/html; charset=utf-8", "<p>Log in", true),
            ("html without saying so", "text/plain", "\n <!DOCTYPE HTML><html>", true),
            ("html as json", "application/json", "<html>", true),
            ("html behind a comment", "text/plain", "\n<!-- x --><html>login</html>", true),
            ("html behind an XML declaration", "", "<?xml version=\"1.0\"?><html>", true),
            ("xhtml", "application/xhtml+xml", "<x/>", true),
            ("empty, with a framework's default type", "text/html", "", false),
            ("json, with a framework's default type", "text/html", "{\"ok\":true}", false),
            ("plain", "text/plain", "ok", false),
            ("json", "application/json", "[]", false),
        ];
        for (name, content_type, body, page) in rows {
            assert_eq!(answer(200, content_type, body).is_page(), *page, "{name}");
        }
    }

    #[test]
    fn every_status_that_is_no_acknowledgement_has_its_meaning() {
        for status in 100..700 {
            match not_taken("app", &answer(status, "text/plain", "x")) {
                AppError::Refused { .. } => assert!([400, 413, 422].contains(&status), "{status}"),
                AppError::Unavailable { status: code, alarm, .. } => {
                    assert!(![400, 413, 422].contains(&status), "{status}");
                    assert_eq!(code.0, 4, "{status}");
                    let waits = (500..600).contains(&status) && status != 511
                        || [408, 409, 421, 423, 425, 429].contains(&status);
                    assert_eq!(alarm, !waits, "{status}");
                }
            }
        }
    }

    #[test]
    fn an_excerpt_is_one_line() {
        assert_eq!(answer(500, "", "a\r\nb\u{0}\tc").excerpt(), "\"a b c\"");
        assert_eq!(answer(500, "", " \n").excerpt(), "an empty body");
    }
}
