//! The grammar of an SPF record (RFC 7208 section 12): a record is read whole before any of it counts.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::spf_macro::{DomainSpec, is_macro_string};

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<DomainSpec>,
}

/// What a mechanism that matches comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) qualifier: Qualifier,
    pub(super) mechanism: Mechanism,
}

/// Section 4.6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qualifier {
    Fail,
    Neutral,
    Pass,
    SoftFail,
}

/// Section 5. A domain that is not there is the one whose record this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    A { domain: Option<DomainSpec>, prefix: PrefixLengths },
    All,
    Exists(DomainSpec),
    Include(DomainSpec),
    Ip4 { network: Ipv4Addr, prefix: u8 },
    Ip6 { network: Ipv6Addr, prefix: u8 },
    Mx { domain: Option<DomainSpec>, prefix: PrefixLengths },
    Ptr(Option<DomainSpec>),
}

/// `/24//64` behind `a` and `mx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixLengths {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// Whether a text record is one of SPF (section 4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    text.get(..6).is_some_and(|version| version.eq_ignore_ascii_case(b"v=spf1"))
        && text.get(6).is_none_or(|&after| after == b' ')
}

/// The record, or `None` if a term breaks the grammar.
pub(super) fn read(record: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(record).ok().filter(|text| text.is_ascii())?;
    let mut terms = text.split(' ').filter(|term| !term.is_empty());
    terms.next().filter(|version| version.eq_ignore_ascii_case("v=spf1"))?;
    let (mut read, mut explanations) = (Record { directives: Vec::new(), redirect: None }, 0);
    for term in terms {
        match Term::read(term)? {
            Term::Directive(directive) => read.directives.push(directive),
            Term::Redirect(_) if read.redirect.is_some() => return None,
            Term::Redirect(domain) => read.redirect = Some(domain),
            // What it says would be shown to the sender, and nothing here shows it.
            Term::Explanation => explanations += 1,
            // Section 6: a modifier that is not known has no meaning.
            Term::OtherModifier => {}
        }
    }
    (explanations <= 1).then_some(read)
}

enum Term {
    Directive(Directive),
    Explanation,
    OtherModifier,
    Redirect(DomainSpec),
}

impl Term {
    fn read(term: &str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name_end = term.find(|c| !is_name(c)).unwrap_or(term.len());
        if let Some(value) = term[name_end..].strip_prefix('=') {
            let name = &term[..name_end];
            name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
            return match name.to_ascii_lowercase().as_str() {
                "redirect" => DomainSpec::read(value).map(Self::Redirect),
                "exp" => DomainSpec::read(value).map(|_| Self::Explanation),
                _ => is_macro_string(value).then_some(Self::OtherModifier),
            };
        }
        let (qualifier, mechanism) = match term.as_bytes().first()? {
            b'+' => (Qualifier::Pass, &term[1..]),
            b'-' => (Qualifier::Fail, &term[1..]),
            b'?' => (Qualifier::Neutral, &term[1..]),
            b'~' => (Qualifier::SoftFail, &term[1..]),
            _ => (Qualifier::Pass, term),
        };
        Some(Self::Directive(Directive { qualifier, mechanism: Mechanism::read(mechanism)? }))
    }
}

