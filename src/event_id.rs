//! The id of an event: the same on every try of the same message for the same key, and another one for every other message.
//!
//! Whoever could make two messages share an id could have one of them taken for a duplicate and never handed over. So the
//! id covers all that an application can see. What it must not cover is what differs between two copies of one message:
//! the trace fields, which every host on the way adds.

use std::fmt;
use std::io::{self, Write};

use ring::digest;

use crate::mail::{Field, HeaderPiece, Message};

/// Which way of hashing it is: a message that is retried over an upgrade that changes it is a new one.
const ALGORITHM: &[u8] = b"mailhatch event 2";

/// Fields that hosts on the way add, or change, to a message that is the same; in lower case.
const TRACE: [&str; 18] = [
    "received",
    "x-received",
    "return-path",
    "delivered-to",
    "x-delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-forwarded-to",
    "x-forwarded-for",
    "authentication-results",
    "received-spf",
    "dkim-signature",
    "x-google-smtp-source",
    "arc-",
    "x-spam-",
    "x-virus-",
    "x-gm-",
];

/// The id of an event: 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

/// All that an application can see of a message, as a hash; worked out once for all its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDigest([u8; 32]);

impl MessageDigest {
    /// Reads the whole message: every field in order but the trace fields, and every octet of the body.
    ///
    /// `stand_in` counts where there is no Message-ID: what tells this message from another one of the same words, such as
    /// Postfix's queue id. Where that is unknown too, the newest Received field does.
    ///
    /// # Errors
    /// The part of a too large message that is in a file cannot be read.
    pub fn of(message: &Message, stand_in: Option<&str>) -> io::Result<Self> {
        let mut hash = Parts::new();
        hash.part(b"whole");
        hash.stand_in(message, stand_in);
        for piece in message.header_pieces() {
            match piece {
                HeaderPiece::Field(field) if is_trace(&field) => {}
                HeaderPiece::Field(field) => {
                    hash.part(field.name().to_ascii_lowercase().as_bytes());
                    hash.part(field.colon());
                    hash.part(&field.unfolded());
                }
                HeaderPiece::Other(octets) => {
                    hash.part(b"");
                    hash.part(octets);
                }
            }
        }
        hash.part(b"body");
        // The last part needs no length before it.
        hash.0.update(message.body());
        message.content().write_rest_to(&mut hash)?;
        Ok(hash.finish())
    }

    /// The same for a message whose provider writes its MIME parts anew each time it is fetched: only the fields that
    /// tell one message from another.
    pub fn of_rewritten(message: &Message, stand_in: Option<&str>) -> Self {
        let mut hash = Parts::new();
        hash.part(b"identifying fields");
        hash.stand_in(message, stand_in);
        for name in ["Message-ID", "Date", "From", "To", "Subject"] {
            for field in message.all(name) {
                hash.part(name.as_bytes());
                hash.part(&field.unfolded());
            }
        }
        hash.finish()
    }
}

