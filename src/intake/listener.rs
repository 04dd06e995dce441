//! Where the service listens: Unix and loopback TCP sockets, bound here or handed over by systemd.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::ListenAddress;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process serves it.
    #[error("{}: another process listens on it; stop that one first", .0.display())]
    InUse(PathBuf),
    /// Something else than a socket is in its place.
    #[error("{}: this is not a socket; remove it, or choose another path in [listen]", .0.display())]
    NoSocket(PathBuf),
    /// RFC 2033 section 5.
    #[error("{0}: LMTP must not listen on port 25 (RFC 2033); choose another port in [listen]")]
    Port25(SocketAddr),
    /// The system says no.
    #[error("cannot listen on {address}: {error}")]
    System {
        /// Where.
        address: String,
        /// What it says.
        error: io::Error,
    },
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
    /// What to remove when listening ends; `None` where systemd owns the socket.
    path: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection just accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Binds an address; must be called within a tokio runtime. A Unix socket that a dead process left is replaced, and gets
    /// `mode`: 0660 with a group that Postfix's user is in keeps all others out.
    ///
    /// # Errors
    /// The address is taken, is not ours to take, or is port 25, which is Postfix's.
    pub fn bind(address: &ListenAddress, mode: u32) -> Result<Self, ListenError> {
        match address {
            ListenAddress::Tcp(address) if address.port() == 25 => Err(ListenError::Port25(*address)),
            ListenAddress::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address).map_err(system(address))?;
                Self::from_tcp(listener).map_err(system(address))
            }
            ListenAddress::Unix(path) => bind_unix(path, mode),
        }
    }

    /// A TCP socket that systemd bound.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: Socket::Tcp(TcpListener::from_std(listener)?), path: None })
    }

    /// A Unix socket that systemd bound.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: Socket::Unix(UnixListener::from_std(listener)?), path: None })
    }

    /// The TCP address, where it is one: port 0 in the configuration becomes a real one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Socket::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_unix(path: &Path, mode: u32) -> Result<Listener, ListenError> {
    remove_stale(path)?;
    let bound = std::os::unix::net::UnixListener::bind(path).and_then(|listener| {
        let mut listener = Listener::from_unix(listener)?;
        listener.path = Some(path.to_owned());
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(listener)
    });
    bound.map_err(system(path.display()))
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(path.display())(error)),
    };
    if !kind.is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(system(path.display()))
        }
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) => Err(system(path.display())(error)),
    }
}

fn system(address: impl ToString) -> impl FnOnce(io::Error) -> ListenError {
    let address = address.to_string();
    move |error| ListenError::System { address, error }
}
