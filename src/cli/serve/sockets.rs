//! The sockets of the service, and who may connect to them.

use std::io;

use listenfd::ListenFd;
use nix::unistd::{User, getuid};

use crate::intake::listener::Listener;
use crate::log_line::{Level, LogLine};
use crate::pipeline::Engine;

/// Anybody may open the socket; who it is, is asked of the kernel (SO_PEERCRED) at each connection.
const SOCKET_MODE: u32 = 0o666;

/// `FileDescriptorName=` of the policy service's sockets. All others are for LMTP.
const POLICY: &str = "policy";

/// What is listened on.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) lmtp: Vec<Listener>,
    pub(super) policy: Vec<Listener>,
}

impl Sockets {
    /// The sockets that systemd handed over; for what none was handed over for, those of `[listen]`.
    pub(super) fn open(engine: &Engine) -> io::Result<Self> {
        let mut sockets = Self::handed_over()?;
        let listen = &engine.config().listen;
        if sockets.policy.is_empty() {
            for address in &listen.policy {
                match Listener::bind(address, SOCKET_MODE) {
                    Ok(listener) => sockets.policy.push(listener),
                    // No reason to take no mail: Postfix then takes what it could have refused.
                    Err(error) => {
                        let text = format!("unknown addresses are not refused at RCPT TO: listen.policy: {error}");
                        engine.telemetry().log(&LogLine::event(Level::Error, text));
                    }
                }
            }
        }
        if sockets.lmtp.is_empty() {
            if listen.lmtp.is_empty() {
                let text = "there is nothing to listen on: set listen.lmtp, or start mailhatch.socket";
                return Err(io::Error::other(text));
            }
            let bind = |address| Listener::bind(address, SOCKET_MODE).map_err(io::Error::other);
            sockets.lmtp = listen.lmtp.iter().map(bind).collect::<io::Result<_>>()?;
        }
        Ok(sockets)
    }

    fn handed_over() -> io::Result<Self> {
        // sd_listen_fds_with_names(3)
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed_over = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..handed_over.len() {
            let listeners = if names.next() == Some(POLICY) { &mut sockets.policy } else { &mut sockets.lmtp };
            if let Ok(Some(unix)) = handed_over.take_unix_listener(index) {
                listeners.push(Listener::from_unix(unix)?);
            } else if let Some(tcp) = handed_over.take_tcp_listener(index)? {
                listeners.push(Listener::from_tcp(tcp)?);
            }
        }
        Ok(sockets)
    }
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
