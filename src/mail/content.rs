//! The bytes of a message: in memory up to the size limit, the rest of a too large one in a file without a name.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
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

    /// A message whose rest, where there is any, went to a file.
    pub fn with_overflow(head: impl Into<Bytes>, overflow: Overflow) -> Self {
        let head = head.into();
        let size = head.len() as u64 + overflow.size;
        Self { head, overflow: overflow.file.map(Arc::new), size }
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
    ///
    /// # Errors
    /// `out` takes no more, or the part that is in a file cannot be read.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        self.write_rest_to(out)
    }

    /// Writes what is not in memory.
    ///
    /// # Errors
    /// The same.
    pub fn write_rest_to(&self, out: &mut dyn Write) -> io::Result<()> {
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

/// What is over the size limit, on its way into a file without a name.
#[derive(Debug)]
pub struct Overflow {
    directory: PathBuf,
    file: Option<File>,
    size: u64,
}

impl Overflow {
    /// Nothing yet; the file will be made in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), file: None, size: 0 }
    }

    /// Takes more octets.
    ///
    /// # Errors
    /// The directory or its disk cannot take them.
    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        if octets.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.directory)?),
        };
        file.write_all(octets)?;
        self.size += octets.len() as u64;
        Ok(())
    }
}

/// A message that comes in piece by piece: so much of it in memory, the rest in a file.
#[derive(Debug)]
pub struct ContentBuilder {
    head: Vec<u8>,
    limit: usize,
    overflow: Overflow,
}

impl ContentBuilder {
    /// At most `limit` octets stay in memory; what is over them goes to a file in `directory`.
    pub fn new(limit: u64, directory: impl Into<PathBuf>) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { head: Vec::new(), limit, overflow: Overflow::new(directory) }
    }

    /// Takes more octets.
    ///
    /// # Errors
    /// The directory or its disk cannot take what is over the limit.
    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        let room = self.limit.saturating_sub(self.head.len());
        let (head, rest) = octets.split_at(octets.len().min(room));
        self.head.extend_from_slice(head);
        self.overflow.push(rest)
    }

    /// The last octet so far.
    pub fn last(&self) -> Option<u8> {
        self.head.last().copied()
    }

    /// The message.
    pub fn finish(self) -> Content {
        Content::with_overflow(self.head, self.overflow)
    }
}

impl Write for ContentBuilder {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.push(octets)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_large() -> Content {
        let mut builder = ContentBuilder::new(5, std::env::temp_dir());
        for piece in ["he", "ad t", "ail"] {
            builder.push(piece.as_bytes()).expect("write");
        }
        builder.finish()
    }

    #[test]
    fn a_line_end_at_the_end_is_found_in_memory_and_on_disk() {
        assert!(Content::whole(&b"a\r\n"[..]).ends_with_line_end());
        assert!(!Content::whole(&b"a\r\nb"[..]).ends_with_line_end());
        assert!(!Content::whole(&b""[..]).ends_with_line_end());
        let mut overflow = Overflow::new(std::env::temp_dir());
        overflow.push(b"tail\n").expect("write");
        assert!(Content::with_overflow(&b"head"[..], overflow).ends_with_line_end());
    }

    #[test]
    fn a_message_up_to_the_limit_stays_in_memory() {
        let mut builder = ContentBuilder::new(4, std::env::temp_dir());
        builder.push(b"head").expect("write");
        assert!(!builder.finish().is_too_large());
    }

    #[test]
    fn a_too_large_message_is_written_whole_and_more_than_once() {
        let content = too_large();
        assert_eq!(content.head().as_ref(), b"head ");
        assert_eq!(content.size(), 9);
        assert!(!content.ends_with_line_end());
        for _ in 0..2 {
            let mut out = Vec::new();
            content.write_to(&mut out).expect("write");
            assert_eq!(out, b"head tail");
        }
    }
}
