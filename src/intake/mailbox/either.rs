//! A mailbox of one kind or of another: the reader need not know which.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::number_set::{Number, NumberSet};
use super::source::{Got, Numbers, OpenMailbox, Room, Shown, Source, Standing, Wanted};
use crate::ledger::MessageState;
use crate::mail::Item;

/// One of two.
#[derive(Clone, Debug)]
pub enum Either<A, B> {
    /// The first.
    A(A),
    /// The second.
    B(B),
}

impl<A: Source, B: Source> Source for Either<A, B> {
    type Open = Either<A::Open, B::Open>;

    async fn open(&self, read_only: bool) -> Result<Self::Open, Failure> {
        match self {
            Self::A(a) => a.open(read_only).await.map(Either::A),
            Self::B(b) => b.open(read_only).await.map(Either::B),
        }
    }
}

impl<A: OpenMailbox, B: OpenMailbox> OpenMailbox for Either<A, B> {
    fn standing(&self) -> Standing {
        match self {
            Self::A(a) => a.standing(),
            Self::B(b) => b.standing(),
        }
    }

    fn has_news(&self) -> bool {
        match self {
            Self::A(a) => a.has_news(),
            Self::B(b) => b.has_news(),
        }
    }

    async fn count_before(&mut self) -> Result<String, Failure> {
        match self {
            Self::A(a) => a.count_before().await,
            Self::B(b) => b.count_before().await,
        }
    }

    async fn item(&mut self, number: Number) -> Item {
        match self {
            Self::A(a) => a.item(number).await,
            Self::B(b) => b.item(number).await,
        }
    }

    async fn find(&mut self, wanted: Wanted) -> Result<NumberSet, Failure> {
        match self {
            Self::A(a) => a.find(wanted).await,
            Self::B(b) => b.find(wanted).await,
        }
    }

    async fn still_there(&mut self, missing: &NumberSet) -> Result<NumberSet, Failure> {
        match self {
            Self::A(a) => a.still_there(missing).await,
            Self::B(b) => b.still_there(missing).await,
        }
    }

    async fn overlooked(&mut self, unexplained: &NumberSet) -> Result<NumberSet, Failure> {
        match self {
            Self::A(a) => a.overlooked(unexplained).await,
            Self::B(b) => b.overlooked(unexplained).await,
        }
    }

    async fn fetch(&mut self, number: Number, room: &Room) -> Result<Got, Failure> {
        match self {
            Self::A(a) => a.fetch(number, room).await,
            Self::B(b) => b.fetch(number, room).await,
        }
    }

    async fn show(&mut self, numbers: &Numbers, state: MessageState) -> Result<Shown, Failure> {
        match self {
            Self::A(a) => a.show(numbers, state).await,
            Self::B(b) => b.show(numbers, state).await,
        }
    }

    async fn wait(&mut self, until: Instant, wake: impl Future<Output = ()> + Send) -> Result<bool, Failure> {
        match self {
            Self::A(a) => a.wait(until, wake).await,
            Self::B(b) => b.wait(until, wake).await,
        }
    }

    fn pause(&self) -> Duration {
        match self {
            Self::A(a) => a.pause(),
            Self::B(b) => b.pause(),
        }
    }

    async fn close(self) {
        match self {
            Self::A(a) => a.close().await,
            Self::B(b) => b.close().await,
        }
    }
}
