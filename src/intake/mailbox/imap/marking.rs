//! Making the mailbox show what is done: flags, moves, and removing what is flagged, of our own messages alone.
//!
//! Each step is looked at after it: an OK proves nothing (a read-only folder answers OK to STORE). Without UIDPLUS nothing is
//! ever removed, because EXPUNGE would take what other people have deleted with it.

use super::connection::Connection;
use super::flags::Mark;
use super::request::{Answer, Folder, Refusal, Request};
use super::session::Selected;
use crate::intake::mailbox::failure::Failure;
use crate::intake::mailbox::source::{Numbers, Shown};
use crate::ledger::MessageState;

/// What becomes of messages that are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// They are marked, and stay.
    Keep,
    /// They get `\Deleted`; removed as well if `expunge`.
    Delete {
        /// Whether they are removed.
        expunge: bool,
    },
    /// They go to the folder that the server calls `\Trash`: at Gmail, removing would only archive them.
    Trash,
    /// They go to a folder.
    MoveTo {
        /// The folder.
        folder: Folder,
        /// Its name, for messages.
        name: String,
    },
}

/// What is known of marking in one connection.
#[derive(Debug)]
pub(super) struct Marker {
    after: After,
    /// The server took the keyword, and did not keep it.
    keyword_is_lost: bool,
    /// The folder that the server calls `\Trash`, once it was asked.
    trash: Option<Option<Folder>>,
}

/// A step that was tried: the messages that are further, or why none is.
type Tried = Result<Numbers, String>;

impl Marker {
    pub(super) fn new(after: After) -> Self {
        Self { after, keyword_is_lost: false, trash: None }
    }

    /// One step for messages that are all in one state.
    pub(super) async fn step(
        &mut self,
        connection: &mut Connection,
        numbers: &Numbers,
        state: MessageState,
    ) -> Result<Shown, Failure> {
        let selected = *connection.session().selected();
        match state {
            MessageState::Settled => self.settled(connection, numbers, &selected).await,
            MessageState::Copied => {
                let next = if connection.session().capabilities().uidplus {
                    MessageState::Flagged
                } else {
                    MessageState::Marked
                };
                let flagged = mark(connection, numbers, Mark::Deleted).await?;
                Ok(shown(flagged.map(|numbers| (next, numbers))))
            }
            MessageState::Flagged => {
                Ok(shown(expunge(connection, numbers).await?.map(|numbers| (MessageState::Marked, numbers))))
            }
            _ => Ok(Shown::default()),
        }
    }

    async fn settled(
        &mut self,
        connection: &mut Connection,
        numbers: &Numbers,
        selected: &Selected,
    ) -> Result<Shown, Failure> {
        if selected.read_only {
            let alarm = "the folder is read-only: what is done is known to the ledger alone".to_owned();
            return Ok(Shown { reached: vec![(MessageState::Marked, numbers.clone())], alarm: Some(alarm) });
        }
        let may_delete = selected.permanent.is_none_or(|permanent| permanent.deleted);
        match self.after.clone() {
            After::Keep => self.keep(connection, numbers, selected).await,
            After::Delete { .. } if !may_delete => {
                let shown = self.keep(connection, numbers, selected).await?;
                let alarm = "this user may not delete in the folder: messages are marked, and stay".to_owned();
                Ok(Shown { alarm: Some(alarm), ..shown })
            }
            After::Delete { expunge } => {
                let removes = expunge && connection.session().capabilities().uidplus;
                let next = if removes { MessageState::Flagged } else { MessageState::Marked };
                Ok(shown(mark(connection, numbers, Mark::Deleted).await?.map(|numbers| (next, numbers))))
            }
            After::Trash => {
                let trash = self.trash(connection).await?;
                match trash {
                    Some(folder) => self.go_to(connection, numbers, selected, &folder, "\\Trash").await,
                    None => Ok(stuck("the server names no \\Trash folder to move deleted messages to")),
                }
            }
            After::MoveTo { folder, name } => self.go_to(connection, numbers, selected, &folder, &name).await,
        }
    }

    /// Moves messages. They are marked, and stay, where a server cannot say what became of them: copied without a trace they would be
    /// copied again and again.
    async fn go_to(
        &mut self,
        connection: &mut Connection,
        numbers: &Numbers,
        selected: &Selected,
        folder: &Folder,
        name: &str,
    ) -> Result<Shown, Failure> {
        let can = connection.session().capabilities();
        if (can.moves || can.uidplus)
            && let Some(shown) = move_to(connection, numbers, folder, name).await?
        {
            return Ok(shown);
        }
        let shown = self.keep(connection, numbers, selected).await?;
        let alarm = "the server has no MOVE, and does not say what it copies (UIDPLUS): messages are marked, and stay";
        Ok(Shown { alarm: Some(alarm.to_owned()), ..shown })
    }

