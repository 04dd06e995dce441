//! An IMAP session without I/O: it is fed octets and says what to do next.
//!
//! ```text
//! greeting ─► STARTTLS ─► (TLS) ─► capabilities ─► login ─► capabilities ─► SELECT ─► ready ⇄ command, ready ⇄ idle
//! ```
//!
//! Before TLS it is fed line by line, so that not one octet that came behind the OK to STARTTLS gets past it. What cannot be
//! read ends it: whoever goes on reading behind a broken response may take a stranger's mail for what the server says.

mod collected;
mod plan;
mod selected;
mod stage;
mod way_in;

use std::collections::VecDeque;

use bytes::BytesMut;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::Tag;
use imap_codec::imap_types::response::{Data, Status, StatusBody, StatusKind};
use imap_next::client::{Client, Error, Event, Options};
use imap_next::{Interrupt, Io, State as _};

use super::capabilities::Capabilities;
use super::flags::Flags;
use super::request::{Answer, Refusal, Request};
use super::said::{code_name, from_bye, said, shown};
use collected::Collected;
pub use plan::{Access, Plan, Security};
pub use selected::{Permanent, Selected};
use stage::Stage;

use crate::intake::mailbox::failure::{Cause, Failure};

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read octets and give them to [`Session::input`].
    Read,
    /// Write these.
    Write(Vec<u8>),
    /// Begin TLS on this connection, then call [`Session::tls_started`].
    StartTls,
    /// The folder is open: ask with [`Session::ask`] or [`Session::idle`].
    Ready,
    /// What was asked is answered.
    Answered(Result<Answer, Refusal>),
    /// The server waits with us: read, until something comes or [`Session::end_idle`].
    Idling,
    /// Something came while idling; [`Session::end_idle`] to look at it.
    News,
    /// It is over.
    Failed(Failure),
    /// The server has said goodbye, as it was asked to.
    LoggedOut,
}

/// A session.
pub struct Session {
    plan: Plan,
    client: Client,
    /// Octets that came before TLS and were not looked at yet.
    held_back: BytesMut,
    state: State,
    steps: VecDeque<Step>,
    tags: u32,
    capabilities: Option<Capabilities>,
    selected: Selected,
}

#[derive(Debug)]
enum State {
    WayIn(Stage),
    Ready,
    Busy { tag: Tag<'static>, collected: Collected },
    Idle(Idle),
    LoggingOut(Tag<'static>),
    Over(Failure),
    LoggedOut,
}

#[derive(Debug)]
struct Idle {
    tag: Tag<'static>,
    phase: IdlePhase,
    /// Something came since the command was sent. It may come before the server has accepted it.
    news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdlePhase {
    Asked,
    Accepted,
    Ending,
}

impl Session {
    /// A session that waits for the greeting.
    pub fn new(plan: Plan) -> Self {
        Self {
            client: client(&plan, false),
            plan,
            held_back: BytesMut::new(),
            state: State::WayIn(Stage::Greeting),
            steps: VecDeque::new(),
            tags: 0,
            capabilities: None,
            selected: Selected::default(),
        }
    }

    /// Takes octets that were read.
    pub fn input(&mut self, octets: &[u8]) {
        match self.is_before_tls() {
            true => self.held_back.extend_from_slice(octets),
            false => self.client.enqueue_input(octets),
        }
    }

    /// TLS is agreed on. What was said before it is forgotten (RFC 3501 section 6.2.1).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::WayIn(Stage::Tls)) {
            self.client = client(&self.plan, true);
            self.capabilities = None;
            self.ask_capabilities();
        }
    }

    /// What the server can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities.unwrap_or_default()
    }

    /// The folder that is open.
    pub fn selected(&self) -> &Selected {
        &self.selected
    }

    /// Asks something of the open folder; the answer comes as [`Step::Answered`]. False if the session is not ready for it.
    pub fn ask(&mut self, request: &Request) -> bool {
        let State::Ready = self.state else { return false };
        let Some(body) = request.command() else {
            self.steps.push_back(Step::Answered(Ok(Collected::new(request).finish())));
            return true;
        };
        let tag = self.send(body);
        self.state = State::Busy { tag, collected: Collected::new(request) };
        true
    }

    /// Opens the folder again: the server says whether it is still the same one. [`Step::Ready`] comes when it is open. False if the
    /// session is not ready for it.
    pub fn open_again(&mut self) -> bool {
        let State::Ready = self.state else { return false };
        self.selected = Selected { told: self.selected.told, ..Selected::default() };
        self.select();
        true
    }

