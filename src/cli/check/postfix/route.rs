//! Where Postfix would send a message, as trivial-rewrite(8) decides it.

use super::super::finding::Finding;
use super::super::probe::KEY;
use super::instance::Instance;

/// The address class of a domain (ADDRESS_CLASS_README).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nobody's here: mail for it is for another host.
    Foreign,
    /// `mydestination`
    Local,
    /// `relay_domains`
    Relay,
    /// `virtual_alias_domains`
    VirtualAlias,
    /// `virtual_mailbox_domains`
    VirtualMailbox,
}

impl Class {
    fn list(self) -> &'static str {
        match self {
            Self::Foreign => "no list of domains",
            Self::Local => "mydestination",
            Self::Relay => "relay_domains",
            Self::VirtualAlias => "virtual_alias_domains",
            Self::VirtualMailbox => "virtual_mailbox_domains",
        }
    }

    fn recipient_maps(self) -> Option<&'static str> {
        match self {
            Self::Foreign | Self::VirtualAlias => None,
            Self::Local => Some("local_recipient_maps"),
            Self::Relay => Some("relay_recipient_maps"),
            Self::VirtualMailbox => Some("virtual_mailbox_maps"),
        }
    }

    fn transport(self) -> &'static str {
        match self {
            Self::Foreign => "default_transport",
            Self::Local => "local_transport",
            Self::Relay => "relay_transport",
            Self::VirtualAlias => "error",
            Self::VirtualMailbox => "virtual_transport",
        }
    }
}

/// Transport and next hop for an address.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) class: Class,
    pub(super) transport: String,
    pub(super) nexthop: String,
    /// The table entry or parameter that says so.
    pub(super) because: String,
}

/// Finds it.
pub(super) fn find(instance: &Instance, address: &str) -> Result<Route, String> {
    let (local, domain) = address.rsplit_once('@').ok_or_else(|| format!("{address} has no domain"))?;
    let class = class(instance, domain)?;
    let (answer, because) = match transport_entry(instance, local, domain)? {
        Some((key, answer)) => (answer, format!("transport_maps has {key}")),
        None => (instance.setting(class.transport()).to_owned(), class.transport().to_owned()),
    };
    let (transport, nexthop) = answer.split_once(':').unwrap_or((&answer, ""));
    // An empty transport leaves that of the class in place (transport(5)).
    let own = instance.setting(class.transport());
    let transport = if transport.is_empty() { own.split(':').next().unwrap_or_default() } else { transport };
    let nexthop = if nexthop.is_empty() { domain } else { nexthop };
    Ok(Route { class, transport: transport.to_owned(), nexthop: nexthop.to_owned(), because })
}

fn class(instance: &Instance, domain: &str) -> Result<Class, String> {
    for class in [Class::Local, Class::VirtualAlias, Class::VirtualMailbox, Class::Relay] {
        if instance.lists(class.list(), domain)? {
            return Ok(class);
        }
    }
    Ok(Class::Foreign)
}

/// The order of transport(5): the address, without its extension, the domain, the domains above it, everything.
fn transport_entry(instance: &Instance, local: &str, domain: &str) -> Result<Option<(String, String)>, String> {
    let mut keys = vec![format!("{local}@{domain}")];
    keys.extend(without_extension(instance, local).map(|user| format!("{user}@{domain}")));
    keys.push(domain.to_owned());
    let above = domain.match_indices('.').map(|(at, _)| domain[at..].to_owned());
    keys.extend(above);
    keys.push("*".to_owned());
    for key in keys {
        if let Some(answer) = instance.look_up(instance.setting("transport_maps"), &key)? {
            return Ok(Some((key, answer)));
        }
    }
    Ok(None)
}

pub(super) fn without_extension<'a>(instance: &Instance, local: &'a str) -> Option<&'a str> {
    let delimiters = instance.setting("recipient_delimiter");
    let at = local.find(|c| delimiters.contains(c))?;
    Some(&local[..at]).filter(|user| !user.is_empty())
}

/// Whether smtpd(8) takes mail for the address: the domain is one of ours, and the recipient is known where there is a
/// table of known ones.
pub(super) fn accepts(instance: &Instance, part: &str, address: &str, route: &Route) -> Option<Finding> {
    let (local, domain) = address.rsplit_once('@')?;
    let Some(maps) = route.class.recipient_maps() else {
        return Some(Finding::failed(
            part,
            format!(
                "Postfix does not take mail for {domain} from other hosts (it is in {}): put it into \
                 virtual_mailbox_domains, as mailhatch-postfix enable {domain} does",
                route.class.list()
            ),
        ));
    };
    if instance.setting(maps).is_empty() {
        return None;
    }
    let mut keys = vec![format!("{local}@{domain}")];
    keys.extend(without_extension(instance, local).map(|user| format!("{user}@{domain}")));
    if route.class == Class::Local {
        keys.push(local.to_owned());
        keys.extend(without_extension(instance, local).map(str::to_owned));
    }
    keys.push(format!("@{domain}"));
    for key in keys {
        match instance.look_up(instance.setting(maps), &key) {
            Ok(Some(_)) => return None,
            Ok(None) => {}
            // Tables such as unix:passwd.byname are there for smtpd to ask, and may be closed to us.
            Err(why) => return Some(Finding::warning(part, format!("{maps}: {why}"))),
        }
    }
    // An alias gives the address another way in.
    if let Ok(Some(_)) = instance.look_up(instance.setting("virtual_alias_maps"), &format!("@{domain}")) {
        return None;
    }
    let delimiters = instance.setting("recipient_delimiter");
    let delimiter = address_delimiter(local);
    let advice = match delimiter.filter(|delimiter| !delimiters.contains(*delimiter)) {
        Some(delimiter) => format!(
            "recipient_delimiter is \"{delimiters}\", so that what stands behind \"{delimiter}\" is taken for the name: set \
             recipient_delimiter = {delimiter}"
        ),
        None => format!("put {} or @{domain} into {maps}", without_extension(instance, local).unwrap_or(local)),
    };
    Some(Finding::failed(part, format!("Postfix refuses {local}@{domain} as an unknown user: {advice}")))
}

/// What stands before the key.
fn address_delimiter(local: &str) -> Option<char> {
    local.split_once(KEY).and_then(|(before, _)| before.chars().next_back())
}
