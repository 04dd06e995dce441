//! One command line: which verb, and what MAIL and RCPT say.
//!
//! Takes more than the grammar of RFC 5321 section 4.1.2 allows wherever the meaning is plain; nothing here allocates but
//! the address itself.

use super::path::{self, Keyword};
use super::reply;
use crate::mail::{Recipient, Sender};

/// A command with what follows its verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'l> {
    Lhlo(&'l [u8]),
    /// HELO or EHLO, which RFC 2033 section 4.1 forbids.
    SmtpHello,
    Mail(&'l [u8]),
    Rcpt(&'l [u8]),
    Data(&'l [u8]),
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    Xforward(&'l [u8]),
    /// The request line of an HTTP client.
    Http,
    Unknown,
}

impl<'l> Command<'l> {
    /// Reads a line without its end.
    pub(super) fn read(line: &'l [u8]) -> Self {
        let end = line.iter().position(|&octet| octet == b' ' || octet == b'\t').unwrap_or(line.len());
        let (verb, argument) = (&line[..end], line[end..].trim_ascii());
        match Keyword::new(verb).as_bytes() {
            b"LHLO" => Self::Lhlo(argument),
            b"HELO" | b"EHLO" => Self::SmtpHello,
            b"MAIL" => Self::Mail(argument),
            b"RCPT" => Self::Rcpt(argument),
            b"DATA" => Self::Data(argument),
            b"RSET" => Self::Rset,
            b"NOOP" => Self::Noop,
            b"QUIT" => Self::Quit,
            b"VRFY" => Self::Vrfy,
            b"HELP" => Self::Help,
            b"XFORWARD" => Self::Xforward(argument),
            b"GET" | b"HEAD" | b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"CONNECT" | b"PATCH" => Self::Http,
            _ if is_http(line) => Self::Http,
            _ => Self::Unknown,
        }
    }
}

/// RFC 9112 section 3: a request line ends with the version.
fn is_http(line: &[u8]) -> bool {
    let version = line.rsplit(|&octet| octet == b' ').next().unwrap_or_default();
    version.len() < line.len() && version.starts_with(b"HTTP/")
}

/// What MAIL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) sender: Sender,
    /// SIZE= (RFC 1870), in octets.
    pub(super) declared_size: Option<u64>,
}

impl Mail {
    /// Reads what follows the verb; an error is the reply.
    pub(super) fn read(argument: &[u8]) -> Result<Self, &'static str> {
        let (path, parameters) = strip_keyword(argument, b"FROM:").and_then(path::split).ok_or(reply::MAIL_SYNTAX)?;
        let mut mail = Self { sender: sender(path), declared_size: None };
        for (name, value) in path::parameters(parameters) {
            let known = match (name.as_bytes(), value) {
                (b"SIZE", Some(value)) => {
                    mail.declared_size = decimal(value);
                    mail.declared_size.is_some()
                }
                // BINARYMIME needs CHUNKING (RFC 3030), which is not offered.
                (b"BODY", Some(value)) => {
                    value.eq_ignore_ascii_case(b"7BIT") || value.eq_ignore_ascii_case(b"8BITMIME")
                }
                (b"SMTPUTF8", None) => true,
                // RFC 3461: these say what a status report shall hold. None is ever written here.
                (b"RET" | b"ENVID", Some(_)) => true,
                _ => false,
            };
            if !known {
                return Err(reply::BAD_PARAMETER);
            }
        }
        Ok(mail)
    }
}

/// Reads what follows RCPT; an error is the reply.
pub(super) fn recipient(argument: &[u8]) -> Result<Recipient, &'static str> {
    let (path, parameters) = strip_keyword(argument, b"TO:").and_then(path::split).ok_or(reply::RCPT_SYNTAX)?;
    if path.is_empty() {
        return Err(reply::RCPT_SYNTAX);
    }
    // RFC 6531 has UTF-8 only. Other octets find no mailbox in any form; a 5xx for them would be a bounce.
    let mut recipient = Recipient::new(String::from_utf8_lossy(path));
    for (name, value) in path::parameters(parameters) {
        match (name.as_bytes(), value) {
            (b"ORCPT", Some(value)) => recipient.original = path::original_recipient(value),
            (b"NOTIFY", Some(_)) => {}
            _ => return Err(reply::BAD_PARAMETER),
        }
    }
    Ok(recipient)
}

fn sender(path: &[u8]) -> Sender {
    match std::str::from_utf8(path) {
        Ok(text) => Sender::from_path(text),
        Err(_) => Sender::Unreadable(String::from_utf8_lossy(path).into_owned()),
    }
}

fn strip_keyword<'l>(argument: &'l [u8], keyword: &[u8]) -> Option<&'l [u8]> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then_some(rest)
}

