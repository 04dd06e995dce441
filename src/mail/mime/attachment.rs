//! An attachment with the octets that were attached.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::transfer::TransferEncoding;
use super::part::Part;

/// One attachment.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'m> {
    pub(super) part: &'m Part,
    pub(super) encoded: &'m [u8],
    /// Its size in octets, decoded.
    pub size: usize,
}

/// The size of what is encoded, in octets.
pub(super) fn decoded_size(encoding: TransferEncoding, encoded: &[u8]) -> usize {
    if matches!(encoding, TransferEncoding::Identity | TransferEncoding::Unknown) {
        return encoded.len();
    }
    let mut size = 0;
    let Ok(()) = encoding.decode_to(encoded, |piece| {
        size += piece.len();
        Ok::<_, Infallible>(())
    });
    size
}

impl<'m> Attachment<'m> {
    /// `application/pdf`
    pub fn content_type(&self) -> &'m str {
        &self.part.content_type.kind
    }

    /// Its name, and whether all of it could be read.
    pub fn filename(&self) -> Option<(&'m str, bool)> {
        self.part.filename().map(|name| (name.value.trim(), name.is_whole))
    }

    /// What `cid:` in the HTML names it by.
    pub fn content_id(&self) -> Option<&'m str> {
        self.part.content_id.as_deref()
    }

    /// Its octets.
    pub fn content(&self) -> Cow<'m, [u8]> {
        self.part.encoding.decode(self.encoded)
    }

    /// Its octets in base64, decoded and encoded on the way through.
    pub fn encoded(&self) -> Encoded<'m> {
        Encoded { encoding: self.part.encoding, octets: self.encoded }
    }
}

/// Octets that are written in base64 without a copy of them in between.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'m> {
    encoding: TransferEncoding,
    octets: &'m [u8],
}

/// How many octets are encoded at once: whole quanta.
const ENCODED_AT_ONCE: usize = 3 * 1024;

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left: Vec<u8> = Vec::with_capacity(2 * ENCODED_AT_ONCE);
        let mut encoded = [0; ENCODED_AT_ONCE / 3 * 4];
        let mut write = |octets: &[u8], f: &mut fmt::Formatter<'_>| {
            octets.chunks(ENCODED_AT_ONCE).try_for_each(|octets| {
                let length = STANDARD.encode_slice(octets, &mut encoded).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&encoded[..length]).map_err(|_| fmt::Error)?)
            })
        };
        self.encoding.decode_to(self.octets, |piece| {
            let mut piece = piece;
            if !left.is_empty() {
                let missing = piece.len().min((3 - left.len() % 3) % 3);
                left.extend_from_slice(&piece[..missing]);
                piece = &piece[missing..];
                if left.len().is_multiple_of(3) {
                    write(&left, f)?;
                    left.clear();
                }
            }
            let whole = piece.len() - piece.len() % 3;
            write(&piece[..whole], f)?;
            left.extend_from_slice(&piece[whole..]);
            Ok::<_, fmt::Error>(())
        })?;
        write(&left, f)
    }
}
