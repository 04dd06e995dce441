//! Domains as they are compared: one form for all of configuration, envelopes, header fields and DNS.

use mail_auth::common::to_a_label;

/// A domain name in A-labels and lower case, without a dot at the end (RFC 5890 section 2.3.2.1). `None` if it is not a
/// domain name, such as an address literal.
pub fn comparable_domain(domain: &str) -> Option<String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let ascii = to_a_label(domain).into_owned();
    let is_name = !ascii.is_empty()
        && ascii.len() <= 253
        && ascii.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    is_name.then_some(ascii)
}

/// The same for a domain that may be anything: what is not a name is compared as text, without regard to case.
pub fn canonical_domain(domain: &str) -> String {
    comparable_domain(domain).unwrap_or_else(|| domain.strip_suffix('.').unwrap_or(domain).to_lowercase())
}

/// Whether both are the same domain name.
pub fn is_same_domain(a: &str, b: &str) -> bool {
    matches!((comparable_domain(a), comparable_domain(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_form() {
        let rows = [
            ("case", "Example.ORG", "example.org"),
            ("dot at the end", "example.org.", "example.org"),
            ("U-label", "Bücher.example", "xn--bcher-kva.example"),
            ("A-label", "XN--bcher-kva.example", "xn--bcher-kva.example"),
            ("address literal", "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
        ];
        for (name, domain, canonical) in rows {
            assert_eq!(canonical_domain(domain), canonical, "{name}");
        }
        assert_eq!(comparable_domain("[192.0.2.1]"), None);
        assert_eq!(comparable_domain(&"a.".repeat(200)), None);
        assert!(is_same_domain("bücher.example", "xn--bcher-kva.example"));
        assert!(!is_same_domain("[192.0.2.1]", "[192.0.2.1]"));
    }
}
