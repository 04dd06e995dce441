//! The bytes of a message: in memory up to the size limit, the rest of a too large one in a file without a name.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// The bytes of one message, cheap to clone.
///
/// A message up to `limits.message_size` is in memory as a whole. What is over the limit goes to an unlinked
/// file, so that a too large message can still be held without a copy of it in memory.
#[derive(Clone, Debug)]
pub struct Content {
    head: Bytes,
    overflow: Option<Arc<File>>,
    size: u64,
}

impl Content {
    /// A message that fits into memory.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let head = bytes.into();
        let size = head.len() as u64;
        Self { head, overflow: None, size }
    }

    /// A too large message: its beginning, and a file that holds `rest` more octets.
    pub fn with_overflow(head: impl Into<Bytes>, file: File, rest: u64) -> Self {
        let head = head.into();
        let size = head.len() as u64 + rest;
        Self { head, overflow: Some(Arc::new(file)), size }
    }

    /// The bytes in memory: all of the message, unless [`Content::is_too_large`].
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// Size of the whole message in octets.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is over `limits.message_size`.
    pub fn is_too_large(&self) -> bool {
        self.overflow.is_some()
    }

    /// Whether the last line is ended; not known (false) where the rest cannot be read.
    pub fn ends_with_line_end(&self) -> bool {
        let mut last = [0];
        match &self.overflow {
            None => self.head.ends_with(b"\n"),
            Some(file) => {
                let rest = self.size - self.head.len() as u64;
                file.read_exact_at(&mut last, rest.saturating_sub(1)).is_ok() && last == *b"\n"
            }
        }
    }

    /// Writes the whole message; several threads may do so at once.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        let Some(file) = &self.overflow else { return Ok(()) };
        let mut left = self.size - self.head.len() as u64;
        let (mut offset, mut buffer) = (0, vec![0; 64 * 1024]);
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact_at(&mut buffer[..wanted], offset)?;
            out.write_all(&buffer[..wanted])?;
            (offset, left) = (offset + wanted as u64, left - wanted as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::Content;

    #[test]
    fn a_line_end_at_the_end_is_found_in_memory_and_on_disk() {
        assert!(Content::whole(&b"a\r\n"[..]).ends_with_line_end());
        assert!(!Content::whole(&b"a\r\nb"[..]).ends_with_line_end());
        assert!(!Content::whole(&b""[..]).ends_with_line_end());
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"tail\n").expect("write");
        assert!(Content::with_overflow(&b"head"[..], file, 5).ends_with_line_end());
    }

    #[test]
    fn a_too_large_message_is_written_whole_and_more_than_once() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"tail").expect("write");
        let content = Content::with_overflow(&b"head "[..], file, 4);
        assert_eq!(content.size(), 9);
        assert!(!content.ends_with_line_end());
        for _ in 0..2 {
            let mut out = Vec::new();
            content.write_to(&mut out).expect("write");
            assert_eq!(out, b"head tail");
        }
    }
}
