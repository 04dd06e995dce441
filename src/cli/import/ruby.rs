//! gitlab.rb: literal assignments `gitlab_rails['incoming_email_…'] = value`, and nothing that would need Ruby.

use std::sync::LazyLock;

use regex::Regex;

use super::imported::{Imported, Kind, Origin, Section, Setting, Value};

#[allow(clippy::unwrap_used, reason = "a constant pattern, compiled in the tests")]
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*(gitlab_rails|mailroom)\[\s*['":]?([a-z_]+)['"]?\s*\]\s*=([^=~].*|)$"#).unwrap()
});

#[allow(clippy::unwrap_used, reason = "a constant pattern, compiled in the tests")]
static EXTERNAL_URL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\s*external_url[\s(]\s*(.*?)\)?\s*$").unwrap());

/// `'tenant_id': 'x',`, `tenant_id: 'x'`, `:tenant_id => 'x'`
#[allow(clippy::unwrap_used, reason = "a constant pattern, compiled in the tests")]
static OPTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\s*:?['"]?([a-z_]+)['"]?\s*(?:=>|:)\s*('[^']*'|"[^"]*"|[^,#\s]+)"#).unwrap());

/// Whether the text is a gitlab.rb.
pub(super) fn is_gitlab_rb(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("gitlab_rails[") || EXTERNAL_URL.is_match(line))
}

/// Reads the settings of both mailboxes.
pub(super) fn read(text: &str) -> Imported {
    let mut found = Imported { origin: Origin::GitlabRb, sections: Vec::new(), gitlab_url: None, notes: Vec::new() };
    let (mut conditions, mut in_comment) = (0_usize, false);
    // The table and the key of a hash that is open.
    let mut open: Option<(String, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match line {
            "__END__" => break,
            _ if line.starts_with("=begin") => in_comment = true,
            _ if line.starts_with("=end") => in_comment = false,
            _ => {}
        }
        if in_comment {
            continue;
        }
        if let Some((table, key)) = &open {
            match OPTION.captures(line) {
                _ if line.trim_start().starts_with('}') => open = None,
                Some(option) => {
                    let key = format!("{key}.{}", &option[1]);
                    found.assign(number, table, &key, literal(&option[2]), conditions > 0);
                }
                None => {}
            }
            continue;
        }
        match line.split_whitespace().next() {
            Some("if" | "unless" | "case" | "begin") => conditions += 1,
            Some("end") => conditions = conditions.saturating_sub(1),
            _ => {}
        }
        if let Some(url) = EXTERNAL_URL.captures(line) {
            match literal(&url[1]) {
                Value::Text(url) => found.gitlab_url = Some(url),
                Value::Unread(source) => {
                    found
                        .notes
                        .push(format!("line {number}: external_url {source}: not understood, it is not a literal"));
                }
            }
        } else if let Some(assignment) = ASSIGNMENT.captures(line) {
            if assignment[2].ends_with("inbox_options") && assignment[3].trim() == "{" {
                open = Some((assignment[1].to_owned(), assignment[2].to_owned()));
                continue;
            }
            found.assign(number, &assignment[1], &assignment[2], literal(&assignment[3]), conditions > 0);
        }
    }
    found.sections.sort_by_key(|section| section.kind);
    found
}

impl Imported {
    fn assign(&mut self, line: usize, table: &str, key: &str, value: Value, conditional: bool) {
        let shown = format!("{table}['{key}']");
        let Some((kind, key)) = mailbox_key(key) else {
            if table == "mailroom" && key != "enable" {
                self.notes.push(format!("line {line}: {shown}: mailhatch takes the place of mail_room"));
            }
            return;
        };
        if let Value::Unread(source) = &value {
            // The source could hold a password in an expression.
            let source = if super::meaning::is_secret(key) { "…" } else { source };
            self.notes.push(format!("line {line}: {shown} = {source}: not understood, it is not a literal"));
        }
        if conditional {
            self.notes.push(format!("line {line}: {shown} stands in a condition: it was read as if that held"));
        }
        let section = match self.sections.iter().position(|section| section.kind == kind) {
            Some(at) => &mut self.sections[at],
            None => {
                self.sections.push(Section { kind, settings: Vec::new() });
                let last = self.sections.len() - 1;
                &mut self.sections[last]
            }
        };
        section.settings.retain(|setting| setting.key != key);
        section.settings.push(Setting { key: key.to_owned(), shown, value });
    }
}

fn mailbox_key(key: &str) -> Option<(Kind, &str)> {
    Kind::ALL.into_iter().find_map(|kind| Some((kind, key.strip_prefix(kind.name())?.strip_prefix('_')?)))
}

/// A Ruby literal with nothing but a comment behind it.
fn literal(text: &str) -> Value {
    let text = text.trim();
    let unread = || Value::Unread(text.to_owned());
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted(text, quote).map_or_else(unread, Value::Text),
        _ => {
            let bare = text.split_once('#').map_or(text, |(before, _)| before).trim_end();
            let is_number = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit() || b == b'_');
            match bare {
                "nil" => Value::Text(String::new()),
                "true" | "false" => Value::Text(bare.to_owned()),
                _ if is_number => Value::Text(bare.replace('_', "")),
                _ => unread(),
            }
        }
    }
}

fn quoted(text: &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut rest = text[1..].chars();
    loop {
        match rest.next()? {
            '\\' => match (quote, rest.next()?) {
                (_, escaped @ ('\\' | '\'' | '"' | '#')) => value.push(escaped),
                ('\'', other) => value.extend(['\\', other]),
                (_, _) => return None,
            },
            // "#{…}" is an expression.
            '#' if quote == '"' && rest.as_str().starts_with('{') => return None,
            c if c == quote => break,
            c => value.push(c),
        }
    }
    let behind = rest.as_str().trim();
    (behind.is_empty() || behind.starts_with('#')).then_some(value)
}
