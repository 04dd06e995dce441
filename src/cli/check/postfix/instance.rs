//! One Postfix as its own commands tell of it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The settings and services of one Postfix.
#[derive(Debug)]
pub(super) struct Instance {
    directory: Option<PathBuf>,
    settings: HashMap<String, String>,
    /// `-o` options and the like: `service/type/parameter`.
    overrides: HashMap<String, String>,
    pub(super) services: Vec<Service>,
}

/// A line of master.cf.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) chroot: bool,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
}

/// Why there is nothing to check.
#[derive(Debug)]
pub(super) enum Absent {
    /// No postconf.
    NotInstalled,
    /// postconf says no.
    Broken(String),
}

impl Instance {
    /// Asks postconf for everything at once.
    pub(super) fn read(directory: Option<&Path>) -> Result<Self, Absent> {
        let mut instance = Self {
            directory: directory.map(Path::to_owned),
            settings: HashMap::new(),
            overrides: HashMap::new(),
            services: Vec::new(),
        };
        instance.settings = pairs(&instance.postconf(&["-x"])?);
        instance.overrides = pairs(&instance.postconf(&["-P", "-x"])?);
        let by_default = if instance.compatibility_level() < 1 { "y" } else { "n" };
        let master = instance.postconf(&["-M"])?;
        instance.services = master.lines().filter_map(|line| service(line, by_default)).collect();
        Ok(instance)
    }

    /// For the first line.
    pub(super) fn name(&self) -> String {
        let directory = self.setting("config_directory");
        format!("Postfix {} with {directory}/main.cf as {}", self.setting("mail_version"), self.setting("myhostname"))
    }

    /// A parameter of main.cf, expanded; empty if there is none.
    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    /// A parameter as a service has it.
    pub(super) fn setting_of(&self, service: &str, kind: &str, name: &str) -> &str {
        self.overrides.get(&format!("{service}/{kind}/{name}")).map_or_else(|| self.setting(name), String::as_str)
    }

    /// The services of a kind that have another value of a parameter than main.cf.
    pub(super) fn overridden(&self, name: &str) -> impl Iterator<Item = &str> {
        let end = format!("/{name}");
        self.overrides.iter().filter(move |(key, _)| key.ends_with(&end)).map(|(_, value)| value.as_str())
    }

