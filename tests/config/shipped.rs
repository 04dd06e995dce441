//! What ships beside the program says of its keys what the types say: the configuration file, and the man page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use mailhatch::app::Apps;
use mailhatch::config::{
    ActionSet, ActionsConfig, AddressSource, Config, FetchConfig, Limits, Listen, NoticeConfig, Unproven,
};

use crate::app::write_file;
use crate::support::config::{GITLAB_SECRET, WEBHOOK_SECRET, secret_of};
use crate::support::process::succeed;

const SHIPPED: &str = include_str!("../../packaging/mailhatch.toml");
const MAN_PAGE: &str = include_str!("../../packaging/man/mailhatch.toml.5");

/// Keys without a default: the shipped file shows an example.
const EXAMPLES: &[&str] = &[
    "hostname",
    "references_host",
    "metrics",
    "policy",
    "ca_file",
    "fields",
    "refused_after",
    "from",
    "templates",
    "move_to",
    CREDENTIAL,
];

/// Stands instead of a secret file.
const CREDENTIAL: &str = "credential";

/// Keys that must be there.
const NEEDED: &[&str] = &[
    "name",
    "address",
    "key",
    "app",
    "kind",
    "url",
    "secret_file",
    "path",
    "pattern",
    "host",
    "user",
    "password_file",
    "auth",
    "flow",
    "tenant_id",
    "token_url",
    "client_id",
    "client_secret_file",
    "refresh_token_file",
];

#[test]
fn nothing_that_is_made_to_be_installed_is_in_no_package() {
    succeed(Command::new("packaging/stage").arg("check").current_dir(env!("CARGO_MANIFEST_DIR")));
}

/// Sections and their keys; the keys of `[[mailbox]]` stand under `mailbox`, those that stand in no section under "".
type Keys = BTreeMap<String, BTreeSet<String>>;

