//! Configurations that tests share; `{dir}` is the place of `Place`.

/// Without mailboxes and applications: quiet, no name server, no notices.
pub const BASE: &str = r#"
hostname = "mx.example.com"
state_dir = "{dir}/state"
[listen]
lmtp = ["unix:{dir}/lmtp.sock"]
[auth]
method = "off"
[notice]
enabled = false
[log]
to = "stderr"
"#;

/// GitLab's mailbox into a spool.
pub const SPOOL: &str = r#"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{key}@gitlab.example.com"
actions = "gitlab"
app = "spool"
[[app]]
name = "spool"
kind = "spool"
path = "{dir}/spool"
"#;

/// The bytes 0 to 31: GitLab's secret file.
pub const GITLAB_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Any webhook's secret file.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The secret of an application of this kind.
pub fn secret_of(kind: &str) -> &'static str {
    if kind == "gitlab" { GITLAB_SECRET } else { WEBHOOK_SECRET }
}

/// GitLab's mailbox to an application over HTTP, with some lines more for it; its secret is in `{dir}/secret`.
pub fn http_app(kind: &str, url: &str, more: &str) -> String {
    format!(
        r#"
[[mailbox]]
name = "incoming_email"
address = "incoming+%{{key}}@gitlab.example.com"
actions = "gitlab"
app = "app"
[[app]]
name = "app"
kind = "{kind}"
url = "{url}"
secret_file = "{{dir}}/secret"
{more}
"#
    )
}

/// A key of GitLab's reply form, and its address.
pub const REPLY_KEY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";
pub const REPLY_ADDRESS: &str = "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@gitlab.example.com";
