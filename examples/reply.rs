//! Reads text from standard input, HTML with `--html`, and prints its reply as JSON: what `tests/reply/compare.py` runs.
#![allow(clippy::print_stdout, reason = "a program for tests")]

use std::io::Read;

use mailhatch::mail::{BodyText, Partition};
use serde_json::json;

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let body = if std::env::args().any(|argument| argument == "--html") {
        BodyText::from_html(&input)
    } else {
        BodyText::from_plain(input)
    };
    let partition = Partition::read(&body, None);
    let reply = partition.of(body.as_str());
    let (text, quoted): (String, String) = (reply.text().collect(), reply.quoted().collect());
    let signature: String = reply.signature().collect();
    println!("{}", json!({"whole": body.as_str(), "text": text, "quoted": quoted, "signature": signature}));
    Ok(())
}
