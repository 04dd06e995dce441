//! From the greeting to the open folder.
//!
//! No password is sent before the connection is protected as the plan says, and none to a server that takes none.

use imap_codec::imap_types::auth::AuthenticateData;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{AString, Literal};
use imap_codec::imap_types::response::{
    Code, CommandContinuationRequest, Greeting, GreetingKind, StatusBody, StatusKind,
};
use imap_codec::imap_types::secret::Secret;

use super::super::capabilities::Capabilities;
use super::super::credential::{Method, Proof};
use super::super::said::{from_bye, from_login, from_select, said, shown};
use super::stage::{Login, Stage, Then};
use super::{Access, Security, Session, State, Step};
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::oauth::roles;

impl Session {
    pub(super) fn greeted(&mut self, greeting: &Greeting<'_>) {
        let text = greeting.text.as_ref();
        match (greeting.kind, self.plan.security) {
            (GreetingKind::Bye, _) => self.fail(from_bye(greeting.code.as_ref(), text)),
            (GreetingKind::PreAuth, Security::StartTls) => self.fail(Failure::new(
                Cause::Preauth,
                "the greeting says PREAUTH before TLS: somebody may stand between (no password was sent)",
            )),
            (GreetingKind::Ok, Security::StartTls) => {
                let tag = self.send(CommandBody::StartTLS);
                self.state = State::WayIn(Stage::StartTls(tag));
            }
            (kind, Security::Tls | Security::Loopback) => {
                self.note_capabilities(greeting.code.as_ref());
                let then = if kind == GreetingKind::PreAuth { Then::Select } else { Then::LogIn };
                self.go_on(then);
            }
        }
    }

    pub(super) fn ask_capabilities(&mut self) {
        self.go_on(Then::LogIn);
    }

    /// The next command; the capabilities first, where they are not known.
    fn go_on(&mut self, then: Then) {
        let Some(capabilities) = self.capabilities else {
            let tag = self.send(CommandBody::Capability);
            self.state = State::WayIn(Stage::Capabilities(tag, then));
            return;
        };
        match then {
            Then::LogIn => self.log_in(capabilities),
            Then::Select => self.select(),
        }
    }

    pub(super) fn select(&mut self) {
        let mailbox = self.plan.folder.wire();
        let tag = self.send(match self.plan.access {
            Access::ReadWrite => CommandBody::Select { mailbox },
            Access::ReadOnly => CommandBody::Examine { mailbox },
        });
        self.state = State::WayIn(Stage::Select(tag));
    }

    fn log_in(&mut self, capabilities: Capabilities) {
        let credential = &self.plan.credential;
        let Some(method) = Method::choose(&credential.proof, &capabilities) else {
            let what = match credential.proof {
                Proof::Password(_) => {
                    "the server takes no password on this connection (LOGINDISABLED): set ssl or start_tls"
                }
                Proof::Token(_) => {
                    "the server offers neither AUTH=XOAUTH2 nor AUTH=OAUTHBEARER: set auth = \"password\", or another host"
                }
            };
            return self.fail(Failure::new(Cause::LoginDisabled, what));
        };
        let mut answered = false;
        let body = match method.mechanism() {
            None => match login_command(&credential.user, &credential.proof) {
                Some(body) => body,
                None => {
                    return self
                        .fail(Failure::new(Cause::Credential, "the user or the password holds an octet of zero"));
                }
            },
            Some(mechanism) => {
                let message = self.first_message(method);
                // In the command itself only where the server takes it there.
                answered = capabilities.sasl_ir;
                let initial_response = answered.then(|| Secret::new(message.into()));
                CommandBody::Authenticate { mechanism, initial_response }
            }
        };
        let tag = self.send(body);
        self.state = State::WayIn(Stage::LogIn(Login { tag, method, answered, error: None }));
    }

    fn first_message(&self, method: Method) -> Vec<u8> {
        let (host, port) = &self.plan.endpoint;
        method.first_message(&self.plan.credential, host, *port).to_vec()
    }

