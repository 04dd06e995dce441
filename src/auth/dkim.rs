//! DKIM (RFC 6376): each signature of a message with its result.
//!
//! mail-auth verifies; refused before it is asked: what costs too much, and what RFC 6376 and RFC 8301 let a verifier
//! refuse because it can be abused. The keys' records are ours to ask for and to read. Body hashes are ours: mail-auth 0.13.3 keeps
//! blank lines at the end that hold white space, and this way neither an LF-only message nor a large one has to be copied.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Instant;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use mail_auth::common::cache::NoCache;
use mail_auth::common::crypto::{Algorithm, HashAlgorithm};
use mail_auth::common::headers::Header;
use mail_auth::common::resolver::ToFqdn;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::{
    AuthenticatedMessage, DkimResult, Error, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt,
};
use ring::digest;

use super::auth_result::AuthResult;
use super::coverage::Coverage;
use super::questions::{FOR_DKIM, Questions};
use super::tag_list::TagList;
use super::{key_record, resolver};
use crate::mail::{Message, comparable_domain};

/// Signatures looked at; each costs a question to DNS and a public key operation.
const MOST_SIGNATURES: usize = FOR_DKIM;
/// Octets of header: looking fields up is quadratic in what the sender writes.
const LARGEST_HEADER: usize = 256 * 1024;
/// Fields of header, for the same reason.
const MOST_FIELDS: usize = 500;
/// A body of so many octets costs less than to ask another thread.
const HASHED_HERE: usize = 64 * 1024;
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
    /// What it covers; only where it was verified.
    pub(super) coverage: Option<Coverage>,
}

impl Verified {
    fn new(domain: impl Into<String>, result: AuthResult, reason: impl Into<String>) -> Self {
        Self { domain: domain.into(), result, reason: reason.into(), coverage: None }
    }
}

/// Verifies the signatures from the top; those for whose keys DNS does not answer are `temperror`.
pub(super) async fn verify(questions: &Questions<'_>, message: &Message) -> Vec<Verified> {
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
            Ok((signature, coverage)) => {
                outcomes.push(Verified::new(&signature.d, AuthResult::TempError, "not verified"));
                acceptable.push((outcomes.len() - 1, Header::new(name, value, signature), coverage));
            }
            Err((result, reason)) => outcomes.push(Verified::new(tag(value, "d"), result, reason)),
        }
    }
    // What the body denies costs no question.
    let hashes = hashes_of(message, acceptable.iter().map(|(_, field, _)| field.header.cb).collect()).await;
    acceptable.retain(|(place, field, _)| {
        let is_of_this_body =
            hashes.iter().any(|(way, _, _, hash)| *way == field.header.cb && *hash == field.header.bh);
        if !is_of_this_body {
            outcomes[*place] = Verified::new(&field.header.d, AuthResult::Fail, "the body was changed (bh=)");
        }
        is_of_this_body
    });
    let ask = |name: String| async move { key_record::read(&questions.ask(&name, RecordType::TXT).await) };
    let keys = join_all(acceptable.iter().map(|(_, field, _)| ask(field.header.domain_key()))).await;
    let mut known = Keys::default();
    let (mut places, mut signatures) = (Vec::new(), Vec::new());
    for ((place, field, coverage), key) in acceptable.into_iter().zip(keys) {
        match key {
            Ok(key) => {
                known.0.insert(field.header.domain_key().to_fqdn().into(), key);
                places.push((place, coverage));
                signatures.push(field);
            }
            Err((result, reason)) => (outcomes[place].result, outcomes[place].reason) = (result, reason),
        }
    }
    let Some(verifier) = VERIFIER.as_ref().filter(|_| !signatures.is_empty()) else { return outcomes };
    let verifiable = AuthenticatedMessage {
        headers: header.fields().collect(),
        body_hashes: hashes,
        dkim_headers: signatures,
        ..AuthenticatedMessage::default()
    };
    let results = verifier.verify_dkim(with_keys(&verifiable, &known)).await;
    for ((place, coverage), output) in places.into_iter().zip(results) {
        let (result, reason) = judge(output.result());
        outcomes[place] = Verified { result, reason, coverage: Some(coverage), ..outcomes[place].clone() };
    }
    outcomes
}

