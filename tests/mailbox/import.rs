//! What `import` makes of the three files that mail_room and GitLab are configured with: after the secrets are put in place,
//! `check` accepts it, inbox included, and `fetch` reads with it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::servers::{Dovecot, Imap, PASSWORD};
use crate::site::{Site, address, append, message};
use crate::support::config::GITLAB_SECRET;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::needs;

/// mail_room's file names the login only: it has to be the address.
const USER: &str = "incoming@gitlab.example.com";

const GITLAB_RB: &str = r##"
## GitLab configuration settings
external_url '{url}'
# gitlab_rails['gitlab_email_from'] = 'example@example.com'
gitlab_rails['time_zone'] = 'Europe/Berlin'
### Reply by email
gitlab_rails['incoming_email_enabled'] = true
gitlab_rails['incoming_email_address'] = "incoming+%{key}@gitlab.example.com"
gitlab_rails['incoming_email_email'] = "{user}"
gitlab_rails['incoming_email_password'] = "{password}"
gitlab_rails['incoming_email_host'] = "localhost"
gitlab_rails['incoming_email_port'] = {port}
gitlab_rails['incoming_email_ssl'] = false
gitlab_rails['incoming_email_start_tls'] = false
gitlab_rails['incoming_email_mailbox_name'] = "inbox"
gitlab_rails['incoming_email_idle_timeout'] = 60
gitlab_rails['incoming_email_expunge_deleted'] = true
gitlab_rails['incoming_email_secret_file'] = '/var/opt/gitlab/incoming_email_secret'
postgresql['shared_buffers'] = "256MB"
"##;

const GITLAB_YML: &str = r##"
production: &base
  gitlab:
    host: 127.0.0.1
    port: {app}
    https: false
    email_from: gitlab@example.com
  incoming_email:
    enabled: true
    address: "incoming+%{key}@gitlab.example.com"
    user: "{user}"
    password: "{password}"
    host: "localhost"
    port: {port}
    ssl: false
    start_tls: false
    mailbox: "inbox"
    idle_timeout: 60
    delete_after_delivery: true
    expunge_deleted: false
    delivery_method: webhook
    secret_file: /home/git/gitlab/.gitlab_mailroom_secret
  artifacts:
    enabled: true
development:
  <<: *base
"##;

const MAIL_ROOM_YML: &str = r##"
---
:mailboxes:
  - :host: "localhost"
    :port: {port}
    :ssl: false
    :start_tls: false
    :email: "{user}"
    :password: "{password}"
    :idle_timeout: 60
    :name: "inbox"
    :delivery_method: postback
    :delivery_options:
      :delivery_url: "{url}/api/v4/internal/mail_room/incoming_email"
      :jwt_auth_header: Gitlab-Mailroom-Api-Request
      :jwt_issuer: gitlab-mailroom
      :jwt_algorithm: "HS256"
      :jwt_secret_path: /etc/gitlab/mailroom.secret
    :arbitration_method: redis
    :arbitration_options:
      :redis_url: redis://localhost:6379
"##;

#[needs(dovecot_imap, root)]
#[test]
fn what_import_writes_is_accepted_by_check_and_read_with() {
    for (name, text) in [("gitlab.rb", GITLAB_RB), ("gitlab.yml", GITLAB_YML), ("mail_room.yml", MAIL_ROOM_YML)] {
        let server = Dovecot::start_with_files("", |directory| {
            std::fs::write(directory.join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n")).unwrap();
        });
        let mut client = Imap::log_in(server.imap(), USER, PASSWORD);
        let gitlab = HttpServer::tcp(|_| {
            let now = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
            Reply::json(200, r#"{"success":true}"#).with_header("Date", &now)
        });
        let site = Site::with("");
        let place = site.place.path();
        let settings = [
            ("{url}", gitlab.url()),
            ("{app}", gitlab.url().rsplit(':').next().unwrap()),
            ("{user}", USER),
            ("{password}", PASSWORD),
            ("{port}", &server.imap().to_string()),
        ];
        let file = place.join(name);
        let source = settings.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        std::fs::write(&file, source).unwrap();
        let imported = site.run(&["import", file.to_str().unwrap()]).expect(0).out();
        assert!(!imported.contains(PASSWORD), "{name}: {imported}");
        // What the steps at its beginning ask for, in a directory of the test.
        let secrets = [
            "/var/opt/gitlab/incoming_email_secret",
            "/home/git/gitlab/.gitlab_mailroom_secret",
            "/etc/gitlab/mailroom.secret",
        ];
        let secret = secrets.into_iter().find(|secret| imported.contains(secret)).expect("the file of the secret");
        let password = imported.split_once("password_file = \"").unwrap().1.split('"').next().unwrap();
        assert!(password.starts_with("/etc/mailhatch/"), "{imported}");
        let config = imported.replace(password, "{dir}/password").replace(secret, "{dir}/secret");
        let head = "hostname = \"mx.example.com\"\nstate_dir = \"{dir}/state\"\n[auth]\nmethod = \"off\"\n[log]\nto = \"stderr\"\n";
        site.place.configure(&format!("{head}{config}"));
        site.place.write_secret("secret", GITLAB_SECRET);
        std::fs::create_dir(place.join("state")).unwrap();
        append(&mut client, [message(&address(1), "one"), message("joe@example.net", "other")]);
        let out = site.run(&["check"]).out();
        // Postfix is not what is imported.
        let failed: Vec<_> =
            out.lines().filter(|line| line.starts_with("failed") && !line.contains(" postfix ")).collect();
        assert!(failed.is_empty(), "{name}: {out}\n{config}");
        assert!(out.contains("inbox incoming_email") && out.contains("logged in at localhost"), "{name}: {out}");
        site.once().expect(0);
        let asked = gitlab.requests().iter().filter(|request| request.path.ends_with("incoming_email")).count();
        assert!(asked >= 1, "{name}");
        let flags = client.flags("INBOX");
        let expected = match name {
            "gitlab.rb" => vec![(2, String::new())],
            "gitlab.yml" => vec![(1, "\\Deleted \\Seen".to_owned()), (2, String::new())],
            _ => vec![(1, "$MailhatchDone".to_owned()), (2, String::new())],
        };
        assert_eq!(flags, expected, "{name}");
    }
}
