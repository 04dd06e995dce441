//! The body of a request, piece by piece, with its length known beforehand.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    /// They are encoded while they are sent: what was not yet, behind what stands before it.
    Encoded {
        before: Bytes,
        rest: Bytes,
    },
    /// They are written while they are sent.
    Written(mpsc::Receiver<io::Result<Bytes>>),
}

/// What is encoded at once: a multiple of three, so that pieces join without padding between them.
const ENCODED_AT_ONCE: usize = 48 * 1024;

/// So much costs less than to ask another thread.
const LOOKED_AT_HERE: usize = 256 * 1024;

/// Base64 in which what a form would take for something else is written as three octets.
fn url_base64(octets: &[u8]) -> String {
    let text = STANDARD.encode(octets);
    let mut encoded = String::with_capacity(text.len() + text.len() / 8);
    for piece in text.split_inclusive(['+', '/', '=']) {
        let plain = piece.trim_end_matches(['+', '/', '=']);
        encoded.push_str(plain);
        encoded.push_str(match &piece[plain.len()..] {
            "+" => "%2B",
            "/" => "%2F",
            "=" => "%3D",
            _ => "",
        });
    }
    encoded
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

    /// A form with one field: octets in base64, as a URL writes it.
    ///
    /// # Errors
    /// The octets could not be looked at.
    pub async fn base64_field(name: &str, octets: Bytes) -> io::Result<Self> {
        let (before, rest) = (Bytes::from(format!("{name}=")), octets.clone());
        // What cannot stand in a form grows to three octets, so all must be looked at before the length is known.
        let length = move || octets.chunks(ENCODED_AT_ONCE).map(|piece| url_base64(piece).len() as u64).sum::<u64>();
        let length = if rest.len() <= LOOKED_AT_HERE { length() } else { tokio::task::spawn_blocking(length).await? };
        let left = before.len() as u64 + length;
        Ok(Self { pieces: Pieces::Encoded { before, rest }, left, exchange: None })
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
            Pieces::Encoded { before, .. } if !before.is_empty() => Some(Ok(std::mem::take(before))),
            Pieces::Encoded { rest, .. } => {
                let piece = rest.split_to(ENCODED_AT_ONCE.min(rest.len()));
                (!piece.is_empty()).then(|| Ok(url_base64(&piece).into()))
            }
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
