//! A folder of a mailbox as a reader sees it: numbers for ids, and the ledger that knows which is which.

mod marking;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use hyper::header::CONTENT_LENGTH;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::asking::{Graph, Question};
use super::index::{Index, failed};
use super::list::{Next, Page, malformed};
use super::place::Place;
use super::refusal::Refusal;
use crate::intake::mailbox::failure::{Cause, Failure};
use crate::intake::mailbox::imap::Builder;
use crate::intake::mailbox::number_set::{Number, NumberSet};
use crate::intake::mailbox::report::Report;
use crate::intake::mailbox::source::{Got, Letter, Numbers, OpenMailbox, Room, Shown, Source, Standing, Wanted};
use crate::ledger::{InboxLog, ListItem, MessageState};
use crate::mail::Item;

/// Messages of a page of the list; larger ones time out (user-list-messages).
const PAGE: &str = "odata.maxpagesize=50";

/// What a message takes of the memory before anything is known of it.
const FIRST_ROOM: u64 = 256 * 1024;

/// When the list has to be read again, what came in so long before the newest that is done is in it.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// What becomes of a message that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It is marked as read, and stays.
    Keep,
    /// It is deleted; `expunge`: for ever.
    Delete {
        /// `expunge_deleted`
        expunge: bool,
    },
    /// It goes to the folder of this name.
    MoveTo(String),
}

/// A folder of a mailbox.
#[derive(Clone)]
pub struct GraphSource {
    /// Who answers.
    pub graph: Graph,
    /// The mailbox.
    pub place: Place,
    /// The folder's name.
    pub folder: String,
    /// What becomes of messages that are done.
    pub after: After,
    /// How often to look.
    pub poll_interval: Duration,
    /// Which set of numbers is meant: another mailbox or folder has another one.
    pub validity: u32,
    /// What is known of it; `None`: nothing yet, and nothing is written.
    pub log: Option<InboxLog>,
    /// What happens is told here.
    pub report: Report,
}

/// An open folder.
pub struct GraphFolder {
    source: GraphSource,
    index: Index,
    folder: String,
    /// The folder to move to.
    target: Option<String>,
    next: Number,
    read_only: bool,
    /// The service does not know how to delete for ever, and that was said.
    knows_no_permanent_delete: bool,
}

impl Source for GraphSource {
    type Open = GraphFolder;

    async fn open(&self, read_only: bool) -> Result<GraphFolder, Failure> {
        let folder = self.folder_id(&self.folder).await?;
        let target = match &self.after {
            After::MoveTo(name) if !read_only => Some(self.folder_id(name).await?),
            _ => None,
        };
        let source = self.clone();
        let index = match &self.log {
            Some(log) if !read_only => Index::Ledger { log: log.clone(), validity: self.validity },
            log => Index::in_memory(log.as_ref(), self.validity).await?,
        };
        let knows_no_permanent_delete = false;
        let mut open =
            GraphFolder { source, index, folder, target, next: Number::MIN, read_only, knows_no_permanent_delete };
        // What is there before the first run has its numbers before anything else does.
        if !open.index.position().await?.is_complete {
            open.read_list().await?;
        }
        open.take_next().await?;
        Ok(open)
    }
}

