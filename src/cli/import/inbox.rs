//! The mailbox that mail_room read, as an `[[inbox]]`: 1:1, with its defaults, and what could not be taken over as it is.

use std::fmt::Write;
use std::path::Path;

use super::imported::{Origin, Section, Value};
use super::toml_string::quoted;
use crate::config::Config;

/// An `[[inbox]]` of the output, with what to look at.
pub(super) struct Inbox {
    pub text: String,
    pub notes: Vec<String>,
    /// The secret that is to be written, and the file for it.
    pub secret: &'static str,
    pub secret_file: String,
}

/// What a setting is where the file says nothing, by the program that reads the file.
struct Defaults {
    host: Option<&'static str>,
    port: &'static str,
    ssl: bool,
    idle_timeout: u64,
    delete_after_delivery: bool,
}

impl Defaults {
    fn of(origin: Origin) -> Self {
        match origin {
            // mail_room 0.11: mailbox.rb
            Origin::MailRoomYml => Self {
                host: Some("imap.gmail.com"),
                port: "993",
                ssl: true,
                idle_timeout: 29 * 60,
                delete_after_delivery: false,
            },
            // GitLab: mail_room.rb, and its own mail_room.yml
            Origin::GitlabRb | Origin::GitlabYml => {
                Self { host: None, port: "143", ssl: false, idle_timeout: 60, delete_after_delivery: true }
            }
        }
    }
}

/// A configuration to which only an inbox may add a mistake.
const ELSE: &str = "[[mailbox]]\nname = \"x\"\naddress = \"x+%{key}@example.com\"\napp = \"x\"\n\
                    [[app]]\nname = \"x\"\nkind = \"spool\"\npath = \"/x\"\n";

/// The mailbox of a section; `Err`: it is left out, and why.
pub(super) fn inbox(origin: Origin, section: &Section) -> Result<Inbox, String> {
    let name = section.kind.name();
    let defaults = Defaults::of(origin);
    match section.text("inbox_method") {
        None | Some("" | "imap") => {}
        Some("microsoft_graph") => return graph(&defaults, section),
        Some(_) => return Err("its inbox_method is neither imap nor microsoft_graph".to_owned()),
    }
    let host = section.text("host").or(defaults.host.filter(|_| section.value("host").is_none()));
    let host = host.ok_or("the file names no host that can be read")?;
    let user =
        section.text("user").or_else(|| section.text("email")).ok_or("the file names no user that can be read")?;
    let mut notes = Vec::new();
    let ssl = match section.text("ssl") {
        None | Some("true" | "false") => is_true(section, "ssl", defaults.ssl),
        Some(_) => {
            notes.push(format!(
                "inbox {name}: certificates are always verified; one of your own authority goes into ca_file"
            ));
            true
        }
    };
    let start_tls = is_true(section, "start_tls", false) && !ssl;
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "::1");
    let goes_plain = !ssl && !start_tls && !is_local;
    if goes_plain {
        notes.push(format!(
            "inbox {name}: neither ssl nor start_tls: mail_room sent the password unencrypted, which mailhatch does to this host alone; start_tls = true was written"
        ));
    }
    let port = section.text("port").unwrap_or(defaults.port);
    let password_file = format!("/etc/mailhatch/{name}.password");
    let mut text = format!("\n[[inbox]]\nname = {}\nkind = \"imap\"\n", quoted(name));
    let _ = writeln!(text, "host = {}\nport = {port}\nssl = {ssl}", quoted(host));
    if start_tls || goes_plain {
        let _ = writeln!(text, "start_tls = true");
    }
    let _ = writeln!(text, "user = {}\npassword_file = {}", quoted(user), quoted(&password_file));
    write_folder(&mut text, section);
    let _ = writeln!(text, "idle_timeout = \"{}s\"", idle_timeout(section, &defaults, &mut notes));
    let (since, comment) = since(section, &mut notes);
    let _ = writeln!(text, "since = \"{since}\"{comment}");
    write_deletion(&mut text, section, defaults.delete_after_delivery);
    check(&text)?;
    Ok(Inbox { text, notes, secret: "the password of the mailbox", secret_file: password_file })
}

