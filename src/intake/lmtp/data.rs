//! The octets after DATA: where they end, and the dots that the client put before other dots (RFC 5321 section 4.5.2).
//!
//! Only `<CRLF>.<CRLF>` ends a message. A line feed or a carriage return that stands alone is an octet like any other and
//! never makes a dot the first of a line: a server that saw a line end there could be made to take the rest of a
//! message for commands.

use bytes::{Bytes, BytesMut};

/// Octets to make room for at once, whatever a client declares; beyond that the room grows with the message.
const MOST_AT_ONCE: usize = 16 * 1024 * 1024;

/// Where in a line the octets so far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind CRLF, or at the start of the message.
    LineStart,
    /// Somewhere in a line, not behind a CR.
    Line,
    /// Behind a CR.
    Cr,
    /// Behind a dot at the start of a line; the dot is not content.
    Dot,
    /// Behind such a dot and a CR.
    DotCr,
    /// Behind the end of the message.
    End,
}

/// One message on its way in.
#[derive(Debug)]
pub(super) struct Data {
    at: At,
    content: Vec<u8>,
    limit: usize,
    overflow: BytesMut,
    rest: u64,
    discarded: bool,
}

impl Data {
    /// Room for a message of about `expected` octets, of which at most `limit` stay in memory.
    pub(super) fn new(expected: usize, limit: usize) -> Self {
        let content = Vec::with_capacity(expected.min(limit).min(MOST_AT_ONCE));
        Self { at: At::LineStart, content, limit, overflow: BytesMut::new(), rest: 0, discarded: false }
    }

    /// Takes octets up to the end of the message. Gives how many it took.
    pub(super) fn take(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(&octet) = input.get(taken) {
            match (self.at, octet) {
                (At::LineStart, b'.') => self.at = At::Dot,
                (At::Cr, b'\n') => {
                    self.keep(b"\n");
                    self.at = At::LineStart;
                }
                (At::Dot, b'\r') => self.at = At::DotCr,
                (At::DotCr, b'\n') => self.at = At::End,
                (At::End, _) => break,
                (At::DotCr, _) => {
                    self.keep(b"\r");
                    self.at = At::Line;
                    continue;
                }
                _ => {
                    taken += self.take_lines(&input[taken..]);
                    continue;
                }
            }
            taken += 1;
        }
        taken
    }

    /// Whether the end of the message has come.
    pub(super) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Takes whole lines at once, up to the next line that starts with a dot: few do.
    fn take_lines(&mut self, input: &[u8]) -> usize {
        if let Some(end) = memchr::memmem::find(input, b"\r\n.") {
            self.keep(&input[..end + 2]);
            self.at = At::Dot;
            return end + 3;
        }
        self.keep(input);
        self.at = match input {
            [.., b'\r', b'\n'] => At::LineStart,
            [.., b'\r'] => At::Cr,
            _ => At::Line,
        };
        input.len()
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.discarded {
            return;
        }
        let room = self.limit - self.content.len();
        let (inside, beyond) = octets.split_at(room.min(octets.len()));
        self.content.extend_from_slice(inside);
        self.overflow.extend_from_slice(beyond);
        self.rest += beyond.len() as u64;
    }

    /// The octets over the limit since the last time; `None` if there are none.
    pub(super) fn overflow(&mut self) -> Option<Bytes> {
        (!self.overflow.is_empty()).then(|| self.overflow.split().freeze())
    }

    /// Forgets the content and keeps none from now on; the end is still looked for.
    pub(super) fn discard(&mut self) {
        (self.content, self.overflow, self.rest, self.discarded) = (Vec::new(), BytesMut::new(), 0, true);
    }

    /// Octets in memory.
    pub(super) fn len(&self) -> usize {
        self.content.len()
    }

    /// What is in memory, and how many octets were over the limit.
    pub(super) fn finish(self) -> (Vec<u8>, u64) {
        (self.content, self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_pieces(input: &[u8], piece: usize) -> (Vec<u8>, usize, bool) {
        let mut data = Data::new(0, usize::MAX);
        let mut taken = 0;
        for chunk in input.chunks(piece) {
            taken += data.take(chunk);
        }
        let ended = data.has_ended();
        (data.finish().0, taken, ended)
    }

    #[test]
    fn a_message_ends_at_one_place_only_however_it_is_cut() {
        // (name, octets, content, octets behind the end; None: it has not ended)
        type Row<'r> = (&'r str, &'r [u8], &'r [u8], Option<usize>);
        let rows: &[Row<'_>] = &[
            ("empty", b".\r\n", b"", Some(0)),
            ("one line", b"a\r\n.\r\n", b"a\r\n", Some(0)),
            ("command behind", b"a\r\n.\r\nQUIT\r\n", b"a\r\n", Some(6)),
            ("stuffed", b"..\r\n...\r\n..a\r\n.\r\n", b".\r\n..\r\n.a\r\n", Some(0)),
            ("dot that nobody stuffed", b".a\r\n.\r\n", b"a\r\n", Some(0)),
            ("dot in a line", b"a.b.\r\n.\r\n", b"a.b.\r\n", Some(0)),
            ("blank lines", b"\r\n\r\n.\r\n", b"\r\n\r\n", Some(0)),
            ("lf dot lf", b"a\n.\nQUIT\r\n", b"a\n.\nQUIT\r\n", None),
            ("lf dot crlf", b"a\n.\r\nQUIT\r\n", b"a\n.\r\nQUIT\r\n", None),
            ("crlf dot lf", b"a\r\n.\nQUIT\r\n", b"a\r\n\nQUIT\r\n", None),
            ("crlf dot cr", b"a\r\n.\rQUIT\r\n", b"a\r\n\rQUIT\r\n", None),
            ("cr dot cr", b"a\r.\rb", b"a\r.\rb", None),
            ("cr dot crlf", b"a\r.\r\nb", b"a\r.\r\nb", None),
            ("crlf dot cr crlf", b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", Some(0)),
            ("cr crlf dot crlf", b"a\r\r\n.\r\n", b"a\r\r\n", Some(0)),
            ("lf at the start", b"\n.\r\n", b"\n.\r\n", None),
            ("nul and 8 bit", b"\0\xff\r\n.\r\n", b"\0\xff\r\n", Some(0)),
        ];
        for (name, input, content, behind) in rows {
            for piece in 1..=input.len() {
                let (got, taken, ended) = read_in_pieces(input, piece);
                assert_eq!(got, *content, "{name} in pieces of {piece}");
                assert_eq!(ended.then(|| input.len() - taken), *behind, "{name} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_over_the_limit_is_handed_out() {
        let mut data = Data::new(100, 4);
        assert_eq!(data.take(b"abc"), 3);
        assert_eq!(data.overflow(), None);
        assert_eq!(data.take(b"def\r\n.\r\n"), 8);
        assert!(data.has_ended());
        assert_eq!(data.overflow().as_deref(), Some(&b"ef\r\n"[..]));
        assert_eq!(data.finish(), (b"abcd".to_vec(), 4));
    }

    #[test]
    fn a_discarded_message_still_ends() {
        let mut data = Data::new(100, 4);
        data.take(b"abcdef");
        data.discard();
        assert_eq!(data.take(b"ghi\r\n.\r\nQUIT"), 8);
        assert!(data.has_ended());
        assert_eq!((data.len(), data.overflow()), (0, None));
        assert_eq!(data.finish(), (vec![], 0));
    }
}
