//! The books of a campaign: for each message and recipient what must have become of it, and what has.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;

use crate::application::{Application, Attempt, Ended, Event};
use crate::campaign::Plan;
use crate::links::Victim;
use crate::mail::{Class, Mail};
use crate::site::{Kill, Site};
use crate::support::postfix::Postfix;

/// How long a request of a killed process may lie in the application's socket.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Why an event was shown once more to an application that had taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    /// It broke off after taking it.
    BrokenOff,
    /// mailhatch was killed before its record.
    Killed,
    /// The acknowledgement came after mailhatch had given up.
    Late,
    /// The store of all hosts did not answer one of them, which said so.
    SharedDown,
    /// A host was stopped, or cut off from the store, for longer than its claim, and said so.
    LostLease,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Recipients by what must become of them.
    pub expected: BTreeMap<Class, usize>,
    pub acknowledged: usize,
    pub distinct_ids: usize,
    pub requests: usize,
    pub connections: usize,
    pub repeats: BTreeMap<Repeat, usize>,
    pub held: usize,
    pub kills: usize,
    /// Deferred tries by cause, as Postfix logged them.
    pub deferred: BTreeMap<String, usize>,
    pub duplicates: usize,
    /// Messages that were held because their application was away for so long.
    pub patience: usize,
    /// How often mailhatch said that the clock jumped.
    pub jumps: usize,
    pub bounced: usize,
    pub left: usize,
    pub outgoing: usize,
    /// Everything that must not be.
    pub wrong: Vec<String>,
}

struct Records<'a> {
    events: &'a HashMap<String, Event>,
    /// The held copies of each host: Message-ID and recipient, verdict and rule.
    held: Vec<HashMap<(String, String), Vec<(String, String)>>>,
    kills: Vec<Kill>,
    /// What the service logged of each id.
    log: HashMap<&'a str, Vec<&'a str>>,
}

impl Evidence {
    /// Compares everything with the plan.
    pub fn gather(sites: &[Site], application: &Application, plan: Plan) -> Self {
        let (events, wrong) = application.record();
        let mut this = Self { wrong, connections: application.connections(), ..Self::default() };
        sites.iter().for_each(|site| this.read_postfix(&site.postfix));
        let service_log: String = sites.iter().map(|site| site.service_log()).collect();
        let records = Records {
            events: &events,
            held: sites.iter().map(|site| this.held_copies(site)).collect(),
            kills: sites.iter().flat_map(Site::kills).collect(),
            log: by_id(&service_log),
        };
        this.kills = records.kills.len();
        this.duplicates = service_log.lines().filter(|line| line.contains("verdict=duplicate")).count();
        this.patience = service_log.lines().filter(|line| line.contains("verdict=held reason=patience")).count();
        this.jumps = service_log.lines().filter(|line| line.contains("the clock jumped")).count();
        this.wrong.extend(sites.iter().filter_map(|site| Victim::damage(&site.victim())));
        for sign in ["panic", "internal-error", "outcomes for"] {
            if let Some(line) = service_log.lines().find(|line| line.contains(sign)) {
                this.wrong.push(format!("mailhatch logged: {line}"));
            }
        }
        let mut ids: HashMap<&str, Vec<&String>> = HashMap::new();
        for (id, event) in &events {
            ids.entry(&event.whose).or_default().push(id);
            this.requests += event.attempts.len();
        }
        let mut shown = 0;
        for number in 0..plan.messages {
            let mail = Mail::new(plan.seed, number);
            let mut hosts = plan.hosts(number, &mail);
            hosts.dedup();
            for recipient in mail.recipients {
                let (class, address) = (recipient.class, recipient.address.as_str());
                *this.expected.entry(class).or_default() += 1;
                let ids = ids.get(whose(class, address).as_str()).cloned().unwrap_or_default();
                shown += ids.len();
                this.judge_application(class, address, &ids, &records);
                for &host in &hosts {
                    this.judge_held(class, number, address, &records.held[host]);
                }
            }
        }
        sites.iter().for_each(|site| this.show_log_of_the_wrong(site));
        if shown != events.len() {
            this.wrong.push(format!("{} events that nobody sent", events.len() - shown));
        }
        this
    }