    /// Asks the server to tell what comes. False if the session is not ready for it.
    pub fn idle(&mut self) -> bool {
        let State::Ready = self.state else { return false };
        let tag = self.send(CommandBody::Idle);
        self.state = State::Idle(Idle { tag, phase: IdlePhase::Asked, news: false });
        true
    }

    /// Ends idling; [`Step::Answered`] comes when the server has agreed.
    pub fn end_idle(&mut self) {
        if let State::Idle(idle) = &mut self.state
            && idle.phase == IdlePhase::Accepted
        {
            self.client.set_idle_done();
            idle.phase = IdlePhase::Ending;
        }
    }

    /// Says goodbye; [`Step::LoggedOut`] comes when the server has too.
    pub fn log_out(&mut self) {
        if let State::Ready = self.state {
            let tag = self.send(CommandBody::Logout);
            self.state = State::LoggingOut(tag);
        }
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            match &self.state {
                State::Over(failure) => return Step::Failed(failure.clone()),
                State::LoggedOut => return Step::LoggedOut,
                State::WayIn(Stage::Tls) => return Step::Read,
                _ => {}
            }
            match self.client.next() {
                Ok(event) => self.event(event),
                Err(Interrupt::Io(Io::Output(octets))) => return Step::Write(octets),
                Err(Interrupt::Io(Io::NeedMoreInput)) => match self.next_line_before_tls() {
                    Some(line) => self.client.enqueue_input(&line),
                    None => return Step::Read,
                },
                Err(Interrupt::Error(error)) => self.unreadable(&error),
            }
        }
    }

    fn is_before_tls(&self) -> bool {
        self.plan.security == Security::StartTls
            && matches!(self.state, State::WayIn(Stage::Greeting | Stage::StartTls(_) | Stage::Tls))
    }

    /// One line, or what there is of it.
    fn next_line_before_tls(&mut self) -> Option<BytesMut> {
        if !self.is_before_tls() || self.held_back.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', &self.held_back).map_or(self.held_back.len(), |at| at + 1);
        Some(self.held_back.split_to(end))
    }

    fn send(&mut self, body: CommandBody<'static>) -> Tag<'static> {
        self.tags += 1;
        let tag = Tag::unvalidated(format!("{}{}", self.plan.tag_prefix, self.tags));
        self.client.enqueue_command(Command { tag: tag.clone(), body });
        tag
    }

    fn fail(&mut self, failure: Failure) {
        self.steps.clear();
        self.state = State::Over(failure);
    }

    fn malformed(&mut self, what: &str) {
        self.fail(Failure::new(Cause::Malformed, format!("what the server sends is not valid IMAP: {what}")));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::GreetingReceived { greeting } => self.greeted(&greeting),
            Event::DataReceived { data } => self.data(data),
            Event::StatusReceived { status }
            | Event::CommandRejected { status, .. }
            | Event::AuthenticateStatusReceived { status, .. }
            | Event::IdleRejected { status, .. } => self.status(status),
            Event::AuthenticateContinuationRequestReceived { continuation_request, .. } => {
                self.challenged(&continuation_request);
            }
            Event::IdleAccepted { .. } => {
                if let State::Idle(idle) = &mut self.state {
                    idle.phase = IdlePhase::Accepted;
                    self.steps.push_back(if idle.news { Step::News } else { Step::Idling });
                }
            }
            Event::CommandSent { .. }
            | Event::AuthenticateStarted { .. }
            | Event::IdleCommandSent { .. }
            | Event::IdleDoneSent { .. }
            | Event::ContinuationRequestReceived { .. } => {}
        }
    }

    fn status(&mut self, status: Status<'static>) {
        let text = status.text().as_ref().to_owned();
        match status {
            Status::Bye(bye) => match self.state {
                State::LoggingOut(_) => {}
                _ => self.fail(from_bye(bye.code.as_ref(), &text)),
            },
            Status::Untagged(body) => self.untagged(&body),
            Status::Tagged(tagged) => self.completed(&tagged.tag, &tagged.body),
        }
    }

    /// OK, NO or BAD that ends no command.
    fn untagged(&mut self, body: &StatusBody<'static>) {
        let code = body.code.as_ref();
        self.selected.take_code(code);
        if !self.is_before_tls() {
            self.note_capabilities(code);
        }
        if let State::Busy { collected, .. } = &mut self.state {
            collected.take_code(code);
        }
    }

    fn data(&mut self, data: Data<'static>) {
        match &data {
            Data::Capability(list) if !self.is_before_tls() => {
                self.capabilities = Some(Capabilities::read(list.as_ref()));
            }
            Data::Exists(count) => {
                self.selected.exists = *count;
                self.selected.told = self.selected.told.wrapping_add(1);
                self.note_news();
            }
            Data::Expunge(_) => {
                self.selected.exists = self.selected.exists.saturating_sub(1);
                self.selected.expunged = self.selected.expunged.saturating_add(1);
            }
            Data::Flags(flags) => self.selected.has_done |= Flags::read(flags).done,
            _ => {}
        }
        if let State::Busy { collected, .. } = &mut self.state {
            collected.take(data);
        }
    }

    /// More messages, it seems. Where the command is not accepted yet it is said when it is.
    fn note_news(&mut self) {
        if let State::Idle(Idle { phase, news, .. }) = &mut self.state {
            if *phase == IdlePhase::Accepted && !*news {
                self.steps.push_back(Step::News);
            }
            *news = true;
        }
    }

    /// A command is done.
    fn completed(&mut self, tag: &Tag<'static>, body: &StatusBody<'static>) {
        match &mut self.state {
            State::WayIn(stage) if stage.tag() == Some(tag) => self.way_in_completed(body),
            State::Busy { tag: asked, collected } if asked == tag => {
                let answer = match body.kind {
                    StatusKind::Ok => {
                        collected.take_code(body.code.as_ref());
                        Ok(std::mem::take(collected).finish())
                    }
                    StatusKind::No | StatusKind::Bad => Err(refusal(body)),
                };
                self.state = State::Ready;
                self.steps.push_back(Step::Answered(answer));
            }
            State::Idle(idle) if idle.tag == *tag => {
                let answer = match body.kind {
                    StatusKind::Ok => Ok(Answer::Done),
                    StatusKind::No | StatusKind::Bad => Err(refusal(body)),
                };
                self.state = State::Ready;
                self.steps.push_back(Step::Answered(answer));
            }
            State::LoggingOut(asked) if asked == tag => self.state = State::LoggedOut,
            _ => self.malformed("an answer to a command that was not sent"),
        }
    }

    /// A response that cannot be read.
    fn unreadable(&mut self, error: &Error) {
        match error {
            Error::ResponseTooLong { .. } => {
                // Skipped whole; what is asked is answered without it.
                let is_dispensable = match &mut self.state {
                    State::Busy { collected, .. } => collected.too_long(),
                    _ => false,
                };
                if !is_dispensable {
                    self.malformed("a response longer than any that was asked for");
                }
            }
            Error::MalformedMessage { discarded_bytes } | Error::ExpectedCrlfGotLf { discarded_bytes } => {
                let octets = discarded_bytes.declassify();
                if !is_of_no_matter(octets) {
                    let start = &octets[..octets.len().min(40)];
                    self.malformed(&shown(&String::from_utf8_lossy(start)));
                }
            }
        }
    }
}

