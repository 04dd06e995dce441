//! What every server of the tests has: a user, ports of this host, a certificate.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use super::wait_for;

/// The user of every mailbox, and its password.
pub const USER: &str = "joe";
pub const PASSWORD: &str = "hush hush";

/// Ports that nobody listens on at this moment.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Waits until a server listens.
pub fn wait_for_port(port: u16) {
    wait_for("a server to listen", || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok());
}

/// A certificate for this host, made by itself, in `tls.pem` and `tls.key`.
pub fn make_certificate(directory: &Path) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(directory.join("tls.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}