impl Mechanism {
    fn read(text: &str) -> Option<Self> {
        let end = text.find([':', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        match name.to_ascii_lowercase().as_str() {
            "all" => rest.is_empty().then_some(Self::All),
            "include" => DomainSpec::read(rest.strip_prefix(':')?).map(Self::Include),
            "exists" => DomainSpec::read(rest.strip_prefix(':')?).map(Self::Exists),
            "ptr" => optional_domain(rest).map(Self::Ptr),
            "a" => {
                let (rest, prefix) = without_prefix_lengths(rest)?;
                optional_domain(rest).map(|domain| Self::A { domain, prefix })
            }
            "mx" => {
                let (rest, prefix) = without_prefix_lengths(rest)?;
                optional_domain(rest).map(|domain| Self::Mx { domain, prefix })
            }
            "ip4" => {
                let (address, length) = split_once_or_all(rest.strip_prefix(':')?);
                let prefix = length.map_or(Some(32), |length| prefix_length(length, 32))?;
                Some(Self::Ip4 { network: address.parse().ok()?, prefix })
            }
            "ip6" => {
                let (address, length) = split_once_or_all(rest.strip_prefix(':')?);
                let prefix = length.map_or(Some(128), |length| prefix_length(length, 128))?;
                Some(Self::Ip6 { network: address.parse().ok()?, prefix })
            }
            _ => None,
        }
    }
}

/// Nothing, or a colon and a domain.
fn optional_domain(text: &str) -> Option<Option<DomainSpec>> {
    if text.is_empty() { Some(None) } else { DomainSpec::read(text.strip_prefix(':')?).map(Some) }
}

fn split_once_or_all(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)))
}

fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse::<u8>().ok().filter(|length| plain && *length <= longest)
}

/// Cuts `/24`, `//64` or `/24//64` off the end. What is cut must be right; a slash inside of the name is none of it.
fn without_prefix_lengths(text: &str) -> Option<(&str, PrefixLengths)> {
    let (mut rest, mut lengths) = (text, [128, 32]);
    for (place, (mark, longest)) in [("//", 128), ("/", 32)].into_iter().enumerate() {
        if let Some((before, length)) = rest.rsplit_once(mark)
            && !length.is_empty()
            && length.bytes().all(|b| b.is_ascii_digit())
        {
            lengths[place] = prefix_length(length, longest)?;
            rest = before;
        }
    }
    Some((rest, PrefixLengths { v4: lengths[1], v6: lengths[0] }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;

    #[test]
    fn records_are_read_as_rfc_7208_says() {
        let long = format!("v=spf1 a:{}.org -all", "a".repeat(64));
        // Name, record, how many directives it has.
        let rows: &[(&str, &str, Option<usize>)] = &[
            ("nothing", "v=spf1", Some(0)),
            ("every mechanism", "v=spf1 a mx ptr all", Some(4)),
            (
                "every form",
                "v=spf1 +a:x.org/24//64 -mx:x.org//0 ~a/0 ?ip4:1.2.3.4/32 include:x.org. exists:%{ir}.x.org ptr:x.org",
                Some(7),
            ),
            ("blanks", "v=spf1  a   -all ", Some(2)),
            ("case", "V=SPF1 IP4:1.2.3.4 -ALL", Some(2)),
            ("unknown modifier", "v=spf1 x.y-z_1=%{d}/a:b -all", Some(1)),
            ("redirect and explanation", "v=spf1 exp=x.org redirect=y.org", Some(0)),
            ("label that is too long for DNS", &long, Some(2)),
            ("empty label", "v=spf1 include:x..org -all", Some(2)),
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
            ("two explanations", "v=spf1 exp=x.org exp=y.org", None),
            ("redirect with a colon", "v=spf1 redirect:x.org", None),
            ("macro that does not end", "v=spf1 exists:%{d", None),
            ("macro of no labels", "v=spf1 exists:%{d0}.x.org", None),
            ("macro for explanations", "v=spf1 exists:%{c}.x.org", None),
            ("single percent sign", "v=spf1 exists:%x.org", None),
        ];
        for (name, record, expected) in rows {
            assert_eq!(read(record.as_bytes()).map(|read| read.directives.len()), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_a_panic(record in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&record);
        }

        #[test]
        fn any_terms_are_read_without_a_panic(terms in "[-+~?]?(a|mx|ip4|ip6|exists|redirect|é)[:=/%{}a-z0-9. ]{0,20}") {
            let _ = read(format!("v=spf1 {terms}").as_bytes());
        }
    }
}
