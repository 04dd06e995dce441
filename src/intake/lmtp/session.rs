//! The LMTP session (RFC 2033) without I/O and without clocks: octets in, steps out.
//!
//! The driver pushes octets, asks for [`Session::step`] and does what it says, until it says [`Step::Read`]. However the
//! octets are cut, the steps are the same. Nothing is decided here about a message: that it is too large, or that nobody
//! here has the address, is a verdict, and a verdict is not this module's.

use bytes::{Buf, Bytes, BytesMut};

use super::command::{self, Command, Mail};
use super::data::Data;
use super::reply::{self, CloseReason, Refusal};
use super::step::{SessionLimits, Step, Transaction};
use super::xforward::Forwarded;
use crate::disposition;
use crate::mail::{Envelope, Origin, Recipient};

/// Octets of a command line without its end. Twice over what Postfix can send: it takes lines of 2048 octets, and an
/// address comes to three times its length as xtext.
const LONGEST_LINE: usize = 8192;

/// Protocol errors since the last message before the connection is closed.
const MOST_ERRORS: usize = 20;

/// Room for a message whose size nobody declared, in octets.
const FIRST_ROOM: usize = 16 * 1024;

#[derive(Debug)]
enum State {
    Command,
    /// [`Step::Begin`] is to be given out.
    Beginning,
    AwaitsGo,
    Data(Data, Option<Refusal>),
    AwaitsAnswer {
        recipients: usize,
    },
    Closing(CloseReason),
}

#[derive(Debug)]
struct Open {
    mail: Mail,
    recipients: Vec<Recipient>,
}

/// One LMTP session.
#[derive(Debug)]
pub struct Session {
    hostname: String,
    limits: SessionLimits,
    state: State,
    greeted: bool,
    open: Option<Open>,
    forwarded: Forwarded,
    input: BytesMut,
    /// The rest of an over-long line is coming in.
    skipping: bool,
    output: BytesMut,
    errors: usize,
}

impl Session {
    /// A session at its start: its first step is to write the greeting.
    pub fn new(hostname: impl Into<String>, limits: SessionLimits) -> Self {
        let mut session = Self {
            hostname: hostname.into(),
            limits,
            state: State::Command,
            greeted: false,
            open: None,
            forwarded: Forwarded::default(),
            input: BytesMut::new(),
            skipping: false,
            output: BytesMut::new(),
            errors: 0,
        };
        let greeting = format!("220 {} LMTP mailhatch", session.hostname);
        session.say(&greeting);
        session
    }

