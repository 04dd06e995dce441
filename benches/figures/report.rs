//! The report: tables with what was measured, the ratio that counts, and what it must reach.

use std::fmt::Write as _;
use std::fs;

use crate::Options;
use crate::process::run;

#[derive(Debug)]
pub struct Report {
    tables: Vec<Table>,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    title: String,
    text: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Report {
    pub fn new() -> Self {
        Self { tables: Vec::new() }
    }

    /// Adds a table; `text` says how it was measured.
    pub fn table(&mut self, title: &str, text: &str, head: &[&str]) -> &mut Table {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        self.tables.push(Table { title: title.to_owned(), text: text.to_owned(), head, rows: Vec::new() });
        self.tables.last_mut().unwrap()
    }

    pub fn render(&self, options: &Options) -> String {
        let mut text = format!(
            "# Performance\n\nWritten by `make bench` on {}: {}.\n\n\
             What is compared ran alternately in one run of {} rounds of {} s each; figures are medians. Ratios say more than\n\
             figures: they were taken on the same machine at the same time. **no** marks a target that this run missed;\n\
             [limits](limits.md) says what stops it. Redmine, Request Tracker and Action Mailbox beside\n\
             their own scripts behind pipe(8): [performance-applications](performance-applications.md), `make bench-apps`.\n",
            run("date", &["-u", "+%Y-%m-%d"]).trim(),
            machine(),
            options.rounds,
            options.seconds,
        );
        for table in &self.tables {
            table.render(&mut text);
        }
        text
    }
}

impl Table {
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        eprintln!("  {}", cells.join(" | "));
        self.rows.push(cells);
    }

    fn render(&self, text: &mut String) {
        write!(text, "\n## {}\n\n{}\n\n", self.title, self.text).unwrap();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut line = |cells: &[String]| {
            for (column, width) in widths.iter().enumerate() {
                let cell = cells.get(column).map_or("", String::as_str);
                let fill = " ".repeat(width - cell.chars().count());
                // The first column is text, the others are figures.
                let cell = if column == 0 { format!("{cell}{fill}") } else { format!("{fill}{cell}") };
                write!(text, "| {cell} ").unwrap();
            }
            text.push_str("|\n");
        };
        line(&self.head);
        let rule = widths.iter().enumerate().map(|(column, &width)| match column {
            0 => "-".repeat(width),
            _ => format!("{}:", "-".repeat(width - 1)),
        });
        line(&rule.collect::<Vec<_>>());
        self.rows.iter().for_each(|row| line(row));
    }
}

/// Whether a ratio reaches its target.
pub fn at_least(value: f64, target: f64) -> String {
    format!("≥ {target}: {}", if value >= target { "yes" } else { "**no**" })
}

/// Whether a ratio stays within its target.
pub fn at_most(value: f64, target: f64) -> String {
    format!("≤ {target}: {}", if value <= target { "yes" } else { "**no**" })
}

pub fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 50.0)
}

pub fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 - 1.0) * percent / 100.0;
    values.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}

pub fn mebibytes(octets: u64) -> String {
    format!("{:.1} MiB", octets as f64 / 1024.0 / 1024.0)
}

fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = information.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("unknown processor", |model| model.trim_start_matches(['\t', ' ', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux").trim_matches('"');
    let kernel = run("uname", &["-r"]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "{} × {model}, {:.0} GiB, {name}, Linux {}, load average at the end {load}",
        models.len(),
        kib as f64 / 1024.0 / 1024.0,
        kernel.trim()
    )
}