    /// What a Postfix has done and still has; of another one than the site's, after the rest.
    pub fn read_postfix(&mut self, postfix: &Postfix) {
        let log = postfix.log();
        for line in log.lines() {
            if line.contains("status=deferred") {
                let cause =
                    line.split_once("deferred: ").map_or("mailhatch cannot be reached, or died", |(_, rest)| {
                        rest.split(['(', ')'])
                            .next()
                            .unwrap_or_default()
                            .split(" id=")
                            .next()
                            .unwrap_or_default()
                            .trim()
                    });
                *self.deferred.entry(cause.to_owned()).or_default() += 1;
            }
            // SOFTBOUNCE: it would have been a bounce, had the wiring not asked to keep it.
            if ["status=bounced", "SOFTBOUNCE", "non-delivery notification", "status=expired"]
                .iter()
                .any(|w| line.contains(w))
            {
                self.bounced += 1;
                self.wrong.push(format!("bounced: {line}"));
            }
            if ["panic:", "fatal:"].iter().any(|word| line.contains(word)) {
                self.wrong.push(format!("Postfix: {line}"));
            }
        }
        let (left, outgoing) = (postfix.queue().len(), postfix.outgoing().len());
        if left + outgoing > 0 {
            self.wrong.push(format!("{left} messages left in the queue, {outgoing} sent out"));
        }
        self.left += left;
        self.outgoing += outgoing;
    }

    /// What Postfix logged of each recipient with which something is wrong.
    fn show_log_of_the_wrong(&mut self, site: &Site) {
        let (log, service_log) = (site.postfix.log(), site.service_log());
        for wrong in &mut self.wrong {
            let Some(address) = wrong.split([' ', ',']).next().filter(|word| word.contains('@')) else { continue };
            let mark = format!("to=<{address}>");
            for line in log.lines().filter(|line| line.contains(&mark)) {
                wrong.push_str(&format!("\n    {line}"));
            }
            let id = wrong.split(' ').find_map(|word| word.strip_prefix("id=")).map(str::to_owned);
            for line in id.iter().flat_map(|id| service_log.lines().filter(move |line| line.contains(id))) {
                wrong.push_str(&format!("\n    {line}"));
            }
        }
    }

    fn held_copies(&mut self, site: &Site) -> HashMap<(String, String), Vec<(String, String)>> {
        let mut copies: HashMap<_, Vec<_>> = HashMap::new();
        for entry in fs::read_dir(site.state().join("held")).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let record: serde_json::Value = serde_json::from_slice(&fs::read(path.join("held.json")).unwrap()).unwrap();
            let message = fs::read(path.join("message.eml")).unwrap();
            let text = String::from_utf8_lossy(&message);
            let number = text.split("Message-ID: <").nth(1).and_then(|rest| rest.split('@').next()).unwrap_or_default();
            if !text.ends_with(&format!("The end of message {number}.\r\n")) {
                self.wrong.push(format!("the held copy {} is not whole", path.display()));
            }
            let part = |name: &str| text_at(&record, name);
            copies.entry((number.to_owned(), part("recipient"))).or_default().push((part("verdict"), part("rule")));
            self.held += 1;
        }
        copies
    }

    fn judge_application(&mut self, class: Class, address: &str, ids: &[&String], records: &Records) {
        let expected = usize::from(class.reaches_application());
        if ids.len() != expected {
            self.wrong
                .push(format!("{address}, {class:?}: {} ids at the application instead of {expected}", ids.len()));
            return;
        }
        let [id] = ids else { return };
        let attempts = &records.events[*id].attempts;
        let acknowledged = attempts.iter().any(|attempt| attempt.ended == Ended::Acknowledged);
        self.distinct_ids += 1;
        self.acknowledged += usize::from(acknowledged);
        if acknowledged != class.is_acknowledged() {
            self.wrong.push(format!("{address}, {class:?}: acknowledged: {acknowledged}: {attempts:?}"));
        }
        if class.is_acknowledged() {
            self.explain_repeats(address, id, attempts, records);
        }
    }

    /// Each request after the application has taken the event needs its reason.
    fn explain_repeats(&mut self, address: &str, id: &str, attempts: &[Attempt], records: &Records) {
        let mut late = records.late(id, attempts);
        for pair in attempts.windows(2) {
            let [before, after] = pair else { continue };
            let repeat = match before.ended {
                Ended::BrokenOff => Repeat::BrokenOff,
                Ended::Acknowledged if records.was_killed(address, before, after) => Repeat::Killed,
                Ended::Acknowledged if late > 0 => {
                    late -= 1;
                    Repeat::Late
                }
                Ended::Acknowledged if records.says(id, "shared=down") => Repeat::SharedDown,
                Ended::Acknowledged if records.says(id, "twice, with the same id") => Repeat::LostLease,
                Ended::Acknowledged => {
                    let near = |kill: &&Kill| {
                        before.began <= kill.at + 10 * A_MOMENT && kill.at <= after.began + 10 * A_MOMENT
                    };
                    let kills: Vec<_> = records
                        .kills
                        .iter()
                        .filter(|kill| kill.recipient.as_deref().is_none_or(|r| r == address))
                        .filter(near)
                        .collect();
                    self.wrong.push(format!(
                        "{address} id={id} was acknowledged and asked again: {attempts:?}, kills {kills:?}"
                    ));
                    continue;
                }
                Ended::NotTaken | Ended::Declined => continue,
            };
            *self.repeats.entry(repeat).or_default() += 1;
        }
        let recorded = records.recorded(id);
        if recorded > 1 && !records.says(id, "shared=down") {
            self.wrong.push(format!("{address} id={id} was recorded as delivered {recorded} times"));
        }
    }

    fn judge_held(
        &mut self,
        class: Class,
        number: usize,
        address: &str,
        held: &HashMap<(String, String), Vec<(String, String)>>,
    ) {
        let copies = held.get(&(number.to_string(), address.to_owned())).cloned().unwrap_or_default();
        let expected: Vec<_> = class.held_as().into_iter().map(|(v, r)| (v.to_owned(), r.to_owned())).collect();
        if copies != expected {
            self.wrong.push(format!("{address}, {class:?}: held copies are {copies:?}, not {expected:?}"));
        }
    }
}

