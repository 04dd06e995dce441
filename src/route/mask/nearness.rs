//! How near a word is to what somebody may have meant to write.

use std::collections::HashSet;

/// An optimal string alignment distance of at most 1. A site has ten thousand forms to compare with, so it is seen without a
/// table: from what is left between what both begin and end with.
pub(super) fn is_one_letter_away(one: &str, other: &str) -> bool {
    if !one.is_ascii() || !other.is_ascii() {
        return strsim::osa_distance(one, other) <= 1;
    }
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let begin = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[begin..], &other[begin..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&one[..one.len() - end], &other[..other.len() - end]) {
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

/// Whether a domain is one of these, or so near that somebody may have meant one. When no comparison is left, it is.
pub(super) fn is_near_one_of(domains: &HashSet<String>, domain: &str, comparisons: &mut usize) -> bool {
    if domains.contains(domain) {
        return true;
    }
    let Some(left) = comparisons.checked_sub(1) else { return true };
    *comparisons = left;
    domains.iter().any(|own| {
        let is_above = own.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) && domain.contains('.');
        let is_below = domain.strip_suffix(own.as_str()).is_some_and(|rest| rest.ends_with('.'));
        is_above || is_below || own.len().abs_diff(domain.len()) <= 2 && strsim::osa_distance(own, domain) <= 2
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_letter_away_is_what_strsim_says(one in "[ab+ü]{0,6}", other in "[ab+ü]{0,6}") {
            prop_assert_eq!(is_one_letter_away(&one, &other), strsim::osa_distance(&one, &other) <= 1);
        }
    }
}
