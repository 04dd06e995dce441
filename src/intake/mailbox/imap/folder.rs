//! An open folder as a reader sees it: candidates, messages by pieces, marks that are looked at afterwards.

use std::io;
use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::Instant;

use super::connection::{Connection, Limits, Woken};
use super::credential::Credential;
use super::endpoint::Endpoint;
use super::marking::{After, Marker};
use super::part::{Octets, Part};
use super::request::{Answer, Folder, Refusal, Request, Search};
use super::session::{Access, Plan};
use crate::intake::mailbox::failure::{Cause, Failure, Remedy};
use crate::intake::mailbox::number_set::{Number, NumberSet};
use crate::intake::mailbox::source::{Got, Letter, Numbers, OpenMailbox, Room, Shown, Source, Standing, Wanted};
use crate::ledger::MessageState;
use crate::mail::{Content, ContentBuilder, Item};

/// Octets of one FETCH. A longer message comes in so many pieces, so that little of it is in memory twice.
const PIECE: u32 = 1024 * 1024;

/// Ranges of messages that are asked for in one command: its line stays short.
const AT_ONCE: usize = 200;

/// What a response may be longer than a piece, or than a whole message where a server does not give pieces.
const RESPONSE_ROOM: u64 = 1024 * 1024;

/// The longest response may be so long at least: the UIDs of a million messages, which come in one.
const LONGEST_RESPONSE: u64 = 8 * 1024 * 1024;

/// Where the credential of a login comes from. It is asked before each one.
pub trait CredentialSource: Send + Sync + 'static {
    /// What to log in with now.
    fn credential(&self) -> impl Future<Output = Result<Credential, Failure>> + Send;

    /// The server did not take it.
    fn refused(&self) -> impl Future<Output = ()> + Send;
}

/// A folder of an IMAP server.
#[derive(Debug)]
pub struct ImapSource<C> {
    /// The server.
    pub endpoint: Endpoint,
    /// Who logs in.
    pub credentials: C,
    /// The folder.
    pub folder: Folder,
    /// Its name, for messages.
    pub folder_name: String,
    /// What becomes of messages that are done.
    pub after: After,
    /// `limits.message_size`
    pub message_size: u64,
    /// IDLE is renewed after this time.
    pub idle_timeout: Duration,
    /// How often to look where the server knows no IDLE.
    pub poll_interval: Duration,
    /// How long things may take.
    pub limits: Limits,
}

/// An open folder.
pub struct ImapFolder {
    connection: Connection,
    marker: Marker,
    next: Number,
    /// How often the server had told how many messages there are when they were last looked for.
    told: u32,
    /// When the folder was last seen to be the same one.
    opened: Instant,
    idle_is_refused: bool,
    /// The server sends more than it is asked for.
    ignores_ranges: bool,
    idle_timeout: Duration,
    poll_interval: Duration,
}

impl<C: CredentialSource> Source for ImapSource<C> {
    type Open = ImapFolder;

    async fn open(&self, read_only: bool) -> Result<ImapFolder, Failure> {
        let plan = Plan {
            security: self.endpoint.security,
            endpoint: (self.endpoint.host.clone(), self.endpoint.port),
            credential: self.credentials.credential().await?,
            folder: self.folder.clone(),
            folder_name: self.folder_name.clone(),
            access: if read_only { Access::ReadOnly } else { Access::ReadWrite },
            max_response_size: u32::try_from(self.message_size.saturating_add(RESPONSE_ROOM).max(LONGEST_RESPONSE))
                .unwrap_or(u32::MAX),
            tag_prefix: random_prefix(),
        };
        let connection = match Connection::open(&self.endpoint, plan, self.limits).await {
            Ok(connection) => connection,
            Err(failure) => {
                if failure.cause.remedy() == Remedy::RereadCredential {
                    self.credentials.refused().await;
                }
                return Err(failure);
            }
        };
        let mut folder = ImapFolder {
            marker: Marker::new(self.after.clone()),
            next: connection.session().selected().uid_next.unwrap_or(Number::MIN),
            told: connection.session().selected().told.wrapping_sub(1),
            opened: Instant::now(),
            connection,
            idle_is_refused: false,
            ignores_ranges: false,
            idle_timeout: self.idle_timeout,
            poll_interval: self.poll_interval,
        };
        if folder.connection.session().selected().uid_next.is_none() {
            // RFC 3501 wants UIDNEXT; what is there tells as much.
            let highest = folder.find(Wanted::From(Number::MIN)).await?.last();
            folder.next = highest.and_then(|highest| highest.checked_add(1)).unwrap_or(Number::MIN);
        }
        Ok(folder)
    }
}

