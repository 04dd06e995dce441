//! The transport that hands over: that it leads to this mailhatch, and how it is set.

use super::super::finding::Finding;
use super::instance::{Instance, Service};
use super::route::Route;
use crate::config::{AuthMethod, Config, ListenAddress};

/// How mail is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lmtp,
    Pipe,
}

/// A transport that leads here.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) name: String,
    pub(super) kind: Kind,
    service: Service,
}

/// Whether a route ends at this mailhatch.
pub(super) fn leads_here(
    instance: &Instance,
    config: &Config,
    part: &str,
    route: &Route,
) -> (Finding, Option<Transport>) {
    let Route { transport, nexthop, because, .. } = route;
    let enable = "run mailhatch-postfix enable for the domain";
    let fail = |text: String| (Finding::failed(part, text), None);
    let Some(service) = instance.service(transport) else {
        return fail(format!("{because} names the transport {transport}, which is not in master.cf: {enable}"));
    };
    let is_mailhatch = service.command.iter().any(|word| word.rsplit('/').next() == Some("mailhatch"));
    let kind = match service.command.first().map(String::as_str) {
        Some("lmtp") => Kind::Lmtp,
        Some("pipe") if is_mailhatch => Kind::Pipe,
        program => {
            let program = program.unwrap_or("nothing");
            return fail(format!(
                "mail goes to {transport}:{nexthop} ({program}), not to mailhatch ({because}): {enable}"
            ));
        }
    };
    if kind == Kind::Lmtp {
        if !listens_at(config, nexthop) {
            return fail(format!("mail goes by LMTP to {nexthop}, which is not in listen.lmtp ({because})"));
        }
        if service.chroot && nexthop.starts_with("unix:/") {
            return fail(format!(
                "the transport {transport} is chrooted, so it looks for {nexthop} below {}: run postconf -F \
                 '{transport}/unix/chroot=n'",
                instance.setting("queue_directory")
            ));
        }
    }
    let text = match kind {
        Kind::Lmtp => format!("mail goes by LMTP to {nexthop} ({because})"),
        Kind::Pipe => format!("mail goes by pipe to mailhatch pipe ({because})"),
    };
    let found = Transport { name: transport.clone(), kind, service: service.clone() };
    (Finding::ok(part, text), Some(found))
}

/// `unix:/path`, `inet:host:port`, `[host]:port` or `host:port`.
fn listens_at(config: &Config, nexthop: &str) -> bool {
    config.listen.lmtp.iter().any(|address| match address {
        ListenAddress::Unix(path) => nexthop.strip_prefix("unix:").is_some_and(|named| path.as_os_str() == named),
        ListenAddress::Tcp(address) => {
            let nexthop = nexthop.strip_prefix("inet:").unwrap_or(nexthop);
            let (host, port) = nexthop.rsplit_once(':').unwrap_or((nexthop, "24"));
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let same_host = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
            same_host && port.parse() == Ok(address.port())
        }
    })
}

/// What its settings would do to mail.
pub(super) fn settings(instance: &Instance, config: &Config, transport: &Transport) -> Vec<Finding> {
    let part = format!("postfix {}", transport.name);
    let mut wrong = Vec::new();
    match transport.kind {
        Kind::Lmtp => lmtp(instance, config, transport, &mut wrong),
        Kind::Pipe => pipe(instance, config, transport, &mut wrong),
    }
    if instance.setting_of(&transport.name, "unix", "soft_bounce") != "yes" {
        wrong.push(Finding::warning(
            "",
            "a fault of mailhatch itself would bounce mail: add -o soft_bounce=yes to the transport in master.cf",
        ));
    }
    if wrong.is_empty() {
        wrong.push(Finding::ok("", "every setting of the transport is as it should be"));
    }
    for finding in &mut wrong {
        finding.part.clone_from(&part);
    }
    wrong
}

