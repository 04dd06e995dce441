//! The signals that would end this process in the middle, with a terminal that shows nothing or plain text left in memory.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From now on signals end nothing by themselves.
pub(super) struct Interrupt {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Interrupt {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for somebody who wants this to end: by the keyboard too.
    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.hangup.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The same while an editor has the keyboard, whose business Ctrl-C is.
    pub(super) async fn but_the_keyboard(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