/// Nobody can guess the tags of a connection.
fn random_prefix() -> String {
    let mut random = [0; 4];
    // Without randomness they begin with zeros, which is what every client's do.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
    random.iter().map(|octet| char::from(b'a' + octet % 26)).collect()
}

impl ImapFolder {
    /// What the session knows of the server and the folder: for `check`.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the server has a folder.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn has_folder(&mut self, folder: &Folder) -> Result<bool, Failure> {
        match self.connection.ask(&Request::Status(folder.clone())).await? {
            Ok(_) => Ok(true),
            Err(refusal) => refusal.failure.map_or(Ok(false), Err),
        }
    }

    /// Nothing is asked by number of a folder that was made anew under its name. Courier goes on in the new one without a word about
    /// its UIDVALIDITY, and Cyrus stays in the one that is gone; both tell that the old messages are gone, if anything.
    async fn ensure_the_same(&mut self) -> Result<(), Failure> {
        let (before, has_news) = (*self.connection.session().selected(), self.has_news());
        if before.expunged == 0 && self.opened.elapsed() < self.pause() {
            return Ok(());
        }
        self.connection.open_again().await?;
        self.opened = Instant::now();
        let after = self.connection.session().selected();
        if after.uid_validity != before.uid_validity {
            let detail = "the folder was made anew while it was open: it has another UIDVALIDITY";
            return Err(Failure::new(Cause::Renumbered, detail));
        }
        // A folder that is opened tells its messages: that alone is no reason to look through it.
        if !has_news && after.exists <= before.exists {
            self.told = after.told;
        }
        Ok(())
    }

    /// Which of these are there, and neither deleted nor done; with `unsaid`, those of which the server does not say as well.
    async fn unmarked(&mut self, numbers: &NumberSet, unsaid: bool) -> Result<NumberSet, Failure> {
        let mut there = NumberSet::default();
        let ranges: Vec<_> = numbers.ranges().collect();
        for some in ranges.chunks(AT_ONCE) {
            let mut asked = NumberSet::default();
            some.iter().for_each(|(first, last)| asked.insert_range(*first, *last));
            match self.connection.ask(&Request::Flags(asked.clone())).await? {
                Ok(Answer::Flags(list)) => {
                    there.extend(list.iter().filter(|(_, flags)| !flags.deleted && !flags.done).map(|(uid, _)| *uid));
                }
                Err(Refusal { failure: Some(failure), .. }) => return Err(failure),
                Err(_) if unsaid => there.extend(asked.iter()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(there)
    }

    /// Whether a message is there, as far as the server says.
    async fn is_there(&mut self, number: Number) -> Result<bool, Failure> {
        match self.connection.ask(&Request::Flags(NumberSet::from_iter([number]))).await? {
            Ok(Answer::Flags(list)) => Ok(!list.is_empty()),
            Ok(_) => Ok(false),
            // It does not say.
            Err(refusal) => refusal.failure.map_or(Ok(true), Err),
        }
    }

    async fn piece(&mut self, uid: Number, offset: u32) -> Result<Result<Part, Refusal>, Failure> {
        let answer = self.connection.ask(&Request::Fetch { uid, offset, octets: PIECE }).await?;
        Ok(answer.map(|answer| match answer {
            Answer::Part(part) => part,
            _ => Part::default(),
        }))
    }

    /// Why a message has no octets: it is gone, or the server does not give it.
    async fn without_octets(&mut self, number: Number) -> Result<Got, Failure> {
        Ok(match self.is_there(number).await? {
            true => not("no-data", "the server lists the message, and does not give its octets"),
            false => Got::Gone,
        })
    }
}

fn not(cause: &'static str, detail: impl Into<String>) -> Got {
    Got::Not { cause, detail: detail.into() }
}

fn refused(refusal: Refusal) -> Result<Got, Failure> {
    match refusal.failure {
        Some(failure) => Err(failure),
        None => Ok(not("refused", format!("the server refuses to give the message: {}", refusal.text))),
    }
}

impl OpenMailbox for ImapFolder {
    fn standing(&self) -> Standing {
        let selected = self.connection.session().selected();
        Standing { validity: selected.uid_validity.unwrap_or_default(), next: self.next, read_only: selected.read_only }
    }

    fn has_news(&self) -> bool {
        self.connection.session().selected().told != self.told
    }

    async fn count_before(&mut self) -> Result<String, Failure> {
        Ok(format!("{} unread messages", self.find(Wanted::Unseen).await?.len()))
    }

    async fn item(&mut self, number: Number) -> Item {
        Item::Uid { validity: self.standing().validity, uid: number.get() }
    }

    async fn find(&mut self, wanted: Wanted) -> Result<NumberSet, Failure> {
        self.ensure_the_same().await?;
        let selected = *self.connection.session().selected();
        // A keyword that no message has is not looked for: some servers would make it, others refuse.
        let search = Search { from: Number::MIN, without_done: selected.has_done, unseen: false, since: None };
        let search = match wanted {
            Wanted::From(from) => Search { from, ..search },
            Wanted::Since(day) => Search { since: Some(imap_day(day)?), ..search },
            Wanted::Unseen => Search { unseen: true, ..search },
        };
        let from = search.from;
        match self.connection.ask(&Request::Search(search)).await? {
            Ok(Answer::Found(mut found)) => {
                self.told = selected.told;
                // `from:*` always has the last message.
                found.remove_below(from);
                Ok(found)
            }
            Ok(_) => Ok(NumberSet::default()),
            Err(Refusal { failure: Some(failure), .. }) => Err(failure),
            Err(refusal) => {
                Err(Failure::new(Cause::Refused, format!("the server refuses to search: {}", refusal.text)))
            }
        }
    }

    async fn still_there(&mut self, missing: &NumberSet) -> Result<NumberSet, Failure> {
        // Where it does not say, the fetch will tell.
        self.unmarked(missing, true).await
    }

    async fn overlooked(&mut self, unexplained: &NumberSet) -> Result<NumberSet, Failure> {
        self.unmarked(unexplained, false).await
    }

    async fn fetch(&mut self, number: Number, room: &Room) -> Result<Got, Failure> {
        self.ensure_the_same().await?;
        let first_room = if self.ignores_ranges { room.message_size } else { u64::from(PIECE) };
        let Some(mut reservation) = room.budget.reserve(first_room, room.wait).await else {
            return Ok(not("memory", "limits.memory is used up by messages in delivery"));
        };
        let first = match self.piece(number, 0).await? {
            Ok(first) => first,
            Err(refusal) => return refused(refusal),
        };
        let is_done = first.flags.is_some_and(|flags| flags.deleted || flags.done);
        let (came_in, hint) = (first.internal_date, first.size_hint.unwrap_or_default());
        let octets = match first.octets {
            Octets::Some(octets) => octets,
            Octets::Absent | Octets::Nil => return self.without_octets(number).await,
            Octets::TooLong => {
                return Ok(not("too-long", "the server's response is longer than limits.message_size allows"));
            }
        };
        let mut size = octets.len();
        // Only what is shorter than it was asked for has an end: the server's own word for the size is an estimate
        // (Exchange Online). What is longer at once is the whole: the server does not give pieces (Tencent).
        let mut is_whole = size != PIECE as usize;
        self.ignores_ranges |= size > PIECE as usize;
        let mut builder = Builder::new(room);
        if let Err(error) = builder.push(octets).await {
            return Ok(error);
        }
        while !is_whole {
            let Ok(offset) = u32::try_from(size) else {
                return Ok(not("too-long", "the message has more than 4 GiB"));
            };
            let in_memory = (size as u64 + u64::from(PIECE)).min(room.message_size);
            if !reservation.grow_to(in_memory) {
                return Ok(not("memory", "limits.memory is used up by messages in delivery"));
            }
            let octets = match self.piece(number, offset).await? {
                Ok(part) => part.octets,
                Err(refusal) => return refused(refusal),
            };
            match octets {
                Octets::Some(octets) if octets.len() <= PIECE as usize => {
                    size += octets.len();
                    is_whole = octets.len() < PIECE as usize;
                    if let Err(error) = builder.push(octets).await {
                        return Ok(error);
                    }
                }
                Octets::Some(_) => {
                    return Ok(not("piece-too-long", "the server gives more of the message than it was asked for"));
                }
                // Behind the end some servers have nothing; before it, half of a message is none.
                Octets::Nil if size >= hint as usize && self.is_there(number).await? => is_whole = true,
                Octets::Absent | Octets::Nil => return self.without_octets(number).await,
                Octets::TooLong => return Ok(not("too-long", "the server's response is longer than it may be")),
            }
        }
        let content = builder.finish();
        reservation.shrink_to(content.head().len() as u64);
        let validity = self.standing().validity;
        let item = Item::Uid { validity, uid: number.get() };
        Ok(Got::Message(Box::new(Letter { content, item, came_in, is_done, reservation })))
    }

    async fn show(&mut self, numbers: &Numbers, state: MessageState) -> Result<Shown, Failure> {
        self.ensure_the_same().await?;
        self.marker.step(&mut self.connection, numbers, state).await
    }

    async fn wait(&mut self, until: Instant, wake: impl Future<Output = ()> + Send) -> Result<bool, Failure> {
        let woken = match self.connection.session().capabilities().idle && !self.idle_is_refused {
            true => self.connection.idle(until, wake).await?,
            false => self.connection.wait(until, wake).await?,
        };
        self.idle_is_refused |= woken == Woken::Refused;
        Ok(woken == Woken::News)
    }

    fn pause(&self) -> Duration {
        let idles = self.connection.session().capabilities().idle && !self.idle_is_refused;
        if idles { self.idle_timeout } else { self.poll_interval }
    }

    async fn close(self) {
        self.connection.log_out().await;
    }
}

/// A day as the crate of the protocol has it.
fn imap_day(day: time::Date) -> Result<NaiveDate, Failure> {
    NaiveDate::from_ymd_opt(day.year(), u8::from(day.month()).into(), day.day().into())
        .ok_or_else(|| Failure::new(Cause::Refused, "internal error: a day that is not in the calendar"))
}

/// A message that comes in piece by piece; what is over the limit is written where it keeps nobody waiting.
pub(in crate::intake::mailbox) struct Builder(Option<ContentBuilder>);

impl Builder {
    pub(in crate::intake::mailbox) fn new(room: &Room) -> Self {
        Self(Some(ContentBuilder::new(room.message_size, &room.directory)))
    }

    pub(in crate::intake::mailbox) async fn push(&mut self, octets: Vec<u8>) -> Result<(), Got> {
        let Some(mut builder) = self.0.take() else { return Ok(()) };
        let push = move || {
            let pushed = builder.push(&octets);
            (builder, pushed)
        };
        let pushed = match tokio::task::spawn_blocking(push).await {
            Ok((builder, pushed)) => {
                self.0 = Some(builder);
                pushed
            }
            Err(error) => Err(io::Error::other(error)),
        };
        pushed.map_err(|error| not("disk", format!("cannot keep a message over limits.message_size: {error}")))
    }

    pub(in crate::intake::mailbox) fn finish(self) -> Content {
        self.0.map_or_else(|| Content::whole(Vec::new()), ContentBuilder::finish)
    }
}
