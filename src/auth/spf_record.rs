//! The grammar of an SPF record (RFC 7208 section 12), checked before mail-auth reads it.
//!
//! mail-auth 0.13.3 reads records leniently: it takes a prefix length of 33, a control character between terms or a
//! name without a top level domain for something. A record that no grammar allows must not pass anybody.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The record with the terms that mail-auth can evaluate, or `None` if a term breaks the grammar.
///
/// Left out is what cannot match or has no meaning: modifiers that RFC 7208 does not define (section 6), mechanisms
/// whose name DNS cannot carry, and `ip6` for an IPv4 client, which mail-auth would compare with its mapped form.
pub(super) fn read(record: &[u8], is_ipv4: bool) -> Option<String> {
    let text = std::str::from_utf8(record).ok().filter(|text| text.is_ascii())?;
    let mut terms = text.split(' ').filter(|term| !term.is_empty());
    let mut kept = terms.next().filter(|version| version.eq_ignore_ascii_case("v=spf1"))?.to_owned();
    let (mut redirects, mut explanations) = (0, 0);
    for term in terms {
        let keep = match Term::read(term)? {
            Term::Redirect => {
                redirects += 1;
                true
            }
            Term::Explanation { usable } => {
                explanations += 1;
                usable
            }
            Term::OtherModifier => false,
            Term::Ip6 => !is_ipv4,
            Term::Mechanism { usable } => usable,
        };
        if keep {
            kept.push(' ');
            kept.push_str(term);
        }
    }
    (redirects <= 1 && explanations <= 1).then_some(kept)
}

enum Term {
    Explanation { usable: bool },
    Ip6,
    Mechanism { usable: bool },
    OtherModifier,
    Redirect,
}

impl Term {
    fn read(term: &str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name_end = term.find(|c| !is_name(c)).unwrap_or(term.len());
        if let Some(value) = term[name_end..].strip_prefix('=') {
            let name = &term[..name_end];
            name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
            return match name.to_ascii_lowercase().as_str() {
                // A redirect to a name that cannot exist is a redirect to no record (section 6.1).
                "redirect" => (domain_spec(value)? == Usable::Yes).then_some(Self::Redirect),
                "exp" => Some(Self::Explanation { usable: domain_spec(value)? == Usable::Yes }),
                _ => macro_string(value).map(|_| Self::OtherModifier),
            };
        }
        let mechanism = term.strip_prefix(['+', '-', '?', '~']).unwrap_or(term);
        let end = mechanism.find([':', '/']).unwrap_or(mechanism.len());
        let (name, rest) = mechanism.split_at(end);
        let of = |usable| Self::Mechanism { usable: usable == Usable::Yes };
        match name.to_ascii_lowercase().as_str() {
            "all" => rest.is_empty().then_some(of(Usable::Yes)),
            // A name that cannot exist has no record, and that is an error of include (section 5.2).
            "include" => (domain_spec(rest.strip_prefix(':')?)? == Usable::Yes).then_some(of(Usable::Yes)),
            "exists" => domain_spec(rest.strip_prefix(':')?).map(of),
            "ptr" if rest.is_empty() => Some(of(Usable::Yes)),
            "ptr" => domain_spec(rest.strip_prefix(':')?).map(of),
            "a" | "mx" => {
                let domain = without_prefix_lengths(rest)?;
                if domain.is_empty() { Some(of(Usable::Yes)) } else { domain_spec(domain.strip_prefix(':')?).map(of) }
            }
            "ip4" => {
                let (address, length) = split_once_or_all(rest.strip_prefix(':')?);
                address.parse::<Ipv4Addr>().ok()?;
                length.is_none_or(|length| is_prefix_length(length, 32)).then_some(of(Usable::Yes))
            }
            "ip6" => {
                let (address, length) = split_once_or_all(rest.strip_prefix(':')?);
                address.parse::<Ipv6Addr>().ok()?;
                length.is_none_or(|length| is_prefix_length(length, 128)).then_some(Self::Ip6)
            }
            _ => None,
        }
    }
}

fn split_once_or_all(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)))
}

fn is_prefix_length(text: &str, longest: u8) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain && text.parse::<u8>().is_ok_and(|length| length <= longest)
}

/// Cuts `/24`, `//64` or `/24//64` off the end. What is cut must be right; a slash inside of the name is none of it.
fn without_prefix_lengths(text: &str) -> Option<&str> {
    let mut rest = text;
    for (mark, longest) in [("//", 128), ("/", 32)] {
        if let Some((before, length)) = rest.rsplit_once(mark)
            && !length.is_empty()
            && length.bytes().all(|b| b.is_ascii_digit())
        {
            is_prefix_length(length, longest).then_some(())?;
            rest = before;
        }
    }
    Some(rest)
}

/// Whether DNS can carry a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usable {
    No,
    Yes,
}

