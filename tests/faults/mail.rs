//! The mail of a campaign: what each message is, and what must become of it for each recipient.

use crate::seed::Seed;
use crate::support::site::DOMAIN;

/// Above this a message is too large (`limits.message_size`).
pub const MESSAGE_SIZE: usize = 1024 * 1024;

/// What must become of a message for one recipient, whatever happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Acknowledged by the application of the mailbox.
    Webhook,
    Gitlab,
    /// The application answers "drop" or "reject": held.
    AppDrop,
    AppReject,
    /// Never shown to the application: held.
    AutoReply,
    NullSender,
    Unknown,
    TooLarge,
}

impl Class {
    pub fn is_acknowledged(self) -> bool {
        matches!(self, Self::Webhook | Self::Gitlab)
    }

    /// Whether the application is asked.
    pub fn reaches_application(self) -> bool {
        self.is_acknowledged() || matches!(self, Self::AppDrop | Self::AppReject)
    }

    /// Verdict and rule of the held copy.
    pub fn held_as(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Webhook | Self::Gitlab => None,
            Self::AppDrop => Some(("ignored", "app-drop")),
            Self::AppReject => Some(("rejected", "app-reject")),
            Self::AutoReply => Some(("ignored", "auto-submitted")),
            Self::NullSender => Some(("ignored", "null-sender")),
            Self::Unknown => Some(("rejected", "unknown-address")),
            Self::TooLarge => Some(("rejected", "too-large")),
        }
    }
}

/// One recipient; each address occurs once in a campaign.
#[derive(Clone, Debug)]
pub struct Addressee {
    pub address: String,
    pub class: Class,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Mail {
    pub sender: String,
    pub recipients: Vec<Addressee>,
    pub text: Vec<u8>,
    /// It comes in twice, as from a server that lost the answer to its first try.
    pub comes_twice: bool,
}

impl Mail {
    /// Message `number` of the campaign with this seed.
    pub fn new(seed: u64, number: usize) -> Self {
        let mut random = Seed::new(seed, 1_000_000 + number as u64);
        let class = match random.below(1000) {
            0..600 => Class::Webhook,
            600..770 => Class::Gitlab,
            770..800 => Class::AppDrop,
            800..830 => Class::AppReject,
            830..900 => Class::AutoReply,
            900..930 => Class::NullSender,
            930..997 => Class::Unknown,
            _ => Class::TooLarge,
        };
        let mut recipients = vec![addressee(class, number, 'a')];
        // The second one is of a class of its own, where the class is not the whole message's.
        if random.per_mille(120) && (class.reaches_application() || class == Class::Unknown) {
            // Never two for GitLab: it is handed the raw message, from which the test could not tell whose copy it is.
            let mut second = random.pick(&[Class::Webhook, Class::Gitlab, Class::Unknown, Class::AppReject]);
            if class == Class::Gitlab && second == Class::Gitlab {
                second = Class::Webhook;
            }
            recipients.push(addressee(second, number, 'b'));
        }
        // The domain varies, so that an answer of the name server is not always in the cache.
        let domain = format!("d{}.example.org", random.below(500));
        let sender = if class == Class::NullSender { String::new() } else { format!("jane.{number}@{domain}") };
        let text = text(&mut random, number, class, &recipients, &domain);
        let comes_twice = random.per_mille(80);
        Self { sender, recipients, text, comes_twice }
    }
}

fn addressee(class: Class, number: usize, place: char) -> Addressee {
    let local = match class {
        Class::Unknown => format!("nobody.{number}{place}"),
        Class::Gitlab => format!("gitlab+{number}{place}"),
        Class::AppDrop => format!("hook+{number}{place}-drop"),
        Class::AppReject => format!("hook+{number}{place}-reject"),
        _ => format!("hook+{number}{place}"),
    };
    Addressee { address: format!("{local}@{DOMAIN}"), class }
}

fn text(random: &mut Seed, number: usize, class: Class, recipients: &[Addressee], domain: &str) -> Vec<u8> {
    let mut to: Vec<_> = recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    if recipients.iter().any(|recipient| recipient.class == Class::Unknown) {
        // Or the unknown one would be found by the address of the other.
        to = vec!["undisclosed-recipients:;"];
    }
    let automatic = if class == Class::AutoReply { "Auto-Submitted: auto-replied\r\n" } else { "" };
    let mut text = format!(
        "From: Jane <jane.{number}@{domain}>\r\nTo: {}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{number}@campaign.example.org>\r\nSubject: Message {number}\r\n{automatic}\r\n",
        to.join(", ")
    )
    .into_bytes();
    let size = match (class, random.below(1000)) {
        (Class::TooLarge, _) => MESSAGE_SIZE as u64 + 10_000,
        (_, 0..700) => random.below(3_000),
        (_, 700..950) => random.below(20_000),
        (_, 950..995) => random.below(150_000),
        (_, _) => random.below(700_000),
    } as usize;
    while text.len() < size {
        let stuffed = if random.per_mille(50) { ".. a line that begins with dots " } else { "" };
        text.extend_from_slice(
            format!("{stuffed}{:016x} some words of message {number}\r\n", random.next()).as_bytes(),
        );
    }
    text.extend_from_slice(format!("The end of message {number}.\r\n").as_bytes());
    text
}
