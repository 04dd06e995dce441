use std::path::Path;

use super::imported::*;
use super::*;
use crate::config::{ActionSet, ActionsConfig, Config};
use crate::route::Routes;

fn import(name: &str, text: &str) -> String {
    let toml = convert(Path::new(name), text).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
    let config = Config::parse(Path::new("mailhatch.toml"), &toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    Routes::new(&config).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    toml
}

fn parsed(toml: &str) -> Config {
    Config::parse(Path::new("mailhatch.toml"), toml).expect("accepted")
}

const GITLAB_RB: &str = r##"
external_url 'https://gitlab.example.com'
# gitlab_rails['incoming_email_address'] = "commented+%{key}@example.com"
gitlab_rails['incoming_email_enabled'] = true
gitlab_rails['incoming_email_address'] = "incoming+%{key}@gitlab.example.com" # the address
gitlab_rails['incoming_email_email'] = "incoming"
gitlab_rails['incoming_email_password'] = "hunter2"
gitlab_rails['incoming_email_host'] = ENV['IMAP_HOST']
gitlab_rails['incoming_email_port'] = 993
gitlab_rails['incoming_email_ssl'] = true
gitlab_rails['incoming_email_mailbox_name'] = 'inbox'
gitlab_rails['incoming_email_idle_timeout'] = 60
gitlab_rails['incoming_email_delivery_method'] = "sidekiq"
gitlab_rails["service_desk_email_enabled"] = true
gitlab_rails["service_desk_email_address"] = 'contact+%{key}@gitlab.example.com'
gitlab_rails['service_desk_email_secret_file'] = '/etc/gitlab/desk.secret'
gitlab_rails['service_desk_email_inbox_options'] = {
  'tenant_id': 'x',
  'client_secret': 'hunter3'
}
mailroom['incoming_email_auth_token'] = 'hunter4'
if false
  gitlab_rails['service_desk_email_host'] = 'imap.example.com'
end
=begin
gitlab_rails['incoming_email_address'] = "block+%{key}@example.com"
=end
"##;

#[test]
fn gitlab_rb_gives_both_mailboxes() {
    let toml = import("gitlab.rb", GITLAB_RB);
    let config = parsed(&toml);
    let [incoming, desk] = &config.mailboxes[..] else { panic!("{toml}") };
    assert_eq!(incoming.name.value, "incoming_email");
    assert_eq!(incoming.address.value, "incoming+%{key}@gitlab.example.com");
    assert_eq!(desk.address.value, "contact+%{key}@gitlab.example.com");
    assert!(matches!(config.actions_of(desk), ActionsConfig::Named(ActionSet::GitlabServiceDesk)));
    let app = config.app(&desk.app.value).expect("app");
    assert_eq!(app.kind.value, "gitlab");
    assert_eq!(app.url.as_ref().expect("url").value, "https://gitlab.example.com");
    assert_eq!(app.secret_file.as_ref().expect("secret").value, Path::new("/etc/gitlab/desk.secret"));
    let usual = "/opt/gitlab/embedded/service/gitlab-rails/.gitlab_incoming_email_secret";
    let secret_file = config.app(&incoming.app.value).and_then(|app| app.secret_file.as_ref()).expect("secret");
    assert_eq!(secret_file.value, Path::new(usual));
}

#[test]
fn what_has_no_meaning_is_named_and_no_secret_is_shown() {
    let toml = import("gitlab.rb", GITLAB_RB);
    for part in [
        "gitlab_rails['incoming_email_port'] = 993: no [[inbox]] is made of it",
        "gitlab_rails['incoming_email_password']: no [[inbox]] is made of it",
        "the [[inbox]] of incoming_email: the file names no host that can be read",
        "line 8: gitlab_rails['incoming_email_host'] = ENV['IMAP_HOST']: not understood",
        "gitlab_rails['service_desk_email_inbox_options.tenant_id']: it is for Microsoft Graph",
        "gitlab_rails['incoming_email_delivery_method'] = sidekiq: mailhatch hands over by GitLab's API",
        "gitlab_rails['service_desk_email_host'] stands in a condition",
        "mailroom['incoming_email_auth_token']: the secret stands in a file here",
    ] {
        assert!(toml.contains(part), "{part} is not in\n{toml}");
    }
    for secret in ["hunter2", "hunter3", "hunter4"] {
        assert!(!toml.contains(secret), "{toml}");
    }
}

const GITLAB_YML: &str = "
production: &base
  gitlab:
    host: git.example.org
    port: 443
    https: true
    relative_url_root: /gitlab
  incoming_email:
    enabled: true
    address: \"git+%{key}@git.example.org\"
    user: git
    password: \"hunter2\"
    host: <%= ENV['IMAP_HOST'] %>
    port: 993
    ssl: true
    delivery_method: webhook
    secret_file: /home/git/gitlab/.gitlab_mailroom_secret
    expunge_deleted: false
    something_new: 7
  service_desk_email:
    enabled: false
    address: \"desk+%{key}@git.example.org\"
test:
  <<: *base
";

#[test]
fn gitlab_yml_gives_what_is_enabled() {
    let toml = import("gitlab.yml", GITLAB_YML);
    let config = parsed(&toml);
    assert_eq!(config.mailboxes.len(), 1);
    let app = config.app("gitlab").expect("app");
    assert_eq!(app.url.as_ref().expect("url").value, "https://git.example.org/gitlab");
    for part in [
        "service_desk_email: it is not enabled",
        "incoming_email.host: <%= ENV['IMAP_HOST'] %>: not understood",
        "incoming_email.something_new = 7: mailhatch knows no such setting",
        "incoming_email.delivery_method = webhook: mailhatch always hands over by the API",
    ] {
        assert!(toml.contains(part), "{part} is not in\n{toml}");
    }
    assert!(!toml.contains("hunter2"));
}

const MAIL_ROOM_YML: &str = "
:health_check:
  :address: 0.0.0.0
<% if enabled %>
:mailboxes:
  - :host: imap.gmail.com
    :port: 993
    :email: \"gitlab-incoming@example.com\"
    :password: hunter2
    :name: inbox
    :delivery_method: postback
    :delivery_options:
      :delivery_url: https://gitlab.example.com/api/v4/internal/mail_room/incoming_email
      :jwt_auth_header: Gitlab-Mailroom-Api-Request
      :jwt_secret_path: /etc/gitlab/mailroom.secret
    :arbitration_method: redis
    :arbitration_options:
      :redis_url: redis://:hunter3@localhost
  - :email: desk@example.com
    :delivery_method: sidekiq
    :delivery_options:
      :redis_url: redis://:hunter4@localhost
      :worker: ServiceDeskEmailReceiverWorker
  - :email: forum@example.com
    :delivery_url: https://forum.example.com/handle_mail
    :delivery_token: hunter5
<% end %>
";

#[test]
fn mail_room_yml_with_symbols_gives_gitlabs_mailboxes() {
    let toml = import("mail_room.yml", MAIL_ROOM_YML);
    let config = parsed(&toml);
    let addresses = config.mailboxes.iter().map(|mailbox| mailbox.address.value.as_str()).collect::<Vec<_>>();
    assert_eq!(addresses, ["gitlab-incoming+%{key}@example.com", "desk+%{key}@example.com"]);
    let app = config.app("gitlab").expect("app");
    assert_eq!(app.url.as_ref().expect("url").value, "https://gitlab.example.com");
    assert_eq!(app.secret_file.as_ref().expect("secret").value, Path::new("/etc/gitlab/mailroom.secret"));
    for part in [
        "mail_room.yml names the login only",
        "mailbox 3 hands its mail to no GitLab (https://forum.example.com/handle_mail)",
        ":health_check: mailhatch takes the place of mail_room",
        "mailbox 1: :arbitration_method = redis: one reader an inbox, and mailhatch's own ledger; for readers on several hosts see [shared]",
    ] {
        assert!(toml.contains(part), "{part} is not in\n{toml}");
    }
    for number in 2..=5 {
        assert!(!toml.contains(&format!("hunter{number}")), "{toml}");
    }
}

#[test]
fn the_mailbox_that_was_read_is_taken_over_one_to_one() {
    let rb = |more: &str| {
        format!(
            "external_url 'https://gitlab.example.com'\ngitlab_rails['incoming_email_enabled'] = true\n\
             gitlab_rails['incoming_email_address'] = 'in+%{{key}}@example.com'\n\
             gitlab_rails['incoming_email_email'] = 'in@example.com'\n\
             gitlab_rails['incoming_email_password'] = 'hunter2'\n\
             gitlab_rails['incoming_email_host'] = 'imap.example.com'\n{more}"
        )
    };
    let yml = |more: &str| {
        format!(
            "production:\n  gitlab: {{host: git.example.org}}\n  incoming_email:\n    enabled: true\n    address: in+%{{key}}@example.com\n    \
             user: in@example.com\n    password: hunter2\n    host: imap.example.com\n    {more}\n"
        )
    };
    let room = |more: &str| {
        format!(
            ":mailboxes:\n  -\n    :email: in@example.com\n    :password: hunter2\n    :delivery_method: postback\n    \
             :delivery_url: https://g.example.com/api/v4/internal/mail_room/incoming_email\n    {more}\n"
        )
    };
    type Row = (&'static str, &'static str, String, &'static [&'static str]);
    let rows: Vec<Row> = vec![
        (
            "gitlab.rb, TLS",
            "gitlab.rb",
            rb("gitlab_rails['incoming_email_port'] = 993\ngitlab_rails['incoming_email_ssl'] = true\n\
                gitlab_rails['incoming_email_mailbox_name'] = 'inbox'\ngitlab_rails['incoming_email_expunge_deleted'] = true\n"),
            &[
                "host = \"imap.example.com\"\nport = 993\nssl = true\nuser = \"in@example.com\"\n\
                 password_file = \"/etc/mailhatch/incoming_email.password\"\nidle_timeout = \"60s\"\nsince = \"unseen\"",
                "delete_after_delivery = true\nexpunge_deleted = true",
                "install -o root -g mailhatch -m 0640 /dev/stdin /etc/mailhatch/incoming_email.password",
                "systemctl enable --now mailhatch-fetch",
            ],
        ),
        (
            "gitlab.yml, its defaults on this host",
            "gitlab.yml",
            yml("mailbox: Support").replace("imap.example.com", "localhost"),
            &[
                "port = 143\nssl = false\n",
                "folder = \"Support\"",
                "delete_after_delivery = true\nexpunge_deleted = false",
            ],
        ),
        (
            "gitlab.yml, its defaults elsewhere",
            "gitlab.yml",
            yml("idle_timeout: 2000"),
            &["port = 143\nssl = false\nstart_tls = true", "sent the password unencrypted", "idle_timeout = \"1740s\""],
        ),
        ("gitlab.yml, STARTTLS", "gitlab.yml", yml("start_tls: true"), &["ssl = false\nstart_tls = true\nuser"]),
        (
            "mail_room.yml, its defaults",
            "mail_room.yml",
            room(""),
            &[
                "host = \"imap.gmail.com\"\nport = 993\nssl = true\n",
                "idle_timeout = \"1740s\"\nsince = \"unseen\"",
                "delete_after_delivery = false",
            ],
        ),
        (
            "mail_room.yml, much",
            "mail_room.yml",
            room(
                ":search_command: ALL\n    :limit_max_unread: 100\n    :ssl: {:verify_mode: :none}\n    :arbitration_method: redis",
            ),
            &[
                "since = \"all\"\n",
                "certificates are always verified",
                ":limit_max_unread = 100: messages are fetched one by one",
                ":arbitration_method = redis: one reader an inbox",
            ],
        ),
        (
            "another search",
            "mail_room.yml",
            room(":search_command: 'FROM bob'"),
            &["since = \"unseen\"", "its search_command has no equivalent"],
        ),
    ];
    for (name, file, text, parts) in rows {
        let toml = import(file, &text);
        assert_eq!(parsed(&toml).inboxes.len(), 1, "{name}\n{toml}");
        for part in parts {
            assert!(toml.contains(part), "{name}: {part} is not in\n{toml}");
        }
        assert!(!toml.contains("hunter2"), "{name}");
    }
    let graph = import("gitlab.yml", &yml("inbox_method: microsoft_graph"));
    assert!(graph.contains("the [[inbox]] of incoming_email: its inbox_options name no tenant_id"), "{graph}");
    let odd = import("gitlab.yml", &yml("").replace("imap.example.com", "imap example"));
    assert!(odd.contains("the [[inbox]] of incoming_email: its settings are not valid here"), "{odd}");
}

