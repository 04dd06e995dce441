//! Does what the session says, with a socket and clocks.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::endpoint::{Endpoint, Stream};
use super::request::{Answer, Refusal, Request};
use super::session::{Plan, Session, Step};
use crate::intake::mailbox::failure::{Cause, Failure};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first packet to the greeting, TLS included.
    pub connect: Duration,
    /// Silence of a server that owes an answer, also in the middle of one.
    pub silence: Duration,
    /// The end of idling.
    pub done: Duration,
    /// A command as a whole, however much comes.
    pub command: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            done: Duration::from_secs(10),
            command: Duration::from_secs(600),
        }
    }
}

/// Octets of one read.
const READ: usize = 64 * 1024;

/// A logged-in connection with an open folder.
pub struct Connection {
    stream: Stream,
    session: Session,
    limits: Limits,
    buffer: BytesMut,
    place: String,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The server told something.
    News,
    /// The time is over, or the caller wanted it.
    Asked,
    /// The server does not let us idle.
    Refused,
}

impl Connection {
    /// Connects, logs in and opens the folder.
    ///
    /// # Errors
    /// Why not; no password was sent where the connection is not what the plan asks for.
    pub async fn open(endpoint: &Endpoint, plan: Plan, limits: Limits) -> Result<Self, Failure> {
        let place = format!("{}:{}", endpoint.host, endpoint.port);
        let connected = timeout(limits.connect, endpoint.connect()).await;
        let stream = connected.unwrap_or_else(|_| Err(late(&place, "no connection", limits.connect)))?;
        let buffer = BytesMut::with_capacity(READ);
        let mut connection = Self { stream, session: Session::new(plan), limits, buffer, place };
        let deadline = Instant::now() + limits.command;
        loop {
            match connection.next(deadline).await? {
                Step::Ready => return Ok(connection),
                Step::StartTls => connection = connection.start_tls(endpoint).await?,
                other => return Err(out_of_order(&other)),
            }
        }
    }

    /// What the session knows of the server and the folder.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Asks something of the folder.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn ask(&mut self, request: &Request) -> Result<Result<Answer, Refusal>, Failure> {
        if !self.session.ask(request) {
            return Err(out_of_order(&request));
        }
        match self.next(Instant::now() + self.limits.command).await? {
            Step::Answered(answer) => Ok(answer),
            other => Err(out_of_order(&other)),
        }
    }

    /// Opens the folder again.
    ///
    /// # Errors
    /// The connection is over, or the folder is not there any more.
    pub async fn open_again(&mut self) -> Result<(), Failure> {
        if !self.session.open_again() {
            return Err(out_of_order(&"SELECT"));
        }
        match self.next(Instant::now() + self.limits.command).await? {
            Step::Ready => Ok(()),
            other => Err(out_of_order(&other)),
        }
    }

    /// Waits with the server (IDLE) until it tells something, `until`, or `wake`.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn idle(&mut self, until: Instant, wake: impl Future<Output = ()>) -> Result<Woken, Failure> {
        if !self.session.idle() {
            return Err(out_of_order(&"IDLE"));
        }
        let mut woken = match self.next(Instant::now() + self.limits.command).await? {
            Step::Idling => self.wait(until, wake).await?,
            Step::News => Woken::News,
            Step::Answered(Err(Refusal { failure: Some(failure), .. })) => return Err(failure),
            Step::Answered(_) => return Ok(Woken::Refused),
            other => return Err(out_of_order(&other)),
        };
        self.session.end_idle();
        let deadline = Instant::now() + self.limits.done;
        loop {
            match self.next(deadline).await? {
                Step::News => woken = Woken::News,
                Step::Answered(_) => return Ok(woken),
                other => return Err(out_of_order(&other)),
            }
        }
    }

    /// Waits without asking anything, and hears if the server ends the connection.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn wait(&mut self, until: Instant, wake: impl Future<Output = ()>) -> Result<Woken, Failure> {
        tokio::pin!(wake);
        let told = self.session.selected().told;
        loop {
            match self.session.step() {
                Step::Read if self.session.selected().told != told => return Ok(Woken::News),
                Step::Read => {}
                Step::Write(octets) => {
                    self.write(&octets).await?;
                    continue;
                }
                Step::News | Step::Answered(_) => return Ok(Woken::News),
                Step::Idling => continue,
                Step::Failed(failure) => return Err(failure),
                other => return Err(out_of_order(&other)),
            }
            self.buffer.clear();
            self.buffer.reserve(READ);
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.buffer) => read,
                () = tokio::time::sleep_until(until) => return Ok(Woken::Asked),
                () = &mut wake => return Ok(Woken::Asked),
            };
            self.has_read(read)?;
        }
    }

    /// Says goodbye. It does not matter whether that is heard.
    pub async fn log_out(mut self) {
        self.session.log_out();
        let _ = self.next(Instant::now() + Duration::from_secs(2)).await;
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    /// The session goes on over TLS.
    async fn start_tls(mut self, endpoint: &Endpoint) -> Result<Self, Failure> {
        let begun = timeout(self.limits.connect, endpoint.begin_tls(self.stream)).await;
        self.stream = begun.unwrap_or_else(|_| Err(late(&self.place, "no TLS", self.limits.connect)))?;
        self.session.tls_started();
        Ok(self)
    }

    /// The next step that is not reading or writing.
    async fn next(&mut self, deadline: Instant) -> Result<Step, Failure> {
        loop {
            match self.session.step() {
                Step::Write(octets) => self.write(&octets).await?,
                Step::Read => {
                    self.buffer.clear();
                    self.buffer.reserve(READ);
                    let limit = deadline.min(Instant::now() + self.limits.silence);
                    match timeout_at(limit, self.stream.read_buf(&mut self.buffer)).await {
                        Ok(read) => self.has_read(read)?,
                        Err(_) => return Err(late(&self.place, "no answer", self.limits.silence)),
                    }
                }
                Step::Failed(failure) => return Err(failure),
                other => return Ok(other),
            }
        }
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Failure> {
        let write = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout(self.limits.silence, write).await {
            Ok(written) => written.map_err(|error| self.ended(&error)),
            Err(_) => Err(late(&self.place, "it takes nothing", self.limits.silence)),
        }
    }

    fn has_read(&mut self, read: io::Result<usize>) -> Result<(), Failure> {
        match read {
            Ok(0) => Err(Failure::new(Cause::Closed, format!("{} closed the connection", self.place))),
            Ok(_) => {
                self.session.input(&self.buffer);
                Ok(())
            }
            Err(error) => Err(self.ended(&error)),
        }
    }

    fn ended(&self, error: &io::Error) -> Failure {
        let cause = if error.kind() == io::ErrorKind::TimedOut { Cause::Timeout } else { Cause::Closed };
        Failure::new(cause, format!("the connection to {} ended: {error}", self.place))
    }
}

fn late(place: &str, what: &str, limit: Duration) -> Failure {
    Failure::new(Cause::Timeout, format!("{place}: {what} for {}", humantime::format_duration(limit)))
}

/// A step that the session does not take here: a bug, which must cost a connection at most.
fn out_of_order(step: &dyn std::fmt::Debug) -> Failure {
    Failure::new(Cause::Malformed, format!("internal error: {step:?} out of order; please report it"))
}