/// What mail-auth verifies with: it knows no name server, so it can ask nobody; every key is given to it.
static VERIFIER: LazyLock<Option<MessageAuthenticator>> = LazyLock::new(|| {
    let nobody = ResolverConfig::from_name_servers(Vec::new());
    let resolver = TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default());
    Some(MessageAuthenticator(resolver.with_tls_config(resolver::no_tls().ok()?).build().ok()?))
});

/// The keys by their names.
#[derive(Default)]
struct Keys(HashMap<Box<str>, Txt>);

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

type WithKeys<'x> = Parameters<
    'x,
    &'x AuthenticatedMessage<'x>,
    Keys,
    NoCache<Box<str>, RecordSet<MX>>,
    NoCache<Box<str>, RecordSet<Ipv4Addr>>,
    NoCache<Box<str>, RecordSet<Ipv6Addr>>,
    NoCache<IpAddr, RecordSet<Box<str>>>,
>;

fn with_keys<'x>(message: &'x AuthenticatedMessage<'x>, keys: &'x Keys) -> WithKeys<'x> {
    Parameters::new(message).with_txt_cache(keys)
}

/// The signature, unless it is refused unverified.
fn accept(message: &Message, value: &[u8]) -> Result<(Signature, Coverage), (AuthResult, String)> {
    use AuthResult::{Neutral, PermError, Policy};
    let refuse = |result, reason: &str| Err((result, reason.to_owned()));
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
    let Some(tags) = TagList::read(value) else { return refuse(PermError, "its tags break the grammar") };
    if !is_read_alike(&tags, &signature) {
        return refuse(PermError, "its tags can be read in two ways");
    }
    // Presence, not value: mail-auth reads an unreadable number as 0, which is its word for "no l=".
    if tags.value("l").is_some() {
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
    let coverage = match Coverage::read(&tags, message) {
        Ok(coverage) => coverage,
        Err(tag) => return refuse(PermError, &format!("{tag} cannot be read")),
    };
    // Reports (RFC 6651) and third-party signatures (RFC 6541) would only cost questions to DNS.
    signature.r = false;
    signature.atps = None;
    Ok((signature, coverage))
}

/// Whether mail-auth has read what we have: it verifies by its own reading, and the rules here go by ours.
fn is_read_alike(tags: &TagList<'_>, signature: &Signature) -> bool {
    let same = |name: &str, read: &str| tags.value(name).is_some_and(|value| value.eq_ignore_ascii_case(read));
    let names = tags.words("h").into_iter().flatten();
    let same_number = |name: &str, read: u64| tags.number(name).is_ok_and(|number| number.unwrap_or(0) == read);
    tags.value("v") == Some("1")
        && same("d", &signature.d)
        && same("s", &signature.s)
        && names.map(str::to_ascii_lowercase).eq(signature.h.iter().map(|name| name.to_ascii_lowercase()))
        && same_number("t", signature.t)
        && same_number("x", signature.x)
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
            // Without the blank that may stand before the colon: `From :` is a From field for everybody, so also for h=.
            bytes.extend_from_slice(source[..name_length].trim_ascii_end());
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

/// The hashes of a body in each of these ways. Of a large one they are worked out on a thread that may be busy for a while.
async fn hashes_of(message: &Message, ways: Vec<Canonicalization>) -> Vec<BodyHash> {
    if message.body().len() <= HASHED_HERE {
        return body_hashes(message.body(), ways.into_iter());
    }
    let message = message.clone();
    let hashed = tokio::task::spawn_blocking(move || body_hashes(message.body(), ways.into_iter())).await;
    hashed.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime ends, and this with it.
        Err(_) => Vec::new(),
    })
}

fn body_hashes(body: &[u8], ways: impl Iterator<Item = Canonicalization>) -> Vec<BodyHash> {
    let mut hashes: Vec<BodyHash> = Vec::new();
    for way in ways {
        if !hashes.iter().any(|(done, ..)| *done == way) {
            hashes.push((way, HashAlgorithm::Sha256, 0, body_hash(body, way)));
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

    use super::{body_hash, tag};

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
    }
}