#[test]
fn what_gives_no_mailbox_says_why() {
    let rows = [
        ("another YAML file", "a.yml", "a: b\n", "neither a gitlab.yml"),
        ("no YAML", "a.yml", "a: [\n", "this is no YAML"),
        ("a list", "a.yml", "- a\n", "neither a gitlab.yml"),
        ("empty", "a.yml", "", "neither a gitlab.yml"),
        ("not enabled", "gitlab.rb", "gitlab_rails['incoming_email_address'] = 'a@b'\n", "it is not enabled"),
        ("nothing of mail", "gitlab.rb", "external_url 'https://x'\n", "no mailbox can be taken over"),
        (
            "an address from Ruby",
            "gitlab.yml",
            "incoming_email: {enabled: true, address: \"<%= address %>\"}\n",
            "no address that can be read",
        ),
        (
            "a service desk without a key",
            "gitlab.yml",
            "service_desk_email: {enabled: true, address: desk@example.com}\n",
            "has no %{key}",
        ),
        (
            "mail_room.yml as GitLab ships it",
            "mail_room.yml",
            ":mailboxes:\n<% configs.each do |config| %>\n  - :email: <%= config[:user].to_json %>\n    :delivery_url: \"<%= config[:gitlab_url] %>\"\n<% end %>\n",
            "hands its mail to no GitLab",
        ),
    ];
    for (name, file, text, part) in rows {
        let refused = convert(Path::new(file), text).expect_err(name);
        let (Refused::NotKnown(why) | Refused::NothingToImport(why)) = refused;
        assert!(why.contains(part), "{name}: {why}");
    }
}

