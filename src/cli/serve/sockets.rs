//! The sockets of the service, and who may connect to them.

use std::io;

use listenfd::ListenFd;
use nix::unistd::{User, getuid};

use crate::intake::listener::Listener;
use crate::log_line::{Level, LogLine};
use crate::pipeline::Engine;

/// Anybody may open the socket; who it is, is asked of the kernel (SO_PEERCRED) at each connection.
const SOCKET_MODE: u32 = 0o666;

/// The sockets that systemd handed over; without any, those of `[listen]`.
pub(super) fn listeners(engine: &Engine) -> io::Result<Vec<Listener>> {
    let mut handed_over = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed_over.len() {
        if let Ok(Some(unix)) = handed_over.take_unix_listener(index) {
            listeners.push(Listener::from_unix(unix)?);
        } else if let Some(tcp) = handed_over.take_tcp_listener(index)? {
            listeners.push(Listener::from_tcp(tcp)?);
        }
    }
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    if engine.config().listen.lmtp.is_empty() {
        return Err(io::Error::other("there is nothing to listen on: set listen.lmtp, or start mailhatch.socket"));
    }
    let bind = |address| Listener::bind(address, SOCKET_MODE).map_err(io::Error::other);
    engine.config().listen.lmtp.iter().map(bind).collect()
}

/// Root, ourselves, and the users of `listen.users`.
pub(super) fn allowed_uids(engine: &Engine) -> Vec<u32> {
    let mut uids = vec![0, getuid().as_raw()];
    for name in &engine.config().listen.users {
        match User::from_name(name) {
            Ok(Some(user)) => uids.push(user.uid.as_raw()),
            _ => {
                let text = format!(
                    "the user \"{name}\" (listen.users) does not exist: its processes cannot connect to our sockets"
                );
                engine.telemetry().log(&LogLine::event(Level::Warning, text));
            }
        }
    }
    uids
}
