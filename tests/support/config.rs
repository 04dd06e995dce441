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

/// A key of GitLab's reply form, and its address.
pub const REPLY_KEY: &str = "59d8df8370b7e95c5a49fbf86aeb2c93";
pub const REPLY_ADDRESS: &str = "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@gitlab.example.com";