/// RFC 1870 section 3: up to twenty digits. What is over 64 bits is as good as the largest number.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Address;

    #[test]
    fn verbs_are_known_in_any_case() {
        let rows: &[(&str, Command<'_>)] = &[
            ("lhlo mx.example.com", Command::Lhlo(b"mx.example.com")),
            ("EHLO mx.example.com", Command::SmtpHello),
            ("Mail From:<>", Command::Mail(b"From:<>")),
            ("RCPT  TO:<a@b> ", Command::Rcpt(b"TO:<a@b>")),
            ("DATA", Command::Data(b"")),
            ("xforward NAME=x", Command::Xforward(b"NAME=x")),
            ("NOOP anything", Command::Noop),
            ("GET / HTTP/1.1", Command::Http),
            ("POST /api", Command::Http),
            ("PROPFIND / HTTP/1.1", Command::Http),
            ("VERYLONGMETHOD / HTTP/1.0", Command::Http),
            ("HTTP/1.1", Command::Unknown),
            ("BDAT 3 LAST", Command::Unknown),
            ("STARTTLS", Command::Unknown),
            ("", Command::Unknown),
            ("\0", Command::Unknown),
        ];
        for (line, command) in rows {
            assert_eq!(Command::read(line.as_bytes()), *command, "{line}");
        }
    }

    #[test]
    fn mail_is_read() {
        let address = |text| Sender::Address(Address::parse(text).expect("address"));
        let rows: &[(&str, &[u8], Sender, Option<u64>)] = &[
            ("plain", b"FROM:<a@b.example>", address("a@b.example"), None),
            ("null", b"FROM:<>", Sender::Null, None),
            ("null with parameters", b"FROM:<> SIZE=12 BODY=8BITMIME", Sender::Null, Some(12)),
            ("blank behind the colon", b"from: <a@b.example>", address("a@b.example"), None),
            ("source route", b"FROM:<@x.example,@y.example:a@b.example>", address("a@b.example"), None),
            ("bare name", b"FROM:<root>", Sender::Unreadable("root".into()), None),
            ("utf-8", "FROM:<jürgen@exämple.org> SMTPUTF8".as_bytes(), address("jürgen@exämple.org"), None),
            ("latin-1", b"FROM:<j\xfcrgen@b.example>", Sender::Unreadable("j\u{fffd}rgen@b.example".into()), None),
            ("status report parameters", b"FROM:<a@b.example> RET=HDRS ENVID=QQ314159", address("a@b.example"), None),
            ("more than 64 bits", b"FROM:<> SIZE=99999999999999999999", Sender::Null, Some(u64::MAX)),
        ];
        for (name, argument, sender, size) in rows {
            let mail = Mail::read(argument).expect(name);
            assert_eq!((&mail.sender, &mail.declared_size), (sender, size), "{name}");
        }
    }

    #[test]
    fn what_mail_and_rcpt_may_not_say() {
        let mail = |argument: &[u8]| Mail::read(argument).expect_err("an error");
        let rcpt = |argument: &[u8]| recipient(argument).expect_err("an error");
        let rows: &[(&str, &str, &str)] = &[
            ("no keyword", mail(b"<a@b>"), reply::MAIL_SYNTAX),
            ("no path", mail(b"FROM:"), reply::MAIL_SYNTAX),
            ("no brackets", mail(b"FROM:a@b SIZE=7"), reply::MAIL_SYNTAX),
            ("no brackets, and blanks", mail(b"FROM:a b c"), reply::MAIL_SYNTAX),
            ("no brackets around a recipient", rcpt(b"TO:a@b"), reply::RCPT_SYNTAX),
            ("no end of the path", mail(b"FROM:<a@b"), reply::MAIL_SYNTAX),
            ("rubbish behind the path", mail(b"FROM:<a@b>SIZE=1"), reply::MAIL_SYNTAX),
            ("unknown parameter", mail(b"FROM:<a@b> MT-PRIORITY=3"), reply::BAD_PARAMETER),
            ("size without a number", mail(b"FROM:<a@b> SIZE=big"), reply::BAD_PARAMETER),
            ("binary", mail(b"FROM:<a@b> BODY=BINARYMIME"), reply::BAD_PARAMETER),
            ("recipient's parameter", mail(b"FROM:<a@b> NOTIFY=NEVER"), reply::BAD_PARAMETER),
            ("wrong keyword", rcpt(b"FROM:<a@b>"), reply::RCPT_SYNTAX),
            ("null recipient", rcpt(b"TO:<>"), reply::RCPT_SYNTAX),
            ("unknown parameter of a recipient", rcpt(b"TO:<a@b> RRVS=x"), reply::BAD_PARAMETER),
        ];
        for (name, got, wanted) in rows {
            assert_eq!(got, wanted, "{name}");
        }
    }

    #[test]
    fn rcpt_is_read() {
        let rows: &[(&str, &[u8], &str, Option<&str>)] = &[
            ("plain", b"TO:<incoming+K1@h.example>", "incoming+K1@h.example", None),
            ("bare name", b"TO:<postmaster>", "postmaster", None),
            ("quoted", b"TO:<\"a> b\\\"\"@h.example>", "\"a> b\\\"\"@h.example", None),
            (
                "original",
                b"TO:<gitlab@h.example> ORCPT=rfc822;incoming+2BK1@h.example NOTIFY=SUCCESS,FAILURE",
                "gitlab@h.example",
                Some("incoming+K1@h.example"),
            ),
            ("original of another kind", b"TO:<a@b> orcpt=x400;c=de", "a@b", None),
        ];
        for (name, argument, address, original) in rows {
            let recipient = recipient(argument).expect(name);
            assert_eq!((recipient.address.as_str(), recipient.original.as_deref()), (*address, *original), "{name}");
        }
    }

    #[test]
    fn an_address_of_a_thousand_octets_is_taken() {
        let key = "k".repeat(980);
        let recipient = recipient(format!("TO:<incoming+{key}@h.example>").as_bytes()).expect("a recipient");
        assert_eq!(recipient.address.len(), 999);
    }
}
