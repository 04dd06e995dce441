//! `check --send`: a message through Postfix to each mailbox, and the wait for it.
//!
//! It has a null envelope sender and says Auto-Submitted, so it is set aside before any application could see it, and
//! nobody can be written to. Its copy among the held ones shows that it came; the copy is removed.

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use ring::rand::SecureRandom;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::{Instant, sleep, timeout_at};

use super::finding::Finding;
use super::probe::{acceptable_address_of, address_of};
use crate::config::{Config, ScreenAction};
use crate::held::HeldStore;
use crate::mail::Message;
use crate::route::Routes;
use crate::state_dir::StateError;

/// How long a canary may take through Postfix.
const TIME: Duration = Duration::from_secs(60);

/// Sends one to each mailbox. `is_asked`: Postfix refuses what it could not deliver here.
pub(super) async fn send(config: &Config, routes: &Routes, is_asked: bool) -> Vec<Finding> {
    let held = HeldStore::new(config);
    let mut findings = Vec::new();
    for mailbox in &config.mailboxes {
        let part = format!("canary {}", mailbox.name.value);
        let screen = mailbox.screen.over(config.screen);
        if screen.bounces == ScreenAction::Deliver && screen.auto_replies == ScreenAction::Deliver {
            let text = "not sent: nothing machine-made is set aside for this mailbox, so its application would see it";
            findings.push(Finding::warning(part, text));
            continue;
        }
        let acceptable = acceptable_address_of(mailbox, routes);
        if acceptable.is_none() && is_asked {
            let text =
                "not sent: no key that this check knows has a form of its actions, and Postfix refuses all others";
            findings.push(Finding::warning(part, text));
            continue;
        }
        let address = acceptable.unwrap_or_else(|| address_of(mailbox));
        findings.push(Finding::of(part, one(config, routes, &held, &address).await));
    }
    findings
}

async fn one(config: &Config, routes: &Routes, held: &HeldStore, address: &str) -> Result<String, String> {
    let shown = routes.mask(address);
    let message_id = message_id(config)?;
    let started = Instant::now();
    submit(config, address, &text(config, address, &message_id)).await?;
    let since = SystemTime::now() - Duration::from_secs(60);
    let arrived = async {
        loop {
            if let Some(seen) = find(held, &message_id, since).await? {
                return Ok(seen);
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    match timeout_at(started + TIME, arrived).await {
        Ok(Ok(rule)) => Ok(format!(
            "{shown}: through Postfix to its verdict in {:.1} s: ignored, {rule}",
            started.elapsed().as_secs_f64()
        )),
        Ok(Err(error)) => Err(StateError::to_string(&error)),
        Err(_) => Err(format!(
            "{shown}: taken by {}, but it did not come here in {} s: look for {message_id} in Postfix's log and at postqueue -p",
            config.notice.smtp.value,
            TIME.as_secs()
        )),
    }
}

fn message_id(config: &Config) -> Result<String, String> {
    let mut random = [0; 12];
    ring::rand::SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no random numbers")?;
    let random: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(format!("mailhatch-check.{random}@{}", config.hostname))
}

fn text(config: &Config, address: &str, message_id: &str) -> String {
    let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap_or_default();
    format!(
        "From: mailhatch check <postmaster@{host}>\r\nTo: {address}\r\nSubject: mailhatch check\r\nDate: {date}\r\n\
         Message-ID: <{message_id}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\nA test of the way through Postfix. mailhatch sets it aside.\r\n",
        host = config.hostname
    )
}

async fn submit(config: &Config, address: &str, text: &str) -> Result<(), String> {
    let server = &config.notice.smtp.value;
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "25"));
    let port = port.parse().map_err(|_| format!("notice.smtp \"{server}\" is not a valid host:port"))?;
    let recipient = address.parse().map_err(|error| format!("{address} cannot be written to: {error}"))?;
    let envelope = Envelope::new(None, vec![recipient]).map_err(|error| error.to_string())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .hello_name(ClientId::Domain(config.hostname.clone()))
        .timeout(Some(Duration::from_secs(30)))
        .build();
    let sent = transport.send_raw(&envelope, text.as_bytes()).await;
    sent.map(drop).map_err(|error| match error.status() {
        Some(_) => format!("{server} does not take mail for {address}: {error}; see Postfix's log"),
        None => format!("{server}: {error}; is Postfix running? (postfix status)"),
    })
}

/// The rule that set the canary aside, once its copy is there; the copy is removed.
async fn find(held: &HeldStore, message_id: &str, since: SystemTime) -> Result<Option<String>, StateError> {
    for record in held.list().await?.records {
        if record.verdict != "ignored" || record.held_at < since || record.size > 64 * 1024 {
            continue;
        }
        let Some((record, content)) = held.read(&record.id).await? else { continue };
        if Message::parse(content).message_id().is_some_and(|id| id.contains(message_id)) {
            held.remove(&record.id).await?;
            return Ok(Some(record.rule));
        }
    }
    Ok(None)
}
