//! One person, one limit: the canonical form of a sender address.

use crate::mail::{Address, canonical_domain};

/// The address with BATV, SRS and a sub-address folded, in lower case, its domain in A-labels: two addresses with the same
/// canonical form reach the same person, or may, and share one limit.
pub fn canonical_sender(address: &Address) -> Address {
    let local = address.local().trim_matches('"');
    let domain = address.domain();
    let (local, domain) = unwrap_srs(local).unwrap_or((unwrap_batv(local), domain));
    let local = unwrap_batv(local);
    // Folding what stands after + or - too often only shares a limit; folding it too seldom sends a second notice. A minus stands in
    // many ordinary names, so only the plus is folded.
    let base = local.split('+').next().filter(|base| !base.is_empty()).unwrap_or(local);
    let domain = canonical_domain(domain);
    // What is no address without its quotes keeps its wrapping.
    Address::parse(&format!("{}@{domain}", base.to_lowercase())).unwrap_or_else(|| address.clone())
}

/// `prvs=TAG=local` (draft-levine-smtp-batv), also `prvs=local/TAG` and `btv1==TAG==local` (Barracuda).
fn unwrap_batv(local: &str) -> &str {
    let lower = local.to_ascii_lowercase();
    if lower.starts_with("prvs=") {
        let rest = &local["prvs=".len()..];
        return match (rest.split_once('='), rest.split_once('/')) {
            (Some((_, name)), _) if !name.is_empty() => name,
            (_, Some((name, _))) if !name.is_empty() => name,
            _ => local,
        };
    }
    if lower.starts_with("btv1==") {
        return local.rsplit("==").next().filter(|name| !name.is_empty()).unwrap_or(local);
    }
    local
}

/// `SRS0=HASH=TT=domain=local` and `SRS1=HASH=host==HASH=TT=domain=local` (libsrs2): the first sender behind them.
fn unwrap_srs(local: &str) -> Option<(&str, &str)> {
    let separator = |c: char| matches!(c, '=' | '+' | '-');
    let kind = local.get(..4)?;
    let rest = local.get(5..)?;
    if !local[4..].starts_with(separator) {
        return None;
    }
    let srs0 = if kind.eq_ignore_ascii_case("SRS0") {
        rest
    } else if kind.eq_ignore_ascii_case("SRS1") {
        let (_, behind_host) =
            rest.split_once("==").or_else(|| rest.split_once("=+")).or_else(|| rest.split_once("=-"))?;
        behind_host
    } else {
        return None;
    };
    let mut parts = srs0.splitn(4, '=');
    let (_hash, _time, domain, local) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (!domain.is_empty() && !local.is_empty()).then_some((local, domain))
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
