//! The `mailhatch.toml`, with what to do before it is used.

use std::fmt::Write;
use std::path::Path;

use super::imported::{Imported, Kind, Origin, Refused, Section, Setting};
use super::inbox::{Inbox, inbox};
use super::meaning::{Meaning, is_of_inbox, is_secret, meaning};
use super::toml_string::quoted;

/// A mailbox that goes into the output.
struct Mailbox<'a> {
    kind: Kind,
    address: String,
    /// Why the address should be looked at.
    doubt: Option<String>,
    url: Named<'a>,
    secret: Named<'a>,
    /// Where its mail lies, or why that is left out.
    inbox: Result<Inbox, String>,
}

/// A value, and whether the file said it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named<'a> {
    Told(&'a str),
    Usual(&'static str),
}

impl Named<'_> {
    fn value(&self) -> &str {
        match self {
            Self::Told(value) | Self::Usual(value) => value,
        }
    }

    fn comment(&self) -> &'static str {
        match self {
            Self::Told(_) => "",
            Self::Usual(_) => "  # not in the file: this is the usual place, please check it",
        }
    }
}

/// Writes the configuration of everything that was read.
pub(super) fn write(path: &Path, imported: &Imported) -> Result<String, Refused> {
    let mut left_out = Vec::new();
    let mailboxes = imported.sections.iter().filter_map(|section| match mailbox(imported, section) {
        Ok(mailbox) => Some(mailbox),
        Err(why) => {
            left_out.push(format!("{}: {why}", section.kind.name()));
            None
        }
    });
    let mailboxes = mailboxes.collect::<Vec<_>>();
    if mailboxes.is_empty() {
        let mut why = "no mailbox can be taken over".to_owned();
        for note in left_out.iter().chain(&imported.notes) {
            let _ = write!(why, "\n  {note}");
        }
        return Err(Refused::NothingToImport(why));
    }
    let mut text = preface(path, imported.origin, &mailboxes);
    for mailbox in &mailboxes {
        write_mailbox(&mut text, mailbox);
    }
    for mailbox in &mailboxes {
        write_app(&mut text, mailbox);
    }
    let mut notes = imported.notes.clone();
    for mailbox in &mailboxes {
        match &mailbox.inbox {
            Ok(inbox) => {
                text.push_str(&inbox.text);
                notes.extend(inbox.notes.iter().cloned());
            }
            Err(why) => left_out.push(format!("the [[inbox]] of {}: {why}", mailbox.kind.name())),
        }
    }
    list(&mut text, "Left out:", &left_out);
    list(&mut text, "Please look at these:", &notes);
    list(&mut text, "Settings that have no meaning here:", &without_meaning(imported));
    Ok(text)
}

fn mailbox<'a>(imported: &'a Imported, section: &'a Section) -> Result<Mailbox<'a>, String> {
    if imported.origin != Origin::MailRoomYml && !section.value("enabled").is_some_and(super::imported::Value::is_true)
    {
        return Err("it is not enabled".to_owned());
    }
    let (address, doubt) = match (section.text("address"), imported.origin) {
        (Some(address), _) => (address.to_owned(), None),
        (None, Origin::MailRoomYml) => from_login(section)?,
        (None, _) => return Err("it has no address that can be read".to_owned()),
    };
    if !address.contains('@') {
        return Err(format!("\"{address}\" is not a valid address"));
    }
    if section.kind == Kind::ServiceDeskEmail && !address.contains("%{key}") {
        return Err(format!("{address} has no %{{key}}, so no message for it could be found"));
    }
    let told = section.text("gitlab_url").or(imported.gitlab_url.as_deref());
    let usual_url = match imported.origin {
        Origin::GitlabRb => "http+unix:///var/opt/gitlab/gitlab-workhorse/sockets/socket",
        Origin::GitlabYml | Origin::MailRoomYml => "http://127.0.0.1:8080",
    };
    let usual_secret = match (imported.origin, section.kind) {
        (Origin::GitlabRb, Kind::IncomingEmail) => {
            "/opt/gitlab/embedded/service/gitlab-rails/.gitlab_incoming_email_secret"
        }
        (Origin::GitlabRb, Kind::ServiceDeskEmail) => {
            "/opt/gitlab/embedded/service/gitlab-rails/.gitlab_service_desk_email_secret"
        }
        (_, Kind::IncomingEmail) => "/home/git/gitlab/.gitlab_incoming_email_secret",
        (_, Kind::ServiceDeskEmail) => "/home/git/gitlab/.gitlab_service_desk_email_secret",
    };
    Ok(Mailbox {
        kind: section.kind,
        address,
        doubt,
        url: told.map_or(Named::Usual(usual_url), Named::Told),
        secret: section.text("secret_file").map_or(Named::Usual(usual_secret), Named::Told),
        inbox: inbox(imported.origin, section),
    })
}

