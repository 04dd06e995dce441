//! A DKIM signer of the tests' own, which also writes what no good signer would. Keys are fresh in each run: Ed25519
//! by ring, RSA by the `openssl` program, because ring makes no RSA keys and signs with none below 2048 bits.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::process::run_with_input;

/// A private key.
pub enum Key {
    Ed25519(Ed25519KeyPair),
    Rsa(PathBuf),
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run_with_input(Command::new("openssl").args(arguments), input);
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// Keys live in one directory for the whole run.
fn directory() -> &'static std::path::Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

impl Key {
    pub fn ed25519() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap())
    }

    pub fn rsa(bits: u32) -> Self {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = directory().join(format!("{number}.pem"));
        openssl(&["genrsa", "-out", file.to_str().unwrap(), &bits.to_string()], b"");
        Self::Rsa(file)
    }

    /// The file of an RSA key.
    pub fn file(&self) -> &std::path::Path {
        match self {
            Self::Rsa(file) => file,
            Self::Ed25519(_) => panic!("in memory"),
        }
    }

    /// The text record for it.
    pub fn record(&self) -> String {
        match self {
            Self::Ed25519(pair) => format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key())),
            Self::Rsa(file) => {
                let public = openssl(&["rsa", "-in", file.to_str().unwrap(), "-pubout", "-outform", "DER"], b"");
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public))
            }
        }
    }

    fn sign(&self, algorithm: &str, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(digest::digest(&digest::SHA256, data).as_ref()).as_ref().to_vec(),
            Self::Rsa(file) => {
                let hash = if algorithm == "rsa-sha1" { "-sha1" } else { "-sha256" };
                openssl(&["dgst", hash, "-sign", file.to_str().unwrap()], data)
            }
        }
    }
}

/// What a signature says.
#[derive(Clone)]
pub struct Tags {
    pub algorithm: &'static str,
    pub domain: &'static str,
    pub canonicalization: &'static str,
    /// h=
    pub signed: String,
    /// More tags, such as ` x=1;`.
    pub more: String,
    /// What is hashed for bh=, if it is not the canonical form of the message's body.
    pub body: Option<&'static str>,
}

impl Tags {
    pub fn ed25519(domain: &'static str) -> Self {
        Self {
            algorithm: "ed25519-sha256",
            domain,
            canonicalization: "relaxed/relaxed",
            signed: "from:subject".to_owned(),
            more: String::new(),
            body: None,
        }
    }

    pub fn rsa(domain: &'static str) -> Self {
        Self { algorithm: "rsa-sha256", ..Self::ed25519(domain) }
    }
}

/// The message with a signature on top, selector `s`. Its body must be canonical but for what [`Tags::body`] says.
pub fn sign(key: &Key, tags: &Tags, message: &str) -> String {
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let hashed = tags.body.unwrap_or(body);
    let body_hash = match tags.algorithm {
        "rsa-sha1" => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, hashed.as_bytes()),
        _ => digest::digest(&digest::SHA256, hashed.as_bytes()),
    };
    let unsigned = format!(
        "DKIM-Signature: v=1; a={}; c={}; d={}; s=s;\r\n\th={};{}\r\n\tbh={}; b=",
        tags.algorithm,
        tags.canonicalization,
        tags.domain,
        tags.signed,
        tags.more,
        STANDARD.encode(body_hash),
    );
    let canonical = |field: &str| -> String {
        if tags.canonicalization.starts_with("simple") {
            return field.to_owned();
        }
        let (name, value) = field.split_once(':').unwrap();
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        format!("{}:{}", name.to_ascii_lowercase(), words.join(" "))
    };
    let mut fields: Vec<String> = Vec::new();
    for line in header.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            let last = fields.last_mut().unwrap();
            *last += "\r\n";
            *last += line;
        } else {
            fields.push(line.to_owned());
        }
    }
    let mut data = String::new();
    for name in tags.signed.split(':') {
        // RFC 6376 section 5.4.2: from the bottom, each instance once.
        let found = fields.iter().rposition(|f| f.split(':').next().unwrap().eq_ignore_ascii_case(name));
        if let Some(place) = found {
            data += &canonical(&fields.remove(place));
            data += "\r\n";
        }
    }
    data += &canonical(&unsigned);
    let signature = STANDARD.encode(key.sign(tags.algorithm, data.as_bytes()));
    format!("{unsigned}{signature}\r\n{message}")
}
