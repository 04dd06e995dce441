//! A message: its bytes, its header fields indexed once, and its MIME parts read when first asked for.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::address_list::{Listed, NamedAddress};
use super::charset::Decoded;
use super::header::{self, Header};
use super::mime::Mime;
use super::{Content, ContentType, Field, HeaderPiece, Partition, Reply};

/// A message as it came in, with CRLF line ends where the MTA delivered it so. Cheap to clone: what was read of it once is
/// shared by all its recipients.
#[derive(Clone, Debug)]
pub struct Message(Arc<Read>);

#[derive(Debug)]
struct Read {
    content: Content,
    header: Header,
    mime: OnceLock<Mime>,
    reply: OnceLock<Option<ReplyText>>,
}

/// What was read of the reply.
#[derive(Debug)]
struct ReplyText {
    /// The text that it stands in, where that is not one part's own.
    joined: Option<String>,
    partition: Partition,
}

impl Message {
    /// Indexes the header. Takes any bytes: a message without a header has no fields.
    pub fn parse(content: Content) -> Self {
        let header = header::split(content.head());
        Self(Arc::new(Read { content, header, mime: OnceLock::new(), reply: OnceLock::new() }))
    }

    /// A message without a header, all of it body: for one that cannot be read.
    pub fn unread(content: Content) -> Self {
        Self(Arc::new(Read { content, header: Header::default(), mime: OnceLock::new(), reply: OnceLock::new() }))
    }

    /// The message's bytes.
    pub fn content(&self) -> &Content {
        &self.0.content
    }

    /// The bytes that are in memory: the whole message unless it is too large.
    pub fn bytes(&self) -> &Bytes {
        self.0.content.head()
    }

    /// Size of the whole message in octets.
    pub fn size(&self) -> u64 {
        self.0.content.size()
    }

    /// Everything before the body, the empty line included.
    pub fn header(&self) -> &[u8] {
        &self.bytes()[..self.0.header.body_start]
    }

    /// Everything after the empty line.
    pub fn body(&self) -> &[u8] {
        &self.bytes()[self.0.header.body_start..]
    }

    /// Its MIME parts. The first call takes the message apart, which costs a pass over it.
    pub fn mime(&self) -> &Mime {
        self.0.mime.get_or_init(|| Mime::read(self.bytes(), &self.0.header))
    }

