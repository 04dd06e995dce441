//! Messages after public bug reports of other programs, each a file with what is right, through the real program: `pipe` into
//! a spool, or `explain`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Map, Value, json};

use crate::support::events;
use crate::support::process::run_with_input;

/// A case of `cases.json`.
struct Case(Value);

impl Case {
    fn text(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }

    fn name(&self) -> String {
        format!("{} ({})", self.text("file").unwrap(), self.text("situation").unwrap())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/event/cases")
}

fn cases() -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(folder().join("cases.json")).unwrap()).unwrap();
    cases.into_iter().map(Case).collect()
}

#[test]
fn each_case_holds() {
    let failures: Vec<_> = cases().iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_message_is_in_a_case_and_each_case_has_a_source() {
    let cases = cases();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_used = |case: &Case| [case.text("file"), case.text("second_file")].contains(&Some(name.as_str()));
        assert!(name == "cases.json" || cases.iter().any(is_used), "{name} is in no case");
    }
    for case in &cases {
        assert!(case.text("source").is_some_and(|source| !source.is_empty()), "{}", case.name());
        assert!(case.0["expect"].as_object().is_some_and(|expect| !expect.is_empty()), "{}", case.name());
    }
}

fn failures(case: &Case) -> Vec<String> {
    let place = tempfile::Builder::new().prefix("mh-case-").tempdir().unwrap();
    configure(case, place.path());
    let came = if case.0["config"].is_object() { explained(case, place.path()) } else { delivered(case, place.path()) };
    let wrong = differences(case.0["expect"].as_object().unwrap(), &came);
    wrong.into_iter().map(|difference| format!("{}: {difference}", case.name())).collect()
}

fn configure(case: &Case, place: &Path) {
    for folder in ["state", "spool"] {
        fs::create_dir(place.join(folder)).unwrap();
    }
    let event = json!({
        "mailbox": {"address": "incoming+%{key}@gitlab.example.com", "actions": "any"},
        "screen": {"auto_replies": "deliver", "bounces": "deliver", "reports": "deliver"},
    });
    let settings = if case.0["config"].is_object() { &case.0["config"] } else { &event };
    let table = |of: &Value| -> String {
        of.as_object().into_iter().flatten().map(|(key, value)| format!("{key} = {value}\n")).collect()
    };
    let text = format!(
        "hostname = \"mx.example.com\"\nstate_dir = \"{place}/state\"\n\
         [[mailbox]]\nname = \"incoming_email\"\napp = \"files\"\n{}\
         [[app]]\nname = \"files\"\nkind = \"spool\"\npath = \"{place}/spool\"\nparts = [\"body\", \"attachments\", \"raw\"]\n\
         [screen]\n{}[auth]\nmethod = \"off\"\n[log]\nto = \"stderr\"\n",
        table(&settings["mailbox"]),
        table(&settings["screen"]),
        place = place.display(),
    );
    fs::write(place.join("mailhatch.toml"), text).unwrap();
}

/// Runs the program with a message on its standard input.
fn run(case: &Case, place: &Path, command: &[&str], file: &str, queue_id: Option<&str>) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailhatch"));
    child.arg("--config").arg(place.join("mailhatch.toml")).args(command);
    child.arg(format!("--recipient={}", case.text("recipient").unwrap_or("incoming+k1@gitlab.example.com")));
    child.arg(format!("--sender={}", case.text("sender").unwrap_or("jane@example.org")));
    child.args(queue_id.map(|id| format!("--queue-id={id}")));
    let output = run_with_input(&mut child, &fs::read(folder().join(file)).unwrap());
    String::from_utf8(output.stdout).unwrap()
}

fn explained(case: &Case, place: &Path) -> Map<String, Value> {
    let out = run(case, place, &["explain", "--json", "-"], case.text("file").unwrap(), None);
    let explained: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{}: {out}", case.name()));
    explained["recipients"][0].as_object().unwrap().clone()
}