impl Records<'_> {
    fn was_killed(&self, address: &str, before: &Attempt, after: &Attempt) -> bool {
        self.kills.iter().any(|kill| {
            let whose = kill.recipient.as_deref().is_none_or(|recipient| recipient == address);
            // A process may be killed when its request is on the way: the application takes it all the same, a moment later.
            whose && before.began <= kill.at + A_MOMENT && kill.at <= after.began
        })
    }

    fn lines(&self, id: &str) -> impl Iterator<Item = &&str> {
        self.log.get(id).into_iter().flatten()
    }

    /// Whether a host said this of it.
    fn says(&self, id: &str, text: &str) -> bool {
        self.lines(id).any(|line| line.contains(text))
    }

    /// How often the service waited in vain although the application did not hang.
    fn late(&self, id: &str, attempts: &[Attempt]) -> usize {
        let in_vain = |line: &&&str| line.contains("no whole answer within") || line.contains("reason=deadline");
        let hung = attempts.iter().filter(|attempt| attempt.hung).count();
        self.lines(id).filter(in_vain).count().saturating_sub(hung)
    }

    /// How often the service logged that it has delivered and recorded it.
    fn recorded(&self, id: &str) -> usize {
        self.lines(id).filter(|line| line.contains("verdict=delivered") && !line.contains("warning=")).count()
    }
}

fn by_id(log: &str) -> HashMap<&str, Vec<&str>> {
    let mut lines: HashMap<_, Vec<_>> = HashMap::new();
    for line in log.lines() {
        if let Some(id) = line.split(' ').find_map(|word| word.strip_prefix("id=")) {
            lines.entry(id).or_default().push(line);
        }
    }
    lines
}

/// What the application calls a recipient.
fn whose(class: Class, address: &str) -> String {
    let key = address.split('@').next().and_then(|local| local.split('+').nth(1)).unwrap_or_default();
    format!("{key}@{}", if class == Class::Gitlab { "gitlab" } else { "hook" })
}

/// A text of `held.json`; the recipient is an object with its address.
fn text_at(record: &serde_json::Value, name: &str) -> String {
    let value = &record[name];
    value.as_str().or_else(|| value["address"].as_str()).unwrap_or_default().to_owned()
}