#[test]
fn only_ruby_literals_are_read() {
    let rows = [
        ("'a'", Some("a")),
        ("\"a\" # b", Some("a")),
        (r"'it\'s'", Some("it's")),
        (r"'a\nb'", Some(r"a\nb")),
        ("true", Some("true")),
        ("1_000 # b", Some("1000")),
        ("nil", Some("")),
        ("\"#{x}\"", None),
        ("\"\\n\"", None),
        ("'a' + b", None),
        ("'a' if x", None),
        ("'open", None),
        ("ENV['X']", None),
        ("<<~X", None),
        ("", None),
    ];
    for (text, wanted) in rows {
        let line = format!("gitlab_rails['incoming_email_address'] = {text}");
        let found = ruby::read(&line);
        assert_eq!(found.sections[0].value("address").and_then(Value::text), wanted, "{text}");
    }
}

proptest::proptest! {
    /// Whatever stands in the values, the output is a configuration or there is none.
    #[test]
    fn the_output_is_always_accepted(address in "[ -~é]{0,40}", url in "[ -~]{0,30}", secret in "\\PC{0,30}", other in "\\PC{0,30}") {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let text = format!(
            "external_url '{}'\ngitlab_rails['incoming_email_enabled'] = true\ngitlab_rails['incoming_email_address'] = '{}@example.com'\ngitlab_rails['incoming_email_secret_file'] = '{}'\ngitlab_rails['incoming_email_host'] = '{}'\ngitlab_rails['incoming_email_email'] = '{}'\ngitlab_rails['incoming_email_mailbox_name'] = '{}'\n",
            escape(&url), escape(&address), escape(&secret), escape(&other), escape(&address), escape(&other),
        );
        if let Ok(toml) = convert(Path::new("gitlab.rb"), &text) {
            Config::parse(Path::new("mailhatch.toml"), &toml).map_err(|error| proptest::test_runner::TestCaseError::fail(format!("{error}\n{toml}")))?;
        }
    }
}

