//! Handing a notice to the local MTA by SMTP.
//!
//! SMTP and not sendmail(1): lettre cannot give sendmail a null sender, and postdrop is set-gid, which `NoNewPrivileges` forbids.

use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter, RcptParameter};

use crate::mail::Address;

/// One step of the dialogue may take so long.
const STEP: Duration = Duration::from_secs(20);

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
    /// answered 250 to the message.
    pub async fn submit(&self, to: &Address, notice: &[u8]) -> Result<(), String> {
        let mut connection = AsyncSmtpConnection::connect_tokio1(&*self.server, Some(STEP), &self.hello, None, None)
            .await
            .map_err(|error| error.to_string())?;
        let submitted = self.dialogue(&mut connection, to, notice).await;
        match submitted {
            Ok(()) => drop(connection.quit().await),
            Err(_) => connection.abort().await,
        }
        submitted
    }

    async fn dialogue(&self, connection: &mut AsyncSmtpConnection, to: &Address, notice: &[u8]) -> Result<(), String> {
        let text = |error: lettre::transport::smtp::Error| error.to_string();
        let server = connection.server_info().clone();
        let mut of_mail = Vec::new();
        if !to.as_str().is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                return Err("it does not speak SMTPUTF8, which the sender's address needs".to_owned());
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
        connection.command(Mail::new(None, of_mail)).await.map_err(text)?;
        if connection.command(Rcpt::new(recipient.clone(), vec![never])).await.is_err() {
            connection.command(Rcpt::new(recipient, Vec::new())).await.map_err(text)?;
        }
        connection.command(Data).await.map_err(text)?;
        connection.message(notice).await.map_err(text)?;
        Ok(())
    }
}
