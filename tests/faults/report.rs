//! What a campaign prints, and whether it is good.

use std::fmt;
use std::time::Duration;

use crate::campaign::{Plan, Way};
use crate::evidence::Evidence;
use crate::trouble::Played;

/// The whole result.
pub struct Report {
    pub plan: Plan,
    /// Above the number of messages: Postfix was stopped while it took one, and got it once more.
    pub submissions: usize,
    pub played: Played,
    pub troubled: Duration,
    pub whole: Duration,
    pub evidence: Evidence,
}

impl Report {
    /// Prints it; panics if anything is wrong.
    pub fn print_and_judge(&self) {
        println!("{self}");
        let wrong = &self.evidence.wrong;
        for line in wrong.iter().take(20) {
            println!("WRONG: {}", line.chars().take(3000).collect::<String>());
        }
        assert!(wrong.is_empty(), "{} things are wrong; seed {}", wrong.len(), self.plan.seed);
        println!("Nothing lost, nothing twice without its reason, nothing bounced.");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, evidence, .. } = self;
        let events: usize = evidence.expected.values().sum();
        let wanted: usize =
            evidence.expected.iter().filter(|(class, _)| class.is_acknowledged()).map(|(_, count)| count).sum();
        let set_aside = events - wanted;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<38} {value}");
        row("way, seed", format!("{:?}, {}", plan.way, plan.seed))?;
        row("time: with troubles, in all", format!("{:.0?}, {:.0?}", self.troubled, self.whole))?;
        row("messages sent", format!("{} in {} tries", plan.messages, self.submissions))?;
        row("recipients", format!("{events}: {}", list(&evidence.expected)))?;
        row("troubles of the application", list(self.played.iter().filter(|(name, _)| !is_system(name))))?;
        row("other troubles", list(self.played.iter().filter(|(name, _)| is_system(name))))?;
        row("processes killed", evidence.kills.to_string())?;
        row("requests to the application", format!("{} on {} connections", evidence.requests, evidence.connections))?;
        row("acknowledged", format!("{} of {wanted}", evidence.acknowledged))?;
        row("distinct ids", evidence.distinct_ids.to_string())?;
        row("repeats after it was taken, by cause", list(&evidence.repeats))?;
        row("answered as duplicates", evidence.duplicates.to_string())?;
        // One host holds a copy of what came in on it, and so does the other.
        let of = if plan.way == Way::TwoHosts { String::new() } else { format!(" of {set_aside}") };
        row("held copies", format!("{}{of}", evidence.held))?;
        row("held for limits.patience meanwhile", evidence.patience.to_string())?;
        row("jumps of the clock noticed", evidence.jumps.to_string())?;
        row("deferred tries by cause", list(&evidence.deferred))?;
        row("bounced", evidence.bounced.to_string())?;
        row("left in the queue", evidence.left.to_string())?;
        row("mail to the outside", evidence.outgoing.to_string())?;
        row("wrong", evidence.wrong.len().to_string())
    }
}

/// Application troubles are written `Fails(…)`, `Away`, `Gone` and `Mixed`.
fn is_system(name: &str) -> bool {
    !(name.starts_with("Fails") || ["Away", "Gone", "Mixed"].contains(&name))
}

fn list<K: fmt::Debug, V: fmt::Display>(counts: impl IntoIterator<Item = (K, V)>) -> String {
    let counts: Vec<_> =
        counts.into_iter().map(|(name, count)| format!("{} {count}", format!("{name:?}").replace('"', ""))).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
