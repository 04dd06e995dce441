//! What an application's HTTP answer says: the one table (DESIGN section 2.5).
//!
//! Only an answer that is clean and understood acknowledges, refuses or drops a message. Everything else is "not now": no fault
//! of an application, of the network or of our own configuration may cost a message.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::application::AppError;
use crate::printable::one_line;
use crate::verdict::Status;

/// Largest answer that is read, in octets.
pub(super) const LARGEST_ANSWER: usize = 1024 * 1024;

/// The longest time an application can ask us to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// An HTTP answer. What its body says can only be had if all of it is clean and understood.
#[derive(Clone, Debug)]
pub(super) struct HttpAnswer {
    pub status: u16,
    pub said: Result<Said, Unclean>,
    /// The body as text, whatever type it claims, unless it is a page; for an application that gives no better type.
    text: Option<String>,
    location: Option<String>,
    retry_after: Option<Duration>,
    /// The beginning of the body, for log lines.
    excerpt: String,
}

/// What a body says. This is the list of what is understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// There is no body.
    Nothing,
    Json(Value),
    Text(String),
}

/// Why nobody can know what an answer says, or whether it is about the whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unclean {
    /// It began before all of the request was handed over.
    Early,
    /// Only the end of the connection shows where it ends, and a connection also ends by accident.
    NoLength,
    /// It has a Content-Length and chunks.
    TwoLengths,
    /// A Transfer-Encoding that is not just `chunked`.
    TransferEncoding(String),
    /// There is more of it than is read.
    TooLong,
    ContentEncoding(String),
    Charset(String),
    NotUtf8,
    /// A page for people: a login page, a captive portal.
    Page,
    BrokenJson,
    /// Octets that no text has.
    NotText,
    /// Neither text nor JSON; empty if it does not say what it is.
    Type(String),
}

impl HttpAnswer {
    /// Judges an answer. `is_early` is whether it began before all of the request was handed over, `body` what was read of it.
    pub fn new(status: StatusCode, headers: &HeaderMap, is_early: bool, body: &[u8], is_whole: bool) -> Self {
        let field = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let framing = if is_early { Err(Unclean::Early) } else { framing(status, headers) };
        let whole = framing.and(if is_whole { Ok(()) } else { Err(Unclean::TooLong) });
        let text = whole.clone().and_then(|()| not_encoded(headers)).ok().and_then(|()| std::str::from_utf8(body).ok());
        Self {
            status: status.as_u16(),
            said: whole.and_then(|()| read(headers, body)),
            text: text.map(str::trim).filter(|text| !text.starts_with('<')).map(str::to_owned),
            location: field(LOCATION),
            retry_after: field(RETRY_AFTER).and_then(|value| retry_after(&value, SystemTime::now())),
            excerpt: excerpt(body),
        }
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, whatever type it claims; `None` if it is a page, or not clean.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What it says as a JSON object.
    pub fn json(&self) -> Option<&serde_json::Map<String, Value>> {
        match &self.said {
            Ok(Said::Json(Value::Object(object))) => Some(object),
            _ => None,
        }
    }

    /// What an answer means that does not acknowledge: the table by status.
    pub fn not_taken(&self, asked: &str) -> AppError {
        use Status as S;
        let (status, excerpt) = (self.status, &self.excerpt);
        let (code, alarm, what) = match status {
            200..=299 => match &self.said {
                Err(unclean) => (S::CONFIGURATION, true, unclean.advice(excerpt)),
                Ok(_) => (
                    S::CONFIGURATION,
                    true,
                    format!("with something that does not acknowledge the message: look at url; {excerpt}"),
                ),
            },
            300..=399 => {
                let place = self.location.as_deref().map(|place| one_line(place, 200)).unwrap_or_default();
                (
                    S::CONFIGURATION,
                    true,
                    format!("with a redirect, which is not followed: write the final url; it points to {place}"),
                )
            }
            // A server that says when to come again has a reason that goes away (RFC 9110 section 15.5.14).
            400 | 413 | 422 if self.retry_after.is_none() => {
                return AppError::Refused {
                    public: "the application does not take this message".to_owned(),
                    detail: format!("{asked} answered {status} without a reason that mailhatch can read: {excerpt}"),
                };
            }
            401 | 403 | 407 | 511 => (
                S::CONFIGURATION,
                true,
                format!(
                    "that we may not: compare secret_file with the application's, and look at the clock; {excerpt}"
                ),
            ),
            404 => (S::CONFIGURATION, true, format!("that there is nothing at this place: look at url; {excerpt}")),
            400 | 408 | 409 | 413 | 421 | 422 | 423 | 425 | 429 => {
                (S::NOT_ACCEPTING, false, format!("to try again later; {excerpt}"))
            }
            400..=499 => {
                (S::CONFIGURATION, true, format!("that it does not take such requests: look at url; {excerpt}"))
            }
            500..=599 => (S::NOT_ACCEPTING, false, format!("that it has a fault: look at its log; {excerpt}")),
            _ => (S::PROTOCOL, true, format!("with a status that HTTP does not know; {excerpt}")),
        };
        let wait = self.retry_after.map(|wait| format!(" (Retry-After: {} s)", wait.as_secs())).unwrap_or_default();
        AppError::Unavailable {
            status: code,
            public: "the application does not take messages at the moment".to_owned(),
            detail: format!("{asked} answered {status}{wait} {what}"),
            retry_after: self.retry_after,
            alarm,
        }
    }
}

impl Unclean {
    /// What is wrong and what to do, as it goes on behind "answered 200".
    fn advice(&self, excerpt: &str) -> String {
        const TYPES: &str = "if the application means to acknowledge, it must answer with an empty body, text/plain or application/json";
        match self {
            Self::Early => {
                "before it had the whole message, so it cannot mean this message: look at what answers at url"
                    .to_owned()
            }
            Self::NoLength => {
                format!(
                    "without a length: the application's server must send a length (Content-Length, or chunks); {excerpt}"
                )
            }
            Self::TwoLengths => {
                "with two lengths (Content-Length and chunks): look at the application's server".to_owned()
            }
            Self::TransferEncoding(value) => {
                format!("with Transfer-Encoding: {}, which mailhatch does not take", one_line(value, 100))
            }
            Self::TooLong => {
                "with more than 1 MiB, which cannot be an acknowledgement: is this the right url?".to_owned()
            }
            Self::ContentEncoding(value) => format!(
                "with Content-Encoding: {}, although none was asked for: switch compression off for this url",
                one_line(value, 100)
            ),
            Self::Charset(value) => {
                format!("in the charset {}: it must answer in UTF-8; {excerpt}", one_line(value, 100))
            }
            Self::NotUtf8 => format!("in octets that are not UTF-8: it must answer in UTF-8; {excerpt}"),
            Self::Page => format!(
                "with an HTML page instead of an acknowledgement (a login page? a captive portal?): look at url; {TYPES}; \
                 {excerpt}"
            ),
            Self::BrokenJson => format!("with JSON that cannot be read: look at the application's log; {excerpt}"),
            Self::NotText => format!("with octets that no text has (NUL or the like): look at url; {TYPES}; {excerpt}"),
            Self::Type(kind) if kind.is_empty() => format!("without a Content-Type: {TYPES}; {excerpt}"),
            Self::Type(kind) => format!("with Content-Type: {}: look at url; {TYPES}", one_line(kind, 100)),
        }
    }
}

/// Whether the answer itself says where it ends (RFC 9112 section 6.3). That it came to this end, hyper has seen to.
fn framing(status: StatusCode, headers: &HeaderMap) -> Result<(), Unclean> {
    if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        return Ok(());
    }
    let has_length = headers.contains_key(CONTENT_LENGTH);
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    match (codings.next(), codings.next()) {
        (None, _) if has_length => Ok(()),
        (None, _) => Err(Unclean::NoLength),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
            if has_length {
                Err(Unclean::TwoLengths)
            } else {
                Ok(())
            }
        }
        (Some(coding), _) => Err(Unclean::TransferEncoding(String::from_utf8_lossy(coding).into_owned())),
    }
}

