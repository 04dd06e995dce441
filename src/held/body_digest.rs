//! What tells one body from another.

use std::fmt;
use std::io::{self, Write};

use ring::digest;

use crate::event_id::EventId;
use crate::mail::Content;

/// SHA-256 of every octet of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    pub(super) fn of(content: &Content) -> io::Result<Self> {
        struct Hash(digest::Context);
        impl Write for Hash {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                self.0.update(octets);
                Ok(octets.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut hash = Hash(digest::Context::new(&digest::SHA256));
        content.write_to(&mut hash)?;
        let mut octets = [0; 32];
        octets.copy_from_slice(hash.0.finish().as_ref());
        Ok(Self(octets))
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(octets))
    }

    /// What stands for the body among the in-flight locks.
    pub(super) fn as_id(&self) -> Option<EventId> {
        EventId::parse(self.to_string().get(..32)?)
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyDigest({self})")
    }
}
