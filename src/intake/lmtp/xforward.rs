//! XFORWARD (Postfix XFORWARD_README): the SMTP client that handed the message to our MTA, and the MTA's queue id.
//!
//! What it says is in force for one transaction. It is believed because only allowed peers can connect.

use std::net::IpAddr;

use super::path;
use super::reply;
use crate::mail::Client;

/// The attributes told so far for the next transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub(super) client: Client,
    pub(super) queue_id: Option<String>,
}

impl Forwarded {
    /// Takes one XFORWARD command; Postfix sends two of them before a MAIL. An error is the reply, and nothing is taken.
    ///
    /// An attribute that is not known, and a value that cannot be read, are passed over: after a 5xx Postfix would go on
    /// with the message all the same, and the other attributes would be lost with this one.
    pub(super) fn take(&mut self, argument: &[u8]) -> Result<(), &'static str> {
        if argument.is_empty() || path::parameters(argument).any(|(_, value)| value.is_none()) {
            return Err(reply::XFORWARD_SYNTAX);
        }
        for (name, value) in path::parameters(argument) {
            let value = value.and_then(path::xtext).filter(|value| is_available(value));
            match name.as_bytes() {
                b"ADDR" => self.client.address = value.as_deref().and_then(address),
                b"HELO" => self.client.helo = value,
                // Postfix's word for a client whose name it could not verify.
                b"NAME" => self.client.name = value.filter(|name| name != "unknown"),
                b"IDENT" => self.queue_id = value,
                // PORT, PROTO: of no use here. SOURCE says how headers were rewritten, never where mail came from.
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_available(value: &str) -> bool {
    !value.is_empty() && !value.eq_ignore_ascii_case("[UNAVAILABLE]") && !value.eq_ignore_ascii_case("[TEMPUNAVAIL]")
}

/// `203.0.113.7` or `IPV6:2001:db8::7`; an IPv4 address in IPv6 clothes is an IPv4 address for SPF.
fn address(value: &str) -> Option<IpAddr> {
    let text = match value.split_at_checked(5) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("IPV6:") => rest,
        _ => value,
    };
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(commands: &[&str]) -> Forwarded {
        let mut forwarded = Forwarded::default();
        for command in commands {
            forwarded.take(command.as_bytes()).expect(command);
        }
        forwarded
    }

    #[test]
    fn the_two_commands_of_postfix_add_up() {
        let got = forwarded(&[
            "NAME=mail.example.org ADDR=203.0.113.7 PORT=40001",
            "PROTO=ESMTP HELO=a+2Bb.example.org IDENT=4XyZ1 SOURCE=REMOTE",
        ]);
        assert_eq!(got.client.name.as_deref(), Some("mail.example.org"));
        assert_eq!(got.client.address, Some("203.0.113.7".parse().expect("address")));
        assert_eq!(got.client.helo.as_deref(), Some("a+b.example.org"));
        assert_eq!(got.queue_id.as_deref(), Some("4XyZ1"));
    }

    #[test]
    fn what_postfix_does_not_know_we_do_not_know() {
        let rows: &[(&str, &str)] = &[
            ("unavailable", "NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE] IDENT=[UNAVAILABLE]"),
            ("temporarily unavailable", "NAME=[TEMPUNAVAIL] HELO=[tempunavail]"),
            ("no name", "NAME=unknown ADDR=unknown"),
            ("empty", "NAME= ADDR= HELO= IDENT="),
            ("not an address", "ADDR=203.0.113"),
            ("no utf-8", "HELO=+FF"),
            ("an attribute of a later Postfix", "PRIORITY=1"),
        ];
        for (name, command) in rows {
            assert_eq!(forwarded(&[command]), Forwarded::default(), "{name}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        let rows: &[(&str, &str)] = &[
            ("ADDR=IPV6:2001:db8::7", "2001:db8::7"),
            ("addr=ipv6:2001:db8::7", "2001:db8::7"),
            ("ADDR=2001:db8::7", "2001:db8::7"),
            ("ADDR=IPV6:::ffff:203.0.113.7", "203.0.113.7"),
        ];
        for (command, wanted) in rows {
            assert_eq!(forwarded(&[command]).client.address, Some(wanted.parse().expect("address")), "{command}");
        }
    }

    #[test]
    fn a_command_without_a_value_changes_nothing() {
        for command in ["", "NAME", "NAME=x ADDR"] {
            let mut forwarded = Forwarded::default();
            assert_eq!(forwarded.take(command.as_bytes()), Err(reply::XFORWARD_SYNTAX), "{command}");
            assert_eq!(forwarded, Forwarded::default(), "{command}");
        }
    }
}
