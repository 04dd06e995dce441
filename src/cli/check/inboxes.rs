//! Each inbox: the way to it, what its server can do and what each thing that it cannot costs, and whether the mail in it has
//! the trace fields that are believed. Nothing in it is marked.

use std::collections::BTreeMap;

use super::finding::{Finding, Level};
use crate::cli::fetch::look;
use crate::cli::fetch::source::{graph_source, imap_source, provider};
use crate::cli::set_up::Site;
use crate::config::{AfterDelivery, Config, ConfigError, ImapConfig, ImapSecurity, InboxConfig, InboxSource};
use crate::intake::mailbox::candidates::candidates;
use crate::intake::mailbox::graph::GraphSource;
use crate::intake::mailbox::imap::{Capabilities, Folder, ImapFolder, Selected};
use crate::intake::mailbox::report::Report;
use crate::intake::mailbox::source::{Got, OpenMailbox, Source, Wanted};
use crate::mail::{Item, Provider};

/// Checks all of them.
pub(super) async fn check(config: &Config, site: &Site) -> Vec<Finding> {
    let mut findings = Vec::new();
    for inbox in &config.inboxes {
        match look_into(config, site, inbox).await {
            Ok(found) => findings.extend(found),
            Err(why) => findings.push(Finding::failed(part(inbox), why)),
        }
    }
    findings
}

fn part(inbox: &InboxConfig) -> String {
    format!("inbox {}", inbox.name.value)
}

async fn look_into(config: &Config, site: &Site, inbox: &InboxConfig) -> Result<Vec<Finding>, String> {
    let first_line = |error: ConfigError| error.to_string().lines().next().unwrap_or_default().to_owned();
    let imap = match &inbox.source {
        InboxSource::Imap(imap) => imap,
        InboxSource::Graph(graph) => {
            let source = graph_source(config, inbox, graph, None, Report::silent(&inbox.name.value));
            return look_into_graph(config, site, inbox, source.map_err(first_line)?).await;
        }
    };
    let source = imap_source(config, inbox, imap).map_err(first_line)?;
    let user = inbox.user(config.file()).map_err(first_line)?;
    // Not read-only: whether it can be changed shows in this alone, and opening changes nothing.
    let mut open = source.open(false).await.map_err(|failure| failure.to_string())?;
    let mut findings = vec![way_in(inbox, imap, &user, &open)];
    let (can, selected) = (open.connection().session().capabilities(), *open.connection().session().selected());
    findings.extend(costs(inbox, &can, &selected));
    if let AfterDelivery::MoveTo(name) = &inbox.after {
        findings.push(target(&mut open, inbox, name).await?);
    }
    findings.push(backlog(&mut open, site, inbox).await?);
    findings.extend(newest(&mut open, config, site, inbox).await?);
    open.close().await;
    Ok(findings)
}

/// The token, its permissions, the folder. Nothing is marked, and the ledger is not told.
async fn look_into_graph(
    config: &Config,
    site: &Site,
    inbox: &InboxConfig,
    source: GraphSource,
) -> Result<Vec<Finding>, String> {
    let mut open = source.open(false).await.map_err(|failure| failure.to_string())?;
    let has = source.graph.roles().await;
    let permissions = match &has {
        None => "its permissions cannot be read".to_owned(),
        Some(roles) if roles.is_empty() => "it has no permissions".to_owned(),
        Some(roles) => format!("it has {}", roles.join(", ")),
    };
    let before = open.count_before().await.map_err(|failure| failure.to_string())?;
    let mut findings = vec![Finding::ok(
        part(inbox),
        format!("the token is good ({permissions}); {} can be listed ({before})", inbox.place()),
    )];
    if has.is_some_and(|roles| !roles.iter().any(|role| role == "Mail.ReadWrite")) {
        let what = "the token does not have the application permission Mail.ReadWrite: nothing can be marked or deleted; \
                    grant it, with an administrator's consent";
        findings.push(Finding::failed(part(inbox), what));
    }
    if inbox.after == (AfterDelivery::Delete { expunge: true }) {
        let what = "expunge_deleted: permanentDelete is known in the global cloud alone; elsewhere messages go to Deleted Items";
        findings.push(Finding::ok(part(inbox), what));
    }
    findings.push(backlog(&mut open, site, inbox).await?);
    findings.extend(newest(&mut open, config, site, inbox).await?);
    open.close().await;
    Ok(findings)
}

/// How the connection was made, and to what.
fn way_in(inbox: &InboxConfig, imap: &ImapConfig, user: &str, open: &ImapFolder) -> Finding {
    let how = match imap.security {
        ImapSecurity::Tls => "TLS",
        ImapSecurity::StartTls => "STARTTLS",
        ImapSecurity::Loopback => "plain text on this host",
    };
    let standing = open.standing();
    let text = format!(
        "{} logged in at {}:{} by {how}; {} is open ({} messages, UIDVALIDITY {}, UIDNEXT {})",
        user,
        imap.host.value,
        imap.port,
        inbox.folder,
        open.connection().session().selected().exists,
        standing.validity,
        standing.next,
    );
    Finding::ok(part(inbox), text)
}

