//! gitlab.yml and mail_room.yml: YAML, with symbols as keys (`:mailboxes:`) and with ERB in it.

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

use super::imported::{Imported, Kind, Origin, Section, Setting, Value};

/// Stands where an ERB expression was; no text of a real file.
const ERB: &str = "mailhatch-erb-";

/// Reads either file; the error says what was looked for.
pub(super) fn read(text: &str) -> Result<Imported, String> {
    let (text, expressions) = without_erb(text);
    let documents = YamlLoader::load_from_str(&text).map_err(|error| format!("this is no YAML: {error}"))?;
    let top = documents.first().and_then(Yaml::as_hash).ok_or(NOT_KNOWN)?;
    let reader = Reader { expressions };
    if let Some(mailboxes) = get(top, "mailboxes") {
        return Ok(reader.mail_room(mailboxes.as_vec().map(Vec::as_slice).unwrap_or_default(), top));
    }
    let environment = ["production", "base", "defaults"].into_iter().find_map(|name| get(top, name)?.as_hash());
    let settings = environment.unwrap_or(top);
    if Kind::ALL.into_iter().any(|kind| get(settings, kind.name()).is_some()) {
        return Ok(reader.gitlab(settings));
    }
    Err(NOT_KNOWN.to_owned())
}

const NOT_KNOWN: &str = "this is neither a gitlab.yml (incoming_email or service_desk_email), nor a gitlab.rb \
     (gitlab_rails['incoming_email_…']), nor a mail_room.yml (:mailboxes:)";

/// The setting that is a mapping of what Microsoft Graph needs.
const OPTIONS: &str = "inbox_options";

struct Reader {
    expressions: Vec<String>,
}

impl Reader {
    fn gitlab(&self, settings: &Hash) -> Imported {
        let mut notes = Vec::new();
        let sections = Kind::ALL.into_iter().filter_map(|kind| {
            let section = get(settings, kind.name())?.as_hash()?;
            let mut settings = Vec::new();
            for (key, value) in entries(section) {
                let shown = format!("{}.{key}", kind.name());
                match value.as_hash() {
                    Some(options) if key == OPTIONS => {
                        self.options(&shown, ".", options, &mut settings, &mut notes);
                    }
                    _ => settings.push(self.setting(key.clone(), shown, value, &mut notes)),
                }
            }
            Some(Section { kind, settings })
        });
        let sections = sections.collect();
        Imported { origin: Origin::GitlabYml, sections, gitlab_url: self.gitlab_url(settings), notes }
    }