    /// Adds octets from the client.
    pub fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// The buffer that octets from the client are added to, for reading into it without a copy.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        loop {
            match &mut self.state {
                State::Command => {
                    if !self.run_commands() {
                        return self.take_replies().map_or(Step::Read, Step::Write);
                    }
                }
                State::Beginning => {
                    self.state = State::AwaitsGo;
                    let declared_size = self.open.as_ref().and_then(|open| open.mail.declared_size);
                    return Step::Begin { declared_size };
                }
                State::Data(data, _) => {
                    if let Some(octets) = data.overflow() {
                        return Step::Overflow(octets);
                    }
                    if !self.output.is_empty() {
                        // The client waits for the 354.
                        return self.take_replies().map_or(Step::Read, Step::Write);
                    }
                    if data.has_ended() {
                        if let Some(step) = self.finish_message() {
                            return step;
                        }
                    } else if self.input.is_empty() {
                        return Step::Read;
                    } else {
                        let taken = data.take(&self.input);
                        self.input.advance(taken);
                    }
                }
                State::AwaitsGo | State::AwaitsAnswer { .. } => return Step::Wait,
                State::Closing(reason) => {
                    let reason = *reason;
                    return self.take_replies().map_or(Step::Close(reason), Step::Write);
                }
            }
        }
    }

    /// Answers [`Step::Begin`]: the client may send its message.
    pub fn go(&mut self) {
        let State::AwaitsGo = self.state else { return };
        let declared = self.open.as_ref().and_then(|open| open.mail.declared_size);
        let expected = declared.map_or(FIRST_ROOM, |size| usize::try_from(room_for(size)).unwrap_or(usize::MAX));
        self.state = State::Data(Data::new(expected, self.limits.message_size), None);
        self.say(reply::GO_AHEAD);
    }

    /// Answers [`Step::Begin`]: not now. The transaction is over, so that the client's next MAIL is not an error.
    pub fn refuse(&mut self, refusal: Refusal) {
        let State::AwaitsGo = self.state else { return };
        self.say(refusal.reply());
        self.end_transaction();
    }

    /// While a message comes in: none of it is kept, and its end is answered with the refusal for every recipient.
    pub fn discard(&mut self, refusal: Refusal) {
        if let State::Data(data, discarded) = &mut self.state {
            data.discard();
            *discarded = Some(refusal);
        }
    }

    /// Answers [`Step::Submit`]: one reply line for each recipient, in their order (RFC 2033 section 4.2). Where lines are
    /// missing the recipient is deferred; what is too much is left out.
    pub fn answer<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) {
        let State::AwaitsAnswer { recipients } = self.state else { return };
        let mut lines = lines.into_iter();
        for _ in 0..recipients {
            match lines.next() {
                Some(line) => self.say(line.as_ref()),
                None => self.say(reply::NO_OUTCOME),
            }
        }
        self.errors = 0;
        self.end_transaction();
    }

    /// Ends the session from the driver's side. What was not answered yet stays unanswered: the client tries again.
    pub fn hang_up(&mut self, reason: CloseReason) {
        if !matches!(self.state, State::Closing(_)) {
            self.say(reason.reply());
            self.state = State::Closing(reason);
        }
    }

    /// Takes the replies that wait for [`Step::Write`], for a driver that is about to wait.
    pub fn take_replies(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| self.output.split().freeze())
    }

    /// The limits for messages that begin from now on.
    pub fn set_limits(&mut self, limits: SessionLimits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> SessionLimits {
        self.limits
    }

    /// Octets of the message coming in that are in memory; `None` if none is coming in.
    pub fn octets_in_memory(&self) -> Option<usize> {
        match &self.state {
            State::Data(data, _) => Some(data.len()),
            _ => None,
        }
    }

    /// Runs what lines there are. Gives whether the state changed: if not, more octets are needed.
    fn run_commands(&mut self) -> bool {
        // Taken out, so that lines can be borrowed while the session changes.
        let mut input = std::mem::take(&mut self.input);
        let mut start = 0;
        while matches!(self.state, State::Command) {
            let Some(length) = memchr::memchr(b'\n', &input[start..]) else { break };
            let line = without_cr(&input[start..start + length]);
            start += length + 1;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > LONGEST_LINE {
                self.protocol_error(reply::LINE_TOO_LONG);
                continue;
            }
            self.run(Command::read(line));
        }
        input.advance(start);
        // What is left is the beginning of a line, if the state is still the same.
        if matches!(self.state, State::Command) && (self.skipping || without_cr(&input).len() > LONGEST_LINE) {
            if !std::mem::replace(&mut self.skipping, true) {
                self.protocol_error(reply::LINE_TOO_LONG);
            }
            input.clear();
        }
        self.input = input;
        !matches!(self.state, State::Command)
    }

    fn run(&mut self, command: Command<'_>) {
        match command {
            Command::Lhlo(name) => self.lhlo(name),
            Command::SmtpHello => self.protocol_error(reply::SAY_LHLO),
            Command::Xforward(argument) => self.xforward(argument),
            Command::Mail(argument) => self.mail(argument),
            Command::Rcpt(argument) => self.rcpt(argument),
            Command::Data(argument) => self.data(argument),
            Command::Rset => {
                self.end_transaction();
                self.say(reply::DONE);
            }
            Command::Noop => self.say(reply::DONE),
            Command::Vrfy => self.say(reply::NOT_VERIFIED),
            Command::Help => self.say(reply::HELP),
            Command::Quit => self.hang_up(CloseReason::Quit),
            // A web page can make a browser send requests to this port, with mail commands in their body.
            Command::Http => self.hang_up(CloseReason::Http),
            Command::Unknown => self.protocol_error(reply::UNKNOWN_COMMAND),
        }
    }

    fn lhlo(&mut self, name: &[u8]) {
        if name.is_empty() {
            return self.protocol_error(reply::LHLO_NAME);
        }
        self.end_transaction();
        self.greeted = true;
        self.output.extend_from_slice(b"250-");
        let hostname = std::mem::take(&mut self.hostname);
        self.say(&hostname);
        self.hostname = hostname;
        for (index, extension) in reply::EXTENSIONS.iter().enumerate() {
            let last = index + 1 == reply::EXTENSIONS.len();
            self.output.extend_from_slice(if last { b"250 " } else { b"250-" });
            self.say(extension);
        }
    }

    fn xforward(&mut self, argument: &[u8]) {
        if !self.greeted {
            return self.protocol_error(reply::LHLO_FIRST);
        }
        if self.open.is_some() {
            return self.protocol_error(reply::XFORWARD_IN_TRANSACTION);
        }
        match self.forwarded.take(argument) {
            Ok(()) => self.say(reply::DONE),
            Err(error) => self.protocol_error(error),
        }
    }

    fn mail(&mut self, argument: &[u8]) {
        if !self.greeted {
            return self.protocol_error(reply::LHLO_FIRST);
        }
        if self.open.is_some() {
            return self.protocol_error(reply::NESTED_MAIL);
        }
        match Mail::read(argument) {
            Ok(mail) => {
                self.open = Some(Open { mail, recipients: Vec::new() });
                self.say(reply::SENDER_OK);
            }
            Err(error) => self.protocol_error(error),
        }
    }

    fn rcpt(&mut self, argument: &[u8]) {
        let Some(open) = &mut self.open else { return self.protocol_error(reply::MAIL_FIRST) };
        match command::recipient(argument) {
            Err(error) => self.protocol_error(error),
            Ok(_) if open.recipients.len() >= self.limits.recipients => self.say(reply::TOO_MANY_RECIPIENTS),
            Ok(recipient) => {
                open.recipients.push(recipient);
                self.say(reply::RECIPIENT_OK);
            }
        }
    }

    fn data(&mut self, argument: &[u8]) {
        match &self.open {
            _ if !argument.is_empty() => self.protocol_error(reply::DATA_ARGUMENT),
            None => self.protocol_error(reply::MAIL_FIRST),
            Some(open) if open.recipients.is_empty() => self.protocol_error(reply::NO_RECIPIENTS),
            Some(_) => self.state = State::Beginning,
        }
    }

    /// The message is in: hands it out, or refuses it for every recipient.
    fn finish_message(&mut self) -> Option<Step> {
        let (State::Data(data, refusal), Some(open)) =
            (std::mem::replace(&mut self.state, State::Command), self.open.take())
        else {
            return None;
        };
        if let Some(refusal) = refusal {
            for _ in &open.recipients {
                self.say(refusal.reply());
            }
            self.end_transaction();
            return None;
        }
        let (content, rest) = data.finish();
        let forwarded = std::mem::take(&mut self.forwarded);
        self.state = State::AwaitsAnswer { recipients: open.recipients.len() };
        let envelope = Envelope {
            sender: open.mail.sender,
            recipients: open.recipients,
            client: forwarded.client,
            queue_id: forwarded.queue_id,
            origin: Origin::Smtp,
        };
        Some(Step::Submit(Transaction { envelope, content, rest }))
    }

    fn end_transaction(&mut self) {
        self.open = None;
        self.forwarded = Forwarded::default();
        self.state = State::Command;
    }

    fn protocol_error(&mut self, error: &str) {
        self.say(error);
        self.errors += 1;
        if self.errors >= MOST_ERRORS {
            self.hang_up(CloseReason::TooManyErrors);
        }
    }

    fn say(&mut self, line: &str) {
        if line.len() <= 510 && line.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            self.output.extend_from_slice(line.as_bytes());
        } else {
            self.output.extend_from_slice(disposition::reply_line(line).as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Room for a message of a declared size, in octets: what Postfix declares is near the truth, but not exact.
pub(super) fn room_for(declared_size: u64) -> u64 {
    declared_size.saturating_add(declared_size / 32).saturating_add(1024)
}
