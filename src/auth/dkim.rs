//! DKIM (RFC 6376): each signature of a message with its result.
//!
//! mail-auth verifies; refused before it is asked: what costs too much, and what RFC 6376 and RFC 8301 let a verifier
//! refuse because it can be abused. Body hashes are ours: mail-auth 0.13.3 keeps blank lines at the end that hold
//! white space, and this way neither an LF-only message nor a large one has to be copied.

use std::time::Duration;

use mail_auth::common::crypto::{Algorithm, HashAlgorithm};
use mail_auth::common::headers::Header;
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimResult, Error, MessageAuthenticator};
use ring::digest;

use super::AuthResult;
use crate::mail::{Message, comparable_domain};

/// Signatures looked at; each costs a question to DNS and a public key operation.
const MOST_SIGNATURES: usize = 8;
/// Octets of header: looking fields up is quadratic in what the sender writes.
const LARGEST_HEADER: usize = 256 * 1024;
/// Fields of header, for the same reason.
const MOST_FIELDS: usize = 500;
/// Names in h=, for the same reason.
const MOST_SIGNED_NAMES: usize = 100;

/// The result for one signature.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    /// d=; empty if it cannot be read.
    pub(super) domain: String,
    pub(super) result: AuthResult,
    /// Why.
    pub(super) reason: String,
}

impl Verified {
    fn new(domain: impl Into<String>, result: AuthResult, reason: impl Into<String>) -> Self {
        Self { domain: domain.into(), result, reason: reason.into() }
    }
}

/// Verifies the signatures from the top; those for which DNS does not answer within `limit` are `temperror`.
pub(super) async fn verify(
    dns: Result<&MessageAuthenticator, &str>,
    message: &Message,
    limit: Duration,
) -> Vec<Verified> {
    if message.first("DKIM-Signature").is_none() {
        return Vec::new();
    }
    let header = CanonicalHeader::of(message);
    let mut outcomes = Vec::new();
    let mut acceptable = Vec::new();
    for (name, value) in header.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"DKIM-Signature")) {
        if outcomes.len() == MOST_SIGNATURES {
            break;
        }
        match accept(message, value) {
            Ok(signature) => {
                outcomes.push(Verified::new(&signature.d, AuthResult::TempError, "DNS did not answer in time"));
                acceptable.push((outcomes.len() - 1, Header::new(name, value, signature)));
            }
            Err(refused) => outcomes.push(refused),
        }
    }
    let (places, signatures): (Vec<usize>, Vec<_>) = acceptable.into_iter().unzip();
    let dns = match dns {
        Ok(dns) => dns,
        Err(reason) => {
            places.iter().for_each(|&place| reason.clone_into(&mut outcomes[place].reason));
            return outcomes;
        }
    };
    if signatures.is_empty() {
        return outcomes;
    }
    let verifiable = AuthenticatedMessage {
        headers: header.fields().collect(),
        body_hashes: body_hashes(message.body(), &signatures),
        dkim_headers: signatures,
        ..AuthenticatedMessage::default()
    };
    if let Ok(results) = tokio::time::timeout(limit, dns.verify_dkim(&verifiable)).await {
        for (place, output) in places.into_iter().zip(results) {
            let (result, reason) = judge(output.result());
            outcomes[place].result = result;
            outcomes[place].reason = reason;
        }
    }
    outcomes
}