/// mail_room knows the login of the mailbox only; GitLab's address is most often that with the key behind a plus sign.
fn from_login(section: &Section) -> Result<(String, Option<String>), String> {
    let login = section.text("email").ok_or("it has no :email that can be read")?;
    let (user, domain) = login.split_once('@').ok_or_else(|| format!("\"{login}\" is a login, no address"))?;
    let doubt = "mail_room.yml names the login only: put GitLab's incoming_email address here";
    Ok((format!("{user}+%{{key}}@{domain}"), Some(doubt.to_owned())))
}

fn preface(path: &Path, origin: Origin, mailboxes: &[Mailbox<'_>]) -> String {
    let mut text =
        format!("# From {}, by mailhatch import.\n#\n# To take over:\n", printable(&path.display().to_string()));
    let mut number = 0;
    let mut step = |what: &str| {
        number += 1;
        let _ = writeln!(text, "# {number}. {what}");
    };
    step("Leave incoming_email (and service_desk_email) enabled in GitLab: its API answers 401 otherwise.");
    step("Let mailhatch's user read each secret_file: setfacl -m u:mailhatch:r FILE, or a copy with mode 0640.");
    let stop = match origin {
        Origin::GitlabRb => "mailroom['enable'] = false, then gitlab-ctl reconfigure",
        Origin::GitlabYml | Origin::MailRoomYml => "it would mark mail before GitLab has it",
    };
    let inboxes: Vec<_> = mailboxes.iter().filter_map(|mailbox| mailbox.inbox.as_ref().ok()).collect();
    for inbox in &inboxes {
        step(&format!("Write {}: install -o root -g mailhatch -m 0640 /dev/stdin {}", inbox.secret, inbox.secret_file));
    }
    if inboxes.is_empty() {
        step(
            "Run mailhatch check, and mailhatch-postfix for the domain of each address; its MX must lead to this Postfix.",
        );
        step(&format!("Stop mail_room: {stop}. What is unread in its mailbox then stays unread: forward it once."));
    } else {
        step(
            "Run mailhatch check, and mailhatch fetch --dry-run: it counts what would become of the mail that is there.",
        );
        step(&format!("Stop mail_room: {stop}."));
        step("Start mailhatch: systemctl enable --now mailhatch-fetch. It begins with what is unread.");
    }
    if mailboxes.iter().any(|mailbox| !mailbox.address.contains("%{key}")) {
        step("An address without %{key} takes replies only: they are found by their References field.");
    }
    text
}

fn write_mailbox(text: &mut String, mailbox: &Mailbox<'_>) {
    let doubt = mailbox.doubt.as_ref().map(|doubt| format!("  # {doubt}")).unwrap_or_default();
    let _ = writeln!(text, "\n[[mailbox]]\nname = {}", quoted(mailbox.kind.name()));
    let _ = writeln!(text, "address = {}{doubt}", quoted(&mailbox.address));
    if mailbox.kind == Kind::ServiceDeskEmail {
        let _ = writeln!(text, "actions = \"gitlab-service-desk\"");
    }
    let _ = writeln!(text, "app = {}", quoted(app_name(mailbox.kind)));
}

/// An application each: GitLab has a secret for each of its mailboxes.
fn write_app(text: &mut String, mailbox: &Mailbox<'_>) {
    let _ = writeln!(text, "\n[[app]]\nname = {}\nkind = \"gitlab\"", quoted(app_name(mailbox.kind)));
    let _ = writeln!(text, "url = {}{}", quoted(mailbox.url.value()), mailbox.url.comment());
    let _ = writeln!(text, "secret_file = {}{}", quoted(mailbox.secret.value()), mailbox.secret.comment());
}

fn app_name(kind: Kind) -> &'static str {
    match kind {
        Kind::IncomingEmail => "gitlab",
        Kind::ServiceDeskEmail => "gitlab-service-desk",
    }
}

fn without_meaning(imported: &Imported) -> Vec<String> {
    // What an [[inbox]] was made of has its meaning in it.
    let settings = imported.sections.iter().flat_map(|section| {
        let is_read = inbox(imported.origin, section).is_ok();
        section.settings.iter().filter(move |setting| !(is_read && is_of_inbox(&setting.key)))
    });
    let line = |setting: &Setting| match meaning(&setting.key, setting.value.text()) {
        Meaning::Taken => None,
        Meaning::None(why) => {
            let value = setting.value.text().filter(|value| !value.is_empty() && !is_secret(&setting.key));
            let value = value.map(|value| format!(" = {value}")).unwrap_or_default();
            Some(format!("{}{value}: {why}", setting.shown))
        }
    };
    settings.filter_map(line).collect()
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n# {title}");
    for line in lines {
        let _ = writeln!(text, "#   {}", printable(line));
    }
}

/// A comment ends with its line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
