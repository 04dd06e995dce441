//! One connection: does what its session says, with a socket and clocks.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::close::CloseReason;
use super::request::Request;
use super::service::ServerContext;
use super::session::{Session, Step};
use crate::intake::shutdown::Shutdown;

/// Octets to make room for before a read. Postfix sends a request of less than a kilobyte in one piece.
const READ: usize = 2048;

/// A client and its session.
pub(super) struct Connection<S> {
    stream: S,
    session: Session,
    context: Arc<ServerContext>,
    shutdown: Shutdown,
    /// When the request under way began, or had its last line, and which line that was.
    last_line: Option<(u64, Instant)>,
}

/// The end of a connection: a reason of ours, or none if the client went away.
type End = Option<CloseReason>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, context: Arc<ServerContext>, shutdown: Shutdown) -> Self {
        Self { stream, session: Session::new(), context, shutdown, last_line: None }
    }

    /// Serves the client until the connection is to be closed; gives why, unless the client went away.
    pub(super) async fn run(&mut self) -> End {
        loop {
            let done = match self.session.step() {
                Step::Read => self.read().await,
                Step::Ask(request) => self.decide(&request),
                Step::Write(answer) => self.write(answer).await,
                // It was answered, or the connection has ended.
                Step::Wait => Err(Some(CloseReason::Panicked)),
                Step::Close(reason) => Err(Some(reason)),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    pub(super) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    async fn read(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let lines = self.session.lines();
        self.last_line = match self.last_line {
            _ if !self.session.is_in_request() => None,
            Some(last_line) if last_line.0 == lines => Some(last_line),
            _ => Some((lines, now)),
        };
        let settings = &self.context.settings;
        let (until, timed_out) = match self.last_line {
            Some((_, since)) => (since + settings.line_timeout, CloseReason::Stalled),
            None => (now + settings.idle_timeout, CloseReason::Idle),
        };
        let is_idle = self.last_line.is_none();
        self.session.input().reserve(READ);
        let read = tokio::select! {
            biased;
            // What has begun is answered, if its rest comes in time.
            () = self.shutdown.requested(), if is_idle => return Err(Some(CloseReason::ShuttingDown)),
            read = timeout_at(until, self.stream.read_buf(self.session.input())) => read,
        };
        match read {
            Err(_) => Err(Some(timed_out)),
            Ok(Ok(0) | Err(_)) => Err(None),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// A panic costs this connection: Postfix opens another for its next request.
    fn decide(&mut self, request: &Request) -> Result<(), End> {
        let started = Instant::now();
        let decide = AssertUnwindSafe(|| self.context.decide.decide(request));
        let answer = catch_unwind(decide).map_err(|_| Some(CloseReason::Panicked))?;
        if let Some(metrics) = &self.context.settings.metrics {
            metrics.policy_answer(answer.name(), started.elapsed());
        }
        self.session.answer(answer);
        Ok(())
    }

    async fn write(&mut self, answer: Bytes) -> Result<(), End> {
        let written = timeout(self.context.settings.line_timeout, self.stream.write_all(&answer)).await;
        written.map_err(|_| Some(CloseReason::Stalled))?.map_err(|_: io::Error| None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::time::sleep;

    use super::*;
    use crate::intake::policy::{Answer, Decide, ServerSettings};

    struct Dunno;

    impl Decide for Dunno {
        fn decide(&self, _: &Request) -> Answer {
            Answer::Dunno
        }
    }

    /// A client and the end of its connection, under a clock that runs when nothing else does.
    fn connect() -> (DuplexStream, tokio::task::JoinHandle<End>) {
        let settings = ServerSettings::new(Arc::new(|_| {}));
        let context = Arc::new(ServerContext { decide: Arc::new(Dunno), settings });
        let (client, stream) = tokio::io::duplex(64);
        let (trigger, shutdown) = Shutdown::new();
        let served = tokio::spawn(async move {
            let end = Connection::new(stream, context, shutdown).run().await;
            drop(trigger);
            end
        });
        (client, served)
    }

    async fn answered(client: &mut DuplexStream) {
        let mut answer = [0; 14];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"action=DUNNO\n\n");
    }

    /// smtpd(8) asks seldom, and must not find the connection closed.
    #[tokio::test(start_paused = true)]
    async fn a_connection_lives_as_long_as_postfix_keeps_it() {
        let (mut client, served) = connect();
        for idle in [0, 300, 1000] {
            sleep(Duration::from_secs(idle)).await;
            client.write_all(b"x=y\n\n").await.expect("a request");
            answered(&mut client).await;
        }
        assert_eq!(served.await.expect("an end"), Some(CloseReason::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_request_is_waited_for_and_a_stuck_one_is_not() {
        let (mut client, served) = connect();
        let started = Instant::now();
        for line in ["a=b\n", "c=d\n", "e=f\n", "\n"] {
            for octet in line.as_bytes() {
                sleep(Duration::from_secs(2)).await;
                client.write_all(&[*octet]).await.expect("an octet");
            }
        }
        answered(&mut client).await;
        assert!(started.elapsed() > Duration::from_secs(20));
        // Octets without a line end do not count.
        let writing = tokio::spawn(async move {
            while client.write_all(b"a").await.is_ok() {
                sleep(Duration::from_secs(3)).await;
            }
        });
        assert_eq!(served.await.expect("an end"), Some(CloseReason::Stalled));
        writing.await.expect("the client ends");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_ends_the_connection() {
        let (mut client, served) = connect();
        client.write_all(&b"a=b\n\n".repeat(10)).await.expect("requests");
        assert_eq!(served.await.expect("an end"), Some(CloseReason::Stalled));
    }
}
