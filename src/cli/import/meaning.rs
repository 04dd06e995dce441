//! What each setting of GitLab and mail_room means for mailhatch.

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It goes into the output.
    Taken,
    /// It has no meaning here, and why.
    None(&'static str),
}

const FETCHING: &str = "no [[inbox]] is made of it: without one, Postfix hands the mail over";

/// By GitLab's name of the setting; settings of mail_room have been given these names before.
pub(super) fn meaning(key: &str, value: Option<&str>) -> Meaning {
    use Meaning::{None, Taken};
    match key {
        "enabled" | "address" | "secret_file" | "gitlab_url" => Taken,
        "user"
        | "email"
        | "password"
        | "host"
        | "port"
        | "ssl"
        | "start_tls"
        | "mailbox"
        | "mailbox_name"
        | "name"
        | "idle_timeout"
        | "search_command"
        | "inbox_method"
        | "delete_after_delivery"
        | "expunge_deleted" => None(FETCHING),
        "limit_max_unread" => None("messages are fetched one by one, however many there are"),
        "encrypted_secret_file" => None("write the password that is in it to the password_file of the [[inbox]]"),
        "inbox_options" => None("they are for Microsoft Graph, and cannot be read here"),
        _ if key.starts_with("inbox_options.") => None("it is for Microsoft Graph, and no [[inbox]] is made of it"),
        "delivery_method" => match value {
            Some("webhook" | "postback") => None("mailhatch always hands over by the API that this method uses"),
            _ => None(
                "mailhatch hands over by GitLab's API, not through Redis: set the delivery method webhook and a \
                 secret_file in GitLab, or it answers 401",
            ),
        },
        "delivery_options" | "delivery_klass" | "content_type" => None("mailhatch sends what GitLab's API asks for"),
        "redis_url" | "redis_db" | "namespace" | "sentinels" | "sentinel_username" | "sentinel_password"
        | "redis_ssl_params" | "queue" | "worker" => None("mailhatch hands over by GitLab's API, not through Redis"),
        "arbitration_method" | "arbitration_options" => None(
            "one reader an inbox, and mailhatch's own ledger; for readers on several hosts see [shared] in mailhatch.toml(5)",
        ),
        "log_path" | "logger" => None("where log lines go is set in [log]"),
        "auth_token" => None(
            "the secret stands in a file here: write it to the secret_file named above, readable by mailhatch only",
        ),
        "delivery_token" | "token" | "username" => None("GitLab's API is signed with the secret_file alone"),
        "jwt_auth_header" | "jwt_issuer" | "jwt_algorithm" => {
            None("mailhatch uses what GitLab expects: Gitlab-Mailroom-Api-Request, gitlab-mailroom, HS256")
        }
        "public_key_files" | "signing_key_file" => {
            None("mailhatch signs by HS256 only: GitLab needs a secret_file beside its public_key_files")
        }
        "health_check" => None("the service tells systemd that it lives, and has metrics at listen.metrics"),
        _ => None("mailhatch knows no such setting"),
    }
}

/// Settings that an `[[inbox]]` is made of.
pub(super) fn is_of_inbox(key: &str) -> bool {
    const KEYS: [&str; 21] = [
        "user",
        "email",
        "password",
        "host",
        "port",
        "ssl",
        "start_tls",
        "mailbox",
        "mailbox_name",
        "name",
        "idle_timeout",
        "search_command",
        "inbox_method",
        "delete_after_delivery",
        "expunge_deleted",
        "inbox_options.tenant_id",
        "inbox_options.client_id",
        "inbox_options.client_secret",
        "inbox_options.azure_ad_endpoint",
        "inbox_options.graph_endpoint",
        "inbox_options.poll_interval",
    ];
    KEYS.contains(&key)
}

/// Settings whose value is never shown, not even in a comment.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "token", "secret", "options", "sentinel", "redis_url"].iter().any(|part| key.contains(part))
        && !key.ends_with("secret_file")
}
