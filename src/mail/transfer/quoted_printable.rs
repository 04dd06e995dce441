//! quoted-printable (RFC 2045 section 6.7).
//!
//! A `=` that begins neither an encoded octet nor a soft line break stays as it is (note 2 of that section). Blanks at the
//! end of a line stay too: rule 3 wants them deleted because gateways once added them; none does today, but people attach
//! patches, in which they count.

/// Decodes `encoded` into pieces.
pub(super) fn decode_to<E>(encoded: &[u8], mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut rest = encoded;
    let mut out = Vec::with_capacity(super::base64::PIECE);
    while let Some(place) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(&rest[..place]);
        rest = &rest[place + 1..];
        if let [high, low, behind @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = behind;
        } else if let Some(behind) = behind_line_end(rest) {
            rest = behind;
        } else {
            out.push(b'=');
        }
        if out.len() >= super::base64::PIECE {
            sink(&out)?;
            out.clear();
        }
    }
    if !out.is_empty() {
        sink(&out)?;
    }
    if rest.is_empty() { Ok(()) } else { sink(rest) }
}

fn digit(octet: u8) -> Option<u8> {
    // Lower case is forbidden, and common.
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What follows a soft line break, before which gateways may have put blanks; the end of the data is one too.
fn behind_line_end(rest: &[u8]) -> Option<&[u8]> {
    let blanks = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    match &rest[blanks..] {
        [b'\r', b'\n', behind @ ..] | [b'\n' | b'\r', behind @ ..] => Some(behind),
        [] => Some(&[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::TransferEncoding::QuotedPrintable;

    #[test]
    fn what_is_encoded_is_decoded_and_the_rest_stays() {
        let rows: &[(&str, &str, &str)] = &[
            ("octets", "Gr=C3=BC=c3=9fe", "Grüße"),
            ("soft line break", "one=\r\ntwo=\nthree", "onetwothree"),
            ("soft line break with blanks", "one= \t\r\ntwo", "onetwo"),
            ("hard line break", "one\r\ntwo", "one\r\ntwo"),
            ("a stray equals sign", "ie=UTF8&a=b =3D", "ie=UTF8&a=b ="),
            ("two equals signs", "x==y", "x==y"),
            ("one before an encoded octet", "x==3D", "x=="),
            ("half an octet", "x=C", "x=C"),
            ("half an octet and a line end", "x=C\r\n=3", "x=C\r\n=3"),
            ("at the end", "x=", "x"),
            ("blanks at the end of a line", " \r\n-- \r\n", " \r\n-- \r\n"),
            ("not ascii", "ü=3D", "ü="),
            ("nothing", "", ""),
        ];
        for (name, encoded, decoded) in rows {
            assert_eq!(String::from_utf8_lossy(&QuotedPrintable.decode(encoded.as_bytes())), *decoded, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_out(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let encoded: String = octets.iter().map(|octet| format!("={octet:02X}")).collect();
            let lines = encoded.as_bytes().chunks(75).collect::<Vec<_>>().join(&b"=\r\n"[..]);
            prop_assert!(QuotedPrintable.decode(&lines) == octets);
        }

        #[test]
        fn anything_is_decoded(text in "[=A-F0-9\r\n x]{0,100}") {
            prop_assert!(QuotedPrintable.decode(text.as_bytes()).len() <= text.len());
        }
    }
}