fn lmtp(instance: &Instance, config: &Config, transport: &Transport, wrong: &mut Vec<Finding>) {
    let of = |name: &str| instance.setting_of(&transport.name, "unix", name);
    let option = |text: &str| format!("add -o {text} to the transport in master.cf");
    if config.auth.method == AuthMethod::Verify && of("lmtp_send_xforward_command") != "yes" {
        wrong.push(Finding::warning(
            "",
            format!(
                "mailhatch is not told the client's address, so SPF proves nobody: {}",
                option("lmtp_send_xforward_command=yes")
            ),
        ));
    }
    let line = of("lmtp_line_length_limit");
    if line != "0" {
        wrong.push(Finding::warning(
            "",
            format!("lines over {line} octets are folded, which breaks DKIM: {}", option("lmtp_line_length_limit=0")),
        ));
    }
    let wait = Instance::time(of("lmtp_data_done_timeout"), 's');
    if wait.is_some_and(|wait| wait <= config.limits.deadline) {
        wrong.push(Finding::failed(
            "",
            format!(
                "lmtp_data_done_timeout ({}) is not above limits.deadline ({}): Postfix gives up while mailhatch delivers; {}",
                of("lmtp_data_done_timeout"),
                humantime::format_duration(config.limits.deadline),
                option("lmtp_data_done_timeout=300s")
            ),
        ));
    }
}

fn pipe(instance: &Instance, config: &Config, transport: &Transport, wrong: &mut Vec<Finding>) {
    let words = &transport.service.command;
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let mut fail = |text: String| wrong.push(Finding::failed("", text));
    if value("null_sender") != Some("") {
        fail(
            "a null sender comes as MAILER-DAEMON, so bounces are not known as bounces: add null_sender= in master.cf"
                .into(),
        );
    }
    let flags = value("flags").unwrap_or_default();
    if !flags.contains('q') {
        fail(format!("flags={flags} loses the quotes of a local part: use flags=q in master.cf"));
    }
    for (flag, what) in [
        ('D', "bounces what comes back here"),
        ('F', "puts a From_ line before the message"),
        ('>', "changes lines that begin with From"),
        ('.', "changes lines that begin with a dot"),
        ('u', "changes the case of a key"),
        ('h', "changes the case of the domain"),
    ] {
        if flags.contains(flag) {
            fail(format!("flag {flag} {what}: use flags=q in master.cf"));
        }
    }
    if !words.iter().any(|word| word == "pipe" || word.ends_with("/pipe")) || !words[1..].iter().any(|w| w == "pipe") {
        fail("its argv does not call mailhatch pipe".into());
    }
    for (option, macro_name) in [
        ("--sender", "sender"),
        ("--recipient", "recipient"),
        ("--original-recipient", "original_recipient"),
        ("--client-address", "client_address"),
    ] {
        if !words.contains(&format!("{option}=${{{macro_name}}}")) {
            fail(format!("its argv does not hand over {option}=${{{macro_name}}}: see the postfix/ pieces"));
        }
    }
    let limit = |name: &str| {
        let own = instance.setting(&format!("{}_{name}", transport.name));
        if own.is_empty() { instance.setting(&format!("default_{name}")).to_owned() } else { own.to_owned() }
    };
    let recipients = limit("destination_recipient_limit");
    if recipients != "1" {
        wrong.push(Finding::warning(
            "",
            format!(
                "{recipients} recipients share one process and one exit status, so that one that waits makes all wait: set \
                 {}_destination_recipient_limit = 1",
                transport.name
            ),
        ));
    }
    let own = instance.setting(&format!("{}_time_limit", transport.name));
    let time = if own.is_empty() { instance.setting("command_time_limit") } else { own };
    if Instance::time(time, 's').is_some_and(|time| time <= config.limits.deadline) {
        wrong.push(Finding::failed(
            "",
            format!(
                "{}_time_limit ({time}) is not above limits.deadline ({}): Postfix kills the process and bounces the mail",
                transport.name,
                humantime::format_duration(config.limits.deadline)
            ),
        ));
    }
}
