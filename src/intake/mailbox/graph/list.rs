//! Pages of messages and folders, as Graph writes them.

use std::time::SystemTime;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::asking::Graph;
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::ledger::ListItem;

/// One page.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    value: Vec<Entry>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

/// What a page has of a message or a folder.
#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "receivedDateTime")]
    received: Option<String>,
    #[serde(rename = "isDraft", default)]
    is_draft: bool,
    /// It is not there any more; why does not matter.
    #[serde(rename = "@removed")]
    removed: Option<serde::de::IgnoredAny>,
}

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With another page.
    Page(Url),
    /// With what comes in from now on.
    Delta(Url),
    /// Nowhere.
    End,
}

impl Page {
    pub(super) fn read(text: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(text).map_err(|error| malformed(&format!("a list that cannot be read: {error}")))
    }

    /// Its messages: what is there, and no draft.
    pub(super) fn items(&self) -> Vec<ListItem> {
        let is_message = |entry: &&Entry| entry.removed.is_none() && !entry.is_draft && is_id(&entry.id);
        let item =
            |entry: &Entry| ListItem { id: entry.id.clone(), received: entry.received.as_deref().and_then(time) };
        self.value.iter().filter(is_message).map(item).collect()
    }

    /// The id of its first entry.
    pub(super) fn first(&self) -> Option<&str> {
        self.value.first().map(|entry| entry.id.as_str()).filter(|id| is_id(id))
    }

    /// Where the list goes on. A link that leads elsewhere is not followed, whoever wrote it: a token goes with it.
    pub(super) fn next(&self, graph: &Graph) -> Result<Next, Failure> {
        let link = |text: &str| -> Result<Url, Failure> {
            let url = Url::parse(text).map_err(|error| malformed(&format!("a link that is not valid: {error}")))?;
            match graph.has(&url) {
                true => Ok(url),
                false => {
                    Err(malformed(&format!("a link to another host ({}), which is not followed", url.authority())))
                }
            }
        };
        Ok(match (&self.next, &self.delta) {
            (Some(next), _) => Next::Page(link(next)?),
            (None, Some(delta)) => Next::Delta(link(delta)?),
            (None, None) => Next::End,
        })
    }
}

pub(super) fn malformed(what: &str) -> Failure {
    Failure::new(Cause::Malformed, format!("Graph answered with {what}"))
}

/// An id goes into an address and into logs.
fn is_id(id: &str) -> bool {
    (1..=1024).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_graphic()) && !matches!(id, "." | "..")
}

fn time(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_messages_and_no_drafts_and_nothing_that_is_gone() {
        let page = Page::read(
            br##"{"@odata.context":"x","value":[
                {"@odata.type":"#microsoft.graph.message","id":"A=","receivedDateTime":"2026-11-22T10:00:00Z","isDraft":false},
                {"id":"B","isDraft":true},
                {"id":"C","@removed":{"reason":"deleted"}},
                {"id":"D\r\nevent=forged"},
                {"id":""},
                {"id":".."},
                {"id":"E"}
            ],"@odata.deltaLink":"https://graph.microsoft.com/x"}"##,
        )
        .expect("a page");
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_341_600);
        let items = [("A=", Some(at)), ("E", None)];
        let expected: Vec<_> =
            items.iter().map(|(id, received)| ListItem { id: (*id).to_owned(), received: *received }).collect();
        assert_eq!(page.items(), expected);
        for text in [&b"{}"[..], b"[]", b"<html>", br#"{"value":[{}]}"#] {
            assert_eq!(Page::read(text).expect_err("not a page").cause, Cause::Malformed);
        }
    }
}
