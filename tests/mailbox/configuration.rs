//! `[[inbox]]` and `[fetch]`: what is read, and where an error points.

use std::path::Path;
use std::time::Duration;

use mailhatch::config::{
    AfterDelivery, Config, ImapAuth, ImapConfig, ImapSecurity, InboxConfig, InboxSource, Provider, Since, UnknownMail,
};

const BASE: &str = "[[mailbox]]\nname = \"m\"\naddress = \"in+%{key}@example.com\"\napp = \"a\"\n\
                    [[app]]\nname = \"a\"\nkind = \"spool\"\npath = \"/var/spool/mailhatch\"\n";

const INBOX: &str = "[[inbox]]\nname = \"gitlab\"\nkind = \"imap\"\nhost = \"imap.example.com\"\n\
                     user = \"incoming@example.com\"\npassword_file = \"/etc/mailhatch/imap.password\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("mailhatch.toml"), text).map_err(|error| error.to_string())
}

fn inbox(more: &str) -> (InboxConfig, ImapConfig) {
    let config = parse(&format!("{BASE}{INBOX}{more}")).unwrap_or_else(|error| panic!("{more}: {error}"));
    let inbox = config.inboxes[0].clone();
    let InboxSource::Imap(imap) = inbox.source.clone() else { panic!("{more}: not IMAP") };
    (inbox, imap)
}

#[test]
fn defaults_are_those_of_the_contract() {
    let (inbox, imap) = inbox("");
    assert_eq!((imap.port, imap.security, imap.idle_timeout), (993, ImapSecurity::Tls, Duration::from_secs(180)));
    assert_eq!((inbox.folder.as_str(), inbox.since, inbox.unknown), ("INBOX", Since::Now, UnknownMail::Leave));
    assert_eq!((inbox.after, inbox.concurrency, inbox.notices), (AfterDelivery::Keep, 4, false));
    assert_eq!((inbox.poll_interval, inbox.provider), (Duration::from_secs(60), Provider::Auto));
    let fetch = parse(BASE).unwrap().fetch;
    assert_eq!((fetch.metrics, fetch.stuck_after), (None, Duration::from_secs(4 * 3600)));
}

#[test]
fn what_is_written_is_what_is_meant() {
    type Row<'r> = (&'r str, &'r dyn Fn(&InboxConfig, &ImapConfig) -> bool);
    let rows: &[Row<'_>] = &[
        ("start_tls = true", &|_, imap| imap.security == ImapSecurity::StartTls && imap.port == 143),
        ("ssl = false\nstart_tls = true", &|_, imap| imap.security == ImapSecurity::StartTls),
        ("ssl = true\nstart_tls = false", &|_, imap| imap.security == ImapSecurity::Tls && imap.port == 993),
        ("port = 1993", &|_, imap| imap.port == 1993 && imap.security == ImapSecurity::Tls),
        ("idle_timeout = \"5s\"", &|_, imap| imap.idle_timeout == Duration::from_secs(5)),
        ("idle_timeout = \"29m\"", &|_, imap| imap.idle_timeout == Duration::from_secs(29 * 60)),
        ("poll_interval = \"1s\"", &|inbox, _| inbox.poll_interval == Duration::from_secs(1)),
        ("folder = \"Entwürfe/GitLab\"", &|inbox, _| inbox.folder == "Entwürfe/GitLab"),
        ("since = \"all\"", &|inbox, _| inbox.since == Since::All),
        ("since = \"unseen\"", &|inbox, _| inbox.since == Since::Unseen),
        ("since = \"2026-11-02\"", &|inbox, _| inbox.since.to_string() == "2026-11-02"),
        ("unknown = \"reject\"", &|inbox, _| inbox.unknown == UnknownMail::Reject),
        ("delete_after_delivery = true", &|inbox, _| inbox.after == AfterDelivery::Delete { expunge: false }),
        ("delete_after_delivery = true\nexpunge_deleted = true", &|inbox, _| {
            inbox.after == AfterDelivery::Delete { expunge: true }
        }),
        ("expunge_deleted = true", &|inbox, _| inbox.after == AfterDelivery::Keep),
        ("move_to = \"Done\"", &|inbox, _| inbox.after == AfterDelivery::MoveTo("Done".to_owned())),
        ("concurrency = 16", &|inbox, _| inbox.concurrency == 16),
        ("provider = \"exchange-online\"", &|inbox, _| inbox.provider == Provider::ExchangeOnline),
        ("provider = \"own\"\nauthserv_ids = [\"mx.example.com\"]", &|inbox, _| {
            inbox.authserv_ids == ["mx.example.com"]
        }),
        ("notices = true", &|inbox, _| inbox.notices),
        ("ca_file = \"/etc/ca.pem\"", &|_, imap| imap.ca_file.is_some()),
    ];
    for (text, is_meant) in rows {
        let (inbox, imap) = inbox(text);
        assert!(is_meant(&inbox, &imap), "{text}: {inbox:?}");
    }
}

