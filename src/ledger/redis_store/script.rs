//! The scripts that run in Redis, each in one step for all hosts, and the keys that they work on.
//!
//! All keys begin with `{PREFIX}:`, braces included, so that those of one script are in one slot of a cluster.

use std::fmt::Write;
use std::sync::LazyLock;

use redis::Cmd;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::hmac;

use super::super::delivery_log::NoticeRequest;
use crate::event_id::EventId;

/// A script, and the name that Redis knows it by once it has run.
#[derive(Debug)]
pub(super) struct Script {
    /// Its keys are independent of each other, each with as many arguments as every other, and an answer for each.
    pub(super) takes_many: bool,
    body: &'static str,
    sha1: LazyLock<String>,
}

macro_rules! script {
    ($file:literal, $takes_many:literal) => {
        Script {
            takes_many: $takes_many,
            body: include_str!($file),
            sha1: LazyLock::new(|| hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, include_bytes!($file)).as_ref())),
        }
    };
}

/// Claims events.
pub(super) static CLAIM: Script = script!("claim.lua", true);
/// Keeps claims, or gives them back.
pub(super) static LEASE: Script = script!("lease.lua", true);
/// Writes down that events are delivered.
pub(super) static RECORD: Script = script!("record.lua", true);
/// Reserves, cancels or confirms a notice.
pub(super) static NOTICE: Script = script!("notice.lua", false);

/// How a script is named to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By its hash: some octets, and Redis may have forgotten it.
    Hash,
    /// With all of its text.
    Text,
}

/// One call of a script.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) script: &'static Script,
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
}

impl Call {
    /// Calls of one script that takes many as one call, each with the places of those that it stands for.
    pub(super) fn grouped(calls: &[Self]) -> Vec<(Self, Vec<usize>)> {
        let mut groups: Vec<(Self, Vec<usize>)> = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            let same = |(group, _): &&mut (Self, Vec<usize>)| std::ptr::eq(group.script, call.script);
            match groups.iter_mut().find(same).filter(|_| call.script.takes_many) {
                Some((group, members)) => {
                    group.keys.extend_from_slice(&call.keys);
                    group.arguments.extend_from_slice(&call.arguments);
                    members.push(place);
                }
                None => groups.push((call.clone(), vec![place])),
            }
        }
        groups
    }

    /// The command that Redis gets.
    pub(super) fn command(&self, naming: Naming) -> Cmd {
        let mut command = match naming {
            Naming::Hash => redis::cmd("EVALSHA"),
            Naming::Text => redis::cmd("EVAL"),
        };
        match naming {
            Naming::Hash => command.arg(self.script.sha1.as_str()),
            Naming::Text => command.arg(self.script.body),
        };
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

/// The keys of one application.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    /// Redis may be read by others: addresses and domains are there only as what this makes of them.
    hiding: hmac::Key,
}

impl Keys {
    pub(super) fn new(prefix: &str, secret: &[u8]) -> Self {
        let mut material = b"mailhatch shared ledger\0".to_vec();
        material.extend_from_slice(secret);
        Self { prefix: format!("{{{prefix}}}"), hiding: hmac::Key::new(hmac::HMAC_SHA256, &material) }
    }

    /// An event's claim or delivery.
    pub(super) fn delivery(&self, id: &EventId) -> String {
        format!("{}:d:{id}", self.prefix)
    }

    /// Who reads an inbox.
    pub(super) fn reader(&self, inbox: &str) -> String {
        format!("{}:r:{inbox}", self.prefix)
    }

    /// An event's notice, its sender, the sender's domain, all notices, and the person behind the sender.
    pub(super) fn notice(&self, request: &NoticeRequest) -> Vec<String> {
        let prefix = &self.prefix;
        let (address, domain) = (self.hidden(&request.canonical), self.hidden(&request.domain));
        let id = &request.id;
        vec![
            format!("{prefix}:n:{id}"),
            format!("{prefix}:a:{address}"),
            format!("{prefix}:h:{domain}"),
            format!("{prefix}:t"),
            format!("{prefix}:a:{}", self.hidden(&request.person)),
        ]
    }

    fn hidden(&self, text: &str) -> String {
        hex(hmac::sign(&self.hiding, text.as_bytes()).as_ref())
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_script_are_one_call_and_notices_are_not() {
        let call = |script, number: usize| Call {
            script,
            keys: vec![format!("key{number}")],
            arguments: vec![format!("a{number}"), format!("b{number}")],
        };
        let calls = [&CLAIM, &NOTICE, &RECORD, &CLAIM, &NOTICE, &RECORD, &RECORD]
            .into_iter()
            .enumerate()
            .map(|(number, script)| call(script, number))
            .collect::<Vec<_>>();
        let groups = Call::grouped(&calls);
        let members: Vec<_> = groups.iter().map(|(_, members)| members.clone()).collect();
        assert_eq!(members, [vec![0, 3], vec![1], vec![2, 5, 6], vec![4]]);
        assert_eq!(groups[0].0.keys, ["key0", "key3"]);
        assert_eq!(groups[2].0.arguments, ["a2", "b2", "a5", "b5", "a6", "b6"]);
    }

    #[test]
    fn no_address_and_no_domain_stands_in_a_key() {
        let id = EventId::parse("00000000000000000000000000000001").expect("id");
        let request = NoticeRequest {
            id,
            canonical: "jane@example.org".into(),
            person: "jane@example.net".into(),
            domain: "example.org".into(),
        };
        let keys = Keys::new("mailhatch", b"hush").notice(&request);
        for key in &keys {
            assert!(key.starts_with("{mailhatch}:"), "{key}");
            assert!(!key.contains("jane") && !key.contains("example"), "{key}");
        }
        assert_ne!(keys, Keys::new("mailhatch", b"other").notice(&request), "another secret, other names");
    }
}
