//! Whether Postfix asks about recipients before it takes a message, and what happens when nobody answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::finding::Finding;
use super::super::probe::{KEY, address_of};
use super::instance::{Instance, Service, elements};
use crate::config::{Config, ListenAddress, RefuseMode};
use crate::mail::Address;
use crate::route::Routes;

const PART: &str = "postfix refuse";
const ENABLE: &str = "run mailhatch-postfix enable --refuse for the domain";

/// A client must not wait longer for one recipient.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found, and where Postfix asks.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub findings: Vec<Finding>,
    pub sockets: Vec<ListenAddress>,
}

/// A `check_policy_service` that is come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    /// `unix:…`, `inet:…`, or the same with attributes in braces.
    service: String,
    /// A restriction before it that may end the list for some clients.
    skipped_by: Option<String>,
}

/// Checks every smtpd for every mailbox.
pub(super) fn check(instance: &Instance, config: &Config, routes: &Routes, by_pipe_only: bool) -> Asking {
    let mut asking = Asking::default();
    let servers =
        || instance.services.iter().filter(|service| service.command.first().is_some_and(|name| name == "smtpd"));
    let (mut asked, mut not_asked) = (0, Vec::new());
    for mailbox in &config.mailboxes {
        let address = address_of(mailbox);
        let mut is_asked = false;
        for smtpd in servers() {
            let restrictions = instance.setting_of(&smtpd.name, &smtpd.kind, "smtpd_recipient_restrictions");
            match question(instance, restrictions, &address) {
                Ok(Some(question)) => {
                    is_asked = true;
                    asking.add(instance, config, smtpd, &question);
                }
                Ok(None) => {}
                Err(why) => asking.push(Finding::warning(PART, why)),
            }
        }
        if is_asked { asked += 1 } else { not_asked.push(mailbox.name.value.as_str()) }
    }
    if asked == 0 && config.listen.policy.is_empty() {
        // Nobody wants it.
        return Asking::default();
    }
    if by_pipe_only {
        let text = "mail goes by pipe, where no service runs that could answer: Postfix takes every recipient; use the variant \
                    lmtp, or take listen.policy and the restriction out";
        asking.findings.insert(0, Finding::warning(PART, text));
        return asking;
    }
    if !not_asked.is_empty() {
        let text = format!("Postfix does not ask about the recipients of {}: {ENABLE}", not_asked.join(", "));
        asking.push(Finding::warning(PART, text));
    }
    if asking.findings.is_empty() {
        let shown = asking.sockets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        asking.push(Finding::ok(PART, format!("Postfix asks {shown} at RCPT TO, and takes mail when nobody answers")));
    }
    if asked > 0 {
        asking.findings.extend(aliases(instance, config, routes));
    }
    asking
}

