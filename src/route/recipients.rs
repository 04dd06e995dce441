//! Whom a message was sent to, where no envelope says so: for mail that lies in a mailbox.

use std::collections::HashSet;

use super::Routes;
use super::candidates::{addresses_in_trace, candidates};
use crate::config::AddressSource;
use crate::mail::{Message, Recipient};

/// The most recipients that a message can have in its header. What is over it stands in no mail that a person wrote.
const MOST: usize = 1000;

impl Routes {
    /// The recipients that this copy of a message was sent to: each with its own key, in the order of the message.
    ///
    /// `delivered_to` is what trusted trace fields say of this copy. Where they name no address of ours, every address of ours
    /// in To and Cc counts: the mailbox may keep one copy for two keys. Empty where neither does: then other sources may
    /// still tell whose it is, as for any recipient.
    pub fn recipients_of(&self, message: &Message, delivered_to: &[String]) -> Vec<Recipient> {
        let told = delivered_to.iter().flat_map(|text| addresses_in_trace(text));
        let told = self.ours(told);
        if !told.is_empty() {
            return told;
        }
        let nobody = Recipient::new(String::new());
        let fields = [AddressSource::To, AddressSource::Cc].into_iter();
        let named = fields.flat_map(|source| candidates(source, message, &nobody).unwrap_or_default());
        self.ours(named.map(|address| address.into_owned()))
    }

    /// Those that are addresses of a mailbox, each mailbox and key once.
    fn ours(&self, addresses: impl Iterator<Item = String>) -> Vec<Recipient> {
        let mut seen = HashSet::new();
        let mut is_new = |address: &String| {
            let found = self.forms.patterns.find(address, &|list| self.takes_envelopes(list))?;
            seen.insert((found.mailbox, found.key().to_owned())).then_some(())
        };
        addresses.filter(|address| is_new(address).is_some()).take(MOST).map(Recipient::new).collect()
    }

    /// Whether mailboxes with this list of sources look at the envelope: without it, a recipient tells them nothing.
    fn takes_envelopes(&self, list: usize) -> bool {
        self.stages.iter().any(|stage| stage.source == AddressSource::Envelope && stage.admits(list))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::mail::Content;

    const CONFIG: &str = "[[mailbox]]\nname = \"a\"\naddress = \"in+%{key}@example.com\"\napp = \"s\"\n\
                          [[mailbox]]\nname = \"b\"\naddress = \"desk+%{key}@example.com\"\napp = \"s\"\n\
                          [[mailbox]]\nname = \"c\"\naddress = \"to+%{key}@example.com\"\nsources = [\"to\"]\napp = \"s\"\n\
                          [[app]]\nname = \"s\"\nkind = \"spool\"\npath = \"/x\"\n";

    fn recipients(header: &str, delivered_to: &[&str]) -> Vec<String> {
        let config = Config::parse(Path::new("m.toml"), CONFIG).expect("configuration");
        let routes = Routes::new(&config).expect("routes");
        let message = Message::parse(Content::whole(format!("{header}\r\n\r\n")));
        let delivered_to: Vec<_> = delivered_to.iter().map(|text| (*text).to_owned()).collect();
        routes.recipients_of(&message, &delivered_to).into_iter().map(|recipient| recipient.address).collect()
    }

    #[test]
    fn a_copy_goes_to_whom_it_was_sent() {
        type Row<'r> = (&'r str, &'r str, &'r [&'r str], &'r [&'r str]);
        let rows: &[Row<'_>] = &[
            ("what this copy was sent to", "To: in+x@example.com", &["in+y@example.com"], &["in+y@example.com"]),
            ("brackets and case", "To: a@b", &["<IN+y@EXAMPLE.com>"], &["IN+y@EXAMPLE.com"]),
            (
                "two of them",
                "To: a@b",
                &["in+x@example.com", "desk+x@example.com"],
                &["in+x@example.com", "desk+x@example.com"],
            ),
            (
                "the same key in two spellings",
                "To: a@b",
                &["in+x@example.com", "IN+x@example.com"],
                &["in+x@example.com"],
            ),
            ("trusted fields that are not ours", "To: in+x@example.com", &["joe@example.com"], &["in+x@example.com"]),
            (
                "To and Cc",
                "To: Doe <in+x@example.com>, joe@example.com\r\nCc: in+y@example.com, in+x@example.com",
                &[],
                &["in+x@example.com", "in+y@example.com"],
            ),
            ("a mailbox that does not look at envelopes", "To: to+x@example.com", &[], &[]),
            ("elsewhere", "X-Forwarded-To: in+x@example.com", &[], &[]),
            ("nobody", "Subject: x", &[], &[]),
        ];
        for (name, header, delivered_to, expected) in rows {
            assert_eq!(recipients(header, delivered_to), *expected, "{name}");
        }
    }

    #[test]
    fn ten_thousand_addresses_are_not_ten_thousand_recipients() {
        let list: Vec<_> = (0..10_000).map(|key| format!("in+{key}@example.com")).collect();
        assert_eq!(recipients(&format!("To: {}", list.join(", ")), &[]).len(), MOST);
    }
}