/// A mailbox that was read by Microsoft Graph.
fn graph(defaults: &Defaults, section: &Section) -> Result<Inbox, String> {
    let name = section.kind.name();
    let option = |key: &str| section.text(&format!("inbox_options.{key}")).filter(|text| !text.is_empty());
    let needed = |key: &str| option(key).ok_or(format!("its inbox_options name no {key} that can be read"));
    let user =
        section.text("user").or_else(|| section.text("email")).ok_or("the file names no user that can be read")?;
    let secret_file = format!("/etc/mailhatch/{name}.client-secret");
    let mut text = format!("\n[[inbox]]\nname = {}\nkind = \"graph\"\nuser = {}\n", quoted(name), quoted(user));
    let (tenant, client) = (quoted(needed("tenant_id")?), quoted(needed("client_id")?));
    let _ = writeln!(text, "tenant_id = {tenant}\nclient_id = {client}\nclient_secret_file = {}", quoted(&secret_file));
    for key in ["azure_ad_endpoint", "graph_endpoint"] {
        if let Some(endpoint) = option(key) {
            let _ = writeln!(text, "{key} = {}", quoted(endpoint));
        }
    }
    write_folder(&mut text, section);
    let mut notes = Vec::new();
    let (since, comment) = since(section, &mut notes);
    // mail_room 0.11: microsoft_graph/connection.rb
    let poll = option("poll_interval").and_then(|text| text.parse::<u64>().ok()).unwrap_or(60).max(1);
    let _ = writeln!(text, "poll_interval = \"{poll}s\"\nsince = \"{since}\"{comment}");
    write_deletion(&mut text, section, defaults.delete_after_delivery);
    check(&text)?;
    Ok(Inbox { text, notes, secret: "the client secret of the application", secret_file })
}

/// The folder, where it is not the inbox itself.
fn write_folder(text: &mut String, section: &Section) {
    let folder = ["mailbox", "mailbox_name", "name"].into_iter().find_map(|key| section.text(key)).unwrap_or("INBOX");
    if !folder.eq_ignore_ascii_case("inbox") {
        let _ = writeln!(text, "folder = {}", quoted(folder));
    }
}

/// What becomes of a message that is done.
fn write_deletion(text: &mut String, section: &Section, deletes: bool) {
    let _ = writeln!(
        text,
        "delete_after_delivery = {}\nexpunge_deleted = {}",
        is_true(section, "delete_after_delivery", deletes),
        is_true(section, "expunge_deleted", false)
    );
}

fn is_true(section: &Section, key: &str, default: bool) -> bool {
    section.value(key).map_or(default, Value::is_true)
}

/// Whether mailhatch takes what was written.
fn check(text: &str) -> Result<(), String> {
    let parsed = Config::parse(Path::new("mailhatch.toml"), &format!("{ELSE}{text}"));
    parsed.map(drop).map_err(|error| {
        format!("its settings are not valid here: {}", error.to_string().lines().next().unwrap_or_default())
    })
}

/// Seconds; mailhatch keeps to RFC 2177.
fn idle_timeout(section: &Section, defaults: &Defaults, notes: &mut Vec<String>) -> u64 {
    const BOUNDS: (u64, u64) = (5, 29 * 60);
    let seconds = section.text("idle_timeout").and_then(|text| text.parse().ok()).unwrap_or(defaults.idle_timeout);
    let bounded = seconds.clamp(BOUNDS.0, BOUNDS.1);
    if bounded != seconds {
        notes.push(format!(
            "inbox {}: idle_timeout was {seconds} seconds; it is from 5 seconds to 29 minutes here",
            section.kind.name()
        ));
    }
    bounded
}

/// What the first run takes, and a comment: mail_room takes what nobody has read.
fn since(section: &Section, notes: &mut Vec<String>) -> (&'static str, &'static str) {
    const UNREAD: &str = "  # as mail_room: what nobody has read when mailhatch begins; afterwards all that comes in";
    match section.text("search_command").map(str::to_ascii_uppercase).as_deref() {
        None | Some("UNSEEN" | "NEW" | "NOT SEEN") => ("unseen", UNREAD),
        Some("ALL") => ("all", ""),
        Some(_) => {
            notes.push(format!(
                "inbox {}: its search_command has no equivalent; since = \"unseen\" was written",
                section.kind.name()
            ));
            ("unseen", UNREAD)
        }
    }
}