#[test]
fn a_mailbox_of_microsoft_graph_is_an_inbox_of_that_kind() {
    const RB: &str = r##"
external_url 'https://gitlab.example.com'
gitlab_rails['incoming_email_enabled'] = true
gitlab_rails['incoming_email_address'] = "incoming+%{key}@example.com"
gitlab_rails['incoming_email_email'] = "incoming@example.com"
gitlab_rails['incoming_email_inbox_method'] = 'microsoft_graph'
gitlab_rails['incoming_email_inbox_options'] = {
  'tenant_id': 'the-tenant',
  'client_id': 'the-client',
  'client_secret': 'hunter5', # of the application
  'azure_ad_endpoint' => 'https://login.microsoftonline.us',
  graph_endpoint: 'https://graph.microsoft.us',
  'poll_interval': 30
}
gitlab_rails['incoming_email_expunge_deleted'] = true
"##;
    const YML: &str = "
production:
  gitlab:
    host: gitlab.example.com
    https: true
  incoming_email:
    enabled: true
    address: incoming+%{key}@example.com
    user: incoming@example.com
    inbox_method: microsoft_graph
    expunge_deleted: true
    inbox_options:
      tenant_id: the-tenant
      client_id: the-client
      client_secret: hunter5
      azure_ad_endpoint: https://login.microsoftonline.us
      graph_endpoint: https://graph.microsoft.us
      poll_interval: 30
";
    for (name, text) in [("gitlab.rb", RB), ("gitlab.yml", YML)] {
        let toml = import(name, text);
        let config = parsed(&toml);
        let inbox = &config.inboxes[0];
        let crate::config::InboxSource::Graph(graph) = &inbox.source else { panic!("{name}: {toml}") };
        assert_eq!(inbox.user(config.file()).expect("a user"), "incoming@example.com", "{name}");
        assert_eq!(graph.endpoint.value.as_str(), "https://graph.microsoft.us/", "{name}");
        let token_url = "https://login.microsoftonline.us/the-tenant/oauth2/v2.0/token";
        assert_eq!((graph.oauth.token_url.value.as_str(), graph.oauth.client_id.as_str()), (token_url, "the-client"));
        assert_eq!(inbox.after, crate::config::AfterDelivery::Delete { expunge: true }, "{name}");
        assert_eq!(inbox.poll_interval, std::time::Duration::from_secs(30), "{name}");
        assert!(toml.contains("Write the client secret of the application"), "{name}: {toml}");
        assert!(!toml.contains("hunter5"), "{name}: {toml}");
    }
}
