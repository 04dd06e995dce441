//! The configuration: what is read, and where an error points.

mod shipped;

use std::path::Path;
use std::time::Duration;

use mailhatch::app::Apps;
use mailhatch::config::{
    ActionSet, ActionsConfig, AddressSource, Config, ListenAddress, RefuseConfig, RefuseMode, ScreenAction,
    ScreenConfig, SpamAction, Unproven,
};

const MINIMAL: &str = r#"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{key}@gitlab.example.com"
app = "tickets"

[[app]]
name = "tickets"
kind = "spool"
path = "/var/spool/mailhatch"
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("mailhatch.toml"), text).map_err(|error| error.to_string())
}

/// What a command reads before it does anything: the file, then each application's own keys.
fn read(text: &str) -> Result<Apps, String> {
    Apps::new(&parse(text)?).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/mailhatch"));
    assert_eq!(config.listen.lmtp, [ListenAddress::Unix("/run/mailhatch/lmtp.sock".into())]);
    assert!(config.listen.policy.is_empty() && config.refuse == RefuseConfig::default());
    assert_eq!(config.refuse.mode, RefuseMode::Refuse);
    assert_eq!(config.limits.message_size, 50 * 1024 * 1024);
    assert_eq!(config.limits.connections, 200);
    assert_eq!(config.limits.recipients, 100);
    assert_eq!(config.limits.deadline, Duration::from_secs(60));
    assert_eq!(config.limits.unexplained_refusals, Duration::from_secs(4 * 3600));
    assert_eq!(config.limits.undecided, Duration::from_secs(4 * 3600));
    assert_eq!(config.limits.patience, Duration::from_secs(4 * 24 * 3600));
    assert_eq!(config.held.keep, Duration::from_secs(30 * 24 * 3600));
    assert_eq!(config.notice.interval, Duration::from_secs(24 * 3600));
    let mailbox = &config.mailboxes[0];
    assert_eq!(mailbox.sources, AddressSource::ALL);
    assert!(matches!(config.actions_of(mailbox), ActionsConfig::Named(ActionSet::Any)));
    assert_eq!(mailbox.unproven, Unproven::Deliver);
    assert_eq!(config.apps[0].kind.value, "spool");
}

#[test]
fn the_whole_of_the_contract_is_read() {
    let config = parse(include_str!("full.toml")).unwrap();
    assert_eq!(config.hostname, "mx.example.com");
    assert_eq!(config.listen.lmtp.len(), 2);
    assert_eq!(config.listen.policy.len(), 2);
    assert_eq!((config.refuse.closed.len(), config.refuse.accept.len()), (1, 1));
    assert_eq!(config.mailboxes.len(), 3);
    assert!(matches!(config.actions_of(&config.mailboxes[2]), ActionsConfig::Custom(actions) if actions.len() == 1));
}

#[test]
fn a_mailbox_may_say_for_itself_what_becomes_of_machine_made_mail() {
    let text = "[screen]\nbounces = \"deliver\"\nspam = \"hold\"\n".to_owned()
        + &MINIMAL.replace(
            "app = \"tickets\"",
            "app = \"tickets\"\nscreen = { auto_replies = \"deliver\", bounces = \"ignore\" }",
        );
    let config = parse(&text).unwrap();
    let screen = config.mailboxes[0].screen.over(config.screen);
    assert_eq!((screen.auto_replies, screen.bounces), (ScreenAction::Deliver, ScreenAction::Ignore));
    assert_eq!((screen.reports, screen.spam), (ScreenAction::Ignore, SpamAction::Hold));
    assert_eq!(ScreenConfig::default().spam, SpamAction::Deliver);
}

#[test]
fn an_error_points_at_its_line() {
    let rows: &[(&str, &str, usize, &str)] = &[
        ("unknown key", "[limits]\nmesage_size = \"1MiB\"\n", 2, "unknown field `mesage_size`"),
        ("unknown section", "[limit]\nx = 1\n", 1, "unknown field `limit`"),
        ("no duration", "[limits]\ndeadline = \"soon\"\n", 2, "\"soon\" is not a valid duration"),
        ("no size", "[limits]\nmessage_size = \"big\"\n", 2, "\"big\" is not a valid size"),
        ("relative socket", "[listen]\nlmtp = [\"unix:lmtp.sock\"]\n", 2, "must be absolute"),
        ("no address", "[listen]\nlmtp = [\"localhost\"]\n", 2, "127.0.0.1:2424"),
        ("no action", "[screen]\nbounces = \"hold\"\n", 2, "unknown variant `hold`"),
        ("no spam action", "[screen]\nspam = \"reject\"\n", 2, "unknown variant `reject`"),
        ("name server", "[auth]\nnameservers = [\"ns.example.com\"]\n", 2, "a name server is an IP address"),
        ("broken syntax", "[limits\n", 1, ""),
        ("wrong type", "[notice]\nenabled = \"yes\"\n", 2, "expected a boolean"),
    ];
    for (name, text, line, message) in rows {
        let error = Config::parse(Path::new("mailhatch.toml"), &format!("{text}{MINIMAL}")).expect_err(name);
        assert_eq!(error.line(), Some(*line), "{name}: {error}");
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("mailhatch.toml:{line}:")), "{name}: {shown}");
        assert!(shown.contains(message), "{name}: {shown}");
        assert!(
            !error.brief().contains(text.lines().last().unwrap()),
            "{name}: pipe would show the line to a stranger"
        );
    }
}

#[test]
fn a_mailbox_or_an_application_that_cannot_work_is_an_error() {
    let rows: &[(&str, &str, &str, &str)] = &[
        ("no such application", "app = \"tickets\"", "app = \"other\"", "no [[app]] with the name \"other\""),
        ("unknown actions", "app = \"tickets\"", "app = \"tickets\"\nactions = \"github\"", "unknown variant `github`"),
        ("no sources", "app = \"tickets\"", "app = \"tickets\"\nsources = []", "could never be found"),
        (
            "a key and actions",
            "app = \"tickets\"",
            "app = \"tickets\"\nactions = \"any\"\nkey = \"k\"",
            "as the action message",
        ),
        ("unknown source", "app = \"tickets\"", "app = \"tickets\"\nsources = [\"bcc\"]", "unknown variant `bcc`"),
        ("a slash in the name", "name = \"incoming_email\"", "name = \"a/b\"", "no slash"),
        ("spool without a path", "path = \"/var/spool/mailhatch\"", "", "missing field `path`"),
        (
            "unknown kind",
            "kind = \"spool\"",
            "kind = \"spoon\"",
            "unknown kind `spoon`, expected one of `action-mailbox`",
        ),
        ("relative spool", "path = \"/var/spool/mailhatch\"", "path = \"spool\"", "must be absolute"),
        (
            "webhook without a secret",
            "kind = \"spool\"",
            "kind = \"webhook\"\nurl = \"http://localhost/\"",
            "missing field `secret_file` or `credential`",
        ),
        ("a key of another kind", "kind = \"spool\"", "kind = \"spool\"\nurl = \"http://h\"", "unknown field `url`"),
        ("an inline secret", "kind = \"spool\"", "kind = \"spool\"\nsecret = \"hush\"", "unknown field `secret`"),
    ];
    for (name, from, to, message) in rows {
        assert!(MINIMAL.contains(from), "{name}");
        let error = read(&MINIMAL.replacen(from, to, 1)).expect_err(name);
        assert!(error.contains(message), "{name}: {error}");
    }
}
