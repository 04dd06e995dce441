//! `make bench`: measures the real binary beside its floor and its peers, and writes one report with ratios.
//!
//! What is compared runs alternately in the same run, so that a ratio means something also on a machine that is not
//! quiet; the figures themselves are medians. Nothing is measured that was not answered: a mail that a server did not
//! take ends the run.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod authentication;
mod cold;
mod growth;
mod latency;
mod lmtp;
mod memory;
mod null;
mod pipe;
mod place;
mod postfix;
mod process;
mod refuse;
mod report;
mod servers;
mod shared;
mod through_postfix;
mod throughput;
mod webhook;

#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use clap::Parser;

use report::Report;

/// Measures mailhatch beside its floor and its peers.
#[derive(Debug, Parser)]
pub struct Options {
    /// The mailhatch that is measured.
    #[arg(long, default_value = "target/release/mailhatch")]
    binary: PathBuf,
    /// Where spool, Maildir, ledger and queue stand: on the disk that is to be measured.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "docs/performance.md")]
    out: PathBuf,
    /// Only these sections: throughput, postfix, notices, pipe, cold, latency, refuse, memory, growth, authentication, shared.
    #[arg(long)]
    only: Vec<String>,
    /// Seconds a measurement takes.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How often each is repeated; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Entries of the largest ledger.
    #[arg(long, default_value_t = 1_000_000)]
    ledger: u64,
    /// Runs the LMTP service with an application that costs nothing, on this configuration.
    #[arg(long, value_name = "CONFIG", hide = true)]
    serve_null: Option<PathBuf>,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let mut options = Options::parse();
    if let Some(config) = &options.serve_null {
        return null::serve(config);
    }
    options.binary = options.binary.canonicalize().unwrap_or_else(|error| {
        panic!("{}: {error}; build it with cargo build --release", options.binary.display());
    });
    let mut report = Report::new();
    let sections: [(&str, fn(&Options, &mut Report)); 11] = [
        ("throughput", throughput::measure),
        ("postfix", through_postfix::measure),
        ("notices", throughput::measure_notices),
        ("cold", cold::measure),
        ("pipe", pipe::measure),
        ("latency", latency::measure),
        ("refuse", refuse::measure),
        ("memory", memory::measure),
        ("growth", growth::measure),
        ("authentication", authentication::measure),
        ("shared", shared::measure),
    ];
    for (name, measure) in sections {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            eprintln!("measuring: {name}");
            measure(&options, &mut report);
        }
    }
    let text = report.render(&options);
    println!("{text}");
    std::fs::write(&options.out, text).unwrap_or_else(|error| panic!("{}: {error}", options.out.display()));
}
