//! Which domains belong together: relaxed alignment (RFC 9989 section 4.10.2) by the public suffix list.

use crate::mail::comparable_domain;

/// Whether both have the same organizational domain. A public suffix itself (`co.uk`) is aligned with nothing but itself.
pub(super) fn is_aligned(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (comparable_domain(a), comparable_domain(b)) else { return false };
    a == b || matches!((psl::domain_str(&a), psl::domain_str(&b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::is_aligned;

    #[test]
    fn alignment_follows_the_public_suffix_list() {
        let rows: &[(&str, &str, &str, bool)] = &[
            ("same", "example.org", "example.org", true),
            ("case", "Example.ORG", "example.org", true),
            ("dot at the end", "example.org.", "example.org", true),
            ("subdomain", "bounce.example.org", "example.org", true),
            ("two subdomains", "a.example.org", "b.c.example.org", true),
            ("other domain", "example.org", "example.net", false),
            ("suffix of the text, not of the labels", "badexample.org", "example.org", false),
            ("two domains below a public suffix", "a.co.uk", "b.co.uk", false),
            ("a public suffix and a domain below it", "co.uk", "a.co.uk", false),
            ("a public suffix and itself", "co.uk", "co.uk", true),
            ("hosting suffix", "a.github.io", "b.github.io", false),
            ("unknown top level domain", "a.example.invalid", "example.invalid", true),
            ("U-label and A-label", "bücher.example", "xn--bcher-kva.example", true),
            ("top level domains", "org", "net", false),
            ("empty", "", "", false),
            ("empty label", "a..example.org", "a..example.org", false),
            ("address literal", "[192.0.2.1]", "[192.0.2.1]", false),
            ("nul", "example.org\0", "example.org\0", false),
        ];
        for (name, a, b, aligned) in rows {
            assert_eq!(is_aligned(a, b), *aligned, "{name}");
            assert_eq!(is_aligned(b, a), *aligned, "{name}, the other way");
        }
    }
}