impl GraphSource {
    /// Fetches one message. Nothing in the mailbox changes.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn fetch(&self, item: ListItem, room: &Room) -> Result<Got, Failure> {
        let Some(mut reservation) = room.budget.reserve(FIRST_ROOM, room.wait).await else {
            return Ok(not("memory", "limits.memory is used up by messages in delivery"));
        };
        let question = Question::get(self.place.message(&item.id, &["$value"]));
        let mut given = match self.graph.ask("read a message", &question).await? {
            Ok(given) => given,
            Err(refusal) if refusal.status == 404 => return Ok(Got::Gone),
            Err(refusal) => return Ok(not("refused", format!("Graph does not give the message: {}", refusal.said()))),
        };
        let length =
            given.answer.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if !reservation.grow_to(length.unwrap_or_default().min(room.message_size)) {
            return Ok(not("memory", "limits.memory is used up by messages in delivery"));
        }
        let (mut builder, mut size) = (Builder::new(room), 0_u64);
        while let Some(octets) = given.answer.chunk().await? {
            size += octets.len() as u64;
            // By doubling: each step asks the budget, and most messages are small.
            if size.min(room.message_size) > reservation.octets()
                && !reservation.grow_to((size * 2).min(room.message_size.max(FIRST_ROOM)))
            {
                return Ok(not("memory", "limits.memory is used up by messages in delivery"));
            }
            if let Err(error) = builder.push(octets.to_vec()).await {
                return Ok(error);
            }
        }
        drop(given);
        let content = builder.finish();
        reservation.shrink_to(content.head().len() as u64);
        let (came_in, item) = (item.received, Item::Id { id: item.id });
        Ok(Got::Message(Box::new(Letter { content, item, came_in, is_done: false, reservation })))
    }

    /// The id of a folder; one that has the same name in every language has it in place of the id.
    async fn folder_id(&self, name: &str) -> Result<String, Failure> {
        if name.eq_ignore_ascii_case("inbox") {
            return Ok("inbox".to_owned());
        }
        let mut id: Option<String> = None;
        for part in name.split('/') {
            let question = Question::get(self.place.folders(id.as_deref(), part));
            let doing = format!("look for the folder \"{name}\"");
            let mut given = match self.graph.ask(&doing, &question).await? {
                Ok(given) => given,
                Err(refusal) => return Err(refusal.failure(&doing, None)),
            };
            let page = Page::read(&given.whole().await?)?;
            let Some(found) = page.first() else {
                let what = format!("the mailbox has no folder \"{name}\": create it, or name another one");
                return Err(Failure::new(Cause::Folder, what));
            };
            id = Some(found.to_owned());
        }
        id.ok_or_else(|| Failure::new(Cause::Folder, "a folder without a name"))
    }
}

impl GraphFolder {
    async fn take_next(&mut self) -> Result<(), Failure> {
        let position = self.index.position().await?;
        self.next = Number::new(position.next).unwrap_or(Number::MIN);
        Ok(())
    }

    /// Reads the list from where it was left to its end.
    async fn read_list(&mut self) -> Result<(), Failure> {
        match self.read_pages().await? {
            None => Ok(()),
            // The service has forgotten where we were.
            Some(refusal) => {
                let detail = format!(
                    "Graph does not know any more how far the list was read ({}): it is read again",
                    refusal.said()
                );
                self.source.report.begins("resync", detail);
                self.index.forget_link().await?;
                match self.read_pages().await? {
                    None => Ok(()),
                    Some(refusal) => Err(refusal.failure("list messages", None)),
                }
            }
        }
    }

    /// The refusal after which it must begin anew, if that is what came.
    async fn read_pages(&mut self) -> Result<Option<Refusal>, Failure> {
        let position = self.index.position().await?;
        let kept = position.link.as_deref().and_then(|link| Url::parse(link).ok());
        // A link of a configuration that named another host leads nowhere any more.
        let kept = kept.filter(|url| self.source.graph.has(url));
        let is_resync = kept.is_none() && position.is_complete;
        let mut url = match kept {
            Some(url) => url,
            None => self.source.place.delta(&self.folder, self.since(is_resync).await?.as_deref()),
        };
        let mut seen = HashSet::new();
        loop {
            if !seen.insert(url.to_string()) {
                return Err(malformed("a link that leads back to a page that was read"));
            }
            let question = Question { prefer: Some(PAGE), ..Question::get(url) };
            let mut given = match self.source.graph.ask("list messages", &question).await? {
                Ok(given) => given,
                Err(refusal) if refusal.wants_resync() => return Ok(Some(refusal)),
                Err(refusal) => return Err(refusal.failure("list messages", None)),
            };
            let page = Page::read(&given.whole().await?)?;
            drop(given);
            let (next, is_end) = match page.next(&self.source.graph)? {
                Next::Page(next) => (next, false),
                Next::Delta(next) => (next, true),
                Next::End => return Err(malformed("a list without an end: neither nextLink nor deltaLink")),
            };
            self.index.take_page(page.items(), next.to_string(), is_end).await?;
            if is_end {
                return Ok(None);
            }
            url = next;
        }
    }

