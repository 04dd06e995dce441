//! A client that speaks in lines, over a Unix or a TCP socket: the ground of the LMTP and SMTP clients. Each read has an end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wait::LIMIT;

/// One connection.
pub struct Dialogue {
    stream: BufReader<Stream>,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Dialogue {
    pub fn unix(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { stream: BufReader::new(Stream::Unix(stream)) })
    }

    pub fn tcp(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(Stream::Tcp(stream)) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One line without its end; `None` where the other side hung up.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        assert_in_time(&read);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!matches!(read, Ok(0) | Err(_))).then_some(line)
    }

    /// A reply of one or more lines, without the last line's end.
    #[track_caller]
    pub fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let line = self.line().ok_or(io::ErrorKind::UnexpectedEof)?;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if is_last {
                return Ok(reply);
            }
            reply.push_str("\r\n");
        }
    }

    /// Sends a command; its reply must start with `code`.
    #[track_caller]
    pub fn command(&mut self, command: &str, code: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes()).unwrap();
        self.expect(code)
    }

    /// A reply that must start with `code`.
    #[track_caller]
    pub fn expect(&mut self, code: &str) -> String {
        let reply = self.reply().unwrap_or_else(|error| panic!("{code} expected: {error}"));
        assert!(reply.starts_with(code), "{code} expected: {reply}");
        reply
    }

    /// Everything until the other side hangs up.
    #[track_caller]
    pub fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end too.
        assert_in_time(&self.stream.read_to_end(&mut rest));
        String::from_utf8_lossy(&rest).into_owned()
    }
}

#[track_caller]
fn assert_in_time(read: &io::Result<usize>) {
    if let Err(error) = read {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        assert!(!is_late, "the other side says nothing, and does not hang up");
    }
}

/// A message as DATA carries it (RFC 5321 section 4.5.2), with the end.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(message.len() + 16);
    let mut line_start = true;
    for &byte in message {
        if line_start && byte == b'.' {
            data.push(b'.');
        }
        data.push(byte);
        line_start = byte == b'\n';
    }
    if !data.is_empty() && !data.ends_with(b"\r\n") {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    data
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
