//! What is known of one request and its answer on a connection.
//!
//! An application can answer before it has read what it answers to. An answer counts as one to the whole request only if the
//! socket had taken all of the request when the first octet of the answer came.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// What the two ways of a connection tell each other of the request on it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The connection has taken the whole body.
    body_is_taken: AtomicBool,
    /// The socket did not take all that it was given.
    is_blocked: AtomicBool,
    /// The first octet of the answer has come.
    has_answer: AtomicBool,
    /// It came before all of the request was in the socket.
    is_early: AtomicBool,
}

impl Exchange {
    /// Another request is sent.
    pub fn begin(&self) {
        for flag in [&self.body_is_taken, &self.is_blocked, &self.has_answer, &self.is_early] {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// The connection has taken the whole body.
    pub fn body_is_taken(&self) {
        self.body_is_taken.store(true, Ordering::Relaxed);
    }

    /// The socket took so much of what it was offered.
    pub fn wrote(&self, offered: usize, taken: &Poll<io::Result<usize>>) {
        let is_blocked = !matches!(taken, Poll::Ready(Ok(taken)) if *taken == offered);
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// TLS keeps records back that the socket did not take.
    pub fn flushed(&self, flushed: &Poll<io::Result<()>>) {
        self.is_blocked.store(flushed.is_pending(), Ordering::Relaxed);
    }

    /// Octets of the answer came. An informational answer (1xx) counts as the beginning, too: we never ask for one.
    pub fn read(&self) {
        if !self.has_answer.swap(true, Ordering::Relaxed) {
            let is_early = !self.body_is_taken.load(Ordering::Relaxed) || self.is_blocked.load(Ordering::Relaxed);
            self.is_early.store(is_early, Ordering::Relaxed);
        }
    }

    /// Whether the answer began before all of the request was handed over.
    pub fn is_early(&self) -> bool {
        self.is_early.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_early_if_anything_of_the_request_is_left() {
        type Step = fn(&Exchange);
        let rows: &[(&str, &[Step], bool)] = &[
            ("before anything", &[], true),
            ("while the body is on its way", &[|e| e.wrote(10, &Poll::Ready(Ok(10)))], true),
            ("all taken", &[|e| e.body_is_taken(), |e| e.wrote(10, &Poll::Ready(Ok(10)))], false),
            ("the socket took a part", &[|e| e.body_is_taken(), |e| e.wrote(10, &Poll::Ready(Ok(9)))], true),
            ("the socket took nothing", &[|e| e.body_is_taken(), |e| e.wrote(10, &Poll::Pending)], true),
            (
                "TLS keeps some back",
                &[|e| e.body_is_taken(), |e| e.wrote(10, &Poll::Ready(Ok(10))), |e| e.flushed(&Poll::Pending)],
                true,
            ),
            (
                "TLS has given it on",
                &[|e| e.body_is_taken(), |e| e.flushed(&Poll::Pending), |e| e.flushed(&Poll::Ready(Ok(())))],
                false,
            ),
        ];
        for (name, steps, early) in rows {
            let exchange = Exchange::default();
            exchange.begin();
            steps.iter().for_each(|step| step(&exchange));
            exchange.read();
            assert_eq!(exchange.is_early(), *early, "{name}");
            // What is written later does not make it a better answer.
            exchange.body_is_taken();
            exchange.flushed(&Poll::Ready(Ok(())));
            exchange.read();
            assert_eq!(exchange.is_early(), *early, "{name}, later");
        }
    }
}