impl Asking {
    /// The same fault of several servers is said once.
    fn push(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn add(&mut self, instance: &Instance, config: &Config, smtpd: &Service, question: &Question) {
        let (endpoint, attributes) = parts(&question.service);
        let of = |name: &str, default: &str| {
            let own = attributes.iter().find_map(|(key, value)| (key == name).then(|| value.clone()));
            own.unwrap_or_else(|| instance.setting_of(&smtpd.name, &smtpd.kind, default).to_owned())
        };
        if !of("default_action", "smtpd_policy_service_default_action").eq_ignore_ascii_case("DUNNO") {
            let text = format!(
                "while nobody answers at {endpoint}, Postfix says 451 to every recipient and no mail comes in: add \
                 default_action=DUNNO, as mailhatch-postfix enable --refuse does"
            );
            self.push(Finding::failed(PART, text));
        }
        let timeout = of("timeout", "smtpd_policy_service_timeout");
        if Instance::time(&timeout, 's').is_some_and(|timeout| timeout > PATIENCE) {
            let text = format!(
                "a service that hangs holds up each recipient for {timeout}: add timeout=3s, try_limit=1, as \
                 mailhatch-postfix enable --refuse does"
            );
            self.push(Finding::warning(PART, text));
        }
        if let Some(restriction) = &question.skipped_by {
            let text = format!(
                "{restriction} stands before the question in smtpd_recipient_restrictions, so that some clients are never \
                 refused: run mailhatch-postfix enable --refuse again, which puts it first"
            );
            self.push(Finding::warning(PART, text));
        }
        match socket(instance, smtpd, &endpoint) {
            Ok(socket) => {
                if !config.listen.policy.contains(&socket) {
                    let text = format!(
                        "Postfix asks at {socket}, which is not in listen.policy: set policy = [\"{socket}\"] there, also \
                         where systemd hands the socket over"
                    );
                    self.push(Finding::warning(PART, text));
                }
                if !self.sockets.contains(&socket) {
                    self.sockets.push(socket);
                }
            }
            Err(why) => self.push(Finding::failed(PART, why)),
        }
    }
}

/// The question that the recipient of a message would come to.
fn question(instance: &Instance, restrictions: &str, address: &str) -> Result<Option<Question>, String> {
    let mut skipped_by = None;
    let mut words = elements(restrictions).into_iter();
    while let Some(word) = words.next() {
        let service = match word.as_str() {
            "check_policy_service" => words.next(),
            "check_recipient_access" => match words.next() {
                Some(table) => {
                    let answer = access_entry(instance, &table, address)?;
                    answer.and_then(|answer| policy_service_of(instance, answer.split([' ', ',']).next()?))
                }
                None => None,
            },
            word => policy_service_of(instance, word),
        };
        if let Some(service) = service {
            return Ok(Some(Question { service, skipped_by }));
        }
        if word.starts_with("permit") && skipped_by.is_none() {
            skipped_by = Some(word);
        }
    }
    Ok(None)
}

/// The policy service that a restriction class asks.
fn policy_service_of(instance: &Instance, class: &str) -> Option<String> {
    let is_class = elements(instance.setting("smtpd_restriction_classes")).iter().any(|name| name == class);
    let mut words = elements(if is_class { instance.setting(class) } else { "" }).into_iter();
    words.find(|word| word == "check_policy_service").and_then(|_| words.next())
}

/// The order of access(5): the address, without its extension, the domain, the domains above it, the local part.
fn access_entry(instance: &Instance, table: &str, address: &str) -> Result<Option<String>, String> {
    let Some((local, domain)) = address.rsplit_once('@') else { return Ok(None) };
    let mut keys = vec![address.to_owned()];
    let without_extension = super::route::without_extension(instance, local);
    keys.extend(without_extension.map(|user| format!("{user}@{domain}")));
    keys.push(domain.to_owned());
    keys.extend(domain.match_indices('.').map(|(at, _)| domain[at + 1..].to_owned()));
    keys.push(format!("{local}@"));
    keys.extend(without_extension.map(|user| format!("{user}@")));
    for key in keys {
        if let Some(answer) = instance.look_up(table, &key)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// `{ unix:path, name=value, … }` or the bare name.
fn parts(service: &str) -> (String, Vec<(String, String)>) {
    let inner = service.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(service);
    let mut words = elements(inner).into_iter();
    let endpoint = words.next().unwrap_or_default();
    // An attribute may stand in braces of its own: { name = value }.
    let attribute = |word: String| {
        let (name, value) = word.trim_matches(['{', '}']).split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    (endpoint, words.filter_map(attribute).collect())
}

/// Where an smtpd finds the socket.
fn socket(instance: &Instance, smtpd: &Service, endpoint: &str) -> Result<ListenAddress, String> {
    if let Some(path) = endpoint.strip_prefix("unix:") {
        let queue = PathBuf::from(instance.setting("queue_directory"));
        if smtpd.chroot && Path::new(path).is_absolute() {
            return Err(format!(
                "{} is chrooted (master.cf), so it looks for {path} below {}: write unix:mailhatch/policy.sock, which is \
                 found with and without chroot",
                smtpd.name,
                queue.display()
            ));
        }
        // An absolute path replaces the queue directory.
        return Ok(ListenAddress::Unix(queue.join(path)));
    }
    let address = endpoint.strip_prefix("inet:").unwrap_or(endpoint).replace("localhost", "127.0.0.1");
    address.parse().map(ListenAddress::Tcp).map_err(|_| format!("{endpoint} is not an address of this host"))
}

/// Postfix asks before it follows aliases, so an alias must not look like an unknown address.
fn aliases(instance: &Instance, config: &Config, routes: &Routes) -> Option<Finding> {
    let part = "postfix aliases";
    let (listed, not_listed) = match instance.entries(instance.setting("virtual_alias_maps")) {
        Ok(found) => found,
        Err(why) => return Some(Finding::warning(part, why)),
    };
    let delimiter = instance.setting("recipient_delimiter").chars().next();
    let origin = instance.setting("myorigin");
    let would_be_refused = |entry: &&String| {
        let (local, domain) = entry.rsplit_once('@').unwrap_or((entry, origin));
        let names = match (local, delimiter) {
            // The whole domain.
            ("", _) => vec![KEY.to_owned()],
            // An alias takes its sub-addresses along.
            (local, Some(delimiter)) => vec![local.to_owned(), format!("{local}{delimiter}{KEY}")],
            (local, None) => vec![local.to_owned()],
        };
        let address = |name: &String| Address::parse(&format!("{name}@{domain}"));
        names.iter().filter_map(address).any(|address| routes.could_be(&address).is_unknown_address())
    };
    let refused: Vec<_> = listed.iter().filter(would_be_refused).map(String::as_str).collect();
    if refused.is_empty() {
        let rest =
            if not_listed.is_empty() { String::new() } else { format!("; {} cannot be listed", not_listed.join(", ")) };
        return (!listed.is_empty() || !not_listed.is_empty())
            .then(|| Finding::ok(part, format!("no alias of virtual_alias_maps would be refused{rest}")));
    }
    const SHOWN: usize = 5;
    let more = refused.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let text = format!(
        "virtual_alias_maps has {}{more}: Postfix asks before it follows aliases, and mail for them would be refused; put them \
         into refuse.accept",
        refused[..refused.len().min(SHOWN)].join(", ")
    );
    Some(match config.refuse.mode {
        RefuseMode::Refuse => Finding::failed(part, text),
        RefuseMode::Log => Finding::warning(part, text),
    })
}