/// Whether the body is what it is. No coding was asked for.
fn not_encoded(headers: &HeaderMap) -> Result<(), Unclean> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    match codings.find(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        Some(coding) => Err(Unclean::ContentEncoding(String::from_utf8_lossy(coding).into_owned())),
        None => Ok(()),
    }
}

/// Reads a body that is there whole.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<Said, Unclean> {
    not_encoded(headers)?;
    if body.is_empty() {
        return Ok(Said::Nothing);
    }
    let types = headers.get_all(CONTENT_TYPE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    // Two types are joined to one that is not in the list.
    let content_type = types.collect::<Vec<_>>().join(", ");
    let (kind, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    let kind = kind.trim().to_ascii_lowercase();
    if let Some(charset) = charset(parameters)
        && !SUPERSETS_OF_ASCII.contains(&charset.as_str())
    {
        return Err(Unclean::Charset(charset));
    }
    // .NET begins with a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let is_json = kind == "application/json" || kind.ends_with("+json") || matches!(body, [b'{' | b'[', ..]);
    if is_json {
        // PHP sends JSON as text/html.
        return serde_json::from_slice(body).map(Said::Json).map_err(|_| Unclean::BrokenJson);
    }
    if body.is_empty() {
        return Ok(Said::Nothing);
    }
    // No acknowledgement begins with markup, whatever comes before the page's first tag (a comment, an XML declaration).
    if body.starts_with(b"<") || kind == "text/html" || kind == "application/xhtml+xml" {
        return Err(Unclean::Page);
    }
    if kind != "text/plain" {
        return Err(Unclean::Type(kind));
    }
    let text = std::str::from_utf8(body).map_err(|_| Unclean::NotUtf8)?;
    if text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace()) {
        return Err(Unclean::NotText);
    }
    Ok(Said::Text(text.to_owned()))
}

/// Charsets in which ASCII means itself, so that a body which is ASCII, or UTF-8, is not read as something else.
const SUPERSETS_OF_ASCII: [&str; 5] = ["utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"];

fn charset(parameters: &str) -> Option<String> {
    let mut named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches('"').to_ascii_lowercase())
}

fn excerpt(body: &[u8]) -> String {
    match one_line(&String::from_utf8_lossy(&body[..body.len().min(800)]), 200) {
        text if text.is_empty() => "an empty body".to_owned(),
        text => format!("\"{text}\""),
    }
}

/// `Retry-After`: seconds or a date (RFC 9110 section 10.2.3), at most a day.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
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

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (CONTENT_LENGTH, HeaderValue::from(body.len())),
        ]);
        HttpAnswer::new(StatusCode::from_u16(status).expect("status"), &headers, false, body.as_bytes(), true)
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
    fn every_status_that_does_not_acknowledge_has_its_meaning() {
        for status in 100..700 {
            match answer(status, "x").not_taken("app") {
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
        assert_eq!(excerpt(b"a\r\nb\0\tc"), "\"a b c\"");
        assert_eq!(excerpt(b" \n"), "an empty body");
    }
}
