//! The modules that reach outside: applications, DNS, ledger.

use std::fs;
use std::net::IpAddr;

use bytesize::ByteSize;

use super::finding::Finding;
use crate::app::Apps;
use crate::auth::Authenticator;
use crate::config::{AuthMethod, Config, SecretSource};
use crate::held::HeldStore;
use crate::ledger::{Ledger, StoreLevel};
use crate::notice::Notifier;

/// Each secret file: there, readable, and closed to others.
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let check = |secret: &SecretSource| match secret.read_only_one() {
        Ok(read) if read.expose().is_empty() => Err(format!("{} is empty", secret.place())),
        Ok(_) if secret.is_file() => Ok(format!("{} is closed to others", secret.place())),
        Ok(_) => Ok(format!("{} can be read", secret.place())),
        Err(why) if secret.is_file() => {
            Err(format!("{why}; it must be readable for the service's user and for nobody else"))
        }
        Err(why) => Err(why),
    };
    let apps =
        config.apps.iter().filter_map(|app| Some((format!("secret {}", app.name.value), config.secret_of(app)?)));
    let shared = config.shared.as_ref().and_then(|shared| shared.secret.clone());
    apps.chain(shared.map(|secret| ("secret of shared".to_owned(), secret)))
        .map(|(part, secret)| Finding::of(part, check(&secret)))
        .collect()
}

/// Each application as its own kind can be tried.
pub(super) async fn applications(config: &Config, secrets_are_good: bool) -> Vec<Finding> {
    let apps = match Apps::new(config) {
        Ok(apps) => apps,
        // The secret's own line has said it.
        Err(_) if !secrets_are_good => {
            return vec![Finding::failed("applications", "not tried, because a secret is missing")];
        }
        Err(error) => {
            // The lines below the first show the place in the file.
            let text = error.to_string();
            return vec![Finding::failed("applications", text.lines().next().unwrap_or_default())];
        }
    };
    let mut findings = Vec::new();
    for app in &config.apps {
        let Some(door) = apps.get(&app.name.value) else { continue };
        findings.push(Finding::of(format!("application {}", app.name.value), door.check().await));
    }
    findings
}

/// Each name server by itself: a dead one among two makes every message slow.
pub(super) async fn dns(config: &Config) -> Vec<Finding> {
    let checked = match Authenticator::new(config) {
        Ok(authenticator) => authenticator.check().await,
        Err(error) => Err(error.to_string()),
    };
    let servers = match checked {
        Ok(servers) if servers.is_empty() && config.auth.method == AuthMethod::Verify => {
            return vec![Finding::failed(
                "dns",
                "no name server is known: set auth.nameservers or fix /etc/resolv.conf",
            )];
        }
        Ok(servers) => servers,
        Err(why) => return vec![Finding::failed("dns", why)],
    };
    let mut findings = Vec::new();
    for (server, answer) in servers {
        let part = format!("dns {server}");
        match answer {
            Err(why) => findings.push(Finding::failed(part, format!("{why}; without DNS no sender is proven"))),
            Ok(text) if is_loopback(&server) => findings.push(Finding::ok(part, text)),
            Ok(text) => findings.push(Finding::warning(
                part,
                format!(
                    "{text}, but it is not on this host: whoever can forge its answers can prove any sender; run a \
                     validating resolver here (unbound), or set auth.nameservers"
                ),
            )),
        }
    }
    findings
}

/// The administrator's texts for notices. One that is broken costs no notice, so it is only a warning.
pub(super) fn notices(config: &Config) -> Vec<Finding> {
    const PART: &str = "notice templates";
    match Notifier::new(config).map(|notifier| notifier.template_faults()) {
        Err(error) => vec![Finding::failed("notice", error.to_string().lines().next().unwrap_or_default())],
        Ok(None) => Vec::new(),
        Ok(Some(faults)) if faults.is_empty() => vec![Finding::ok(PART, "all can be read")],
        Ok(Some(faults)) => faults.into_iter().map(|fault| Finding::warning(PART, fault)).collect(),
    }
}

/// The store that several hosts share, and what waits for it.
pub(super) async fn shared(config: &Config) -> Vec<Finding> {
    const PART: &str = "shared ledger";
    let found = Ledger::new(config).check_sharing().await.into_iter();
    let mut findings: Vec<_> = found
        .map(|found| match found.level {
            StoreLevel::Good => Finding::ok(PART, found.text),
            StoreLevel::Warning => Finding::warning(PART, found.text),
            StoreLevel::Failed => Finding::failed(PART, found.text),
        })
        .collect();
    if let Some(shared) = &config.shared
        && shared.secret.is_none()
    {
        findings.push(Finding::warning(
            PART,
            "there is no shared.secret_file: whoever reaches the store can say that mail was delivered, and learn who got \
             notices",
        ));
    }
    findings
}

fn is_loopback(server: &str) -> bool {
    let address = server.parse::<std::net::SocketAddr>().map(|address| address.ip());
    address.or_else(|_| server.parse::<IpAddr>()).is_ok_and(|ip| ip.is_loopback())
}

/// The ledger and the held copies, through the same door as every delivery.
pub(super) async fn state(config: &Config) -> Vec<Finding> {
    // A check must not make what the service's user is to make.
    if fs::metadata(&config.state_dir).is_err() {
        return vec![Finding::failed("ledger", format!("not tried: there is no {}", config.state_dir.display()))];
    }
    let ledger = Ledger::new(config).check().await.map(|report| {
        let (path, size) = (report.path.display(), ByteSize(report.size));
        format!("{path} can be written ({size}): {} deliveries, {} notices", report.deliveries, report.notices)
    });
    let ledger = Finding::of("ledger", ledger.map_err(|error| error.to_string()));
    let held = match HeldStore::new(config).check().await {
        Ok((copies, size)) => {
            let text = format!("{copies} copies, {} of {}", ByteSize(size), ByteSize(config.held.max_size));
            match size > config.held.max_size / 10 * 9 {
                true => Finding::warning(
                    "held",
                    format!("{text}: above that the oldest go; look through mailhatch held list"),
                ),
                false => Finding::ok("held", text),
            }
        }
        Err(error) => Finding::failed("held", error.to_string()),
    };
    vec![ledger, held]
}
