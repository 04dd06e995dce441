//! What the processes of a soak take, each second: memory, descriptors, threads, and the size of the ledger.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Soak;

/// The names of the columns; the first one is the second.
const COLUMNS: [&str; 9] = [
    "second",
    "serve_rss_kib",
    "serve_descriptors",
    "serve_threads",
    "fetch_rss_kib",
    "fetch_descriptors",
    "fetch_threads",
    "ledger_octets",
    "events",
];

/// The columns that must not grow, and by how much the median of the last quarter may be above that of the second.
const FLAT: [(usize, f64, f64); 6] =
    [(1, 1.1, 1024.0), (2, 1.0, 4.0), (3, 1.0, 2.0), (4, 1.1, 1024.0), (5, 1.0, 4.0), (6, 1.0, 2.0)];

type Row = [u64; COLUMNS.len()];

#[derive(Debug, Default)]
pub struct Samples {
    rows: Vec<Row>,
}

impl Samples {
    /// Takes one each second until it is told to stop. While a process is not there, there is none.
    pub fn take(soak: &Soak, started: Instant, stop: &AtomicBool) -> Self {
        let mut rows = Vec::new();
        for second in 1.. {
            sleep((started + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let processes = (soak.site.service_id().and_then(process), soak.reader.id().and_then(process));
            if let (Some(serve), Some(fetch)) = processes {
                let ledger = fs::metadata(soak.site.state().join("ledger.sqlite")).map_or(0, |file| file.len());
                let events = soak.application.events() as u64;
                rows.push([second, serve[0], serve[1], serve[2], fetch[0], fetch[1], fetch[2], ledger, events]);
            }
        }
        Self { rows }
    }

    /// Writes `soak.csv`.
    pub fn write(&self, directory: &Path) {
        let line = |row: &Row| row.map(|value| value.to_string()).join(",") + "\n";
        let lines: String = self.rows.iter().map(line).collect();
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("soak.csv"), format!("{}\n{lines}", COLUMNS.join(","))).unwrap();
    }

    /// What has grown.
    pub fn growth(&self) -> Vec<String> {
        let grown = FLAT.into_iter().filter_map(|(column, factor, more)| {
            let (second, last) = (self.median(1, column), self.median(3, column));
            let limit = second as f64 * factor + more;
            (last as f64 > limit).then(|| format!("{} grew from {second} to {last}", COLUMNS[column]))
        });
        // The ledger keeps an id for ten days: in a soak it only grows. What it takes for an event must not.
        let (second, last) = (self.octets_per_event(1), self.octets_per_event(3));
        let ledger = (last > second * 1.1)
            .then(|| format!("an event took {second:.0} octets of the ledger, and then {last:.0}"));
        grown.chain(ledger).collect()
    }

    /// The samples of a quarter, 0 to 3.
    fn quarter(&self, number: usize) -> &[Row] {
        let size = self.rows.len() / 4;
        &self.rows[number * size..(number + 1) * size]
    }

    fn median(&self, quarter: usize, column: usize) -> u64 {
        let mut values: Vec<u64> = self.quarter(quarter).iter().map(|row| row[column]).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }

    fn octets_per_event(&self, quarter: usize) -> f64 {
        let of = |column| {
            let rows = self.quarter(quarter);
            (rows[rows.len() - 1][column] - rows[0][column]) as f64
        };
        of(7) / of(8)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| median | second quarter | last quarter |\n|---|---|---|")?;
        for (column, ..) in FLAT {
            let name = COLUMNS[column].replace("_rss_kib", ", resident KiB").replace('_', ", ");
            writeln!(f, "| {name} | {} | {} |", self.median(1, column), self.median(3, column))?;
        }
        writeln!(f, "| ledger, octets an event | {:.0} | {:.0} |", self.octets_per_event(1), self.octets_per_event(3))?;
        writeln!(f, "| ledger, octets | {} | {} |", self.median(1, 7), self.median(3, 7))
    }
}

/// Resident memory in KiB, descriptors, threads.
fn process(id: u32) -> Option<[u64; 3]> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64;
    Some([value("VmRSS:")?, descriptors, value("Threads:")?])
}