impl EventId {
    /// The id of a message for a key of a mailbox.
    pub fn of(mailbox: &str, key: &str, message: &MessageDigest) -> Self {
        let mut hash = Parts::new();
        hash.part(ALGORITHM);
        hash.part(mailbox.as_bytes());
        hash.part(key.as_bytes());
        hash.part(&message.0);
        Self(hash.finish().0[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The id of what one sender of this event is told: a copy of the same message from somebody else is told for itself.
    pub fn of_notice_to(&self, sender: &str) -> Self {
        let mut hash = Parts::new();
        hash.part(b"mailhatch notice 1");
        hash.part(self.0.as_bytes());
        hash.part(sender.as_bytes());
        Self(hash.finish().0[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads an id, such as the name of a held message.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_trace(field: &Field<'_>) -> bool {
    let name = field.name();
    TRACE.iter().any(|trace| match trace.ends_with('-') {
        true => name.get(..trace.len()).is_some_and(|start| start.eq_ignore_ascii_case(trace)),
        false => field.is(trace),
    })
}

/// A hash of parts, each with its length before it, so that no two lists of parts give the same octets.
struct Parts(digest::Context);

impl Parts {
    fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    fn part(&mut self, octets: &[u8]) {
        self.0.update(&(octets.len() as u64).to_be_bytes());
        self.0.update(octets);
    }

    fn stand_in(&mut self, message: &Message, stand_in: Option<&str>) {
        if message.all("Message-ID").any(|field| !field.raw().trim_ascii().is_empty()) {
            return;
        }
        match (stand_in, message.first("Received")) {
            (Some(stand_in), _) => {
                self.part(b"stand-in");
                self.part(stand_in.as_bytes());
            }
            (None, Some(received)) => {
                self.part(b"received");
                self.part(&received.unfolded());
            }
            (None, None) => {}
        }
    }

    fn finish(self) -> MessageDigest {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        MessageDigest(hash)
    }
}

impl Write for Parts {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::{Content, ContentBuilder};

    const MAIL: &str =
        "Received: from a by b\r\nMessage-ID: <1@h>\r\nFrom: jane@example.org\r\nSubject: a\r\n b\r\n\r\nbody\r\n";

    fn digest(text: &[u8], stand_in: Option<&str>) -> MessageDigest {
        MessageDigest::of(&Message::parse(Content::whole(text.to_vec())), stand_in).expect("digest")
    }

    #[test]
    fn two_copies_of_one_message_share_an_id_and_no_other_message_does() {
        let rows: &[(&str, &str, &str, bool)] = &[
            ("another way", "from a by b", "from c by d", true),
            ("a trace field more", "From:", "DKIM-Signature: v=1\r\nX-Gm-Features: x\r\nARC-Seal: i=1\r\nFrom:", true),
            ("the case of a field's name", "Subject:", "SUBJECT:", true),
            ("folded elsewhere", "a\r\n b", "a b", true),
            ("another subject", "Subject: a", "Subject: c", false),
            ("another field", "Subject:", "X-Priority: 1\r\nSubject:", false),
            ("a MIME field", "Subject:", "Content-Type: text/html\r\nSubject:", false),
            ("Reply-To", "Subject:", "Reply-To: x@y\r\nSubject:", false),
            ("a field that only begins like a trace field", "Subject:", "Received-By: x\r\nSubject:", false),
            ("a line that is not a field", "Subject:", "garbage\r\nSubject:", false),
            ("body", "body", "bodY", false),
            ("the end of the body", "body\r\n", "body\r\n\r\n", false),
            (
                "fields in another order",
                "From: jane@example.org\r\nSubject: a\r\n b",
                "Subject: a\r\n b\r\nFrom: jane@example.org",
                false,
            ),
            ("a carriage return alone", "jane@", "jane\r@", false),
            ("a blank before the colon", "Subject:", "Subject :", false),
            ("two fields become one", "<1@h>\r\nFrom: ", "<1@h>From: ", false),
        ];
        for (name, from, to, same) in rows {
            assert!(MAIL.contains(from), "{name}");
            let other = MAIL.replacen(from, to, 1);
            assert_eq!(digest(MAIL.as_bytes(), None) == digest(other.as_bytes(), None), *same, "{name}");
        }
    }

    #[test]
    fn without_a_message_id_something_else_tells_two_messages_apart() {
        let bare = MAIL.replace("Message-ID: <1@h>\r\n", "");
        let rows: &[(&str, &str, Option<&str>, &str, Option<&str>, bool)] = &[
            ("the same queue id", &bare, Some("4X1"), &bare, Some("4X1"), true),
            ("another queue id", &bare, Some("4X1"), &bare, Some("4X2"), false),
            ("a queue id beside a Message-ID", MAIL, Some("4X1"), MAIL, Some("4X2"), true),
            ("no queue id, the same way", &bare, None, &bare, None, true),
            ("no queue id, another way", &bare, None, &bare.replace("by b", "by c"), None, false),
            (
                "an empty Message-ID is none",
                "Message-ID: \r\n\r\n",
                Some("1"),
                "Message-ID: \r\n\r\n",
                Some("2"),
                false,
            ),
        ];
        for (name, one, queue_id, other, other_queue_id, same) in rows {
            let found = digest(one.as_bytes(), *queue_id) == digest(other.as_bytes(), *other_queue_id);
            assert_eq!(found, *same, "{name}");
        }
    }

    #[test]
    fn mailbox_and_key_are_part_of_the_id() {
        let message = digest(MAIL.as_bytes(), None);
        let ids =
            [("a", "b"), ("ab", ""), ("", "ab"), ("b", "a")].map(|(mailbox, key)| EventId::of(mailbox, key, &message));
        for (number, id) in ids.iter().enumerate() {
            assert!(!ids[number + 1..].contains(id));
            assert_eq!(EventId::parse(id.as_str()).as_ref(), Some(id));
        }
    }

    #[test]
    fn what_is_over_the_size_limit_counts_too() {
        let large = |last: u8| {
            let mut builder = ContentBuilder::new(MAIL.len() as u64, std::env::temp_dir());
            builder.push(MAIL.as_bytes()).and_then(|()| builder.push(&[b'x', last])).expect("write");
            MessageDigest::of(&Message::parse(builder.finish()), None).expect("digest")
        };
        assert_eq!(large(b'a'), large(b'a'));
        assert_ne!(large(b'a'), large(b'b'));
        let whole = [MAIL.as_bytes(), b"xa"].concat();
        assert_eq!(large(b'a'), digest(&whole, None), "the limit does not matter");
    }

    proptest! {
        #[test]
        fn one_octet_that_an_application_can_see_is_another_message(
            name in "[A-Za-z-]{1,12}", value in "[ -~]{0,20}", body in proptest::collection::vec(any::<u8>(), 0..40),
            at in any::<prop::sample::Index>(), octet in any::<u8>(),
        ) {
            let text = [format!("X-{name}: {value}\r\n\r\n").as_bytes(), &body].concat();
            let start = 2 + name.len();
            let mut other = text.clone();
            let place = start + at.index(text.len() - start);
            other[place] = octet;
            // Where a line is folded is no difference (RFC 5322 section 2.2.3).
            let is_line_end = |octet| matches!(octet, b'\r' | b'\n');
            let in_body = place >= start + value.len() + 4;
            let is_seen = octet != text[place] && (in_body || !is_line_end(octet) && !is_line_end(text[place]));
            let is_trace = Message::parse(Content::whole(text.clone())).fields().any(|field| is_trace(&field));
            prop_assume!(is_seen && !is_trace);
            prop_assert_ne!(digest(&text, None), digest(&other, None));
        }
    }
}
