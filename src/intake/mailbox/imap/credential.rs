//! What a login is made of: a user with a password or a token, and the SASL messages that carry them.
//!
//! Nothing here is ever logged.

use imap_codec::imap_types::auth::AuthMechanism;
use zeroize::Zeroizing;

use super::capabilities::Capabilities;
use crate::config::Secret;

/// Who logs in, and with what.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The user.
    pub user: String,
    /// What proves it.
    pub proof: Proof,
}

/// What proves who logs in.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A password.
    Password(Secret),
    /// An OAuth 2.0 access token.
    Token(Secret),
}

/// How a login is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The LOGIN command.
    Login,
    /// AUTHENTICATE PLAIN (RFC 4616).
    Plain,
    /// AUTHENTICATE XOAUTH2 (developers.google.com/gmail/imap/xoauth2-protocol).
    XOAuth2,
    /// AUTHENTICATE OAUTHBEARER (RFC 7628).
    OAuthBearer,
}

impl Method {
    /// The best one that both sides know; `None`: the server takes no login of this kind here.
    pub(super) fn choose(proof: &Proof, server: &Capabilities) -> Option<Self> {
        match proof {
            Proof::Password(_) if server.auth_plain => Some(Self::Plain),
            Proof::Password(_) => (!server.login_disabled).then_some(Self::Login),
            Proof::Token(_) if server.xoauth2 => Some(Self::XOAuth2),
            Proof::Token(_) => server.oauthbearer.then_some(Self::OAuthBearer),
        }
    }

    /// The SASL mechanism; `None` for the LOGIN command.
    pub(super) fn mechanism(self) -> Option<AuthMechanism<'static>> {
        match self {
            Self::Login => None,
            Self::Plain => Some(AuthMechanism::Plain),
            Self::XOAuth2 => Some(AuthMechanism::XOAuth2),
            Self::OAuthBearer => Some(AuthMechanism::OAuthBearer),
        }
    }

    /// The client's first SASL message.
    pub(super) fn first_message(self, credential: &Credential, host: &str, port: u16) -> Zeroizing<Vec<u8>> {
        let secret = match &credential.proof {
            Proof::Password(secret) | Proof::Token(secret) => secret.expose(),
        };
        let user = credential.user.as_bytes();
        let endpoint = format!("\x01host={host}\x01port={port}\x01auth=Bearer ");
        let parts: [&[u8]; 5] = match self {
            Self::Login | Self::Plain => [b"\0", user, b"\0", secret, b""],
            Self::XOAuth2 => [b"user=", user, b"\x01auth=Bearer ", secret, b"\x01\x01"],
            // RFC 7628 section 3.1: a gs2 header with the user, in which `=` and `,` are escaped (RFC 5801 section 4).
            Self::OAuthBearer => {
                let name = credential.user.replace('=', "=3D").replace(',', "=2C");
                let header = format!("n,a={name},{endpoint}");
                return Zeroizing::new([header.as_bytes(), secret, b"\x01\x01"].concat());
            }
        };
        Zeroizing::new(parts.concat())
    }

    /// What the client says to the server's description of an error, so that the server ends the exchange (RFC 7628 section
    /// 3.2.3; for XOAUTH2 an empty message).
    pub(super) fn acknowledge_error(self) -> &'static [u8] {
        match self {
            Self::OAuthBearer => b"\x01",
            Self::Login | Self::Plain | Self::XOAuth2 => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(proof: fn(Secret) -> Proof) -> Credential {
        Credential { user: "a=b,c@example.com".into(), proof: proof(Secret::new(b"hush".to_vec())) }
    }

    #[test]
    fn the_strongest_way_that_both_know_is_taken() {
        let all = Capabilities { auth_plain: true, xoauth2: true, oauthbearer: true, ..Default::default() };
        let bearer = Capabilities { oauthbearer: true, ..Default::default() };
        let disabled = Capabilities { login_disabled: true, ..Default::default() };
        let nothing = Capabilities::default();
        type Row<'r> = (&'r str, fn(Secret) -> Proof, Capabilities, Option<Method>);
        let rows: &[Row<'_>] = &[
            ("password, PLAIN", Proof::Password, all, Some(Method::Plain)),
            ("password, LOGIN", Proof::Password, nothing, Some(Method::Login)),
            ("password, LOGINDISABLED", Proof::Password, disabled, None),
            ("token, both", Proof::Token, all, Some(Method::XOAuth2)),
            ("token, OAUTHBEARER", Proof::Token, bearer, Some(Method::OAuthBearer)),
            ("token, neither", Proof::Token, nothing, None),
        ];
        for (name, proof, server, expected) in rows {
            assert_eq!(Method::choose(&credential(*proof).proof, server), *expected, "{name}");
        }
    }

    #[test]
    fn the_messages_are_those_of_their_standards() {
        let rows: &[(Method, &[u8])] = &[
            (Method::Plain, b"\0a=b,c@example.com\0hush"),
            (Method::XOAuth2, b"user=a=b,c@example.com\x01auth=Bearer hush\x01\x01"),
            (
                Method::OAuthBearer,
                b"n,a=a=3Db=2Cc@example.com,\x01host=imap.example.com\x01port=993\x01auth=Bearer hush\x01\x01",
            ),
        ];
        for (method, message) in rows {
            let found = method.first_message(&credential(Proof::Token), "imap.example.com", 993);
            assert_eq!(found.as_slice(), *message, "{method:?}");
        }
    }

    #[test]
    fn a_credential_is_never_printed() {
        assert!(!format!("{:?}", credential(Proof::Password)).contains("hush"));
    }
}