    /// GitLab's own address: `gitlab: {host, port, https, relative_url_root}`.
    fn gitlab_url(&self, settings: &Hash) -> Option<String> {
        let gitlab = get(settings, "gitlab")?.as_hash()?;
        let text = |key| get(gitlab, key).and_then(|value| self.value(value).text().map(str::to_owned));
        let host = text("host").filter(|host| !host.is_empty())?;
        let https = text("https").is_some_and(|https| https == "true");
        let scheme = if https { "https" } else { "http" };
        let usual = if https { "443" } else { "80" };
        let port = text("port").filter(|port| port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        let root = text("relative_url_root").unwrap_or_default();
        Some(format!("{scheme}://{host}{port}{}", root.trim_end_matches('/')))
    }

    fn mail_room(&self, mailboxes: &[Yaml], top: &Hash) -> Imported {
        let mut found =
            Imported { origin: Origin::MailRoomYml, sections: Vec::new(), gitlab_url: None, notes: Vec::new() };
        for (key, _) in entries(top).filter(|(key, _)| key != "mailboxes") {
            found.notes.push(format!(":{key}: mailhatch takes the place of mail_room"));
        }
        for (number, mailbox) in (1..).zip(mailboxes) {
            match mailbox.as_hash() {
                Some(mailbox) => self.mailbox(number, mailbox, &mut found),
                None => found.notes.push(format!("mailbox {number} is not a mapping: left out")),
            }
        }
        found
    }

    /// One entry of `:mailboxes:`, with its settings under GitLab's names for them.
    fn mailbox(&self, number: usize, mailbox: &Hash, found: &mut Imported) {
        let mut settings = Vec::new();
        for (key, value) in entries(mailbox) {
            match value.as_hash() {
                Some(options) if key == "delivery_options" => {
                    for (option, value) in entries(options) {
                        let shown = format!("mailbox {number}: :delivery_options: :{option}");
                        settings.push(self.setting(option, shown, value, &mut found.notes));
                    }
                }
                Some(options) if key == OPTIONS => {
                    let shown = format!("mailbox {number}: :{key}");
                    self.options(&shown, ": :", options, &mut settings, &mut found.notes);
                }
                _ => settings.push(self.setting(
                    key.clone(),
                    format!("mailbox {number}: :{key}"),
                    value,
                    &mut found.notes,
                )),
            }
        }
        let text = |key: &str| settings.iter().find(|setting| setting.key == key).and_then(|s| s.value.text());
        let url = text("delivery_url").or_else(|| text("url")).map(str::to_owned);
        let api = url.as_deref().and_then(|url| url.split_once("/api/v4/internal/mail_room/"));
        let kind = match (api, text("worker")) {
            (Some((_, name)), _) => Kind::named(name.trim_end_matches('/')),
            (None, Some("ServiceDeskEmailReceiverWorker")) => Some(Kind::ServiceDeskEmail),
            (None, Some("EmailReceiverWorker")) => Some(Kind::IncomingEmail),
            (None, _) => None,
        };
        let Some(kind) = kind else {
            found.notes.push(format!(
                "mailbox {number} hands its mail to no GitLab ({}): left out. For another application write an [[app]] \
                 of kind \"webhook\"; it gets signed JSON instead of the raw message",
                url.as_deref().unwrap_or("its delivery cannot be read"),
            ));
            return;
        };
        if found.sections.iter().any(|section| section.kind == kind) {
            found.notes.push(format!(
                "mailbox {number} is a second {}: left out, because GitLab's API knows one of each",
                kind.name()
            ));
            return;
        }
        let mut rename = |from: &str, to: &str, value: Option<String>| {
            if let Some(setting) = settings.iter_mut().find(|setting| setting.key == from) {
                to.clone_into(&mut setting.key);
                setting.value = value.map_or_else(|| setting.value.clone(), Value::Text);
            }
        };
        let base = api.map(|(base, _)| base.to_owned());
        rename("delivery_url", "gitlab_url", base.clone());
        rename("url", "gitlab_url", base);
        rename("jwt_secret_path", "secret_file", None);
        found.sections.push(Section { kind, settings });
    }

    /// What Microsoft Graph needs, each as a setting of its own.
    fn options(
        &self,
        shown: &str,
        between: &str,
        options: &Hash,
        settings: &mut Vec<Setting>,
        notes: &mut Vec<String>,
    ) {
        for (option, value) in entries(options) {
            let shown = format!("{shown}{between}{option}");
            settings.push(self.setting(format!("{OPTIONS}.{option}"), shown, value, notes));
        }
    }

    fn setting(&self, key: String, shown: String, value: &Yaml, notes: &mut Vec<String>) -> Setting {
        let value = self.value(value);
        if let Value::Unread(source) = &value {
            let source = if super::meaning::is_secret(&key) { "…" } else { source };
            notes.push(format!("{shown}: {source}: not understood, because only Ruby can tell what it is"));
        }
        Setting { key, shown, value }
    }

    fn value(&self, value: &Yaml) -> Value {
        match value {
            Yaml::String(text) | Yaml::Real(text) if text.contains(ERB) => Value::Unread(self.with_erb(text)),
            Yaml::String(text) | Yaml::Real(text) => Value::Text(text.clone()),
            Yaml::Integer(number) => Value::Text(number.to_string()),
            Yaml::Boolean(value) => Value::Text(value.to_string()),
            // A list or a mapping: none of the settings that are taken has one.
            Yaml::Array(_) | Yaml::Hash(_) => Value::Text("…".to_owned()),
            Yaml::Alias(_) | Yaml::BadValue | Yaml::Null => Value::Text(String::new()),
        }
    }

    fn with_erb(&self, text: &str) -> String {
        let replace = |text: String, (number, expression): (usize, &String)| {
            text.replace(&format!("{ERB}{number}-"), &format!("<%={expression}%>"))
        };
        self.expressions.iter().enumerate().fold(text.to_owned(), replace)
    }
}

/// A key with or without the colon of a Ruby symbol; `<<: *anchor` counts behind the keys that stand there.
fn get<'a>(mapping: &'a Hash, key: &str) -> Option<&'a Yaml> {
    let direct = mapping.iter().find(|(name, _)| name.as_str().is_some_and(|name| symbol(name) == key));
    let merged = || mapping.get(&Yaml::String("<<".to_owned()))?.as_hash();
    direct.map(|(_, value)| value).or_else(|| get(merged()?, key))
}

fn entries(mapping: &Hash) -> impl Iterator<Item = (String, &Yaml)> {
    mapping.iter().filter_map(|(name, value)| Some((symbol(name.as_str()?).to_owned(), value)))
}

fn symbol(name: &str) -> &str {
    name.strip_prefix(':').unwrap_or(name)
}

/// Takes ERB out: a statement leaves nothing, an expression leaves a mark.
fn without_erb(text: &str) -> (String, Vec<String>) {
    let (mut plain, mut expressions, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(start) = rest.find("<%") {
        let behind = &rest[start + 2..];
        let Some(end) = behind.find("%>") else { break };
        plain.push_str(&rest[..start]);
        if let Some(expression) = behind[..end].strip_prefix('=') {
            plain.push_str(&format!("{ERB}{}-", expressions.len()));
            expressions.push(expression.trim_end_matches('-').to_owned());
        }
        rest = &behind[end + 2..];
    }
    plain.push_str(rest);
    (plain, expressions)
}