/// The shipped file with its commented lines switched on, but for those that only explain and those that `keep` refuses.
fn switched_on(keep: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| {
        let commented = line.strip_prefix('#')?;
        let is_code = commented.starts_with('[') || key_in(commented).is_some();
        is_code.then(|| commented.to_owned())
    };
    let lines = SHIPPED.lines().filter_map(|text| match line(text) {
        Some(code) => keep(&code).then_some(code),
        None => Some(text.to_owned()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn key_in(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_key.then_some(key)
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("mailhatch.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    let config = parse(&switched_on(|line| key_in(line) != Some(CREDENTIAL)));
    let default = parse(SHIPPED);
    assert_eq!(config.state_dir, default.state_dir);
    let Listen { metrics, policy, .. } = config.listen.clone();
    assert_eq!(config.listen, Listen { metrics, policy, ..Listen::default() });
    assert_eq!(config.refuse, default.refuse);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.screen, default.screen);
    assert_eq!(config.auth, default.auth);
    assert_eq!(config.notice.from("mx.example.com"), default.notice.from(&config.hostname));
    let notice = parse(&switched_on(|line| !key_in(line).is_some_and(|key| EXAMPLES.contains(&key)))).notice;
    assert_eq!(notice, NoticeConfig::default());
    assert_eq!(config.held, default.held);
    assert_eq!(config.log, default.log);
    let mailbox = &config.mailboxes[0];
    assert_eq!(mailbox.sources, AddressSource::ALL);
    assert!(matches!(config.actions_of(mailbox), ActionsConfig::Named(ActionSet::Any)));
    assert_eq!(mailbox.unproven, Unproven::Deliver);
}

#[test]
fn the_shipped_file_shows_the_defaults_of_each_application() {
    let directory = tempfile::tempdir().unwrap();
    write_file(directory.path(), "gitlab.secret", GITLAB_SECRET.as_bytes());
    // What a webhook takes, the others take, too.
    for name in ["webhook", "redmine", "chatwoot", "discourse"] {
        write_file(directory.path(), &format!("{name}.secret"), WEBHOOK_SECRET.as_bytes());
    }
    let apps = |keep: &dyn Fn(&str) -> bool| {
        let text = switched_on(keep).replace("/etc/mailhatch", &directory.path().display().to_string());
        let config = parse(&text);
        let apps = Apps::new(&config).unwrap_or_else(|error| panic!("{error}"));
        config.apps.iter().map(|app| format!("{:?}", apps.get(&app.name.value))).collect::<Vec<_>>()
    };
    let is_example = |line: &str| key_in(line).is_some_and(|key| EXAMPLES.contains(&key));
    let is_needed = |line: &str| key_in(line).is_none_or(|key| NEEDED.contains(&key));
    let (all, needed) = (apps(&|line| !is_example(line)), apps(&is_needed));
    assert_eq!(all, needed);
    assert!(all.len() > 5, "the commented applications are switched on");
}

#[test]
fn the_shipped_file_shows_the_defaults_of_an_inbox() {
    let inbox = |keep: &dyn Fn(&str) -> bool| parse(&switched_on(keep)).inboxes[0].clone();
    let is_example = |line: &str| key_in(line).is_some_and(|key| EXAMPLES.contains(&key));
    let is_needed = |line: &str| key_in(line).is_none_or(|key| NEEDED.contains(&key));
    assert_eq!(inbox(&|line| !is_example(line)), inbox(&is_needed));
    assert_eq!(parse(&switched_on(|line| !is_example(line))).fetch, FetchConfig::default());
}

/// The keys that the types have, as their errors name them.
fn keys_of_the_types() -> Keys {
    const REST: &str = "[[mailbox]]\nname = \"m\"\naddress = \"m+%{key}@h\"\napp = \"a\"\n\
                        [[app]]\nname = \"a\"\nkind = \"KIND\"\npath = \"/\"\nurl = \"http://h\"\n";
    let error = |text: &str| match Config::parse(Path::new("m.toml"), text).and_then(|config| Apps::new(&config)) {
        Ok(_) => panic!("{text} has no mistake"),
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
    };
    // "unknown field `zzz`, expected one of `a`, `b`": every second piece behind the first two is a name.
    let named = |error: &str| -> BTreeSet<String> {
        error.split('`').skip(3).step_by(2).map(str::to_owned).filter(|name| name != "zzz").collect()
    };
    let mut keys = Keys::new();
    let top_level = named(&error(&format!("zzz = 1\n{REST}")));
    for section in &top_level {
        let text = match section.as_str() {
            "app" => continue,
            "mailbox" => REST.replacen("app =", "zzz = 1\napp =", 1),
            "inbox" => format!("{REST}\n[[inbox]]\nzzz = 1\n"),
            section => format!("{REST}\n[{section}]\nzzz = 1\n"),
        };
        let error = error(&text);
        if error.contains("unknown field `zzz`") {
            keys.insert(section.clone(), named(&error));
        }
    }
    for kind in named(&error(&REST.replace("KIND", "zzz"))) {
        let directory = tempfile::tempdir().unwrap();
        let secret = write_file(directory.path(), "secret", secret_of(&kind).as_bytes());
        let mut text =
            REST.replace("KIND", &kind) + &format!("secret_file = {:?}\nzzz = 1\n", secret.display().to_string());
        // What this kind does not have stands before the mistake that is looked for.
        let message = loop {
            let message = error(&text);
            let field = message.split('`').nth(1).unwrap().to_owned();
            if field == "zzz" {
                break message;
            }
            let line = text.lines().position(|line| line.starts_with(&field)).unwrap_or_else(|| panic!("{message}"));
            text = text.lines().enumerate().filter(|(n, _)| *n != line).map(|(_, text)| format!("{text}\n")).collect();
        };
        keys.entry("app".to_owned()).or_default().extend(named(&message));
    }
    let sections = keys.keys().cloned().chain(["app".to_owned()]).collect::<BTreeSet<_>>();
    keys.insert(String::new(), &top_level - &sections);
    assert!(keys.len() > 8 && keys.values().all(|keys| !keys.is_empty()), "{keys:#?}");
    keys
}

#[test]
fn the_man_page_has_every_key_and_no_other() {
    let mut keys = Keys::new();
    let mut section = None;
    for line in MAN_PAGE.lines() {
        if let Some(title) = line.strip_prefix(".Ss ") {
            let name = title.trim_matches(['[', ']']);
            section = match title {
                "Top level" => Some(String::new()),
                _ if title.starts_with('[') => Some(name.to_owned()),
                _ => None,
            };
        }
        if let (Some(section), Some(item)) = (&section, line.strip_prefix(".It Ic ")) {
            let name = item.split(' ').next().unwrap();
            let name =
                name.strip_prefix(&format!("[[{section}.")).and_then(|name| name.strip_suffix("]]")).unwrap_or(name);
            assert!(keys.entry(section.clone()).or_default().insert(name.to_owned()), "{item} stands there twice");
        }
    }
    assert_eq!(keys, keys_of_the_types());
}

#[test]
fn the_shipped_file_has_every_key() {
    let mut keys = Keys::new();
    let mut section = String::new();
    for line in switched_on(|_| true).lines() {
        if let Some(title) = line.strip_prefix('[') {
            let name = title.trim_start_matches('[').split(']').next().unwrap();
            if let Some((outer, inner)) = name.split_once('.') {
                keys.entry(outer.to_owned()).or_default().insert(inner.to_owned());
            }
            section = name.to_owned();
        } else if let Some(key) = key_in(line) {
            keys.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    keys.retain(|section, _| !section.contains('.'));
    assert_eq!(keys, keys_of_the_types());
}
