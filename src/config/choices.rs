//! Values of which the configuration names one.

use serde::Deserialize;

/// Where an address may stand (DESIGN section 2.3).
#[allow(missing_docs, reason = "each variant is the header field of its name")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    Envelope,
    To,
    DeliveredTo,
    XDeliveredTo,
    EnvelopeTo,
    XEnvelopeTo,
    Received,
    XOriginalTo,
    XForwardedTo,
    Cc,
    References,
}

impl AddressSource {
    /// All of them, in the default order.
    pub const ALL: [Self; 11] = [
        Self::Envelope,
        Self::To,
        Self::DeliveredTo,
        Self::XDeliveredTo,
        Self::EnvelopeTo,
        Self::XEnvelopeTo,
        Self::Received,
        Self::XOriginalTo,
        Self::XForwardedTo,
        Self::Cc,
        Self::References,
    ];

    /// The name in the configuration, in events and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::To => "to",
            Self::DeliveredTo => "delivered-to",
            Self::XDeliveredTo => "x-delivered-to",
            Self::EnvelopeTo => "envelope-to",
            Self::XEnvelopeTo => "x-envelope-to",
            Self::Received => "received",
            Self::XOriginalTo => "x-original-to",
            Self::XForwardedTo => "x-forwarded-to",
            Self::Cc => "cc",
            Self::References => "references",
        }
    }
}

/// `kind` of an `[[app]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppKind {
    /// A stock GitLab, by the API that mail_room uses.
    Gitlab,
    /// A directory.
    Spool,
    /// Any HTTP application, by Standard Webhooks.
    Webhook,
}

/// What an event carries beside the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventPart {
    /// Attachments with their content.
    Attachments,
    /// Text and HTML.
    Body,
    /// The whole message.
    Raw,
}

/// Who checks the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethod {
    /// Nobody: nothing is ever proven.
    Off,
    /// Our MTA did; its Authentication-Results are believed.
    Trust,
    /// We do.
    Verify,
}

/// What becomes of machine-made mail of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScreenAction {
    /// It goes on to the application.
    Deliver,
    /// It is set aside.
    Ignore,
}

/// What becomes of a message whose From nobody proves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unproven {
    /// It is handed over like any other.
    #[default]
    Deliver,
    /// It is held.
    Hold,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// Standard error with the priority prefix that systemd reads.
    Journald,
    /// Standard error.
    Stderr,
    /// `/dev/log`, facility mail.
    Syslog,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value key="value with blanks"`
    Logfmt,
}