fn client(plan: &Plan, discard_greeting: bool) -> Client {
    let mut options = Options::default();
    options.max_response_size = plan.max_response_size;
    options.discard_greeting = discard_greeting;
    Client::new(options)
}

/// Whether a response that cannot be read is one that may be passed over: one line that begins with a word that is not one
/// of those that decide something, or a remark in another language (octets above 127 are not allowed there).
///
/// What follows a broken literal can never be the first that is unreadable: the response with the literal is, before it.
fn is_of_no_matter(response: &[u8]) -> bool {
    const DECIDES: [&str; 6] = ["BAD", "BYE", "CAPABILITY", "OK", "PREAUTH", "SEARCH"];
    let Some(rest) = response.strip_prefix(b"* ") else { return false };
    let length = rest.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = String::from_utf8_lossy(&rest[..length]).to_ascii_uppercase();
    let one_line = response.iter().filter(|&&octet| octet == b'\n').count() == 1;
    let is_foreign_remark = matches!(word.as_str(), "NO" | "OK") && !response.is_ascii();
    one_line && length > 0 && (is_foreign_remark || !DECIDES.contains(&word.as_str()))
}

/// NO or BAD.
fn refusal(body: &StatusBody<'_>) -> Refusal {
    let text = body.text.as_ref();
    let code = body.code.as_ref().map(code_name).unwrap_or_default();
    let shown = shown(text);
    Refusal {
        text: if code.is_empty() { shown } else { format!("[{code}] {shown}") },
        folder_missing: matches!(code.as_str(), "TRYCREATE" | "NONEXISTENT"),
        failure: said(body.code.as_ref(), text),
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &self.state).finish_non_exhaustive()
    }
}