    /// From when on a list is read that was read before.
    async fn since(&self, is_resync: bool) -> Result<Option<String>, Failure> {
        if !is_resync {
            return Ok(None);
        }
        let Some(log) = &self.source.log else { return Ok(None) };
        let known = log.load().await.map_err(failed)?;
        let since = known.and_then(|(state, _)| state.newest).and_then(|newest| newest.checked_sub(OVERLAP));
        Ok(since.and_then(|since| OffsetDateTime::from(since).replace_nanosecond(0).ok()?.format(&Rfc3339).ok()))
    }

    async fn unread(&self) -> Result<NumberSet, Failure> {
        let mut url = self.source.place.unread(&self.folder);
        let (mut numbers, mut seen) = (NumberSet::default(), HashSet::new());
        while seen.insert(url.to_string()) {
            let mut given = match self.source.graph.ask("list unread messages", &Question::get(url)).await? {
                Ok(given) => given,
                Err(refusal) => return Err(refusal.failure("list unread messages", None)),
            };
            let page = Page::read(&given.whole().await?)?;
            for item in page.items() {
                numbers.extend(self.index.number_of(item.id).await?);
            }
            match page.next(&self.source.graph)? {
                Next::Page(next) => url = next,
                Next::Delta(_) | Next::End => return Ok(numbers),
            }
        }
        Err(malformed("a link that leads back to a page that was read"))
    }
}

fn not(cause: &'static str, detail: impl Into<String>) -> Got {
    Got::Not { cause, detail: detail.into() }
}

impl OpenMailbox for GraphFolder {
    fn standing(&self) -> Standing {
        Standing { validity: self.source.validity, next: self.next, read_only: self.read_only }
    }

    fn has_news(&self) -> bool {
        false
    }

    async fn count_before(&mut self) -> Result<String, Failure> {
        Ok(format!("{} messages", self.index.from(Number::MIN).await?.len()))
    }

    async fn item(&mut self, number: Number) -> Item {
        match self.index.item(number).await {
            Ok(Some(item)) => Item::Id { id: item.id },
            // The ledger has forgotten it, or cannot be read: its number is all that is left.
            Ok(None) | Err(_) => Item::Uid { validity: self.source.validity, uid: number.get() },
        }
    }

    async fn find(&mut self, wanted: Wanted) -> Result<NumberSet, Failure> {
        self.read_list().await?;
        match wanted {
            Wanted::From(from) => self.index.from(from).await,
            Wanted::Since(day) => self.index.since(SystemTime::from(day.midnight().assume_utc())).await,
            Wanted::Unseen => self.unread().await,
        }
    }

    async fn still_there(&mut self, _missing: &NumberSet) -> Result<NumberSet, Failure> {
        // What is found is what the list in the ledger has, and the list only grows.
        Ok(NumberSet::default())
    }

    async fn overlooked(&mut self, _unexplained: &NumberSet) -> Result<NumberSet, Failure> {
        Ok(NumberSet::default())
    }

    async fn fetch(&mut self, number: Number, room: &Room) -> Result<Got, Failure> {
        match self.index.item(number).await? {
            Some(item) => self.source.fetch(item, room).await,
            None => Ok(Got::Gone),
        }
    }

    async fn show(&mut self, numbers: &Numbers, _: MessageState) -> Result<Shown, Failure> {
        self.mark_all(numbers).await
    }

    async fn wait(&mut self, until: Instant, wake: impl Future<Output = ()> + Send) -> Result<bool, Failure> {
        tokio::select! {
            () = sleep_until(until) => {}
            () = wake => {}
        }
        Ok(false)
    }

    fn pause(&self) -> Duration {
        self.source.poll_interval
    }

    async fn close(self) {}
}
