//! One person, one limit: the canonical form of a sender address.

use crate::mail::{Address, canonical_domain, without_batv, without_srs};

/// The address with BATV, SRS and a sub-address folded, in lower case, its domain in A-labels: two addresses with the same
/// canonical form reach the same person, or may, and share one limit.
pub fn canonical_sender(address: &Address) -> Address {
    let local = address.local().trim_matches('"');
    let domain = address.domain();
    let (local, domain) = without_srs(local).unwrap_or((without_batv(local), domain));
    let local = without_batv(local);
    // Folding what stands after + or - too often only shares a limit; folding it too seldom sends a second notice. A minus stands in
    // many ordinary names, so only the plus is folded.
    let base = local.split('+').next().filter(|base| !base.is_empty()).unwrap_or(local);
    let domain = canonical_domain(domain);
    // What is no address without its quotes keeps its wrapping.
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
}
