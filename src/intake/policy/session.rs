//! The session (SMTPD_POLICY_README) without I/O and without clocks: octets in, steps out.
//!
//! The driver pushes octets, asks for [`Session::step`] and does what it says, until it says [`Step::Read`]. However the
//! octets are cut, the steps are the same. What cannot be read ends the session without an answer.

use bytes::{Buf, Bytes, BytesMut};

use super::answer::Answer;
use super::close::CloseReason;
use super::request::Request;

/// Octets of a request, its empty line included. Postfix sends less than a kilobyte, and takes lines of 2048 octets.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// What the driver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read octets, push them, and ask again.
    Read,
    /// A request is here whole: [`Session::answer`] it.
    Ask(Request),
    /// Write these octets, and ask again.
    Write(Bytes),
    /// [`Step::Ask`] has not been answered yet.
    Wait,
    /// Close the connection. Every answer has been given out.
    Close(CloseReason),
}

#[derive(Debug)]
enum State {
    Reading,
    AwaitsAnswer,
    Closing(CloseReason),
}

/// One policy session.
#[derive(Debug)]
pub struct Session {
    state: State,
    input: BytesMut,
    /// Where in `input` the line begins that is not read yet, and up to where it is known to hold no line end.
    line: usize,
    scanned: usize,
    request: Request,
    lines: u64,
    output: BytesMut,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session at its start: the client speaks first.
    pub fn new() -> Self {
        Self {
            state: State::Reading,
            input: BytesMut::new(),
            line: 0,
            scanned: 0,
            request: Request::default(),
            lines: 0,
            output: BytesMut::new(),
        }
    }

    /// Adds octets from the client.
    pub fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// The buffer that octets from the client are added to, for reading into it without a copy.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Whether a request has begun and is not whole yet.
    pub fn is_in_request(&self) -> bool {
        !self.input.is_empty()
    }

    /// Lines read so far: a client that is slow but not stuck makes them more.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        loop {
            if !self.output.is_empty() {
                return Step::Write(self.output.split().freeze());
            }
            match self.state {
                State::AwaitsAnswer => return Step::Wait,
                State::Closing(reason) => return Step::Close(reason),
                State::Reading => {}
            }
            // What lies over the limit is not looked at, so that the cut of the octets makes no difference.
            let end = self.input.len().min(LONGEST_REQUEST);
            match memchr::memchr(b'\n', &self.input[self.scanned..end]) {
                Some(length) => {
                    if let Some(request) = self.take_line(self.scanned + length) {
                        return Step::Ask(request);
                    }
                }
                None if end == LONGEST_REQUEST => self.state = State::Closing(CloseReason::TooLong),
                None => {
                    self.scanned = end;
                    return Step::Read;
                }
            }
        }
    }

    /// Answers [`Step::Ask`].
    pub fn answer(&mut self, answer: Answer) {
        let State::AwaitsAnswer = self.state else { return };
        self.output.extend_from_slice(format!("action={answer}\n\n").as_bytes());
        self.state = State::Reading;
    }

    /// Reads the line that ends at `end`; gives the request if it was the empty one.
    fn take_line(&mut self, end: usize) -> Option<Request> {
        let line = &self.input[self.line..end];
        self.lines += 1;
        if line.is_empty() {
            self.input.advance(end + 1);
            (self.line, self.scanned) = (0, 0);
            self.state = State::AwaitsAnswer;
            return Some(std::mem::take(&mut self.request));
        }
        if self.request.read(line).is_err() {
            self.state = State::Closing(CloseReason::Malformed);
        }
        (self.line, self.scanned) = (end + 1, end + 1);
        None
    }
}