/// What stands in the event, with the verdict of `2.0.0 delivered: …`.
fn delivered(case: &Case, place: &Path) -> Map<String, Value> {
    let verdict = |out: &str| out.split_whitespace().nth(1).map(|word| word.trim_end_matches(':').to_owned());
    let out = run(case, place, &["pipe"], case.text("file").unwrap(), case.text("queue_id"));
    let mut came = Map::from_iter([("verdict".to_owned(), json!(verdict(&out)))]);
    for entry in fs::read_dir(place.join("spool")).unwrap() {
        let path = entry.unwrap().path();
        if !path.join("event.json").exists() {
            continue;
        }
        let event = events::read(&path);
        came.extend(event["data"]["message"].as_object().unwrap().clone());
    }
    if let Some(attachments) = came.get_mut("attachments").and_then(Value::as_array_mut) {
        attachments.iter_mut().for_each(|attachment| *attachment = summary(attachment));
    }
    if case.0["expect"]["second_verdict"].is_string() {
        let file = case.text("second_file").unwrap_or(case.text("file").unwrap());
        let out = run(case, place, &["pipe"], file, case.text("second_queue_id"));
        came.insert("second_verdict".to_owned(), json!(verdict(&out)));
    }
    came
}

/// An attachment with the hash of its content in place of the content.
fn summary(attachment: &Value) -> Value {
    let content = STANDARD.decode(attachment["content"].as_str().unwrap()).unwrap();
    assert_eq!(attachment["size"], content.len(), "the size is not that of the content");
    let hash: String = digest::digest(&digest::SHA256, &content).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    json!({
        "filename": attachment["filename"],
        "content_type": attachment["content_type"],
        "size": attachment["size"],
        "sha256": hash,
    })
}

fn differences(expect: &Map<String, Value>, came: &Map<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, wanted) in expect {
        if key == "any_of" {
            let tries: Vec<_> =
                wanted.as_array().unwrap().iter().map(|one| differences(one.as_object().unwrap(), came)).collect();
            if tries.iter().all(|tried| !tried.is_empty()) {
                wrong.extend(tries.into_iter().next().unwrap());
            }
        } else if !holds(key, wanted, came) {
            let field = came.get(field_and_condition(key).0);
            wrong.push(format!("{key}: expected {wanted}, came {}", field.unwrap_or(&Value::Null)));
        }
    }
    wrong
}

/// `text_not_contains` speaks of `text`.
fn field_and_condition(key: &str) -> (&str, &str) {
    let conditions = ["_not_contains", "_contains", "_is_null", "_allowed"];
    let found = conditions.into_iter().find_map(|condition| Some((key.strip_suffix(condition)?, condition)));
    found.unwrap_or((key, ""))
}

fn holds(key: &str, wanted: &Value, came: &Map<String, Value>) -> bool {
    let (field, condition) = field_and_condition(key);
    let Some(value) = came.get(field) else { return false };
    let has = |piece: &Value| plain(value).as_str().unwrap_or_default().contains(plain(piece).as_str().unwrap());
    let pieces = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    match condition {
        "_contains" => value.is_string() && pieces.iter().all(has),
        "_not_contains" => value.is_string() && !pieces.iter().any(has),
        "_is_null" => json!(value.is_null()) == *wanted,
        "_allowed" => {
            value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| is_allowed(one, wanted)))
        }
        _ if field == "attachments" => sorted(value) == sorted(wanted),
        _ => plain(value) == plain(wanted),
    }
}

/// Line ends, and those at the end of a text, are no difference.
fn plain(value: &Value) -> Value {
    value.as_str().map_or(value.clone(), |text| json!(text.replace("\r\n", "\n").trim_end_matches('\n')))
}

fn sorted(attachments: &Value) -> Vec<String> {
    let mut shown: Vec<_> = attachments.as_array().into_iter().flatten().map(Value::to_string).collect();
    shown.sort();
    shown
}

/// An address that stands in the field, or null with what people read as the name.
fn is_allowed(one: &Value, wanted: &Value) -> bool {
    let name = one["name"].as_str().unwrap_or_default();
    let is_readable = !name.contains("=?") && !name.contains('\u{fffd}');
    let has = |word: &Value| name.contains(word.as_str().unwrap());
    let is_right = match &one["address"] {
        Value::Null => wanted["readable"].as_array().unwrap().iter().all(has),
        address => wanted["addresses"].as_array().unwrap().contains(address),
    };
    is_readable && is_right
}