/// What the server or the folder does not give, with what that costs.
fn costs(inbox: &InboxConfig, can: &Capabilities, selected: &Selected) -> Vec<Finding> {
    let warning = |text: String| Finding::warning(part(inbox), text);
    let mut findings = Vec::new();
    let (deletes, expunges, moves) = match &inbox.after {
        AfterDelivery::Keep => (false, false, false),
        AfterDelivery::Delete { expunge } => (true, *expunge, provider(inbox) == Provider::Gmail),
        AfterDelivery::MoveTo(_) => (true, true, true),
    };
    if selected.read_only {
        let text = format!(
            "{} is read-only for this user: nothing can be marked, what is done is known to the ledger alone",
            inbox.folder
        );
        return vec![warning(text)];
    }
    if !can.idle {
        let every = humantime::format_duration(inbox.poll_interval);
        findings.push(warning(format!("the server has no IDLE: mail is looked for each {every} (poll_interval)")));
    }
    if expunges && !moves && !can.uidplus {
        findings.push(warning(
            "the server has no UIDPLUS: what is deleted is marked and never removed, because removing it would remove what \
             others have marked, too"
                .to_owned(),
        ));
    }
    if moves && !can.moves {
        findings.push(match can.uidplus {
            true => Finding::ok(part(inbox), "the server has no MOVE: messages are copied and then deleted"),
            false => warning("the server has neither MOVE nor UIDPLUS: messages are marked, and stay".to_owned()),
        });
    }
    let permanent = selected.permanent;
    if deletes && permanent.is_some_and(|permanent| !permanent.deleted) {
        findings.push(warning("this user may not delete in the folder: messages are marked, and stay".to_owned()));
    }
    if !deletes && permanent.is_some_and(|permanent| !permanent.done) {
        let text = match permanent.is_some_and(|permanent| permanent.seen) {
            true => {
                "the folder keeps no keywords: what is done is marked as read, and only the ledger tells it from what a person has read"
            }
            false => "the folder keeps no flags: what is done is known to the ledger alone",
        };
        findings.push(warning(format!("{text}; a second host begins with mailhatch inbox restart --since=unseen")));
    }
    findings
}

/// The folder that messages go to.
async fn target(open: &mut ImapFolder, inbox: &InboxConfig, name: &str) -> Result<Finding, String> {
    let Some(folder) = Folder::named(name) else {
        return Ok(Finding::failed(part(inbox), "move_to is not a valid name"));
    };
    Ok(match open.has_folder(&folder).await.map_err(|failure| failure.to_string())? {
        true => Finding::ok(part(inbox), format!("move_to: the folder \"{name}\" is there")),
        false => Finding::failed(
            part(inbox),
            format!("move_to: there is no folder \"{name}\"; make it: mailhatch creates no folders"),
        ),
    })
}

/// What is there to be read, and what is not.
async fn backlog(open: &mut impl OpenMailbox, site: &Site, inbox: &InboxConfig) -> Result<Finding, String> {
    let loaded = look::known(site, &inbox.name.value).await?;
    let found = candidates(open, loaded, inbox.since).await.map_err(|failure| failure.to_string())?;
    let text = format!("{} messages are not done", found.numbers.len());
    Ok(Finding::ok(
        part(inbox),
        match found.beginning {
            Some(beginning) => format!("first run, {beginning}; {text}"),
            None => text,
        },
    ))
}

/// Whether the newest message looks like what this provider hands out.
async fn newest(
    open: &mut impl OpenMailbox,
    config: &Config,
    site: &Site,
    inbox: &InboxConfig,
) -> Result<Option<Finding>, String> {
    let name = match provider(inbox) {
        Provider::None => return Ok(None),
        Provider::Gmail => "gmail",
        Provider::ExchangeOnline => "exchange-online",
        Provider::Own { .. } => "own",
    };
    let found = open
        .find(Wanted::From(crate::intake::mailbox::number_set::Number::MIN))
        .await
        .map_err(|failure| failure.to_string())?;
    let Some(number) = found.last() else { return Ok(None) };
    let Got::Message(letter) = open.fetch(number, &look::room(config)).await.map_err(|failure| failure.to_string())?
    else {
        return Ok(None);
    };
    let which = match &letter.item {
        Item::Uid { uid, .. } => format!("UID {uid}"),
        Item::Id { id } => format!("item {id}"),
    };
    let fetched = look::fetched(config, inbox, *letter, true)?;
    let is_believed = site.engine.believes_trace_of(&fetched);
    Ok(Some(match is_believed {
        true => Finding::ok(
            part(inbox),
            format!("the newest message ({which}) has the trace fields of provider \"{name}\""),
        ),
        false => Finding::warning(
            part(inbox),
            format!(
                "the newest message ({which}) does not have the trace fields of provider \"{name}\": its envelope sender is \
                 unknown, and DKIM alone proves a sender; see provider in mailhatch.toml(5)"
            ),
        ),
    }))
}

/// What `check` says of the metrics of `fetch`.
pub(super) fn doors(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(address) = config.fetch.metrics.filter(|address| !address.ip().is_loopback()) {
        findings.push(Finding::warning(
            "configuration",
            format!("fetch.metrics {address} faces the network without a password: keep all but Prometheus out by a firewall"),
        ));
    }
    // Two inboxes of one mailbox hand over each message once, but both mark.
    let mut places: BTreeMap<_, &str> = BTreeMap::new();
    for inbox in &config.inboxes {
        if let Some(other) = places.insert(inbox.place().to_lowercase(), &inbox.name.value) {
            findings.push(Finding {
                part: "configuration".to_owned(),
                level: Level::Warning,
                text: format!("the inboxes {other} and {} are the same folder: leave one", inbox.name.value),
            });
        }
    }
    findings
}
