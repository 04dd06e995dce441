//! One person, one limit: the canonical forms of a sender address.

use crate::mail::{Address, canonical_domain, without_batv, without_srs};

/// The person behind an address: BATV, SRS and a sub-address folded, in lower case, its domain in A-labels. Two addresses with the
/// same canonical form reach the same person, or may.
pub fn canonical_sender(address: &Address) -> Address {
    let local = address.local().trim_matches('"');
    let domain = address.domain();
    let (local, domain) = without_srs(local).unwrap_or((without_batv(local), domain));
    folded(without_batv(local), domain, address)
}

/// The address itself in the same form: of one that a forwarder has rewritten (SRS) only what differs each time is folded, because
/// anybody can rewrite, and so claim to forward for, whomever he likes.
pub(super) fn canonical_address(address: &Address) -> Address {
    let local = address.local().trim_matches('"');
    match without_srs(local) {
        Some((inner, domain)) => folded(&format!("srs={domain}={inner}"), address.domain(), address),
        None => folded(without_batv(local), address.domain(), address),
    }
}

fn folded(local: &str, domain: &str, address: &Address) -> Address {
    // Folding what stands after + or - too often only shares a limit; folding it too seldom sends a second notice. A minus stands in
    // many ordinary names, so only the plus is folded.
    let base = local.split('+').next().filter(|base| !base.is_empty()).unwrap_or(local);
    let domain = canonical_domain(domain);
    // What is not an address without its quotes keeps its wrapping.
    Address::parse(&format!("{}@{domain}", base.to_lowercase())).unwrap_or_else(|| address.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_one_canonical_address() {
        let rows = [
            ("plain", "Jane@Example.ORG", "jane@example.org"),
            ("sub-address", "jane+lists@example.org", "jane@example.org"),
            ("BATV", "prvs=0123456789=jane@example.org", "jane@example.org"),
            ("BATV, the other order", "prvs=jane/0123456789@example.org", "jane@example.org"),
            ("BATV of Barracuda", "btv1==112233==jane@example.org", "jane@example.org"),
            ("SRS0", "SRS0=HHHH=TT=example.org=jane@forwarder.example", "jane@example.org"),
            ("SRS1", "SRS1=HHHH=first.example==HHHH=TT=example.org=jane@second.example", "jane@example.org"),
            ("SRS0 of a sub-address", "srs0=HHHH=TT=example.org=jane+x@forwarder.example", "jane@example.org"),
            ("SRS0 of BATV", "SRS0=H=T=example.org=prvs=1=jane@f.example", "jane@example.org"),
            ("broken SRS", "SRS0=x@example.org", "srs0=x@example.org"),
            ("only a tag", "+x@example.org", "+x@example.org"),
            ("quotes without need", "\"jane\"@example.org", "jane@example.org"),
            ("quotes in need", "\"Jane Doe\"@example.org", "\"Jane Doe\"@example.org"),
            ("U-label", "jane@Bücher.example", "jane@xn--bcher-kva.example"),
        ];
        for (name, address, canonical) in rows {
            assert_eq!(canonical_sender(&Address::parse(address).expect(name)).as_str(), canonical, "{name}");
        }
    }

    #[test]
    fn a_forwarded_address_is_an_address_of_the_forwarder() {
        let rows = [
            ("plain", "Jane+x@Example.ORG", "jane@example.org"),
            ("BATV", "prvs=0123456789=jane@example.org", "jane@example.org"),
            ("SRS0", "SRS0=HHHH=TT=example.org=jane@forwarder.example", "srs=example.org=jane@forwarder.example"),
            (
                "SRS0 at another time",
                "srs0=IIII=UU=Example.org=Jane@forwarder.example",
                "srs=example.org=jane@forwarder.example",
            ),
            (
                "SRS1",
                "SRS1=H=first.example==H=T=example.org=jane@second.example",
                "srs=example.org=jane@second.example",
            ),
        ];
        for (name, address, canonical) in rows {
            assert_eq!(canonical_address(&Address::parse(address).expect(name)).as_str(), canonical, "{name}");
        }
    }
}