    pub(super) fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name && service.kind == "unix")
    }

    /// A parameter that is a time, where a number alone has `unit`.
    pub(super) fn time(value: &str, unit: char) -> Option<Duration> {
        let value = value.trim();
        let (digits, unit) = match value.char_indices().next_back()? {
            (_, last) if last.is_ascii_digit() => (value, unit),
            (at, last) => (&value[..at], last),
        };
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
    }

    /// What the tables of a parameter say to a key; the first answer counts.
    pub(super) fn look_up(&self, tables: &str, key: &str) -> Result<Option<String>, String> {
        for table in elements(tables).into_iter().filter(|element| element.contains(':')) {
            // What proxymap(8) reads for others, postmap reads itself.
            let table = table.trim_start_matches("proxy:");
            let output = self.run("postmap", &["-q", key, table]).map_err(|error| format!("postmap: {error}"))?;
            let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if !answer.is_empty() {
                return Ok(Some(answer));
            }
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if complaint.contains("fatal:") || complaint.contains("error:") {
                return Err(format!("{table} cannot be asked: {complaint}"));
            }
        }
        Ok(None)
    }

    /// The keys of the tables of a parameter that can be listed, and the tables that cannot.
    pub(super) fn entries(&self, tables: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let (mut keys, mut not_listed) = (Vec::new(), Vec::new());
        for table in elements(tables).into_iter().filter(|element| element.contains(':')) {
            let bare = table.trim_start_matches("proxy:");
            if !["texthash:", "hash:", "btree:", "lmdb:", "inline:"].iter().any(|kind| bare.starts_with(kind)) {
                not_listed.push(table);
                continue;
            }
            let output = self.run("postmap", &["-s", bare]).map_err(|error| format!("postmap: {error}"))?;
            if !output.status.success() {
                let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(format!("{table} cannot be listed: {complaint}"));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            keys.extend(text.lines().filter_map(|line| Some(line.split_once('\t')?.0.to_owned())));
        }
        Ok((keys, not_listed))
    }

    /// Whether a domain is in a list such as mydestination (domain names, files, tables, and `!` before any of them).
    pub(super) fn lists(&self, name: &str, domain: &str) -> Result<bool, String> {
        for element in elements(self.setting(name)) {
            let (wanted, element) = match element.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, element.as_str()),
            };
            let matches = if element.starts_with('/') {
                let text = std::fs::read_to_string(element).map_err(|error| format!("{name}: {element}: {error}"))?;
                text.split_whitespace().any(|word| word.eq_ignore_ascii_case(domain))
            } else if element.contains(':') {
                self.look_up(element, domain)?.is_some()
            } else {
                element.eq_ignore_ascii_case(domain) || (name == "relay_domains" && is_below(domain, element))
            };
            if matches {
                return Ok(wanted);
            }
        }
        Ok(false)
    }

    fn compatibility_level(&self) -> u32 {
        self.setting("compatibility_level").split('.').next().and_then(|level| level.parse().ok()).unwrap_or(0)
    }

    fn postconf(&self, arguments: &[&str]) -> Result<String, Absent> {
        let output = match self.run("postconf", arguments) {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Absent::NotInstalled),
            Err(error) => return Err(Absent::Broken(format!("postconf: {error}"))),
        };
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Absent::Broken(format!("the configuration of Postfix cannot be read: {complaint}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(path_of(program));
        if let Some(directory) = &self.directory {
            command.arg("-c").arg(directory);
        }
        let mut process =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut input) = process.stdin.take() {
            let _ = input.flush();
        }
        process.wait_with_output()
    }
}

/// Postfix's commands are in /usr/sbin, which is not in everybody's PATH.
fn path_of(program: &str) -> PathBuf {
    let usual = Path::new("/usr/sbin").join(program);
    if usual.exists() { usual } else { PathBuf::from(program) }
}

fn is_below(domain: &str, parent: &str) -> bool {
    let (domain, parent) = (domain.to_lowercase(), parent.to_lowercase());
    domain.strip_suffix(&parent).is_some_and(|start| start.ends_with('.'))
}

/// `name = value` lines.
fn pairs(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    text.lines().filter_map(pair).collect()
}

/// The elements of a list: separated by blanks and commas, but not within braces.
pub(super) fn elements(list: &str) -> Vec<String> {
    let (mut found, mut element, mut depth) = (Vec::new(), String::new(), 0_u32);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c == ',' || c.is_whitespace()) {
            found.push(std::mem::take(&mut element));
        } else {
            element.push(c);
        }
    }
    found.push(element);
    found.retain(|element| !element.is_empty());
    found
}

fn service(line: &str, chroot_by_default: &str) -> Option<Service> {
    let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let chroot = match words.get(4)?.as_str() {
        "-" => chroot_by_default,
        other => other,
    };
    Some(Service {
        name: words[0].clone(),
        kind: words[1].clone(),
        chroot: chroot == "y",
        command: words.get(7..)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_outside_of_braces() {
        assert_eq!(elements("a, b  c,hash:/x"), ["a", "b", "c", "hash:/x"]);
        assert_eq!(elements("inline:{ a=b, c=d } texthash:/y"), ["inline:{ a=b, c=d }", "texthash:/y"]);
        assert_eq!(elements(" ,"), Vec::<String>::new());
    }

    #[test]
    fn times_have_units() {
        let rows = [("5d", 432_000), ("300", 300), ("4h", 14_400), ("1w", 604_800), ("0", 0), ("2m", 120), ("17s", 17)];
        for (text, seconds) in rows {
            assert_eq!(Instance::time(text, 's'), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(Instance::time("5", 'd'), Some(Duration::from_secs(432_000)));
        for text in ["", "d", "$x", "-1"] {
            assert_eq!(Instance::time(text, 's'), None, "{text}");
        }
    }
}