/// `domain-spec`: macros and visible characters that end in a top level domain or in a macro (section 7.1).
fn domain_spec(text: &str) -> Option<Usable> {
    let literal_tail = macro_string(text)?;
    if literal_tail.is_empty() {
        // Nothing behind the last macro: what it expands to is not known here.
        return (!text.is_empty()).then_some(Usable::Yes);
    }
    let (_, top) = literal_tail.strip_suffix('.').unwrap_or(literal_tail).rsplit_once('.')?;
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    let is_top = top.starts_with(alphanumeric)
        && top.ends_with(alphanumeric)
        && top.chars().all(|c| alphanumeric(c) || c == '-')
        && top.contains(|c: char| c.is_ascii_alphabetic() || c == '-');
    is_top.then_some(())?;
    let labels = text.strip_suffix('.').unwrap_or(text);
    let carried = text.len() <= 253 && labels.split('.').all(|label| (1..=63).contains(&label.len()));
    let has_macro = literal_tail.len() != text.len();
    Some(if carried || has_macro { Usable::Yes } else { Usable::No })
}

/// `macro-string`; gives the literal text behind the last macro.
fn macro_string(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let literal_end = rest.find('%').unwrap_or(rest.len());
        rest[..literal_end].bytes().all(|b| b.is_ascii_graphic()).then_some(())?;
        if literal_end == rest.len() {
            return Some(rest);
        }
        let expansion = &rest[literal_end + 1..];
        rest = match expansion.as_bytes().first()? {
            b'%' | b'_' | b'-' => &expansion[1..],
            b'{' => {
                let (inside, after) = expansion[1..].split_once('}')?;
                is_macro(inside).then_some(())?;
                after
            }
            _ => return None,
        };
    }
}

/// What stands in `%{…}`: a letter, how many labels, reversed or not, where to split. The letters c, r and t are for
/// explanations only (section 7.2).
fn is_macro(inside: &str) -> bool {
    let Some(rest) = inside.strip_prefix(|c: char| "slodiphv".contains(c.to_ascii_lowercase())) else { return false };
    let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(digits_end);
    let rest = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
    let labels_good = digits.is_empty() || digits.parse::<u8>().is_ok_and(|labels| labels > 0);
    labels_good && rest.chars().all(|c| ".-+,/_=".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;

    #[test]
    fn records_are_read_as_rfc_7208_says() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("nothing", "v=spf1", Some("v=spf1")),
            ("every mechanism", "v=spf1 a mx ptr all", Some("v=spf1 a mx ptr all")),
            (
                "every form",
                "v=spf1 +a:x.org/24//64 -mx:x.org//0 ~a/0 ?ip4:1.2.3.4/32 include:x.org. exists:%{ir}.x.org ptr:x.org",
                Some(
                    "v=spf1 +a:x.org/24//64 -mx:x.org//0 ~a/0 ?ip4:1.2.3.4/32 include:x.org. exists:%{ir}.x.org ptr:x.org",
                ),
            ),
            ("blanks", "v=spf1  a   -all ", Some("v=spf1 a -all")),
            ("case", "V=SPF1 IP4:1.2.3.4 -ALL", Some("V=SPF1 IP4:1.2.3.4 -ALL")),
            ("unknown modifier", "v=spf1 x.y-z_1=%{d}/a:b -all", Some("v=spf1 -all")),
            ("ip6 for an IPv4 client", "v=spf1 ip6:::/0 -all", Some("v=spf1 -all")),
            ("label that is too long", &format!("v=spf1 a:{}.org -all", "a".repeat(64)), Some("v=spf1 -all")),
            ("empty label", "v=spf1 a:x..org -all", Some("v=spf1 -all")),
            ("empty label in include", "v=spf1 include:x..org -all", None),
            ("another version", "v=spf10 -all", None),
            ("unknown mechanism", "v=spf1 moo -all", None),
            ("tab between terms", "v=spf1 a\t-all", None),
            ("octet that is not ASCII", "v=spf1 a:\u{e9}.org -all", None),
            ("prefix length of 33", "v=spf1 ip4:1.2.3.4/33", None),
            ("leading zero", "v=spf1 ip4:1.2.3.4/032", None),
            ("leading zero in the address", "v=spf1 ip4:01.2.3.4", None),
            ("prefix length without number", "v=spf1 ip4:1.2.3.4/", None),
            ("prefix length of 129", "v=spf1 ip6:::/129", None),
            ("prefix length of 33 behind a name", "v=spf1 a:x.org/33", None),
            ("name without a top level domain", "v=spf1 a:org", None),
            ("name in figures", "v=spf1 a:1.2.3.4", None),
            ("empty name", "v=spf1 a:", None),
            ("all with an argument", "v=spf1 all:x.org", None),
            ("two redirects", "v=spf1 redirect=x.org redirect=y.org", None),
            ("redirect with a colon", "v=spf1 redirect:x.org", None),
            ("macro that does not end", "v=spf1 exists:%{d", None),
            ("macro of no labels", "v=spf1 exists:%{d0}.x.org", None),
            ("macro for explanations", "v=spf1 exists:%{c}.x.org", None),
            ("single percent sign", "v=spf1 exists:%x.org", None),
        ];
        for (name, record, expected) in rows {
            assert_eq!(read(record.as_bytes(), true).as_deref(), *expected, "{name}");
        }
        assert_eq!(read(b"v=spf1 ip6:::/0", false).as_deref(), Some("v=spf1 ip6:::/0"));
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_a_panic(record in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&record, true);
        }

        #[test]
        fn any_terms_are_read_without_a_panic(terms in "[-+~?]?(a|mx|ip4|ip6|exists|redirect|é)[:=/%{}a-z0-9. ]{0,20}") {
            let _ = read(format!("v=spf1 {terms}").as_bytes(), false);
        }
    }
}
