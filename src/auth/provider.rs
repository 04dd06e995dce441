//! Mail that lay in a mailbox: what the trace fields of its provider tell, and which of them are the provider's own.
//!
//! Anybody can write any field into a message. A provider's servers write theirs on top, so the fields are read from the
//! top down, hop by hop, each by the exact form that the provider's hops have, up to the border: the Received field of the
//! server that took the message from outside. What does not fit is not believed, and nothing below the border is, except
//! where the provider writes its results there.
//!
//! | provider | hops | border | results stand |
//! |---|---|---|---|
//! | Gmail | `Received: by 2002:…`, without `from` | `by mx.google.com` | right below the border |
//! | Exchange Online | `by *.outlook.com`, `by *.office365.com` | `by *.mail.protection.outlook.com` | above the border, without an authserv-id |
//! | a server of our own | as in `trust` | as in `trust` | as in `trust` |

use std::net::IpAddr;

use super::received::{self, Received};
use super::results::{self, Results};
use super::trust;
use crate::mail::{Field, InMailbox, Message, Provider, Sender};

/// The id in Gmail's Authentication-Results.
const GMAIL: &str = "mx.google.com";

/// What the believed trace fields of a message tell.
#[derive(Debug, Default)]
pub struct Trace {
    /// The envelope sender: what Return-Path says. Unknown without it.
    pub sender: Option<Sender>,
    /// Whom this copy was sent to, as X-Original-To, Delivered-To and Envelope-To say, from the top down.
    pub recipients: Vec<String>,
    /// Where the message came from outside: the border was found.
    pub has_border: bool,
    /// What the provider found out about the sender.
    pub(super) results: Vec<Results>,
}

impl Trace {
    /// Reads the trace fields of a message; `hostname` is our own name.
    pub fn read(mailbox: &InMailbox, hostname: &str, message: &Message) -> Self {
        match &mailbox.provider {
            Provider::None => Self::default(),
            Provider::Gmail => gmail(message),
            Provider::ExchangeOnline => exchange_online(message),
            Provider::Own { authserv_ids } => own(authserv_ids, hostname, message),
        }
    }

    /// What fields say of the envelope. Of two Return-Path fields the upper one is of the later hop.
    fn told_by(fields: &[Field<'_>]) -> Self {
        let path = fields.iter().find(|field| field.is("Return-Path"));
        let names = ["X-Original-To", "Delivered-To", "Envelope-To"];
        let recipients = fields.iter().filter(|field| names.iter().any(|name| field.is(name)));
        Self {
            sender: path.map(|field| Sender::from_path(field.text().trim())),
            recipients: recipients.map(|field| field.text().trim().to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// What a Received field is to a provider.
enum Hop {
    /// One of its own, between its own servers.
    Inner,
    /// The one that took the message from outside.
    Border,
    /// Not one of its own.
    Foreign,
}

/// The fields above the border, without the hops, and those below it. `None` if there is no border: then nothing is believed.
fn at_border(message: &Message, hop: impl Fn(&Received) -> Hop) -> Option<(Vec<Field<'_>>, Vec<Field<'_>>)> {
    let mut fields = message.fields();
    let mut above = Vec::new();
    for field in fields.by_ref() {
        if !field.is("Received") {
            above.push(field);
            continue;
        }
        match received::parse(field.raw()).map_or(Hop::Foreign, |received| hop(&received)) {
            Hop::Inner => {}
            Hop::Border => return Some((above, fields.collect())),
            Hop::Foreign => return None,
        }
    }
    None
}

fn gmail(message: &Message) -> Trace {
    let hop = |received: &Received| match received.by.as_deref() {
        // 2002::/16 stands for the inside of Google; the address has no host in front of it.
        Some(by) if !received.has_from && by.starts_with("2002:") && by.parse::<IpAddr>().is_ok() => Hop::Inner,
        Some(GMAIL) if received.has_from => Hop::Border,
        _ => Hop::Foreign,
    };
    let Some((above, below)) = at_border(message, hop) else { return Trace::default() };
    Trace { has_border: true, results: results_of_gmail(&below), ..Trace::told_by(&above) }
}

/// Gmail writes its results at once below the border; what the sender wrote stands below them.
fn results_of_gmail(below: &[Field<'_>]) -> Vec<Results> {
    let until_received = below.iter().take_while(|field| !field.is("Received"));
    let mut fields = until_received.skip_while(|field| field.is("Received-SPF"));
    // Gmail writes its id bare; no comment hides where it ends.
    let read = |field: &Field<'_>| {
        let is_gmails = field.is("Authentication-Results") && field.text().trim_start().starts_with("mx.google.com;");
        is_gmails.then(|| results::parse(field.raw())).flatten()
    };
    let Some(first) = fields.next().and_then(read) else { return Vec::new() };
    // A sender's own field with Gmail's name can say less than Gmail's, but nothing of which Gmail does not speak.
    let others = fields.filter_map(read).map(|mut other| {
        other.methods.retain(|method| first.methods.iter().any(|known| known.method == method.method));
        other
    });
    let others: Vec<_> = others.collect();
    std::iter::once(first).chain(others).collect()
}

fn exchange_online(message: &Message) -> Trace {
    let hop = |received: &Received| {
        let below = |suffix: &str| received.by.as_deref().is_some_and(|by| by.ends_with(suffix));
        match received.has_from {
            true if below(".mail.protection.outlook.com") => Hop::Border,
            true if below(".outlook.com") || below(".office365.com") => Hop::Inner,
            _ => Hop::Foreign,
        }
    };
    let Some((above, _)) = at_border(message, hop) else { return Trace::default() };
    let results = above.iter().filter(|field| field.is("Authentication-Results"));
    let results = results.filter_map(|field| results::parse_exchange(field.raw())).collect();
    Trace { has_border: true, results, ..Trace::told_by(&above) }
}

fn own(ids: &[String], hostname: &str, message: &Message) -> Trace {
    // What stands above the newest Received was written by the server that put the message into the mailbox.
    let above: Vec<_> = message.fields().take_while(|field| !field.is("Received")).collect();
    let has_border = message.first("Received").is_some();
    Trace { has_border, results: trust::believed(ids, hostname, message), ..Trace::told_by(&above) }
}
