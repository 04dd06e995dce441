//! Events as applications get them: each that a test reads is held against the published schema.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// `event.json` in an event's directory of a spool.
#[track_caller]
pub fn read(directory: &Path) -> Value {
    let path = directory.join("event.json");
    parse(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// An event that is one by `docs/event.schema.json`.
#[track_caller]
pub fn parse(json: &[u8]) -> Value {
    let event = serde_json::from_slice(json).expect("JSON");
    check(&event);
    event
}

/// Fails where the schema does not allow the event.
#[track_caller]
pub fn check(event: &Value) {
    if let Err(why) = matches(event) {
        panic!("{why}\nin the event {event:#}");
    }
}

/// What the schema says of it.
pub fn matches(event: &Value) -> Result<(), String> {
    static SCHEMA: OnceLock<(Schemas, SchemaIndex)> = OnceLock::new();
    let (schemas, index) = SCHEMA.get_or_init(|| {
        let schema = serde_json::from_str(include_str!("../../docs/event.schema.json")).expect("JSON");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("event.schema.json", schema).expect("schema");
        let index = compiler.compile("event.schema.json", &mut schemas).expect("schema");
        (schemas, index)
    });
    schemas.validate(event, *index).map_err(|error| format!("{error:#}"))
}
