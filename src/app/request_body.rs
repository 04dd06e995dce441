//! The body of a request, piece by piece, with its length known beforehand.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::http_exchange::Exchange;

/// A body with its length.
pub(super) struct RequestBody {
    pieces: Pieces,
    left: u64,
    exchange: Option<Arc<Exchange>>,
}

enum Pieces {
    Ready(VecDeque<Bytes>),
    /// They are written while they are sent.
    Written(mpsc::Receiver<io::Result<Bytes>>),
}

impl RequestBody {
    /// No octet.
    pub fn empty() -> Self {
        Self::of([])
    }

    /// Pieces that are there.
    pub fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: Pieces::Ready(pieces), left, exchange: None }
    }

    /// Pieces that somebody writes, `length` octets in all.
    pub fn written(length: u64, pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { pieces: Pieces::Written(pieces), left: length, exchange: None }
    }

    /// Octets that are still to be sent.
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whom to tell when the last octet is taken.
    pub fn tell(&mut self, exchange: &Arc<Exchange>) {
        self.exchange = Some(Arc::clone(exchange));
        self.tell_if_taken();
    }

    fn tell_if_taken(&self) {
        if let Some(exchange) = self.exchange.as_ref().filter(|_| self.left == 0) {
            exchange.body_is_taken();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &mut this.pieces {
            Pieces::Ready(pieces) => pieces.pop_front().map(Ok),
            Pieces::Written(pieces) => ready!(pieces.poll_recv(cx)),
        };
        let piece = piece.unwrap_or_else(|| Err(io::Error::other("the body ended before its announced length")))?;
        let Some(left) = this.left.checked_sub(piece.len() as u64) else {
            return Poll::Ready(Some(Err(io::Error::other("the body is longer than it was announced"))));
        };
        this.left = left;
        this.tell_if_taken();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestBody({} octets)", self.left)
    }
}
