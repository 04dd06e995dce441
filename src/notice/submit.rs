//! Handing a notice to the local MTA by SMTP.
//!
//! SMTP and not sendmail(1): lettre cannot give sendmail a null sender, and postdrop is set-gid, which `NoNewPrivileges` forbids.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter, RcptParameter};

use tokio::time::{Instant, timeout, timeout_at};

use crate::mail::Address;

/// Connecting to a server on this machine takes no longer, unless it is ill.
const CONNECT: Duration = Duration::from_secs(20);
/// How long we wait for the answer to QUIT, which changes nothing any more.
const QUIT: Duration = Duration::from_secs(1);

/// Why the MTA has not taken a notice.
#[derive(Debug)]
pub(super) struct NotSubmitted {
    /// In its own words, or what happened in their place.
    pub why: String,
    /// Whether another try of the same notice would come to the same (RFC 5321 section 4.2.1).
    pub is_permanent: bool,
}

impl NotSubmitted {
    fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_permanent: false }
    }

    /// No other try can succeed.
    pub fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_permanent: true }
    }
}

impl From<SmtpError> for NotSubmitted {
    fn from(error: SmtpError) -> Self {
        Self { is_permanent: error.is_permanent(), why: error.to_string() }
    }
}

/// The MTA on this machine.
#[derive(Debug)]
pub(super) struct LocalMta {
    server: String,
    hello: ClientId,
}

impl LocalMta {
    /// Reads `host:port`.
    pub fn parse(text: &str, hostname: &str) -> Result<Self, String> {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !good {
            return Err("notice.smtp is the local MTA as host:port, such as \"127.0.0.1:25\"".to_owned());
        }
        Ok(Self { server: text.to_owned(), hello: ClientId::Domain(hostname.to_owned()) })
    }

    /// Hands one notice over under the null sender (RFC 3464 section 2, RFC 5321 section 4.5.5). It is done when the MTA has
    /// answered 250 to the message, whatever comes after: else the second try would send it twice.
    pub async fn submit(&self, to: &Address, notice: &[u8], deadline: Instant) -> Result<(), NotSubmitted> {
        let late = |_| NotSubmitted::for_now("no answer within the deadline");
        let connect = AsyncSmtpConnection::connect_tokio1(&*self.server, Some(CONNECT), &self.hello, None, None);
        let mut connection = timeout_at(deadline, connect).await.map_err(late)??;
        let submitted = timeout_at(deadline, self.dialogue(&mut connection, to, notice))
            .await
            .unwrap_or_else(|error| Err(late(error)));
        let _ = timeout(QUIT, connection.abort()).await;
        submitted
    }

    async fn dialogue(
        &self,
        connection: &mut AsyncSmtpConnection,
        to: &Address,
        notice: &[u8],
    ) -> Result<(), NotSubmitted> {
        let server = connection.server_info().clone();
        let mut of_mail = Vec::new();
        let header = notice.windows(4).position(|four| four == b"\r\n\r\n").map_or(notice, |end| &notice[..end]);
        if !to.as_str().is_ascii() || !header.is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                return Err(NotSubmitted::for_good(
                    "it does not speak SMTPUTF8, which an address in this notice needs",
                ));
            }
            of_mail.push(MailParameter::SmtpUtfEight);
        }
        if !notice.is_ascii() && server.supports_feature(Extension::EightBitMime) {
            of_mail.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        // A notice that cannot be delivered must not make another one. lettre does not know DSN, so the greeting is not
        // asked: an MTA without DSN refuses the parameter, and then it goes without.
        let never = RcptParameter::Other { keyword: "NOTIFY".to_owned(), value: Some("NEVER".to_owned()) };
        let recipient = lettre::Address::new_dangerous(to.local(), to.domain());
        connection.command(Mail::new(None, of_mail)).await?;
        if connection.command(Rcpt::new(recipient.clone(), vec![never])).await.is_err() {
            connection.command(Rcpt::new(recipient, Vec::new())).await?;
        }
        connection.command(Data).await?;
        connection.message(notice).await?;
        Ok(())
    }
}
