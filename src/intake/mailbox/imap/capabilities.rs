//! What the server can do, of the things that make a difference here.

use imap_codec::imap_types::response::Capability;

/// What the server says that it can do (RFC 3501 section 7.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// AUTH=PLAIN (RFC 4616)
    pub auth_plain: bool,
    /// AUTH=XOAUTH2 (Gmail, Exchange Online)
    pub xoauth2: bool,
    /// AUTH=OAUTHBEARER (RFC 7628)
    pub oauthbearer: bool,
    /// SASL-IR: the first answer stands in the command (RFC 4959).
    pub sasl_ir: bool,
    /// LOGINDISABLED
    pub login_disabled: bool,
    /// IDLE (RFC 2177)
    pub idle: bool,
    /// MOVE (RFC 6851)
    pub moves: bool,
    /// UIDPLUS: UID EXPUNGE and COPYUID (RFC 4315). Without it nothing can be removed without removing what others deleted.
    pub uidplus: bool,
}

impl Capabilities {
    pub(super) fn read<'c>(list: impl IntoIterator<Item = &'c Capability<'c>>) -> Self {
        let mut known = Self::default();
        for capability in list {
            match capability.to_string().to_ascii_uppercase().as_str() {
                "AUTH=PLAIN" => known.auth_plain = true,
                "AUTH=XOAUTH2" => known.xoauth2 = true,
                "AUTH=OAUTHBEARER" => known.oauthbearer = true,
                "SASL-IR" => known.sasl_ir = true,
                "LOGINDISABLED" => known.login_disabled = true,
                "IDLE" => known.idle = true,
                "MOVE" => known.moves = true,
                "UIDPLUS" => known.uidplus = true,
                _ => {}
            }
        }
        known
    }
}
