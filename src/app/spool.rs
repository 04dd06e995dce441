//! A directory as the application: `PATH/EVENT-ID/` with `event.json` and `message.eml`.
//!
//! An event appears whole or not at all, and an event that is there is not written again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::application::{Answer, App, AppError};
use super::event::Event;
use super::event_json::EventJson;
use super::settings::{Kind, Setup};
use crate::config::{ConfigError, EventPart, Located};
use crate::durable::{self, Access, Part};
use crate::verdict::Status;

/// `kind = "spool"`
pub(super) const KIND: Kind =
    Kind { name: "spool", timeout: Duration::from_secs(30), read: |setup| Ok(Box::new(Spool::read(setup)?)) };

#[derive(Deserialize)]
struct Settings {
    path: Located<PathBuf>,
    #[serde(default = "default_parts")]
    parts: Vec<EventPart>,
}

fn default_parts() -> Vec<EventPart> {
    vec![EventPart::Body]
}

/// One spool directory.
#[derive(Debug)]
struct Spool {
    app: String,
    path: PathBuf,
    parts: Vec<EventPart>,
    wants_authentication: bool,
}

impl Spool {
    /// Looks at nothing: a directory that is missing now may be mounted later.
    fn read(setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let Settings { path, parts } = setup.table.take()?;
        if !path.value.is_absolute() {
            return Err(setup.config.error_at(&path, "the path of a spool must be absolute"));
        }
        let app = setup.name.value.clone();
        Ok(Self { app, path: path.value, parts, wants_authentication: setup.config.auth.events })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let (path, parts, owned) = (self.path.clone(), self.parts.clone(), event.clone());
        let written = tokio::task::spawn_blocking(move || write(&path, &parts, &owned)).await;
        // A panic while writing is a fault of ours that must not cost the message.
        let written = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        written.map_err(|error| failure(&self.app, &self.path, &error))?;
        Ok(Answer::Delivered(format!("written to {}", self.path.join(event.id.as_str()).display())))
    }
}

impl App for Spool {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn wants_authentication(&self) -> bool {
        self.wants_authentication
    }

    /// Writes a file without a name into the directory.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        let written = tempfile::tempfile_in(&self.path).and_then(|mut file| {
            file.write_all(b"mailhatch check")?;
            file.sync_all()
        });
        Box::pin(async move {
            match written {
                Ok(()) => Ok(format!("{} can be written", self.path.display())),
                Err(error) => Err(failure(&self.app, &self.path, &error).to_string()),
            }
        })
    }
}

fn write(path: &Path, parts: &[EventPart], event: &Event) -> io::Result<()> {
    let write_json = |out: &mut dyn Write| EventJson::new(event, parts).write(out);
    let write_message = |out: &mut dyn Write| event.message.content().write_to(out);
    let parts = [Part { name: "message.eml", write: &write_message }, Part { name: "event.json", write: &write_json }];
    durable::write_directory(path, event.id.as_str(), Access::GroupTakes, &parts)
}

/// What it means that an event cannot be written.
fn failure(app: &str, path: &Path, error: &io::Error) -> AppError {
    use io::ErrorKind as E;
    let path = path.display();
    let (status, alarm, advice) = match error.kind() {
        E::StorageFull | E::QuotaExceeded => {
            (Status::SYSTEM_FULL, true, "make room: whoever reads the spool must remove what it has taken".to_owned())
        }
        E::NotFound | E::NotADirectory => {
            (Status::CONFIGURATION, true, format!("create {path} for mailhatch's user, or change path"))
        }
        E::PermissionDenied | E::ReadOnlyFilesystem => {
            (Status::CONFIGURATION, true, format!("let mailhatch's user write to {path}"))
        }
        _ => (Status::SYSTEM, false, "look at the disk and at the system's log".to_owned()),
    };
    AppError::Unavailable {
        status,
        public: "the message cannot be stored at the moment".to_owned(),
        detail: format!("{app} at {path}: {error}; {advice}"),
        retry_after: None,
        alarm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_cannot_take_an_event_says_what_to_do() {
        use io::ErrorKind as E;
        let rows: &[(E, Status, bool, &str)] = &[
            (E::StorageFull, Status::SYSTEM_FULL, true, "make room"),
            (E::QuotaExceeded, Status::SYSTEM_FULL, true, "make room"),
            (E::NotFound, Status::CONFIGURATION, true, "create /spool"),
            (E::NotADirectory, Status::CONFIGURATION, true, "create /spool"),
            (E::PermissionDenied, Status::CONFIGURATION, true, "user write"),
            (E::ReadOnlyFilesystem, Status::CONFIGURATION, true, "user write"),
            (E::Other, Status::SYSTEM, false, "look at the disk"),
        ];
        for (kind, want, act, word) in rows {
            let error = failure("app", Path::new("/spool"), &(*kind).into());
            let AppError::Unavailable { status, alarm, detail, public, .. } = error else { panic!("{kind}: refused") };
            assert_eq!((status, alarm), (*want, *act), "{kind}");
            assert!(detail.contains(word) && !public.contains("/spool"), "{kind}: {detail}");
        }
    }
}
