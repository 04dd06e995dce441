//! The rules on mail that other projects publish, where `MAILHATCH_CORPUS` points at it.

use std::collections::BTreeMap;
use std::path::Path;

use mailhatch::mail::{Content, Envelope, Message, Sender};
use mailhatch::screen;
use mailhatch::trail::Trail;

use super::envelope;
use crate::support::needs;
use crate::support::parts::corpus;

/// A line of `mail/INDEX.tsv`.
struct Sample {
    path: String,
    class: String,
    sender: String,
}

#[derive(Default)]
struct Tally {
    flagged: BTreeMap<&'static str, usize>,
    missed: Vec<String>,
    /// Flagged, with the rule and what it saw.
    hits: Vec<String>,
}

impl Tally {
    fn count(&self) -> usize {
        self.flagged.values().sum()
    }
}

fn samples(folder: &Path) -> Vec<Sample> {
    // Not all of the index is UTF-8, and a description may go on in another line: that line names no file.
    let index = String::from_utf8_lossy(&std::fs::read(folder.join("INDEX.tsv")).unwrap()).into_owned();
    let samples = index.lines().skip(1).filter_map(|line| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (path, class) = (columns.next()?, columns.next()?);
        let sender = columns.next().unwrap_or_default();
        folder.join(&path).is_file().then_some(Sample { path, class, sender })
    });
    samples.collect()
}

/// The envelope of a sample: where the index does not name the sender, it is in Return-Path, else in From.
fn envelope_of(sample: &Sample, message: &Message) -> Envelope {
    let path = match sample.sender.as_str() {
        "" => message.first("Return-Path").map(|field| field.text().split_ascii_whitespace().collect::<String>()),
        known => Some(known.to_owned()),
    };
    // An empty Return-Path says nothing; only `<>` says that there was no sender.
    let sender = path.filter(|path| !path.is_empty()).map(|path| Sender::from_path(&path));
    let author = || Some(message.addresses("From").entries.into_iter().next()?.address?.to_string());
    envelope(sender.or_else(|| Some(Sender::from_path(&author()?))).unwrap_or(Sender::Unknown))
}

#[needs(corpus)]
#[test]
fn published_mail_is_told_apart() {
    let folder = corpus().join("mail");
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for sample in samples(&folder) {
        let message = Message::parse(Content::whole(std::fs::read(folder.join(&sample.path)).unwrap()));
        let findings = screen::examine(&envelope_of(&sample, &message), &message, Trail::off());
        let tally = tallies.entry(sample.class.clone()).or_default();
        match findings.machine_made {
            Some(hit) => {
                *tally.flagged.entry(hit.rule).or_default() += 1;
                tally.hits.push(format!("{}: {} ({})", sample.path, hit.rule, hit.detail));
            }
            None => tally.missed.push(sample.path),
        }
    }
    report(&tallies);

    let of = |class: &str| tallies.get(class).unwrap_or_else(|| panic!("no sample of the class {class}"));
    let machine = ["auto-reply", "auto-generated", "mdn", "feedback-report"];
    let missed: usize = machine.iter().map(|class| of(class).missed.len()).sum();
    assert!(missed <= 1, "{missed} automatic messages are missed");
    let bounces = of("bounce");
    let all = bounces.count() + bounces.missed.len();
    assert!(bounces.count() * 100 >= all * 96, "only {} of {all} bounces are found", bounces.count());
    for class in ["normal", "list", "malformed", "dmarc-vector", "auth/parse-vector"] {
        assert_eq!(of(class).hits, Vec::<String>::new(), "people's mail of the class {class} is set aside");
    }
}

#[allow(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`, and kept in the documentation")]
fn report(tallies: &BTreeMap<String, Tally>) {
    println!("{:<18} {:>7} {:>7}  rules", "class", "flagged", "passed");
    for (class, tally) in tallies {
        let rules: Vec<_> = tally.flagged.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        println!("{class:<18} {:>7} {:>7}  {}", tally.count(), tally.missed.len(), rules.join(", "));
    }
    for class in ["auto-reply", "auto-generated", "mdn", "feedback-report", "bounce", "bounce-unparsed"] {
        for path in tallies.get(class).into_iter().flat_map(|tally| &tally.missed) {
            println!("passed: {class} {path}");
        }
    }
}
