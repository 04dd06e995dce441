//! A directory as the application: `PATH/EVENT-ID/` with `event.json` and `message.eml`.
//!
//! An event appears whole or not at all, and an event that is there is not written again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use nix::unistd::geteuid;
use serde::Deserialize;

use super::application::{Answer, App, AppError};
use super::event::Event;
use super::event_json::EventJson;
use super::settings::{Kind, Setup};
use crate::config::{ConfigError, EventPart, Located};
use crate::directory::{Directory, Kind as EntryKind, TemporaryDirectory};
use crate::durable::{self, Access, Part, SharedSync};
use crate::verdict::Status;

/// `kind = "spool"`
pub(super) const KIND: Kind = Kind::new("spool", |setup| Ok(Box::new(Spool::read(setup)?)));

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
    shared: Arc<Shared>,
}

/// What the deliveries of one spool have in common.
#[derive(Debug, Default)]
struct Shared {
    /// Events that are written at once share the fsync of the spool itself.
    sync: SharedSync,
    /// When what was abandoned was looked for.
    looked: Mutex<Option<Instant>>,
}

impl Shared {
    /// Whether it is time to look for what was abandoned; says so to one who asks, and then no more for a while.
    fn is_time_to_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked.is_none_or(|looked| looked.elapsed() > ABANDONED / 4);
        if is_time {
            *looked = Some(Instant::now());
        }
        is_time
    }
}

impl Spool {
    /// Looks at nothing: a directory that is missing now may be mounted later.
    fn read(setup: Setup<'_, '_>) -> Result<Self, ConfigError> {
        let Settings { path, parts } = setup.table.take()?;
        if !path.value.is_absolute() {
            return Err(setup.config.error_at(&path, "the path of a spool must be absolute"));
        }
        let app = setup.name.value.clone();
        Ok(Self {
            app,
            path: path.value,
            parts,
            wants_authentication: setup.config.auth.events,
            shared: Arc::default(),
        })
    }

    async fn deliver(&self, event: &Event) -> Result<Answer, AppError> {
        let (path, parts, owned) = (self.path.clone(), self.parts.clone(), event.clone());
        let shared = Arc::clone(&self.shared);
        let written = tokio::task::spawn_blocking(move || write(&path, &parts, &owned, &shared)).await;
        // A panic while writing is a fault of ours that must not cost the message.
        let written = written.unwrap_or_else(|panic| Err(SpoolError::Io(io::Error::other(panic))));
        written.map_err(|error| failure(&self.app, &self.path, &error))?;
        Ok(Answer::delivered(format!("written to {}", self.path.join(event.id.as_str()).display())))
    }
}

impl App for Spool {
    fn hand_over<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<Answer, AppError>> {
        Box::pin(self.deliver(event))
    }

    fn wants_authentication(&self) -> bool {
        self.wants_authentication
    }

    /// Writes a directory with a file in it, and removes it.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<String, String>> {
        let write_check = |out: &mut dyn Write| out.write_all(b"mailhatch check");
        let written = Spooled::open(&self.path)
            .and_then(|spool| spool.stage(&[Part { name: "check", write: &write_check }]).map(drop));
        Box::pin(async move {
            match written {
                Ok(()) => Ok(format!("{} can be written", self.path.display())),
                Err(error) => Err(failure(&self.app, &self.path, &error).to_string()),
            }
        })
    }
}

fn write(path: &Path, parts: &[EventPart], event: &Event, shared: &Shared) -> Result<(), SpoolError> {
    let spool = Spooled::open(path)?;
    if shared.is_time_to_look() {
        spool.remove_what_is_abandoned();
    }
    let name = event.id.as_str();
    if spool.has(name)? {
        // Whoever wrote it may have been killed between its rename and its fsync.
        return Ok(shared.sync.sync(&spool.base)?);
    }
    let write_json = |out: &mut dyn Write| EventJson::new(event, parts).write(out);
    let write_message = |out: &mut dyn Write| event.message.content().write_to(out);
    let staged = spool.stage(&[
        Part { name: "message.eml", write: &write_message },
        Part { name: "event.json", write: &write_json },
    ])?;
    match staged.persist(&spool.base, name) {
        // Another process wrote the same one in the meantime.
        Err(_) if spool.has(name)? => {}
        renamed => renamed?,
    }
    Ok(shared.sync.sync(&spool.base)?)
}

/// Where an entry is written before it appears: nobody else can look or write into it.
const STAGING: &str = ".staging";

