//! What the configuration alone tells: it can be read, and it leaves no door open.

use std::path::Path;

use super::finding::Finding;
use crate::config::{AuthMethod, Config, ListenAddress, MailboxConfig, ScreenAction, ScreenConfig, Unproven};

pub(super) fn check(path: &Path, config: &Config) -> Vec<Finding> {
    let summary = format!(
        "{}: {} as {}",
        path.display(),
        counted(config.mailboxes.len(), "mailbox", "mailboxes"),
        config.hostname,
    );
    let mut findings = vec![Finding::ok("configuration", summary)];
    findings.extend(doors(config));
    findings
}

/// Defaults and choices that let strangers in.
fn doors(config: &Config) -> Vec<Finding> {
    let warning = |text: String| Finding::warning("configuration", text);
    let mut findings = Vec::new();
    for address in &config.listen.lmtp {
        if let ListenAddress::Tcp(address) = address
            && !address.ip().is_loopback()
        {
            findings.push(warning(format!(
                "listen.lmtp {address} faces the network: peers other than loopback are refused, so listen on 127.0.0.1 or \
                 on a Unix socket"
            )));
        }
    }
    if let Some(address) = config.listen.metrics.filter(|address| !address.ip().is_loopback()) {
        findings.push(warning(format!(
            "listen.metrics {address} faces the network without a password: keep all but Prometheus out by a firewall"
        )));
    }
    for app in &config.apps {
        let Some(url) = &app.url else { continue };
        if url.value.starts_with("http://") && !is_loopback(&url.value) {
            findings.push(warning(format!(
                "app {}: mail and its signature go over the network unencrypted: use https:// in its url",
                app.name.value
            )));
        }
    }
    let unused =
        config.apps.iter().filter(|app| !config.mailboxes.iter().any(|mailbox| mailbox.app.value == app.name.value));
    findings.extend(unused.map(|app| warning(format!("no mailbox uses the app {}", app.name.value))));
    let delivers_bounces = |screen: ScreenConfig| screen.bounces == ScreenAction::Deliver;
    if delivers_bounces(config.screen) {
        findings.push(warning(
            "screen.bounces = \"deliver\": an application that answers mail can be made to answer bounces, without end"
                .to_owned(),
        ));
    }
    let of_its_own = |mailbox: &&MailboxConfig| {
        delivers_bounces(mailbox.screen.over(config.screen)) && !delivers_bounces(config.screen)
    };
    for mailbox in config.mailboxes.iter().filter(of_its_own) {
        findings.push(warning(format!(
            "mailbox {}: screen.bounces = \"deliver\": an application that answers mail can be made to answer bounces, without end",
            mailbox.name.value
        )));
    }
    if config.auth.method == AuthMethod::Off {
        if config.notice.enabled {
            findings.push(warning(
                "auth.method = \"off\": no sender is ever proven, so no reject notice is ever sent".to_owned(),
            ));
        }
        let holding = config.mailboxes.iter().filter(|mailbox| mailbox.unproven == Unproven::Hold);
        for mailbox in holding {
            findings.push(Finding::failed(
                "configuration",
                format!(
                    "mailbox {}: unproven = \"hold\" with auth.method = \"off\" holds every message",
                    mailbox.name.value
                ),
            ));
        }
    }
    findings
}

fn is_loopback(url: &str) -> bool {
    let host = url.trim_start_matches("http://");
    ["127.", "localhost", "[::1]"].iter().any(|start| host.starts_with(start))
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
