//! Addresses that a mail system on the way has rewritten: BATV and SRS, with the first address inside.

/// The local part without BATV (draft-levine-smtp-batv): `prvs=TAG=local`, also `prvs=local/TAG`.
pub fn without_prvs(local: &str) -> &str {
    const MARK: &str = "prvs=";
    let Some(rest) =
        local.get(..MARK.len()).filter(|mark| mark.eq_ignore_ascii_case(MARK)).map(|_| &local[MARK.len()..])
    else {
        return local;
    };
    match (rest.split_once('='), rest.split_once('/')) {
        (Some((_, name)), _) | (None, Some((name, _))) if !name.is_empty() => name,
        _ => local,
    }
}

/// The local part without BATV of any kind, also `btv1==TAG==local` (Barracuda).
pub fn without_batv(local: &str) -> &str {
    const MARK: &str = "btv1==";
    if local.get(..MARK.len()).is_some_and(|mark| mark.eq_ignore_ascii_case(MARK)) {
        return local.rsplit("==").next().filter(|name| !name.is_empty()).unwrap_or(local);
    }
    without_prvs(local)
}

/// `SRS0=HASH=TT=domain=local` and `SRS1=HASH=host==HASH=TT=domain=local` (libsrs2): local part and domain of the first sender.
pub fn without_srs(local: &str) -> Option<(&str, &str)> {
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
