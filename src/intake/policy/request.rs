//! One request: the attributes that an answer or a log line needs.

use crate::mail::Address;

/// The value of `request=` that is asked for access; Postfix knows no other today.
const ACCESS_POLICY: &[u8] = b"smtpd_access_policy";

/// The stage of the dialogue in which a recipient may be refused. `check_recipient_access` is asked at VRFY as well.
const RCPT: &[u8] = b"RCPT";

/// What Postfix asks. Attributes that nobody needs are read over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Whether it is `smtpd_access_policy` at RCPT: only then there is something to refuse.
    pub(super) kind: Kind,
    /// RCPT TO as the client wrote it: before aliases, without the quotes of its local part. Empty if there is none.
    pub recipient: String,
    /// MAIL FROM; empty for the null sender.
    pub sender: String,
    /// IP address of the SMTP client.
    pub client: String,
    /// Postfix's own id of this delivery attempt; the same for each recipient of a message.
    pub instance: String,
    /// SIZE= of MAIL FROM, in octets; 0 where the client declared none.
    pub size: u64,
}

/// `request` and `protocol_state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    is_access_policy: bool,
    is_rcpt: bool,
}

/// A line that is not `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Request {
    /// Whether a recipient is asked about, whom a refusal would be for.
    pub fn is_about_recipient(&self) -> bool {
        self.kind.is_access_policy && self.kind.is_rcpt && !self.recipient.is_empty()
    }

    /// The recipient as the message will be handed over for it; `None` if it is not an address with a domain.
    pub fn recipient_address(&self) -> Option<Address> {
        Address::parse(&quoted(&self.recipient))
    }

    /// Reads one line, without its end. Names are graphic ASCII: the request line and the fields of an HTTP client are
    /// none of ours, whatever stands in them.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let at = memchr::memchr(b'=', line).ok_or(Malformed)?;
        let (name, value) = (&line[..at], &line[at + 1..]);
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Malformed);
        }
        // As LMTP reads addresses: RFC 6531 has UTF-8 only, and other octets find no mailbox in any form.
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"request" => self.kind.is_access_policy = value == ACCESS_POLICY,
            b"protocol_state" => self.kind.is_rcpt = value == RCPT,
            b"recipient" => self.recipient = text(),
            b"sender" => self.sender = text(),
            b"client_address" => self.client = text(),
            b"instance" => self.instance = text(),
            // What cannot be read is not declared.
            b"size" => self.size = text().parse().unwrap_or(0),
            _ => {}
        }
        Ok(())
    }
}

/// An address in Postfix's internal form as its LMTP client writes it: in quotes where the local part needs them
/// (`quote_821_local()`; RFC 5321 section 4.1.2).
fn quoted(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return address.to_owned() };
    let special = |c: char| c == ' ' || c.is_ascii_control() || "<>()[]\\,;:@\"".contains(c);
    let is_dot_string = !local.is_empty() && !local.split('.').any(str::is_empty) && !local.contains(special);
    if is_dot_string {
        return address.to_owned();
    }
    let mut text = String::with_capacity(address.len() + 8);
    text.push('"');
    for c in local.chars() {
        if matches!(c, '"' | '\\' | '\r' | '\n') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push_str("\"@");
    text + domain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &str) -> Result<Request, Malformed> {
        let mut request = Request::default();
        lines.lines().try_for_each(|line| request.read(line.as_bytes()))?;
        Ok(request)
    }

    /// As Postfix 3.7.11 sends it.
    const POSTFIX: &str = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=203.0.113.7\n\
        client_name=mail.example.org\nclient_port=44300\nreverse_client_name=mail.example.org\nserver_address=192.0.2.25\n\
        server_port=25\nhelo_name=mail.example.org\nsender=jane=x@example.org\nrecipient=incoming+K=1@mail.example.com\n\
        recipient_count=0\nqueue_id=\ninstance=a2.6565b8b9.b4a1.0\nsize=12345\netrn_domain=\nstress=\nsasl_method=\n\
        sasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n\
        encryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n";

    #[test]
    fn what_postfix_sends_is_read() {
        let request = request(POSTFIX).expect("a request");
        assert!(request.is_about_recipient());
        let texts = [&request.recipient, &request.sender, &request.client, &request.instance];
        let wanted = ["incoming+K=1@mail.example.com", "jane=x@example.org", "203.0.113.7", "a2.6565b8b9.b4a1.0"];
        assert_eq!(texts, wanted);
        assert_eq!(request.size, 12345);
    }

    #[test]
    fn only_a_recipient_at_rcpt_can_be_refused() {
        let rows = [
            ("another stage", POSTFIX.replace("=RCPT", "=DATA")),
            ("VRFY", POSTFIX.replace("=RCPT", "=VRFY")),
            ("another request", POSTFIX.replace("smtpd_access_policy", "smtpd_other_policy")),
            ("no recipient", POSTFIX.replace("recipient=incoming+K=1@mail.example.com\n", "recipient=\n")),
            ("no stage", POSTFIX.replace("protocol_state=RCPT\n", "")),
            ("nothing", String::new()),
        ];
        for (name, lines) in rows {
            assert!(!request(&lines).expect(name).is_about_recipient(), "{name}");
        }
    }

    #[test]
    fn a_line_is_a_name_and_a_value() {
        let rows = [
            ("no equals sign", "recipient", false),
            ("no name", "=x", false),
            ("an HTTP request", "GET /?a=b HTTP/1.1", false),
            ("an HTTP field", "Cookie: a=b", false),
            ("a carriage return", "a\r=b", false),
            ("8 bit", "ä=b", false),
            ("no value", "sender=", true),
            ("a name that is not known", "server_port.x-2=1", true),
        ];
        for (name, line, good) in rows {
            assert_eq!(request(line).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_read_is_none() {
        for (value, size) in [("0", 0), ("7", 7), ("", 0), ("-1", 0), ("1k", 0), ("99999999999999999999", 0)] {
            assert_eq!(request(&format!("size={value}")).expect("a request").size, size, "{value}");
        }
    }

    /// The right column is what Postfix's LMTP client sends for an internal address of the left one.
    #[test]
    fn quotes_come_back_where_they_are_needed() {
        let rows = [
            ("a blank", "incoming+a b@h", Some("\"incoming+a b\"@h")),
            ("a quote and a backslash", r#"a"\b@h"#, Some(r#""a\"\\b"@h"#)),
            ("an at sign", "a@b@h", Some("\"a@b\"@h")),
            ("two dots", "a..b@h", Some("\"a..b\"@h")),
            ("a dot at the end", "a.@h", Some("\"a.\"@h")),
            ("a slash and a plus", "incoming+group/project@h", Some("incoming+group/project@h")),
            ("UTF-8", "incoming+schlüssel@h", Some("incoming+schlüssel@h")),
            ("no domain", "postmaster", None),
            ("nothing before the at sign", "@h", Some("\"\"@h")),
            ("an angle bracket", "a<b@h", None),
        ];
        for (name, recipient, address) in rows {
            let request = Request { recipient: recipient.to_owned(), ..Request::default() };
            assert_eq!(request.recipient_address().as_ref().map(Address::as_str), address, "{name}");
        }
    }
}