    /// Marks what stays.
    async fn keep(
        &mut self,
        connection: &mut Connection,
        numbers: &Numbers,
        selected: &Selected,
    ) -> Result<Shown, Failure> {
        let may = |is_permanent: bool| selected.permanent.is_none() || is_permanent;
        let permanent = selected.permanent.unwrap_or_default();
        let with = if may(permanent.done) && !self.keyword_is_lost {
            Mark::Done
        } else if may(permanent.seen) {
            Mark::Seen
        } else {
            let alarm = "the folder keeps no flags: what is done is known to the ledger alone".to_owned();
            return Ok(Shown { reached: vec![(MessageState::Marked, numbers.clone())], alarm: Some(alarm) });
        };
        let marked = mark(connection, numbers, with).await?;
        if with == Mark::Done && marked.as_ref().is_ok_and(Numbers::is_empty) {
            self.keyword_is_lost = true;
            return Box::pin(self.keep(connection, numbers, selected)).await;
        }
        Ok(shown(marked.map(|numbers| (MessageState::Marked, numbers))))
    }

    async fn trash(&mut self, connection: &mut Connection) -> Result<Option<Folder>, Failure> {
        if self.trash.is_none() {
            let found = match connection.ask(&Request::FindTrash).await? {
                Ok(Answer::Trash(folder)) => folder,
                Ok(_) => None,
                Err(refusal) => return refused(refusal).map(|_| None),
            };
            self.trash = Some(found);
        }
        Ok(self.trash.clone().flatten())
    }
}

fn shown(tried: Result<(MessageState, Numbers), String>) -> Shown {
    match tried {
        Ok(reached) => Shown { reached: vec![reached], alarm: None },
        Err(why) => stuck(&why),
    }
}

fn stuck(why: &str) -> Shown {
    Shown { reached: Vec::new(), alarm: Some(why.to_owned()) }
}

/// What a refusal says, if it is not the connection's matter.
fn refused(refusal: Refusal) -> Result<String, Failure> {
    refusal.failure.map_or(Ok(refusal.text), Err)
}

/// Adds flags, and looks at them. A message that is not there needs no flag any more.
async fn mark(connection: &mut Connection, numbers: &Numbers, mark: Mark) -> Result<Tried, Failure> {
    let seen = match connection.ask(&Request::Mark(numbers.clone(), mark)).await? {
        Ok(answer) => with_flag(answer, mark).0,
        Err(refusal) => {
            let text = refused(refusal)?;
            return Ok(Err(format!("the server does not mark messages: {text}")));
        }
    };
    // A server need not tell the flags of those that had them already.
    let rest: Numbers = numbers.difference(&seen).copied().collect();
    if rest.is_empty() {
        return Ok(Ok(seen));
    }
    match connection.ask(&Request::Flags(rest.iter().copied().collect())).await? {
        Ok(answer) => {
            let (later, told) = with_flag(answer, mark);
            let gone = rest.into_iter().filter(|number| !told.contains(number));
            Ok(Ok(seen.into_iter().chain(later).chain(gone).collect()))
        }
        Err(refusal) => Ok(Err(refused(refusal)?)),
    }
}

/// The messages that have the flag, and all that the answer speaks of.
fn with_flag(answer: Answer, mark: Mark) -> (Numbers, Numbers) {
    let Answer::Flags(list) = answer else { return Default::default() };
    let with = list.iter().filter(|(_, flags)| mark.is_on(*flags)).map(|(uid, _)| *uid).collect();
    (with, list.iter().map(|(uid, _)| *uid).collect())
}

/// Removes what is flagged, of these alone.
async fn expunge(connection: &mut Connection, numbers: &Numbers) -> Result<Tried, Failure> {
    if !connection.session().capabilities().uidplus {
        return Ok(Ok(numbers.clone()));
    }
    match connection.ask(&Request::Expunge(numbers.clone())).await? {
        Ok(_) => Ok(Ok(numbers.clone())),
        Err(refusal) => Ok(Err(format!("the server does not remove messages: {}", refused(refusal)?))),
    }
}

/// Moves messages, or copies them where the server cannot move (RFC 6851 section 3.3 says what a move comes to). `None` where it does
/// not say what it has copied.
async fn move_to(
    connection: &mut Connection,
    numbers: &Numbers,
    folder: &Folder,
    name: &str,
) -> Result<Option<Shown>, Failure> {
    let moves = connection.session().capabilities().moves;
    let request = match moves {
        true => Request::Move(numbers.clone(), folder.clone()),
        false => Request::Copy(numbers.clone(), folder.clone()),
    };
    let told = match connection.ask(&request).await? {
        Ok(Answer::Moved { uids }) => uids,
        Ok(_) => None,
        Err(refusal) => {
            let advice = if refusal.folder_missing { "; make it: mailhatch creates no folders" } else { "" };
            let text = format!("messages cannot go to the folder \"{name}\": {}{advice}", refused(refusal)?);
            return Ok(Some(stuck(&text)));
        }
    };
    // What is not there any more has gone, by us or by somebody else.
    let left = match connection.ask(&Request::Flags(numbers.iter().copied().collect())).await? {
        Ok(answer) => with_flag(answer, Mark::Seen).1,
        Err(refusal) => return Ok(Some(stuck(&refused(refusal)?))),
    };
    let gone: Numbers = numbers.difference(&left).copied().collect();
    if moves || left.is_empty() {
        return Ok(Some(Shown { reached: vec![(MessageState::Marked, gone)], alarm: None }));
    }
    Ok(told.map(|copied| {
        let copied = left.intersection(&copied).copied().collect();
        Shown { reached: vec![(MessageState::Copied, copied), (MessageState::Marked, gone)], alarm: None }
    }))
}
