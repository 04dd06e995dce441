//! What a session is made for.

use crate::intake::mailbox::imap::credential::Credential;
use crate::intake::mailbox::imap::request::Folder;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first octet on (RFC 8314).
    Tls,
    /// TLS after STARTTLS; nothing that is said before counts.
    StartTls,
    /// Plain text: on loopback alone.
    Loopback,
}

/// Whether a folder may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SELECT
    ReadWrite,
    /// EXAMINE: nothing changes, whatever is asked.
    ReadOnly,
}

/// What a session is made for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the connection is protected.
    pub security: Security,
    /// The server's name and port, for SASL.
    pub endpoint: (String, u16),
    /// Who logs in.
    pub credential: Credential,
    /// The folder.
    pub folder: Folder,
    /// Its name, for messages.
    pub folder_name: String,
    /// Whether it may be changed.
    pub access: Access,
    /// Octets of the longest response that is read; a longer one is skipped.
    pub max_response_size: u32,
    /// What every tag begins with. Nobody who writes into a mail should know it: a server that miscounts an octet of the mail
    /// would let it end our commands.
    pub tag_prefix: String,
}
