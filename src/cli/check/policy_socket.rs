//! The sockets of the policy service: somebody listens, and answers as this configuration would.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

use super::finding::Finding;
use super::probe::address_of;
use super::sockets::{Use, advice, nobody_listens, within};
use crate::config::{Config, ListenAddress, RefuseMode};
use crate::intake::policy::Answer;
use crate::mail::Address;
use crate::pipeline::answer_at_rcpt;
use crate::route::Routes;

/// systemd starts no socket for a service that runs already.
const START: &str = "systemctl stop mailhatch.service; systemctl enable --now mailhatch-policy.socket; systemctl start mailhatch.service";

/// Octets of an answer.
const LONGEST_ANSWER: u64 = 4096;

/// Asks each socket about one address of each mailbox: those of `listen.policy`, and those that Postfix asks.
pub(super) async fn check(
    config: &Config,
    routes: &Routes,
    asked_by_postfix: &[ListenAddress],
    needed: Use,
) -> Vec<Finding> {
    let further = asked_by_postfix.iter().filter(|address| !config.listen.policy.contains(address));
    let mut findings = Vec::new();
    for address in config.listen.policy.iter().chain(further) {
        let asked = match address {
            ListenAddress::Tcp(address) => {
                within(async { ask(TcpStream::connect(address).await?, config, routes).await }).await
            }
            ListenAddress::Unix(path) => {
                within(async { ask(UnixStream::connect(path).await?, config, routes).await }).await
            }
        };
        let part = "policy socket";
        findings.push(match asked {
            Ok(Asked { said, differs: None }) => Finding::ok(part, format!("{address} answers: {said}")),
            Ok(Asked { differs: Some(mailbox), .. }) => Finding::warning(
                part,
                format!(
                    "{address} answers for {mailbox} otherwise than this configuration says: run systemctl reload mailhatch"
                ),
            ),
            // The line about Postfix has said it.
            Err(error) if needed == Use::None && nobody_listens(&error) => continue,
            Err(error) => Finding::failed(
                part,
                format!("{address}: {error}; Postfix takes what it could refuse; {}", advice(&error, START)),
            ),
        });
    }
    findings
}

/// What the answers were.
struct Asked {
    said: String,
    /// The mailbox whose answer is not the one that this configuration gives.
    differs: Option<String>,
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, config: &Config, routes: &Routes) -> io::Result<Asked> {
    let mut stream = BufReader::new(stream);
    let mut asked = Asked { said: String::new(), differs: None };
    for mailbox in &config.mailboxes {
        let recipient = address_of(mailbox);
        let request = format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nsender=\nrecipient={recipient}\n\
             instance=mailhatch-check\nsize=0\n\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = read_answer(&mut stream).await?;
        let expected = match (Address::parse(&recipient), config.refuse.mode) {
            (Some(address), RefuseMode::Refuse) => answer_at_rcpt(config, routes, &address, 0).1,
            _ => Answer::Dunno,
        };
        let name = &mailbox.name.value;
        if answer != expected.to_string() {
            asked.differs.get_or_insert_with(|| name.clone());
        }
        let word = answer.split(' ').next().unwrap_or_default();
        let comma = if asked.said.is_empty() { "" } else { ", " };
        asked.said.push_str(&format!("{comma}{name} {word}"));
    }
    Ok(asked)
}

/// The value of `action=`.
async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let (mut answer, mut octet) = (Vec::new(), [0]);
    while !answer.ends_with(b"\n\n") {
        if answer.len() as u64 >= LONGEST_ANSWER || stream.read(&mut octet).await? == 0 {
            return Err(io::Error::other("it gives no answer that Postfix could read"));
        }
        answer.extend_from_slice(&octet);
    }
    let text = String::from_utf8_lossy(&answer);
    match text.trim_end().strip_prefix("action=") {
        Some(action) => Ok(action.to_owned()),
        None => Err(io::Error::other("it is not a policy service")),
    }
}