    /// What its sender wrote, what is quoted, and the signature; `None` if it has no text.
    pub fn reply(&self) -> Option<Reply<'_>> {
        let read = self.0.reply.get_or_init(|| {
            let body = self.mime().reply_text()?;
            let partition = Partition::read(&body, self.subject().as_ref().map(|subject| &*subject.text));
            Some(ReplyText { joined: body.into_owned_text(), partition })
        });
        let read = read.as_ref()?;
        let whole = match &read.joined {
            Some(joined) => joined,
            None => self.mime().text().next()?,
        };
        Some(read.partition.of(whole))
    }

    /// All fields in the order of the message, top to bottom (the newest trace field first), up to 10,000.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.0.header.fields.iter().map(|&span| Field::new(self.bytes(), span))
    }

    /// Whether there are more fields than those.
    pub fn is_header_truncated(&self) -> bool {
        self.0.header.is_truncated
    }

    /// The header piece by piece, nothing left out.
    pub fn header_pieces(&self) -> impl Iterator<Item = HeaderPiece<'_>> {
        let bytes = self.bytes();
        let ends = std::iter::once(0).chain(self.0.header.fields.iter().map(|span| span.end));
        let starts =
            self.0.header.fields.iter().map(|span| span.start).chain(std::iter::once(self.0.header.body_start));
        let fields =
            self.0.header.fields.iter().map(|&span| Some(Field::new(bytes, span))).chain(std::iter::once(None));
        ends.zip(starts).zip(fields).flat_map(|((end, start), field)| {
            let other = Some(&bytes[end..start]).filter(|other| !other.is_empty()).map(HeaderPiece::Other);
            [other, field.map(HeaderPiece::Field)].into_iter().flatten()
        })
    }

    /// All fields of one name, without regard to case.
    pub fn all<'m>(&'m self, name: &'m str) -> impl DoubleEndedIterator<Item = Field<'m>> {
        self.fields().filter(move |field| field.is(name))
    }

    /// The first field of a name.
    pub fn first(&self, name: &str) -> Option<Field<'_>> {
        self.fields().find(|field| field.is(name))
    }

    /// The addresses in all fields of a name.
    pub fn addresses(&self, name: &str) -> Listed<NamedAddress> {
        let mut list = Listed::default();
        self.all(name).for_each(|field| field.read_addresses(&mut list));
        list
    }

    /// The ids in all fields of a name, without angle brackets.
    pub fn ids(&self, name: &str) -> Listed<String> {
        let mut list = Listed::default();
        self.all(name).for_each(|field| field.read_ids(&mut list));
        list
    }

    /// The id of the message without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        self.first("Message-ID").and_then(|field| field.ids().into_iter().next())
    }

    /// The subject as people read it.
    pub fn subject(&self) -> Option<Decoded<'_>> {
        self.first("Subject").map(|field| field.decoded())
    }

    /// The content type of the whole message.
    pub fn content_type(&self) -> Option<ContentType> {
        self.first("Content-Type").and_then(|field| field.content_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<(String, String)>, String) {
        let message = Message::parse(Content::whole(bytes.to_vec()));
        let fields = message.fields().map(|f| (f.name().to_owned(), f.text().into_owned())).collect();
        (fields, String::from_utf8_lossy(message.body()).into_owned())
    }

    #[test]
    fn fields_and_body_are_found_in_what_senders_really_write() {
        let rows: &[(&str, &[u8], &[(&str, &str)], &str)] = &[
            ("crlf", b"A: 1\r\nB: 2\r\n\r\nbody", &[("A", "1"), ("B", "2")], "body"),
            ("lf", b"A: 1\nB: 2\n\nbody", &[("A", "1"), ("B", "2")], "body"),
            ("cr alone", b"A: 1\rB: 2\r\rbody", &[("A", "1"), ("B", "2")], "body"),
            ("a CR alone does not end a line where there is an LF", b"A: 1\rB: 2\n\nbody", &[("A", "1B: 2")], "body"),
            ("folded", b"A: 1\r\n 2\r\n\t3\r\n\r\n", &[("A", "1 2\t3")], ""),
            ("blank before the colon", b"A : 1\r\n\r\n", &[("A", "1")], ""),
            ("no blank behind the colon", b"A:1\r\n\r\n", &[("A", "1")], ""),
            ("empty value", b"A:\r\nB: 2\r\n\r\n", &[("A", ""), ("B", "2")], ""),
            ("byte order mark", b"\xef\xbb\xbfA: 1\r\n\r\nbody", &[("A", "1")], "body"),
            ("blank lines first", b"\r\n\r\nA: 1\r\n\r\nbody", &[("A", "1")], "body"),
            ("mbox line first", b"From a@b Mon\r\nA: 1\r\n\r\nbody", &[("A", "1")], "body"),
            ("garbage between", b"A: 1\r\nno field\r\n folded garbage\r\nB: 2\r\n\r\n", &[("A", "1"), ("B", "2")], ""),
            (
                "parameters folded without a blank",
                b"Content-Type: a/b;\r\nc=d\r\ne*=f\r\n g\r\nB: 2\r\nc=d\r\n\r\nbody",
                &[("Content-Type", "a/b;c=de*=f g"), ("B", "2")],
                "body",
            ),
            ("no header", b"\r\nhello there\r\n", &[], "hello there\r\n"),
            ("no end of the header", b"A: 1\r\nB: 2", &[("A", "1"), ("B", "2")], ""),
            ("empty message", b"", &[], ""),
            ("octets that are no utf-8", b"A: Gr\xfc\xdfe aus K\xf6ln\r\n\r\n", &[("A", "Grüße aus Köln")], ""),
        ];
        for (name, bytes, fields, body) in rows {
            let (found, rest) = read(bytes);
            let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(found, *fields, "{name}");
            assert_eq!(rest, *body, "{name}");
        }
    }

    #[test]
    fn values_are_read_as_people_read_them() {
        let message = Message::parse(Content::whole(
            &b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: \"Doe, Jane\" <jane@example.org>\r\n\
              To: team: a@example.org, b@example.org;, c@example.org\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\n\
              Content-Type: multipart/Report; Report-Type=\"delivery-status\"\r\n\r\n"[..],
        ));
        assert_eq!(message.subject().expect("subject").text, "Grüße");
        assert_eq!(message.addresses("from").entries[0].name.as_deref(), Some("Doe, Jane"));
        let to = message.addresses("to").entries;
        let to: Vec<_> = to.iter().flat_map(|entry| &entry.address).map(|address| address.as_str()).collect();
        assert_eq!(to, ["a@example.org", "b@example.org", "c@example.org"]);
        assert_eq!(message.first("date").and_then(|f| f.date()).as_deref(), Some("2026-11-22T10:00:00+01:00"));
        let content_type = message.content_type().expect("content type");
        assert_eq!(content_type.kind, "multipart/report");
        assert_eq!(content_type.parameter("report-type"), Some("delivery-status"));
    }
}