/// The signature, unless it is refused unverified.
fn accept(message: &Message, value: &[u8]) -> Result<Signature, Verified> {
    use AuthResult::{Neutral, PermError, Policy};
    let refuse = |result, reason: &str| Err(Verified::new(tag(value, "d"), result, reason));
    if message.content().is_too_large() {
        return refuse(Policy, "the message is over limits.message_size, its body is not in memory");
    }
    if message.header().len() > LARGEST_HEADER || message.fields().len() > MOST_FIELDS {
        return refuse(Policy, "the header is over 256 KiB or 500 fields");
    }
    let mut signature = match Signature::parse(value) {
        Ok(signature) => signature,
        Err(error) => return refuse(Neutral, &format!("it cannot be read: {error}")),
    };
    if signature.a == Algorithm::RsaSha1 {
        return refuse(Policy, "rsa-sha1 proves nothing (RFC 8301)");
    }
    // Presence, not value: mail-auth reads an unreadable number as 0, which is its word for "no l=".
    if signature.l != 0 || has_tag(value, "l") {
        return refuse(Policy, "l= leaves the end of the body to anybody");
    }
    if signature.h.len() > MOST_SIGNED_NAMES {
        return refuse(Policy, "h= has over 100 names");
    }
    if !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return refuse(PermError, "From is not signed (RFC 6376 section 5.4)");
    }
    let Some(domain) = comparable_domain(&signature.d) else { return refuse(Neutral, "d= is not a domain name") };
    signature.d = domain;
    // Reports (RFC 6651) and third-party signatures (RFC 6541) would only cost questions to DNS.
    signature.r = false;
    signature.atps = None;
    Ok(signature)
}

fn judge(result: &DkimResult) -> (AuthResult, String) {
    match result {
        DkimResult::Pass => (AuthResult::Pass, "verified".to_owned()),
        DkimResult::None => (AuthResult::None, "no signature".to_owned()),
        // mail-auth calls these neutral; RFC 8601 section 2.7.1: a signature that was tested and is wrong fails.
        DkimResult::Neutral(error @ Error::Dkim(DkimError::FailedBodyHashMatch | DkimError::SignatureExpired)) => {
            (AuthResult::Fail, error.to_string())
        }
        DkimResult::Neutral(error) => (AuthResult::Neutral, error.to_string()),
        DkimResult::Fail(error) => (AuthResult::Fail, error.to_string()),
        DkimResult::PermError(error) => (AuthResult::PermError, error.to_string()),
        DkimResult::TempError(error) => (AuthResult::TempError, error.to_string()),
    }
}

/// The value of a tag (RFC 6376 section 3.2) of a signature that may be unreadable; for the record only.
fn tag(value: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(value);
    let tags = text.split(';').filter_map(|tag| tag.split_once('='));
    let mut values = tags.filter(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim());
    values.next().unwrap_or_default().chars().filter(|c| c.is_ascii_graphic()).take(253).collect()
}

fn has_tag(value: &[u8], name: &str) -> bool {
    let is_tag = |tag: &[u8]| {
        let end = tag.iter().position(|&byte| byte == b'=').unwrap_or(0);
        let bare: Vec<u8> = tag[..end].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        bare.eq_ignore_ascii_case(name.as_bytes())
    };
    value.split(|&byte| byte == b';').any(is_tag)
}

/// The header fields with CRLF line ends, as they were signed: pipe(8) hands messages over with LF.
struct CanonicalHeader {
    bytes: Vec<u8>,
    /// Start, colon and end of each field.
    fields: Vec<(usize, usize, usize)>,
}

impl CanonicalHeader {
    /// Built from our own index of the fields, so that what is verified is what everybody else here reads.
    fn of(message: &Message) -> Self {
        let mut bytes = Vec::with_capacity(message.header().len().min(LARGEST_HEADER) + 256);
        let mut fields = Vec::with_capacity(message.fields().len());
        for field in message.fields().take(MOST_FIELDS) {
            let start = bytes.len();
            let source = &message.bytes()[field.start()..];
            let name_length = source.iter().position(|&byte| byte == b':').unwrap_or(0);
            bytes.extend_from_slice(&source[..name_length]);
            let colon = bytes.len();
            bytes.push(b':');
            for &byte in field.raw() {
                if byte == b'\n' && bytes.last() != Some(&b'\r') {
                    bytes.push(b'\r');
                }
                bytes.push(byte);
            }
            bytes.extend_from_slice(b"\r\n");
            fields.push((start, colon, bytes.len()));
        }
        Self { bytes, fields }
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&(start, colon, end)| (&self.bytes[start..colon], &self.bytes[colon + 1..end]))
    }
}

