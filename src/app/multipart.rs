//! A form with a mail in it, as `multipart/form-data` (RFC 7578). The mail is sent from where it lies, whatever its octets.

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};

use super::request_body::RequestBody;

/// A form that is being written.
pub(super) struct Form {
    boundary: String,
    pieces: Vec<Bytes>,
}

impl Form {
    /// An empty form. Its boundary is random: nobody can write a mail that ends its own part.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(random: &SystemRandom) -> Result<Self, ring::error::Unspecified> {
        let mut octets = [0; 16];
        random.fill(&mut octets)?;
        let boundary = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Self { boundary, pieces: Vec::new() })
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, text: &str) {
        self.part(name, "", [Bytes::copy_from_slice(text.as_bytes())]);
    }

    /// Adds the mail. Without a file name: with one, Redmine answers 422 and Request Tracker reads no sender (both run).
    pub fn mail(&mut self, name: &str, content_type: &str, pieces: impl IntoIterator<Item = Bytes>) {
        self.part(name, &format!("Content-Type: {content_type}\r\n"), pieces);
    }

    fn part(&mut self, name: &str, more: &str, pieces: impl IntoIterator<Item = Bytes>) {
        let boundary = &self.boundary;
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{more}\r\n");
        self.pieces.push(head.into());
        self.pieces.extend(pieces);
        self.pieces.push(Bytes::from_static(b"\r\n"));
    }

    /// What Content-Type says of the form.
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// Ends the form.
    pub fn finish(mut self) -> RequestBody {
        self.pieces.push(format!("--{}--\r\n", self.boundary).into());
        RequestBody::of(self.pieces)
    }
}
