//! `Content-Type` and `Content-Disposition` (RFC 2045 section 5, RFC 2183).
//!
//! Whatever stands there is a type: the first words that look like one count, and where there are none the RFC's default.

use super::lexical::end_of_comment;
use super::parameters::{self, Parameter};

/// `Content-Type`: the type of a part with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `multipart/report`, in lower case.
    pub kind: String,
    /// Its parameters, sorted by name; of two with one name the first.
    pub parameters: Vec<Parameter>,
}

impl ContentType {
    /// Reads the value of the field; `None` if there is none.
    pub fn read(value: &str) -> Option<Self> {
        let value = start_of_words(value);
        if value.is_empty() {
            return None;
        }
        let (main, behind) = word(value);
        // `charset=utf-8`, without any type before it.
        if start_of_words(behind).starts_with('=') {
            return Some(Self { kind: TEXT.to_owned(), parameters: parameters::read(value) });
        }
        let slash = start_of_words(behind).trim_start_matches('"');
        let (sub, behind) = match slash.trim_start_matches(['/', '\\']) {
            rest if rest.len() < slash.len() => word(start_of_words(rest)),
            _ => ("", behind),
        };
        // `text/charset=utf-8`
        let (sub, behind) = if behind.starts_with('=') { ("", slash) } else { (sub, behind) };
        let kind = match (main.to_ascii_lowercase(), sub.to_ascii_lowercase()) {
            (main, sub) if !main.is_empty() && !sub.is_empty() => format!("{main}/{sub}"),
            (main, _) => of_one_word(&main).to_owned(),
        };
        Some(Self { kind, parameters: parameters::read(behind) })
    }

    /// The value of a parameter, named in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name).map(|parameter| parameter.value.as_str())
    }

    /// `text`, `multipart`, …
    pub fn main_type(&self) -> &str {
        self.kind.split('/').next().unwrap_or_default()
    }
}

/// The default (RFC 2045 section 5.2), also where the field cannot be understood.
const TEXT: &str = "text/plain";

/// A type without its other half.
fn of_one_word(word: &str) -> &'static str {
    match word {
        "multipart" | "mixed" => "multipart/mixed",
        // What is no text is not shown as one.
        "application" | "audio" | "font" | "image" | "model" | "video" => "application/octet-stream",
        _ => TEXT,
    }
}

/// `Content-Disposition`: whether a part is to be shown, and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentDisposition {
    /// `inline`, `attachment`, or what else stands there, in lower case; empty where only parameters do.
    pub kind: String,
    /// Its parameters, sorted by name; of two with one name the first.
    pub parameters: Vec<Parameter>,
}

impl ContentDisposition {
    /// Reads the value of the field.
    pub fn read(value: &str) -> Self {
        let value = start_of_words(value);
        let (kind, behind) = word(value);
        let (kind, behind) = match start_of_words(behind) {
            rest if kind.is_empty() && !rest.starts_with(';') => value.split_at(value.find(';').unwrap_or(value.len())),
            rest if rest.starts_with('=') => ("", value),
            _ => (kind, behind),
        };
        Self { kind: kind.to_ascii_lowercase(), parameters: parameters::read(behind) }
    }

    /// Whether the part is not to be shown. An unknown word means so too (RFC 2183 section 2.8).
    pub fn is_attachment(&self) -> bool {
        !matches!(self.kind.as_str(), "" | "inline")
    }

    /// The parameter `filename`.
    pub fn filename(&self) -> Option<&Parameter> {
        find(&self.parameters, "filename")
    }
}

pub(super) fn find<'p>(parameters: &'p [Parameter], name: &str) -> Option<&'p Parameter> {
    parameters.iter().find(|parameter| parameter.name == name)
}

/// The text without blanks, comments and quotes before its first word.
fn start_of_words(text: &str) -> &str {
    let mut rest = text.trim_ascii_start();
    while rest.starts_with('(')
        && let Some(end) = end_of_comment(rest.as_bytes(), 0)
    {
        rest = rest[end..].trim_ascii_start();
    }
    rest.trim_start_matches(['"', '\'', '<'])
}

/// A token (RFC 2045 section 5.1), and what stands behind it.
fn word(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"'/[]?=".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_type() {
        let rows: &[(&str, &str, &[(&str, &str)])] = &[
            ("text/plain", "text/plain", &[]),
            ("Text/HTML; charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("text/html>; charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("<text/html>; charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("\"text/html\"; charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("text / html", "text/html", &[]),
            ("text/(comment)html(comment);charset=x(y)", "text/html", &[("charset", "x")]),
            ("(a)text/html", "text/html", &[]),
            ("text//html", "text/html", &[]),
            ("text\\html", "text/html", &[]),
            ("text/html/utf-8", "text/html", &[]),
            ("text/html charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("text/html, charset=utf-8", "text/html", &[("charset", "utf-8")]),
            ("text/plain; charset", "text/plain", &[]),
            ("application/pdf name=\"a.pdf\"", "application/pdf", &[("name", "a.pdf")]),
            ("application/pdf; name=\"a.pdf", "application/pdf", &[("name", "a.pdf")]),
            ("text", "text/plain", &[]),
            ("text; charset=x", "text/plain", &[("charset", "x")]),
            ("text/; charset=x", "text/plain", &[("charset", "x")]),
            ("text/charset=x", "text/plain", &[("charset", "x")]),
            ("html", "text/plain", &[]),
            ("multipart; boundary=b", "multipart/mixed", &[("boundary", "b")]),
            ("application", "application/octet-stream", &[]),
            ("image/", "application/octet-stream", &[]),
            ("charset=utf-8", "text/plain", &[("charset", "utf-8")]),
            ("; charset=utf-8", "text/plain", &[("charset", "utf-8")]),
            ("?!", "text/plain", &[]),
            ("ü/ö", "text/plain", &[]),
            (
                "multipart/Report; Report-Type=delivery-status",
                "multipart/report",
                &[("report-type", "delivery-status")],
            ),
        ];
        for (value, kind, parameters) in rows {
            let read = ContentType::read(value).expect(value);
            let found: Vec<_> = read.parameters.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
            assert_eq!((read.kind.as_str(), found.as_slice()), (*kind, *parameters), "{value}");
        }
        assert_eq!(ContentType::read("  (nothing) "), None);
    }

    #[test]
    fn a_disposition_is_read() {
        let rows: &[(&str, &str, bool, Option<&str>)] = &[
            ("attachment", "attachment", true, None),
            ("ATTACHMENT; filename=a", "attachment", true, Some("a")),
            ("\"attachment\"; filename=\"a\"", "attachment", true, Some("a")),
            ("attachment filename=a", "attachment", true, Some("a")),
            ("inline; filename=\"a b\"", "inline", false, Some("a b")),
            ("filename=a", "", false, Some("a")),
            ("; filename=a", "", false, Some("a")),
            ("form-data; name=x", "form-data", true, None),
            ("=?utf-8?Q?x?=; filename=a", "=?utf-8?q?x?=", true, Some("a")),
            ("", "", false, None),
        ];
        for (value, kind, is_attachment, filename) in rows {
            let read = ContentDisposition::read(value);
            let name = read.filename().map(|parameter| parameter.value.as_str());
            assert_eq!((read.kind.as_str(), read.is_attachment(), name), (*kind, *is_attachment, *filename), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_type(text in "(text|/|html|;|=|\"|\\(|\\)|<| |\\PC){0,40}") {
            if let Some(read) = ContentType::read(&text) {
                proptest::prop_assert_eq!(read.kind.split('/').count(), 2);
            }
            ContentDisposition::read(&text);
        }
    }
}