    /// The server asks for the next SASL message.
    pub(super) fn challenged(&mut self, challenge: &CommandContinuationRequest<'_>) {
        let State::WayIn(Stage::LogIn(login)) = &mut self.state else { return };
        let message = match login.answered {
            true => {
                login.error = Some(match challenge {
                    CommandContinuationRequest::Base64(octets) => shown(&String::from_utf8_lossy(octets)),
                    CommandContinuationRequest::Basic(basic) => shown(basic.text().as_ref()),
                });
                login.method.acknowledge_error().to_vec()
            }
            false => {
                login.answered = true;
                let method = login.method;
                self.first_message(method)
            }
        };
        // An error means that no message is asked for: the server's answer will say what it thinks of that.
        let _ = self.client.set_authenticate_data(AuthenticateData::r#continue(message));
    }

    /// The command of this stage is answered.
    pub(super) fn way_in_completed(&mut self, body: &StatusBody<'static>) {
        let (code, text) = (body.code.as_ref(), body.text.as_ref());
        let State::WayIn(stage) = &self.state else { return };
        match (stage, body.kind) {
            (Stage::StartTls(_), StatusKind::Ok) if self.held_back.is_empty() => {
                self.state = State::WayIn(Stage::Tls);
                self.steps.push_back(Step::StartTls);
            }
            (Stage::StartTls(_), StatusKind::Ok) => self.fail(Failure::new(
                Cause::Injected,
                "there are octets behind the server's OK to STARTTLS: somebody writes into the connection (no password was sent)",
            )),
            (Stage::StartTls(_), _) => {
                let failure = said(code, text).filter(|failure| failure.cause == Cause::Throttled);
                self.fail(failure.unwrap_or_else(|| {
                    Failure::new(
                        Cause::StartTls,
                        format!("the server, or somebody on the way to it, refuses STARTTLS: {} (no password was sent)", shown(text)),
                    )
                }));
            }
            (Stage::Capabilities(_, then), StatusKind::Ok) => {
                let then = *then;
                self.note_capabilities(code);
                match self.capabilities {
                    Some(_) => self.go_on(then),
                    None => self.malformed("no CAPABILITY response to CAPABILITY"),
                }
            }
            (Stage::LogIn(_), StatusKind::Ok) => {
                // What it can do may be more now (RFC 3501 section 6.2.2).
                self.capabilities = None;
                self.note_capabilities(code);
                self.go_on(Then::Select);
            }
            (Stage::LogIn(login), _) => {
                let failure = refused_login(login, &self.plan.credential.proof, code, text);
                self.fail(failure);
            }
            (Stage::Select(_), StatusKind::Ok) => {
                self.selected.take_code(code);
                self.selected.read_only |= self.plan.access == Access::ReadOnly;
                match self.selected.uid_validity {
                    Some(_) => {
                        self.state = State::Ready;
                        self.steps.push_back(Step::Ready);
                    }
                    None => self.fail(Failure::new(
                        Cause::Folder,
                        "the server gives no UIDVALIDITY for the folder: its messages have no lasting numbers, so nothing can be read from it",
                    )),
                }
            }
            (Stage::Select(_), _) => {
                let failure = from_select(&self.plan.folder_name, code, text);
                self.fail(failure);
            }
            (Stage::Greeting | Stage::Tls | Stage::Capabilities(..), _) => {
                let failure = said(code, text)
                    .unwrap_or_else(|| Failure::new(Cause::Refused, format!("the server refuses CAPABILITY: {}", shown(text))));
                self.fail(failure);
            }
        }
    }

    pub(super) fn note_capabilities(&mut self, code: Option<&Code<'_>>) {
        if let Some(Code::Capability(list)) = code {
            self.capabilities = Some(Capabilities::read(list.as_ref()));
        }
    }
}

/// `None` for what no IMAP string can carry.
fn login_command(user: &str, proof: &Proof) -> Option<CommandBody<'static>> {
    let (Proof::Password(secret) | Proof::Token(secret)) = proof;
    let username = AString::try_from(user.to_owned()).ok()?;
    let password = match AString::try_from(secret.expose().to_vec()) {
        Ok(password) => password,
        Err(_) => Literal::try_from(secret.expose().to_vec()).ok()?.into(),
    };
    Some(CommandBody::Login { username, password: Secret::new(password) })
}

fn refused_login(login: &Login, proof: &Proof, code: Option<&Code<'_>>, text: &str) -> Failure {
    let failure = from_login(code, text);
    let said = login.error.as_deref().unwrap_or_default();
    match proof {
        Proof::Token(token) if matches!(failure.cause, Cause::Authentication | Cause::NotConnected) => {
            let cause = if failure.cause == Cause::Authentication { Cause::OAuth } else { failure.cause };
            let lacks = missing_permission(token);
            Failure::new(cause, format!("the server refuses the token: {} {said}{lacks}", shown(text)))
        }
        _ => failure,
    }
}

/// A token of Microsoft's says what it is good for; one for an application must have this.
fn missing_permission(token: &crate::config::Secret) -> String {
    const NEEDED: &str = "IMAP.AccessAsApp";
    match roles(token) {
        Some(roles) if roles.iter().any(|role| role == NEEDED || role == "IMAP.AccessAsUser.All") => {
            "; it has the permission for IMAP: look at user, and at the permission for this one mailbox \
             (Add-MailboxPermission, docs/set-up-oauth.md)"
                .to_owned()
        }
        Some(roles) => {
            let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
            format!(
                "; at Exchange Online it needs the application permission {NEEDED} and an administrator's consent; it has: {roles}"
            )
        }
        None => String::new(),
    }
}
