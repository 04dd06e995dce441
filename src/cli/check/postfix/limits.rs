//! Limits that hold for all mail: sizes, times, status reports, milters.

use bytesize::ByteSize;

use super::super::finding::Finding;
use super::instance::Instance;
use super::transport::{Kind, Transport};
use crate::config::{AuthMethod, Config};

pub(super) fn check(instance: &Instance, config: &Config, transports: &[Transport]) -> Vec<Finding> {
    let mut findings = vec![message_size(instance, config), queue_lifetime(instance, config)];
    if transports.iter().any(|transport| transport.kind == Kind::Pipe) {
        findings.push(success_reports(instance));
    }
    if config.auth.method == AuthMethod::Trust {
        findings.push(milters(instance, config));
    }
    findings
}

fn message_size(instance: &Instance, config: &Config) -> Finding {
    let part = "postfix size";
    let ours = config.limits.message_size;
    let shown = ByteSize(ours);
    match instance.setting("message_size_limit").parse::<u64>() {
        Ok(theirs) if (1..=ours).contains(&theirs) => {
            Finding::ok(part, format!("message_size_limit {} is within limits.message_size {shown}", ByteSize(theirs)))
        }
        Ok(theirs) => {
            let theirs =
                if theirs == 0 { "is 0, which means unlimited".to_owned() } else { format!("is {}", ByteSize(theirs)) };
            Finding::warning(
                part,
                format!(
                    "message_size_limit {theirs}: what is over limits.message_size {shown} is taken first and rejected \
                     afterwards; set message_size_limit = {ours}, so that the client is told at once"
                ),
            )
        }
        Err(_) => Finding::warning(part, "message_size_limit cannot be read"),
    }
}

/// What Postfix still has at the end of its queue lifetime it returns to the sender; before that it must be held.
fn queue_lifetime(instance: &Instance, config: &Config) -> Finding {
    let part = "postfix queue lifetime";
    let text = instance.setting("maximal_queue_lifetime");
    let (Some(lifetime), Some(backoff)) =
        (Instance::time(text, 'd'), Instance::time(instance.setting("maximal_backoff_time"), 's'))
    else {
        return Finding::warning(part, "maximal_queue_lifetime or maximal_backoff_time cannot be read");
    };
    let limits = [
        ("patience", config.limits.patience),
        ("unexplained_refusals", config.limits.unexplained_refusals),
        ("undecided", config.limits.undecided),
    ];
    // As the configuration writes it: 4d, not 4days.
    let shown = |limit| humantime::format_duration(limit).to_string().replace("days", "d");
    // The try after the limit has ended must still come: there the message is held.
    let late: Vec<_> = limits.iter().filter(|(_, limit)| lifetime <= *limit + backoff).collect();
    if !late.is_empty() {
        let late: Vec<_> = late.iter().map(|(name, limit)| format!("limits.{name} {}", shown(*limit))).collect();
        let text = format!(
            "maximal_queue_lifetime ({text}) ends before a message is held ({}, and one more try): Postfix would bounce it; \
             set maximal_queue_lifetime = 5d, or lower what is in brackets",
            late.join(", ")
        );
        return Finding::failed(part, text);
    }
    Finding::ok(
        part,
        format!("maximal_queue_lifetime {text} is above limits.patience {}", shown(config.limits.patience)),
    )
}

/// pipe(8) answers NOTIFY=SUCCESS with a report to a sender that may be forged.
fn success_reports(instance: &Instance) -> Finding {
    let name = "smtpd_discard_ehlo_keywords";
    let has_dsn = |value: &str| value.to_lowercase().split([',', ' ']).any(|word| word == "dsn");
    let part = "postfix status reports";
    if has_dsn(instance.setting(name)) || instance.overridden(name).any(has_dsn) {
        Finding::ok(part, format!("{name} has dsn, so nobody can ask for a report of success"))
    } else {
        Finding::warning(
            part,
            format!("a forged sender who asks for a report of success (DSN) gets one from pipe(8): set {name} = dsn"),
        )
    }
}

/// `auth.method = "trust"` believes what our own milters wrote, so somebody must write it.
fn milters(instance: &Instance, config: &Config) -> Finding {
    let part = "postfix milters";
    let milters = instance.setting("smtpd_milters");
    let filtered = !instance.setting("content_filter").is_empty() || !instance.setting("smtpd_proxy_filter").is_empty();
    if milters.is_empty() && !filtered {
        return Finding::failed(
            part,
            "auth.method = \"trust\", but there is no milter (smtpd_milters) that would write Authentication-Results, or \
             remove forged ones: use method = \"verify\", or install OpenDKIM and OpenDMARC, or rspamd",
        );
    }
    let mut known = vec![("myhostname", instance.setting("myhostname").to_owned())];
    for file in ["/etc/opendkim.conf", "/etc/opendmarc.conf"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let ids = text.lines().filter_map(|line| line.trim().strip_prefix("AuthservID")).map(str::trim);
        known.extend(ids.filter(|id| !id.is_empty()).map(|id| (file, id.to_owned())));
    }
    let matching = known.iter().find(|(_, id)| config.auth.authserv_ids.iter().any(|own| own.eq_ignore_ascii_case(id)));
    match matching {
        Some((file, id)) => Finding::ok(part, format!("auth.authserv_ids has {id} ({file})")),
        None => {
            let known = known.iter().map(|(file, id)| format!("{id} ({file})")).collect::<Vec<_>>().join(", ");
            Finding::warning(
                part,
                format!(
                    "auth.authserv_ids {} is none of those that are usual here: {known}; with a wrong one nobody is ever \
                     proven",
                    config.auth.authserv_ids.join(", ")
                ),
            )
        }
    }
}
