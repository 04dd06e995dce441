//! What Postfix is answered about a recipient before it takes the message, and what `explain` says of that.
//!
//! Only the configuration is asked: no application, no name server, no ledger. So an answer takes microseconds, cannot fail,
//! and tells nobody which keys exist.

use super::Engine;
use crate::config::{Config, RefuseMode};
use crate::intake::policy::{Answer, Decide, Request};
use crate::log_line::{Level, LogLine};
use crate::mail::{Address, Recipient};
use crate::route::{Foreseeable, Routes};
use crate::trail::Step;

/// The answer for an address and a declared size in octets, as if `refuse.mode` were "refuse".
pub(crate) fn answer_at_rcpt(
    config: &Config,
    routes: &Routes,
    address: &Address,
    declared_size: u64,
) -> (Foreseeable, Answer) {
    let foreseeable = routes.could_be(address);
    let limit = config.limits.message_size;
    let answer = if foreseeable.is_unknown_address() {
        Answer::UnknownAddress
    } else if foreseeable.comes_here() && declared_size > limit {
        Answer::TooLarge { limit }
    } else {
        Answer::Dunno
    };
    (foreseeable, answer)
}

impl Engine {
    /// The step of `explain`: what Postfix would have been answered, if it asks. `None` if nobody said whom the message was
    /// sent to.
    pub(super) fn explain_rcpt(&self, recipient: &Recipient, size: u64) -> Option<Step> {
        // Postfix asks before it follows aliases.
        let written = recipient.original.as_deref().unwrap_or(&recipient.address);
        if written.is_empty() {
            return None;
        }
        let step = |result, detail| Some(Step { step: "refuse", rule: "rcpt".to_owned(), result, detail });
        let Some(address) = Address::parse(written) else {
            return step("passed", "not an address with a domain".to_owned());
        };
        match (answer_at_rcpt(&self.config, &self.routes, &address, size), self.config.refuse.mode) {
            ((why, Answer::Dunno), _) => step("passed", why.to_string()),
            ((why, answer), RefuseMode::Log) => step("passed", format!("refuse.mode = \"log\", else {answer} ({why})")),
            ((why, answer), RefuseMode::Refuse) => step("refused", format!("if Postfix asks: {answer} ({why})")),
        }
    }
}

impl Decide for Engine {
    fn decide(&self, request: &Request) -> Answer {
        let address = request.recipient_address().filter(|_| request.is_about_recipient());
        let Some(address) = address else { return Answer::Dunno };
        let (_, answer) = answer_at_rcpt(&self.config, &self.routes, &address, request.size);
        if answer == Answer::Dunno {
            return answer;
        }
        let mut line = LogLine::event(Level::Info, "refused-at-rcpt");
        line.put("reason", answer.name());
        line.put("to", self.routes.mask_recipient(address.as_str()));
        line.put("sender", self.routes.mask(&request.sender));
        line.put("client", &request.client);
        line.put("instance", &request.instance);
        match self.config.refuse.mode {
            RefuseMode::Refuse => {
                self.telemetry.log(&line);
                answer
            }
            RefuseMode::Log => {
                line.put("mode", "log");
                self.telemetry.log(&line);
                Answer::Dunno
            }
        }
    }
}
