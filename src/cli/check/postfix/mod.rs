//! Postfix: does the mail of each mailbox lead here, and will nothing on its way bounce, fold or lose it?
//!
//! It is asked through its own commands, `postconf` and `postmap -q`, and nothing is changed.

mod instance;
mod limits;
mod route;
mod transport;

use std::path::Path;

use super::finding::Finding;
use super::sockets::Use;
use crate::config::Config;
use instance::{Absent, Instance};
use route::Class;
use transport::Kind;

/// What was found, and what the sockets are needed for.
pub(super) struct Wiring {
    pub findings: Vec<Finding>,
    pub use_of_sockets: Use,
}

/// Checks the Postfix of this host.
pub(super) fn check(directory: Option<&Path>, config: &Config) -> Wiring {
    let instance = match Instance::read(directory) {
        Ok(instance) => instance,
        Err(Absent::NotInstalled) => {
            let text = "skipped: Postfix is not installed here (no postconf)";
            return Wiring { findings: vec![Finding::ok("postfix", text)], use_of_sockets: Use::Needed };
        }
        Err(Absent::Broken(why)) => {
            return Wiring { findings: vec![Finding::failed("postfix", why)], use_of_sockets: Use::Needed };
        }
    };
    let mut findings = vec![Finding::ok("postfix", instance.name())];
    let mut transports: Vec<transport::Transport> = Vec::new();
    for mailbox in &config.mailboxes {
        let part = format!("postfix {}", mailbox.name.value);
        let address = mailbox.address.value.replace("%{key}", "mailhatch-check");
        match route::find(&instance, &address) {
            Ok(route) => {
                let (finding, transport) = transport::leads_here(&instance, config, &part, &route);
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
    Wiring { findings, use_of_sockets: if by_pipe_only { Use::None } else { Use::Needed } }
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
