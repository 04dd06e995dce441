//! GitLab's key forms, in the order in which GitLab tries them.
//!
//! Written by hand because they are few, fixed and run for every message, also in a process that lives for one message.

use std::collections::BTreeMap;

/// The parts of a key by name.
pub(super) type Captures = BTreeMap<String, String>;

/// Reads a whole key as one form.
type Form = fn(&str) -> Option<Captures>;

/// The forms and their actions. Where an old form and a new one share an action, they share a place in the order.
const FORMS: [(&str, Form); 6] = [
    ("reply", reply),
    ("issue", issue),
    ("issue-note", issue_note),
    ("unsubscribe", unsubscribe),
    ("merge-request", merge_request),
    ("service-desk", service_desk),
];

/// The action of a key in the mailbox `incoming_email`, with the key's parts.
pub(super) fn action(key: &str) -> Option<(&'static str, Captures)> {
    FORMS.iter().find_map(|(name, form)| Some((*name, form(key)?)))
}

/// A reply key: 32 lower-case hexadecimal digits, or the partitioned form `rs-0000000000000000000000abc-rs`.
pub(super) fn reply(key: &str) -> Option<Captures> {
    is_reply_key(key).then(|| captures([("reply_key", key)]))
}

/// In the mailbox `service_desk_email` every key is a project's: `SLUG-ID-issue-`, or `SLUG-PROJECTKEY`.
pub(super) fn project_of_service_desk(key: &str) -> Captures {
    if let Some(parts) = service_desk(key) {
        return parts;
    }
    let is_key = |text: &str| !text.is_empty() && text.bytes().all(|b| is_base36(b) || b == b'_');
    match key.rsplit_once('-') {
        Some((slug, project_key)) if !slug.is_empty() && is_key(project_key) => {
            captures([("project_slug", slug), ("project_key", project_key)])
        }
        _ => Captures::new(),
    }
}

/// `SLUG-ID-TOKEN-issue`; before GitLab 11.7 `group/project+TOKEN`.
fn issue(key: &str) -> Option<Captures> {
    if let Some(project) = key.strip_suffix("-issue").filter(|_| !key.contains('/')).and_then(project_with_token) {
        return Some(project);
    }
    let (path, token) = key.split_once('+')?;
    let good = !token.contains('+') && !key.contains("+unsubscribe");
    good.then(|| captures([("project_path", path), ("token", token)]))
}

/// `SLUG-ID-TOKEN-issue-IID`
fn issue_note(key: &str) -> Option<Captures> {
    let (rest, iid) = key.rsplit_once('-')?;
    if !is_number(iid) {
        return None;
    }
    let mut parts = project_with_token(rest.strip_suffix("-issue")?)?;
    parts.insert("issue_iid".to_owned(), iid.to_owned());
    Some(parts)
}

/// A reply key and `-unsubscribe`; before GitLab 11.7 `+unsubscribe`.
fn unsubscribe(key: &str) -> Option<Captures> {
    reply(key.strip_suffix("-unsubscribe").or_else(|| key.strip_suffix("+unsubscribe"))?)
}

/// `SLUG-ID-TOKEN-merge-request`; before GitLab 11.7 `group/project+merge-request+TOKEN`.
fn merge_request(key: &str) -> Option<Captures> {
    let new_form = key.strip_suffix("-merge-request").filter(|_| !key.contains('/'));
    if let Some(project) = new_form.and_then(project_with_token) {
        return Some(project);
    }
    let (path, token) = key.split_once("+merge-request+")?;
    (!path.contains('+')).then(|| captures([("project_path", path), ("token", token)]))
}

/// `SLUG-ID-issue-`; before GitLab 11.7 the bare `group/project`.
fn service_desk(key: &str) -> Option<Captures> {
    if let Some(project) = key.strip_suffix("-issue-").filter(|_| !key.contains('/')) {
        let (slug, id) = project.rsplit_once('-').filter(|(slug, id)| !slug.is_empty() && is_number(id))?;
        return Some(captures([("project_slug", slug), ("project_id", id)]));
    }
    (key.contains('/') && !key.contains('+')).then(|| captures([("project_path", key)]))
}

/// `SLUG-ID-TOKEN`. Slug and token may both hold `-12-`: GitLab's slug is as long as it can be.
fn project_with_token(text: &str) -> Option<Captures> {
    text.rmatch_indices('-').find_map(|(dash, _)| {
        let (slug, (id, token)) = (&text[..dash], text[dash + 1..].split_once('-')?);
        let good = !slug.is_empty() && is_number(id) && !token.is_empty();
        good.then(|| captures([("project_slug", slug), ("project_id", id), ("token", token)]))
    })
}

fn is_reply_key(key: &str) -> bool {
    let is_legacy = key.len() == 32 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_legacy || is_partitioned_reply_key(key)
}

/// Partition, 25 characters, and for a namespace its number, all in base 36.
fn is_partitioned_reply_key(key: &str) -> bool {
    let mut parts = key.split('-');
    let mut part_of = |shortest: usize, longest: usize| {
        let part = parts.next()?;
        Some((shortest..=longest).contains(&part.len()) && part.bytes().all(is_base36))
    };
    let is_key = part_of(1, 4) == Some(true) && part_of(25, 25) == Some(true) && part_of(1, 13) != Some(false);
    is_key && parts.next().is_none()
}

fn is_base36(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'z')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn captures<const N: usize>(parts: [(&str, &str); N]) -> Captures {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part.to_owned())).collect()
}
