//! uuencode (POSIX.1-2024, `uuencode`), which mail programs of the nineties named `x-uuencode`.
//!
//! No RFC defines it as a transfer encoding, but every reader of mail knows it, and old archives are full of it. What stands
//! before `begin` and behind `end` is no part of the data.

/// Decodes `encoded` into pieces; what has no `begin` comes out as it is.
pub(super) fn decode_to<E>(encoded: &[u8], mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut lines = encoded.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii_end);
    if !lines.by_ref().any(is_begin) {
        return if encoded.is_empty() { Ok(()) } else { sink(encoded) };
    }
    let mut out = Vec::with_capacity(super::base64::PIECE);
    for line in lines {
        if line == b"end" {
            break;
        }
        decode_line(line, &mut out);
        if out.len() >= super::base64::PIECE {
            sink(&out)?;
            out.clear();
        }
    }
    if out.is_empty() { Ok(()) } else { sink(&out) }
}

/// `begin 644 report.pdf`
fn is_begin(line: &[u8]) -> bool {
    let mut words = line.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    let is_mode = |mode: &[u8]| (3..=4).contains(&mode.len()) && mode.iter().all(|octet| (b'0'..=b'7').contains(octet));
    words.next() == Some(b"begin") && words.next().is_some_and(is_mode)
}

/// A line begins with the number of octets in it; blanks at its end may have been cut off.
fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let [length, data @ ..] = line else { return };
    let length = usize::from(sextet(*length));
    let end = out.len() + length;
    for group in data.chunks(4) {
        let bits =
            (0..4).fold(0, |bits, place| bits << 6 | u32::from(group.get(place).map_or(0, |&octet| sextet(octet))));
        let octets = &bits.to_be_bytes()[1..];
        out.extend_from_slice(&octets[..octets.len().min(end.saturating_sub(out.len()))]);
    }
    // What was cut off is zero, as far as the line could have been.
    out.resize(out.len().max(end), 0);
}

/// Both the blank and the grave accent stand for zero.
fn sextet(octet: u8) -> u8 {
    octet.wrapping_sub(b' ') & 0x3f
}

#[cfg(test)]
mod tests {
    use super::super::TransferEncoding::Uuencode;

    #[test]
    fn what_was_encoded_comes_out() {
        let rows: &[(&str, &str, &str)] = &[
            ("one line", "begin 644 a.txt\n#0V%T\n`\nend\n", "Cat"),
            ("crlf", "begin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\n", "Cat"),
            ("words around", "hello\nbegin 0644 a b.txt\n#0V%T\n#0V%T\n \nend\n-- \nlist", "CatCat"),
            ("no end", "begin 644 a\n#0V%T\n", "Cat"),
            ("blanks cut off", "begin 644 a\n$00\n`\nend\n", "A\0\0\0"),
            ("two octets", "begin 644 a\n\"0V$`\n`\nend\n", "Ca"),
            ("no begin", "just\nwords\n", "just\nwords\n"),
            ("a word that begins so", "begin 8 a\nend\n", "begin 8 a\nend\n"),
            ("nothing", "", ""),
        ];
        for (name, encoded, decoded) in rows {
            assert_eq!(String::from_utf8_lossy(&Uuencode.decode(encoded.as_bytes())), *decoded, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_decoded(text in "(begin 644 a\n)?([ -`]{0,70}\n){0,5}(end)?") {
            proptest::prop_assert!(Uuencode.decode(text.as_bytes()).len() <= text.len().max(64 * (1 + text.len())));
        }
    }
}
