//! SPF's names with macros in them (RFC 7208 section 7): how they are written, and what they expand to.

use std::net::IpAddr;

/// `domain-spec`: literal text and macros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainSpec(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Macro(Macro),
}

/// What stands in `%{…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Macro {
    /// In lower case.
    letter: char,
    /// In capitals: what would not be allowed in a URI is escaped.
    is_escaped: bool,
    /// How many labels from the right; all of them if it is 0.
    labels: usize,
    is_reversed: bool,
    delimiters: String,
}

/// What the letters stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters<'a> {
    pub(super) client: IpAddr,
    pub(super) helo: &'a str,
    pub(super) sender_local: &'a str,
    pub(super) sender_domain: &'a str,
    /// The domain whose record is evaluated.
    pub(super) domain: &'a str,
    /// The name of the client that leads back to it, or `unknown`.
    pub(super) validated: &'a str,
}

impl DomainSpec {
    /// Visible characters and macros that end in a top level domain or in a macro (section 7.1).
    pub(super) fn read(text: &str) -> Option<Self> {
        let parts = read_parts(text)?;
        match parts.last()? {
            Part::Macro(_) => {}
            Part::Text(tail) => {
                let (_, top) = tail.strip_suffix('.').unwrap_or(tail).rsplit_once('.')?;
                let alphanumeric = |c: char| c.is_ascii_alphanumeric();
                let is_top = top.starts_with(alphanumeric)
                    && top.ends_with(alphanumeric)
                    && top.chars().all(|c| alphanumeric(c) || c == '-')
                    && top.contains(|c: char| c.is_ascii_alphabetic() || c == '-');
                is_top.then_some(())?;
            }
        }
        Some(Self(parts))
    }

    /// Whether its expansion needs the client's names.
    pub(super) fn asks_for_names(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Macro(Macro { letter: 'p', .. })))
    }

    /// The name, at most 253 octets of it: labels are taken away on the left (section 7.3).
    pub(super) fn expand(&self, letters: Letters<'_>) -> String {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Macro(found) => found.expand(letters, &mut name),
            }
        }
        let mut rest = name.strip_suffix('.').unwrap_or(&name);
        while rest.len() > 253 {
            let Some((_, shorter)) = rest.split_once('.') else { break };
            rest = shorter;
        }
        rest.to_owned()
    }
}

/// Whether it is a `macro-string`, such as the value of a modifier that nobody knows.
pub(super) fn is_macro_string(text: &str) -> bool {
    read_parts(text).is_some()
}

fn read_parts(text: &str) -> Option<Vec<Part>> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    loop {
        let end = rest.find('%').unwrap_or(rest.len());
        rest[..end].bytes().all(|b| b.is_ascii_graphic()).then_some(())?;
        literal.push_str(&rest[..end]);
        if end == rest.len() {
            break;
        }
        let expansion = &rest[end + 1..];
        rest = match expansion.as_bytes().first()? {
            b'%' => {
                literal.push('%');
                &expansion[1..]
            }
            b'_' => {
                literal.push(' ');
                &expansion[1..]
            }
            b'-' => {
                literal.push_str("%20");
                &expansion[1..]
            }
            b'{' => {
                let (inside, after) = expansion[1..].split_once('}')?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Macro(Macro::read(inside)?));
                after
            }
            _ => return None,
        };
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Some(parts)
}

impl Macro {
    /// A letter, how many labels, reversed or not, where to split. The letters c, r and t are for explanations only (section 7.2).
    fn read(inside: &str) -> Option<Self> {
        let letter = inside.chars().next().filter(|c| "slodiphv".contains(c.to_ascii_lowercase()))?;
        let rest = &inside[1..];
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(digits_end);
        let labels = match digits {
            "" => 0,
            // More labels than a name can have are all of them.
            digits => digits.parse::<u8>().ok().filter(|labels| *labels > 0)?.into(),
        };
        let delimiters = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
        delimiters.chars().all(|c| ".-+,/_=".contains(c)).then(|| Self {
            letter: letter.to_ascii_lowercase(),
            is_escaped: letter.is_ascii_uppercase(),
            labels,
            is_reversed: delimiters.len() < rest.len(),
            delimiters: if delimiters.is_empty() { ".".to_owned() } else { delimiters.to_owned() },
        })
    }

    fn expand(&self, letters: Letters<'_>, name: &mut String) {
        let value = match self.letter {
            's' => format!("{}@{}", letters.sender_local, letters.sender_domain),
            'l' => letters.sender_local.to_owned(),
            'o' => letters.sender_domain.to_owned(),
            'd' => letters.domain.to_owned(),
            'i' => dotted(letters.client),
            'p' => letters.validated.to_owned(),
            'h' => letters.helo.to_owned(),
            _ => if letters.client.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
        };
        let mut labels: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.is_reversed {
            labels.reverse();
        }
        let kept = if self.labels == 0 { labels.len() } else { self.labels.min(labels.len()) };
        let joined = labels[labels.len() - kept..].join(".");
        if !self.is_escaped {
            name.push_str(&joined);
            return;
        }
        for byte in joined.bytes() {
            match byte {
                // RFC 3986 section 2.3
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => name.push(char::from(byte)),
                _ => name.push_str(&format!("%{byte:02X}")),
            }
        }
    }
}

/// `%{i}`: an IPv6 address nibble by nibble.
fn dotted(client: IpAddr) -> String {
    match client {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_expand_as_rfc_7208_says() {
        // Section 7.4
        let v4 = Letters {
            client: "192.0.2.3".parse().expect("address"),
            helo: "helo.example.net",
            sender_local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            validated: "unknown",
        };
        let v6 = Letters { client: "2001:db8::cb01".parse().expect("address"), ..v4 };
        let rows = [
            (v4, "%{s}", "strong-bad@email.example.com"),
            (v4, "%{o}", "email.example.com"),
            (v4, "%{d}", "email.example.com"),
            (v4, "%{d4}", "email.example.com"),
            (v4, "%{d3}", "email.example.com"),
            (v4, "%{d2}", "example.com"),
            (v4, "%{d1}", "com"),
            (v4, "%{dr}", "com.example.email"),
            (v4, "%{d2r}", "example.email"),
            (v4, "%{l}", "strong-bad"),
            (v4, "%{l-}", "strong.bad"),
            (v4, "%{lr}", "strong-bad"),
            (v4, "%{lr-}", "bad.strong"),
            (v4, "%{l1r-}", "strong"),
            (v4, "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            (v4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            (v4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            (v4, "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            (v4, "%{h}.%{p}", "helo.example.net.unknown"),
            (v4, "%{S}", "strong-bad%40email.example.com"),
            (v4, "a%%b%_c%-d.example", "a%b c%20d.example"),
            (
                v6,
                "%{ir}.%{v}._spf.%{d2}",
                "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com",
            ),
        ];
        for (letters, spec, expected) in rows {
            assert_eq!(DomainSpec::read(spec).expect(spec).expand(letters), expected, "{spec}");
        }
        let long = DomainSpec::read(&format!("{}.x.example", ["a".repeat(60).as_str(); 5].join("."))).expect("spec");
        assert_eq!(long.expand(v4).len(), 4 * 61 + "x.example".len(), "one label less");
    }
}
