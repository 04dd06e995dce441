//! Folder names: Unicode in the configuration, modified UTF-7 on the wire (RFC 3501 section 5.1.3).

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A folder name as the server has it.
pub(super) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = |c: char| (' '..='~').contains(&c);
        if plain(first) {
            encoded.push(first);
            if first == '&' {
                encoded.push('-');
            }
            rest = &rest[1..];
        } else {
            let end = rest.find(plain).unwrap_or(rest.len());
            let units: Vec<u8> = rest[..end].encode_utf16().flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            encoded.push_str(&BASE64.encode(units));
            encoded.push('-');
            rest = &rest[end..];
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn folder_names_are_written_as_rfc_3501_says() {
        let rows: &[(&str, &str)] = &[
            ("INBOX", "INBOX"),
            ("Support/GitLab", "Support/GitLab"),
            ("R&D", "R&-D"),
            ("Entwürfe", "Entw&APw-rfe"),
            // The RFC's own example.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("😀", "&2D3eAA-"),
            ("", ""),
        ];
        for (name, encoded) in rows {
            assert_eq!(encode(name), *encoded, "{name}");
        }
    }
}