/// An entry under a temporary name this old was left by a process that was killed: no message takes so long.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The spool, open. Its readers may write to it: what stands in it is believed only where it is ours.
struct Spooled {
    base: Directory,
    staging: Directory,
    access: Access,
    /// Whose an entry of ours is.
    owner: u32,
}

impl Spooled {
    fn open(path: &Path) -> Result<Self, SpoolError> {
        let base = Directory::open(path)?;
        let entry = base.entry()?;
        let access = Access::of_group(&entry);
        let owner = access.uid.unwrap_or_else(|| geteuid().as_raw());
        Ok(Self { staging: staging(&base)?, base, access, owner })
    }

    /// Whether there is an entry of this name, and it is ours: a reader could have put another one there, and the message
    /// would be lost.
    fn has(&self, name: &str) -> Result<bool, SpoolError> {
        match self.base.find(name)? {
            None => Ok(false),
            Some(entry) if entry.kind == EntryKind::Directory && entry.uid == self.owner => Ok(true),
            Some(_) => Err(SpoolError::Foreign(name.to_owned())),
        }
    }

    fn stage(&self, parts: &[Part<'_>]) -> Result<TemporaryDirectory<'_>, SpoolError> {
        durable::write_directory(&self.staging, self.access, parts).map_err(|error| match error.kind() {
            // Nothing else in a directory of ours is forbidden.
            io::ErrorKind::PermissionDenied => SpoolError::Group(self.access.gid.unwrap_or_default()),
            _ => SpoolError::Io(error),
        })
    }

    fn remove_what_is_abandoned(&self) {
        let now = SystemTime::now();
        for name in self.staging.names().unwrap_or_default() {
            let found = self.staging.find(&name).ok().flatten();
            if found.is_some_and(|entry| now.duration_since(entry.modified).is_ok_and(|age| age > ABANDONED)) {
                // Left for the next one to try.
                let _ = self.staging.remove_tree(&name);
            }
        }
    }
}

/// Opens the place where entries are written; makes it if it is not there. What somebody else has put in its place is removed,
/// if that does not take more than a link or an empty directory away.
fn staging(base: &Directory) -> Result<Directory, SpoolError> {
    const OURS_ALONE: u32 = 0o700;
    for is_last in [false, true] {
        // Its group is that of the spool where the spool is set-group-id, and so is that of what is written in it.
        let found = base.directory_or_new(STAGING, OURS_ALONE);
        if let Ok(staging) = found {
            let entry = staging.entry()?;
            if entry.uid == geteuid().as_raw() {
                if entry.mode & 0o077 != 0 {
                    staging.set_mode(OURS_ALONE)?;
                }
                return Ok(staging);
            }
        } else if is_last || base.find(STAGING)?.is_none() {
            return Ok(found?);
        }
        if is_last || base.remove_tree(STAGING).is_err() {
            break;
        }
    }
    Err(SpoolError::Foreign(STAGING.to_owned()))
}

/// Why an event cannot be written.
#[derive(Debug, thiserror::Error)]
enum SpoolError {
    #[error("{0} is there, but it is not ours: somebody else has put it there")]
    Foreign(String),
    #[error("an entry cannot be given to the group of the directory (number {0})")]
    Group(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What it means that an event cannot be written.
fn failure(app: &str, path: &Path, error: &SpoolError) -> AppError {
    let (status, alarm, advice) = match error {
        SpoolError::Foreign(name) => {
            (Status::CONFIGURATION, true, format!("look who did, and remove {}", path.join(name).display()))
        }
        SpoolError::Group(_) => {
            (Status::CONFIGURATION, true, format!("make it set-group-id: chmod g+s {}", path.display()))
        }
        SpoolError::Io(error) => meaning(path, error.kind()),
    };
    AppError::Unavailable {
        status,
        public: "the message cannot be stored at the moment".to_owned(),
        detail: format!("{app} at {}: {error}; {advice}", path.display()),
        retry_after: None,
        alarm,
    }
}

fn meaning(path: &Path, kind: io::ErrorKind) -> (Status, bool, String) {
    use io::ErrorKind as E;
    let path = path.display();
    match kind {
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
            let error = failure("app", Path::new("/spool"), &SpoolError::Io((*kind).into()));
            let AppError::Unavailable { status, alarm, detail, public, .. } = error else { panic!("{kind}: refused") };
            assert_eq!((status, alarm), (*want, *act), "{kind}");
            assert!(detail.contains(word) && !public.contains("/spool"), "{kind}: {detail}");
        }
    }
}