type BodyHash = (Canonicalization, HashAlgorithm, u64, Vec<u8>);

fn body_hashes(body: &[u8], signatures: &[Header<'_, Signature>]) -> Vec<BodyHash> {
    let mut hashes: Vec<BodyHash> = Vec::new();
    for signature in signatures {
        let canonicalization = signature.header.cb;
        if !hashes.iter().any(|(done, ..)| *done == canonicalization) {
            hashes.push((canonicalization, HashAlgorithm::Sha256, 0, body_hash(body, canonicalization)));
        }
    }
    hashes
}

/// SHA-256 of the canonical body (RFC 6376 section 3.4.3 and 3.4.4); LF alone counts as a line end.
fn body_hash(body: &[u8], canonicalization: Canonicalization) -> Vec<u8> {
    let is_wsp = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut empty_lines = 0_usize;
    let mut any = false;
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    for line in body.split(|&byte| byte == b'\n') {
        let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
        if canonicalization == Canonicalization::Relaxed {
            let kept = rest.iter().rposition(|byte| !is_wsp(byte)).map_or(0, |last| last + 1);
            rest = &rest[..kept];
        }
        if rest.is_empty() {
            empty_lines += 1;
            continue;
        }
        any = true;
        (0..std::mem::take(&mut empty_lines)).for_each(|_| hash.update(b"\r\n"));
        if canonicalization == Canonicalization::Relaxed {
            while let Some(blank) = rest.iter().position(is_wsp) {
                hash.update(&rest[..blank]);
                hash.update(b" ");
                let next = rest[blank..].iter().position(|byte| !is_wsp(byte)).unwrap_or(rest.len() - blank);
                rest = &rest[blank + next..];
            }
        }
        hash.update(rest);
        hash.update(b"\r\n");
    }
    if !any && canonicalization == Canonicalization::Simple {
        hash.update(b"\r\n");
    }
    hash.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use mail_auth::dkim::Canonicalization::{Relaxed, Simple};
    use ring::digest;

    use super::{body_hash, has_tag, tag};

    #[test]
    fn bodies_are_canonical_as_rfc_6376_says() {
        let rows: &[(&str, &str, &str, &str)] = &[
            ("the RFC's own", " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", " C \r\nD \t E\r\n"),
            ("empty", "", "", "\r\n"),
            ("only line ends", "\r\n\r\n", "", "\r\n"),
            ("blank line with a blank at the end", "hi\r\n \r\n", "hi\r\n", "hi\r\n \r\n"),
            ("no line end at the end", "hi", "hi\r\n", "hi\r\n"),
            ("empty line inside", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"),
            ("blank line inside", "a\r\n\t\r\nb\r\n", "a\r\n\r\nb\r\n", "a\r\n\t\r\nb\r\n"),
            ("LF alone", "a\n\nb\n\n", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"),
            ("only white space", " \t\r\n", "", " \t\r\n"),
        ];
        let sha256 = |text: &str| digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
        for (name, body, relaxed, simple) in rows {
            assert_eq!(body_hash(body.as_bytes(), Relaxed), sha256(relaxed), "{name}, relaxed");
            assert_eq!(body_hash(body.as_bytes(), Simple), sha256(simple), "{name}, simple");
        }
    }

    #[test]
    fn tags_are_found_in_what_cannot_be_read() {
        let value = b" v=1; a=rsa-sha256;\r\n d = example.org; l = 12; bh=l=; b=d=x";
        assert_eq!(tag(value, "d"), "example.org");
        assert!(has_tag(value, "l"));
        assert!(!has_tag(b"v=1; bh=l=; b=l", "l"));
    }
}
