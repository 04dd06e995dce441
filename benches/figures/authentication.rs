//! What SPF, DKIM and DMARC cost with a warm cache.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::Options;
use crate::lmtp::{Lmtp, message};
use crate::place::{Kind, RECIPIENT, Setup};
use crate::process::run;
use crate::report::{Report, at_most, median};
use crate::servers::{self, Target};
use crate::support::name_server::{NameServer, Zone};

const CLIENT: &str = "ADDR=8.8.4.4 NAME=mail.example.org HELO=mail.example.org";

pub fn measure(options: &Options, report: &mut Report) {
    let scratch = tempfile::TempDir::new_in(&options.dir).unwrap();
    let (key, public) = rsa_key(scratch.path());
    let zone = Zone::new()
        .txt("example.org", "v=spf1 ip4:8.8.4.0/24 -all")
        .txt("s._domainkey.example.org", &format!("v=DKIM1; k=rsa; p={public}"))
        .txt("_dmarc.example.org", "v=DMARC1; p=reject");
    let name_server = NameServer::start(zone);
    let mut with = Setup::new(Kind::Spool);
    with.name_server = Some(name_server.address());
    let targets = [
        servers::null("without", &options.dir, &Setup::new(Kind::Spool)),
        servers::null("with SPF, DKIM (RSA-2048) and DMARC", &options.dir, &with),
    ];
    let signer = DkimSigner::from_key(RsaKey::<Sha256>::from_key_der(key).unwrap())
        .domain("example.org")
        .selector("s")
        .headers(["From", "To", "Subject", "Date", "Message-ID"]);
    let mut costs = vec![Vec::new(); targets.len()];
    let mails = (options.seconds * 1000.0) as u64;
    for round in 0..options.rounds as u64 {
        let signed: Vec<Vec<u8>> = (0..mails).map(|number| sign(&signer, (round << 32) + number)).collect();
        for (cost, target) in costs.iter_mut().zip(&targets) {
            cost.push(cost_of(target, &signed));
        }
    }
    let asked = name_server.questions().len();
    let table = report.table(
        "SPF, DKIM and DMARC",
        &format!(
            "4 KB, one session, an application that costs nothing; a loopback name server, which was asked {asked} times about \
             {} mails.",
            mails * options.rounds as u64
        ),
        &["mailhatch", "CPU ms/mail", "more, ms", "target"],
    );
    let without = median(costs[0].clone());
    for (cost, target) in costs.into_iter().zip(&targets) {
        let cpu = median(cost);
        let goal = if target.name == "without" { String::new() } else { at_most(cpu - without, 0.5) };
        table.row([target.name.to_owned(), format!("{cpu:.3}"), format!("{:.3}", cpu - without), goal]);
    }
}

fn cost_of(target: &Target, mails: &[Vec<u8>]) -> f64 {
    let recipients = [RECIPIENT.to_owned()];
    let mut client = Lmtp::connect(&target.socket);
    let before = target.server.cpu();
    for mail in mails {
        client.send(Some(CLIENT), "jane@example.org", &recipients, mail);
    }
    (target.server.cpu() - before).as_secs_f64() * 1000.0 / mails.len() as f64
}

fn sign(signer: &DkimSigner<RsaKey<Sha256>, mail_auth::dkim::Done>, number: u64) -> Vec<u8> {
    let mut mail = message(number, 4096);
    // The dot is the transport's.
    mail.truncate(mail.len() - 3);
    let mut signed = signer.sign(&mail).unwrap().to_header().into_bytes();
    signed.extend_from_slice(&mail);
    signed.extend_from_slice(b".\r\n");
    signed
}

/// A fresh key, and its public half as DNS has it. ring makes no RSA keys, so openssl does.
fn rsa_key(dir: &Path) -> (PrivateKeyDer<'static>, String) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (private, public) = (path("private.pem"), path("public.der"));
    run("openssl", &["genrsa", "-traditional", "-out", &private, "2048"]);
    run("openssl", &["rsa", "-in", &private, "-pubout", "-outform", "DER", "-out", &public]);
    let key = PrivateKeyDer::from_pem_file(&private).unwrap();
    (key, STANDARD.encode(fs::read(&public).unwrap()))
}
