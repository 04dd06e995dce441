//! Postfix: does the mail of each mailbox lead here, and will nothing on its way bounce, fold or lose it?
//!
//! It is asked through its own commands, `postconf` and `postmap -q`, and nothing is changed.

mod instance;
mod limits;
mod refuse;
mod route;
mod transport;

use std::path::Path;

use super::finding::Finding;
use super::probe::address_of;
use super::sockets::Use;
use crate::config::{Config, ListenAddress};
use crate::route::Routes;
use instance::{Absent, Instance};
use route::Class;
use transport::Kind;

/// What was found, and what the sockets are needed for.
pub(super) struct Wiring {
    pub findings: Vec<Finding>,
    pub use_of_sockets: Use,
    /// Where Postfix asks at RCPT TO.
    pub policy_sockets: Vec<ListenAddress>,
}

impl Wiring {
    fn unknown(finding: Finding, config: &Config) -> Self {
        let use_of_sockets = if config.inboxes.is_empty() { Use::Needed } else { Use::None };
        Self { findings: vec![finding], use_of_sockets, policy_sockets: Vec::new() }
    }
}

/// Checks the Postfix of this host.
pub(super) fn check(directory: Option<&Path>, config: &Config, routes: &Routes) -> Wiring {
    let instance = match Instance::read(directory) {
        Ok(instance) => instance,
        Err(Absent::NotInstalled) => {
            let text = "skipped: Postfix is not installed here (no postconf)";
            return Wiring::unknown(Finding::ok("postfix", text), config);
        }
        Err(Absent::Broken(why)) => return Wiring::unknown(Finding::failed("postfix", why), config),
    };
    let mut findings = vec![Finding::ok("postfix", instance.name())];
    let mut transports: Vec<transport::Transport> = Vec::new();
    for mailbox in &config.mailboxes {
        let part = format!("postfix {}", mailbox.name.value);
        let address = address_of(mailbox);
        match route::find(&instance, &address) {
            Ok(route) => {
                let (finding, transport) = transport::leads_here(&instance, config, &part, &route);
                if transport.is_none() && !config.inboxes.is_empty() {
                    // It comes from an inbox, and may not concern this Postfix at all.
                    let text = format!("{address} does not lead here; its mail comes from an inbox");
                    findings.push(Finding::ok(part, text));
                    continue;
                }
                findings.push(finding);
                findings.extend(route::accepts(&instance, &part, &address, &route));
                findings.extend(shared_domain(&instance, &part, &address, &route));
                transports.extend(transport.filter(|new| !transports.iter().any(|known| known.name == new.name)));
            }
            Err(why) => findings.push(Finding::failed(part, why)),
        }
    }
    for transport in &transports {
        findings.extend(transport::settings(&instance, config, transport));
    }
    findings.extend(limits::check(&instance, config, &transports));
    let by_pipe_only = !transports.is_empty() && transports.iter().all(|transport| transport.kind == Kind::Pipe);
    let asking = refuse::check(&instance, config, routes, by_pipe_only);
    findings.extend(asking.findings);
    let by_inbox_only = transports.is_empty() && !config.inboxes.is_empty();
    let use_of_sockets = if by_pipe_only || by_inbox_only { Use::None } else { Use::Needed };
    Wiring { findings, use_of_sockets, policy_sockets: asking.sockets }
}

/// Who may write to an address at people's domain can pass for one of them: other services believe an address at the
/// domain, and their confirmation mail stands in the issue for its reader.
fn shared_domain(instance: &Instance, part: &str, address: &str, route: &route::Route) -> Option<Finding> {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let is_origin = ["mydomain", "myorigin"].iter().any(|name| instance.setting(name).eq_ignore_ascii_case(domain));
    let has_people = match route.class {
        Class::Local => true,
        Class::VirtualMailbox => !instance.setting("virtual_mailbox_maps").is_empty(),
        Class::VirtualAlias | Class::Relay | Class::Foreign => is_origin,
    };
    has_people.then(|| {
        Finding::warning(
            part,
            format!(
                "people have addresses at {domain} too: whoever knows an issue address there can sign up elsewhere as one of \
                 them and read the confirmation mail in the issue; give the mailbox a domain of its own"
            ),
        )
    })
}