#[test]
fn an_error_names_its_key_and_its_line() {
    // What is added stands in line 15, behind BASE's 8 lines and INBOX's 6.
    let rows: &[(&str, &str)] = &[
        ("ssl = false", "ssl"),
        ("ssl = true\nstart_tls = true", "start_tls"),
        ("port = 0", "port"),
        ("idle_timeout = \"4s\"", "idle_timeout"),
        ("idle_timeout = \"30m\"", "idle_timeout"),
        ("poll_interval = \"500ms\"", "poll_interval"),
        ("folder = \"\"", "folder"),
        ("folder = \"a\\nb\"", "folder"),
        ("since = \"yesterday\"", "since"),
        ("since = \"2026-13-01\"", "since"),
        ("concurrency = 0", "concurrency"),
        ("move_to = \"INBOX\"", "move_to"),
        ("move_to = \"Done\"\ndelete_after_delivery = true", "move_to"),
        ("provider = \"yahoo\"", "provider"),
        ("provider = \"gmail\"\nauthserv_ids = [\"x\"]", "authserv_ids"),
        ("unknown = \"drop\"", "unknown"),
        ("password = \"hush\"", "password"),
        ("verify = false", "verify"),
        ("kind = \"pop3\"", "kind"),
        ("tenant_id = \"t\"", "tenant_id"),
        ("flow = \"refresh-token\"", "flow"),
        ("graph_endpoint = \"https://graph.microsoft.com\"", "graph_endpoint"),
        ("credential = \"gitlab\"", "credential"),
        ("credential = \"../x\"", "credential"),
        ("auth = \"oauth2\"", "password_file"),
    ];
    for (text, key) in rows {
        let error = parse(&format!("{BASE}{INBOX}{text}\n")).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(error.contains(key), "{text}: {error}");
        assert!(error.starts_with("mailhatch.toml:1"), "{text}: {error}");
    }
    for key in ["host", "user", "password_file", "name", "kind"] {
        let without: String =
            INBOX.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        let error = parse(&format!("{BASE}{without}")).expect_err(key);
        assert!(error.contains(key), "{key}: {error}");
    }
    let twice = parse(&format!("{BASE}{INBOX}{INBOX}")).expect_err("twice");
    assert!(twice.contains("inbox") && twice.contains("\"gitlab\""), "{twice}");
    let loopback = INBOX.replace("imap.example.com", "127.0.0.1");
    parse(&format!("{BASE}{loopback}ssl = false\n")).unwrap();
}

/// What a mailbox of Exchange Online needs.
const EXCHANGE: &str = "[[inbox]]\nname = \"gitlab\"\nkind = \"imap\"\nhost = \"outlook.office365.com\"\n\
                        user = \"incoming@example.com\"\nauth = \"oauth2\"\n";

#[test]
fn oauth_says_where_tokens_come_from() {
    const TENANT: &str = "tenant_id = \"0f0f-1\"\nclient_id = \"app\"\nclient_secret_file = \"/s\"\n";
    const TOKEN_URL: &str = "token_url = \"https://oauth2.googleapis.com/token\"\nclient_id = \"app\"\n";
    const MICROSOFT: &str = "https://login.microsoftonline.com/0f0f-1/oauth2/v2.0/token";
    const SCOPE: Option<&str> = Some("https://outlook.office365.com/.default");
    type Row<'r> = (&'r str, String, &'r str, Option<&'r str>, bool, bool);
    let rows: &[Row<'_>] = &[
        ("Exchange Online", TENANT.to_owned(), MICROSOFT, SCOPE, true, false),
        (
            "another cloud",
            format!("{TENANT}azure_ad_endpoint = \"https://login.microsoftonline.us/\"\nscope = \"s\""),
            "https://login.microsoftonline.us/0f0f-1/oauth2/v2.0/token",
            Some("s"),
            true,
            false,
        ),
        (
            "Gmail",
            format!("{TOKEN_URL}flow = \"refresh-token\"\ncredential = \"gmail\""),
            "https://oauth2.googleapis.com/token",
            None,
            true,
            true,
        ),
        (
            "a public client",
            format!("{TOKEN_URL}flow = \"refresh-token\"\nrefresh_token_file = \"/t\""),
            "https://oauth2.googleapis.com/token",
            None,
            false,
            true,
        ),
    ];
    for (name, text, url, scope, secret, refresh) in rows {
        let config = parse(&format!("{BASE}{EXCHANGE}{text}\n")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let InboxSource::Imap(ImapConfig { auth: ImapAuth::OAuth(oauth), .. }) = &config.inboxes[0].source else {
            panic!("{name}: not OAuth")
        };
        assert_eq!((oauth.token_url.value.as_str(), oauth.scope.as_deref()), (*url, *scope), "{name}");
        assert_eq!((oauth.client_secret.is_some(), oauth.refresh_token.is_some()), (*secret, *refresh), "{name}");
    }
    let mistakes: &[(&str, String, &str)] = &[
        ("no endpoint", "client_id = \"app\"\nclient_secret_file = \"/s\"".to_owned(), "tenant_id"),
        ("both", format!("{TENANT}token_url = \"https://h/\""), "token_url"),
        ("no client", "tenant_id = \"t\"\nclient_secret_file = \"/s\"".to_owned(), "client_id"),
        ("no secret", "tenant_id = \"t\"\nclient_id = \"app\"".to_owned(), "client_secret_file"),
        ("no refresh token", format!("{TOKEN_URL}flow = \"refresh-token\""), "refresh_token_file"),
        ("a tenant that is a path", TENANT.replace("0f0f-1", "../x"), "tenant_id"),
        ("plain HTTP", TOKEN_URL.replace("https", "http"), "token_url"),
        ("a password in the URL", TOKEN_URL.replace("https://", "https://u:p@"), "token_url"),
        ("plain HTTP to the login", format!("{TENANT}azure_ad_endpoint = \"http://127.0.0.1\""), "azure_ad_endpoint"),
        ("another flow", format!("{TENANT}flow = \"device\""), "device"),
    ];
    for (name, text, key) in mistakes {
        let error = parse(&format!("{BASE}{EXCHANGE}{text}\n")).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert!(error.contains(key), "{name}: {error}");
    }
}
