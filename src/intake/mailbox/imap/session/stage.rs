//! How far the way in is done.

use imap_codec::imap_types::core::Tag;

use super::super::credential::Method;

/// How far the way in is done.
#[derive(Debug)]
pub(super) enum Stage {
    Greeting,
    StartTls(Tag<'static>),
    /// The TLS handshake.
    Tls,
    Capabilities(Tag<'static>, Then),
    LogIn(Login),
    Select(Tag<'static>),
}

/// What the capabilities are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    LogIn,
    Select,
}

#[derive(Debug)]
pub(super) struct Login {
    pub(super) tag: Tag<'static>,
    pub(super) method: Method,
    /// The first message is on its way: a second question is the description of an error.
    pub(super) answered: bool,
    /// What the server said of the error.
    pub(super) error: Option<String>,
}

impl Stage {
    pub(super) fn tag(&self) -> Option<&Tag<'static>> {
        match self {
            Self::Greeting | Self::Tls => None,
            Self::StartTls(tag) | Self::Capabilities(tag, _) | Self::Select(tag) => Some(tag),
            Self::LogIn(login) => Some(&login.tag),
        }
    }
}
