//! One connection: does what its session says, with a socket, clocks, the memory budget and a delivery.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::reply::{CloseReason, Refusal};

use super::service::ServerContext;
use super::session::{Session, room_for};
use super::step::{Step, Transaction};
use crate::crash_point::crash_point;
use crate::intake::accept::Peer;
use crate::intake::budget::{Reservation, cost_of};
use crate::intake::shutdown::Shutdown;
use crate::log_line::{Level, LogLine};
use crate::mail::{Content, Overflow};
use crate::outcome::Outcome;

/// Octets to reserve for a message whose size the client does not declare, and to add where it is larger than declared.
const RESERVED: u64 = 1024 * 1024;

/// Octets to make room for before a read: of commands, and of a message.
const COMMAND_READ: usize = 4 * 1024;
const DATA_READ: usize = 64 * 1024;

/// A client and its session.
pub(super) struct Connection<S> {
    stream: S,
    peer: Peer,
    session: Session,
    context: Arc<ServerContext>,
    shutdown: Shutdown,
    reservation: Option<Reservation>,
    overflow: Option<Overflow>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, peer: Peer, context: Arc<ServerContext>, shutdown: Shutdown) -> Self {
        let session = Session::new(context.settings.hostname.as_str(), context.session_limits());
        Self { stream, peer, session, context, shutdown, reservation: None, overflow: None }
    }

    /// Serves the client until one side closes. An error of the socket ends the connection and nothing else: what was not
    /// answered the client sends again.
    pub(super) async fn run(mut self) {
        loop {
            let done = match self.session.step() {
                Step::Read => self.read().await,
                Step::Write(replies) => self.write(replies).await,
                Step::Begin { declared_size } => self.begin(declared_size).await,
                Step::Overflow(octets) => {
                    self.keep_overflow(octets).await;
                    Ok(())
                }
                Step::Submit(transaction) => {
                    self.deliver(transaction).await;
                    Ok(())
                }
                Step::Wait => Err(io::ErrorKind::InvalidInput.into()),
                Step::Close(reason) => {
                    self.context.log_close(reason, self.peer);
                    let _ = self.stream.shutdown().await;
                    return;
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.session.octets_in_memory().is_some() {
            return self.read_data().await;
        }
        // Postfix keeps a connection for many messages.
        self.session.set_limits(self.context.session_limits());
        self.session.input().reserve(COMMAND_READ);
        let timeout = self.context.settings.command_timeout;
        let read = tokio::select! {
            biased;
            () = self.shutdown.requested() => {
                self.session.hang_up(CloseReason::ShuttingDown);
                return Ok(());
            }
            read = tokio::time::timeout(timeout, self.stream.read_buf(self.session.input())) => read,
        };
        self.has_read(read, CloseReason::Idle)
    }

    /// A message that has begun is taken to its end even if the service stops.
    async fn read_data(&mut self) -> io::Result<()> {
        self.session.input().reserve(DATA_READ);
        let timeout = self.context.settings.data_timeout;
        let read = tokio::time::timeout(timeout, self.stream.read_buf(self.session.input())).await;
        self.has_read(read, CloseReason::DataStalled)?;
        let octets = self.session.octets_in_memory().unwrap_or_default() + self.session.input().len();
        let needed = cost_of(octets.min(self.session.limits().message_size) as u64);
        // As in the beginning: what needs more than there is has enough with all of it.
        let needed = needed.min(self.context.budget.octets());
        if let Some(reservation) = &mut self.reservation
            && reservation.octets() < needed
            && !reservation.grow_to(needed + RESERVED)
            && !reservation.grow_to(needed)
        {
            self.discard(Refusal::NoMemory, "the message is larger than declared, and limits.memory is used up");
        }
        Ok(())
    }

    fn has_read(
        &mut self,
        read: Result<io::Result<usize>, tokio::time::error::Elapsed>,
        timed_out: CloseReason,
    ) -> io::Result<()> {
        match read {
            Err(_) => {
                self.session.hang_up(timed_out);
                Ok(())
            }
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
        }
    }

    async fn write(&mut self, replies: Bytes) -> io::Result<()> {
        let timeout = self.context.settings.command_timeout;
        tokio::time::timeout(timeout, self.stream.write_all(&replies)).await?
    }

    /// Reserves memory for a message, or defers it.
    async fn begin(&mut self, declared_size: Option<u64>) -> io::Result<()> {
        if self.shutdown.is_requested() {
            self.session.hang_up(CloseReason::ShuttingDown);
            return Ok(());
        }
        let context = self.context.clone();
        let wanted = declared_size.map_or(RESERVED, room_for).min(self.session.limits().message_size as u64);
        let wanted = cost_of(wanted);
        self.reservation = context.budget.try_reserve(wanted);
        if self.reservation.is_none() {
            if let Some(replies) = self.session.take_replies() {
                self.write(replies).await?;
            }
            self.reservation = tokio::select! {
                () = self.shutdown.requested() => {
                    self.session.hang_up(CloseReason::ShuttingDown);
                    return Ok(());
                }
                reservation = context.budget.reserve(wanted, context.settings.memory_wait) => reservation,
            };
        }
        if self.reservation.is_some() {
            self.session.go();
        } else {
            self.session.refuse(Refusal::NoMemory);
            self.log_refusal("limits.memory is used up by messages in delivery");
        }
        Ok(())
    }

    /// Writes what is over `limits.message_size` to a file without a name, so that a too large message can be held whole:
    /// that it is too large is our verdict, never a bounce of the MTA.
    async fn keep_overflow(&mut self, octets: Bytes) {
        let overflow = self.overflow.take();
        let mut overflow = overflow.unwrap_or_else(|| Overflow::new(&self.context.settings.state_dir));
        let write = tokio::task::spawn_blocking(move || overflow.push(&octets).map(|()| overflow));
        match write.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(overflow) => self.overflow = Some(overflow),
            Err(error) => {
                let directory = self.context.settings.state_dir.display();
                let detail = format!("cannot keep a message over limits.message_size in {directory}: {error}");
                self.discard(Refusal::NoDisk, &detail);
            }
        }
    }

    fn discard(&mut self, refusal: Refusal, detail: &str) {
        self.session.discard(refusal);
        (self.reservation, self.overflow) = (None, None);
        self.log_refusal(detail);
    }

    fn log_refusal(&self, detail: &str) {
        let mut line = LogLine::event(Level::Error, "message-deferred");
        line.put("peer", self.peer);
        line.put("detail", detail);
        self.context.log(line);
    }

    /// Hands a message on: a panic costs this message an answer of 451 and nothing else, and a client that goes away does not
    /// stop the delivery, because nothing is read from it meanwhile. A task of its own would cost a message two more wake-ups.
    async fn deliver(&mut self, transaction: Transaction) {
        let Transaction { envelope, mut content, rest: _ } = transaction;
        let mut reservation = self.reservation.take();
        if let Some(reservation) = &mut reservation {
            content.shrink_to_fit();
            reservation.shrink_to(cost_of(content.len() as u64));
        }
        let content = match self.overflow.take() {
            Some(overflow) => Content::with_overflow(content, overflow),
            None => Content::whole(content),
        };
        let (recipients, queue_id) = (envelope.recipients.len(), envelope.queue_id.clone());
        let deliver = self.context.deliver.clone();
        let delivery = AssertUnwindSafe(async move { deliver.deliver(envelope, content).await });
        let delivered = delivery.catch_unwind().await;
        drop(reservation);
        let (outcomes, fault) = match delivered {
            Ok(outcomes) if outcomes.len() == recipients => (outcomes, None),
            Ok(outcomes) => {
                let fault = format!("{} outcomes for {recipients} recipients", outcomes.len());
                (outcomes, Some(fault))
            }
            Err(panic) => (Vec::new(), Some(format!("the delivery panicked: {}", panic_text(&*panic)))),
        };
        if let Some(fault) = fault {
            let mut line = LogLine::event(Level::Error, "internal-error");
            line.put_some("queue_id", queue_id);
            line.put("detail", format_args!("{fault}; the message is deferred, please report this"));
            self.context.log(line);
        }
        crash_point("before-answer");
        self.session.answer(outcomes.iter().map(Outcome::reply));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
