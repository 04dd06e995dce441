//! A state directory full of links that somebody else has planted: nothing is read or written through one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::support::postfix::{USER, chown};

/// What stands in the file that the links lead to.
const TEXT: &str = "not mailhatch's";

/// Names that mailhatch makes by itself, or looks for.
const NEW: [&str; 5] = [
    "ledger.sqlite-journal",
    "planted",
    "held/ffffffffffffffffffffffffffffffff",
    "held/.tmp-planted",
    "held/.bodies/ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Files of its own.
const REPLACED: [&str; 3] = ["clock", "claims", "held/.totals"];

/// The directory that the links lead to: mailhatch could write into it.
pub struct Victim;

impl Victim {
    pub fn prepare(directory: &Path) {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("file"), TEXT).unwrap();
        for path in [directory.to_owned(), directory.join("file")] {
            chown(&path, USER);
            fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        }
    }

    /// What somebody has done to it.
    pub fn damage(directory: &Path) -> Option<String> {
        let names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let text = fs::read_to_string(directory.join("file")).unwrap_or_default();
        let modes = [directory.to_owned(), directory.join("file")]
            .map(|path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777).unwrap_or_default());
        let is_whole = names == ["file"] && text == TEXT && modes == [0o777; 2];
        (!is_whole).then(|| format!("something was done through a link: {names:?} {text:?} {modes:?}"))
    }
}

/// They are there until it is dropped.
pub struct PlantedLinks {
    links: Vec<PathBuf>,
    /// What was there before, and where it is meanwhile.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl PlantedLinks {
    pub fn plant(state: &Path, victim: &Path) -> Self {
        let mut this = Self { links: Vec::new(), moved: Vec::new() };
        for name in REPLACED {
            let (path, away) = (state.join(name), state.join(format!("{name}.away")));
            if fs::rename(&path, &away).is_ok() {
                this.link(&victim.join("file"), path.clone());
                this.moved.push((path, away));
            }
        }
        for name in NEW {
            this.link(victim, state.join(name));
        }
        this
    }

    fn link(&mut self, target: &Path, path: PathBuf) {
        // Its directory may not be there yet.
        if symlink(target, &path).is_ok() {
            let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
            lchown(&path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
            self.links.push(path);
        }
    }
}

impl Drop for PlantedLinks {
    fn drop(&mut self) {
        for path in self.links.iter().filter(|path| path.is_symlink()) {
            fs::remove_file(path).unwrap();
        }
        for (path, away) in &self.moved {
            match path.exists() {
                // Made anew in the meantime, when the link was not there yet.
                true => fs::remove_file(away).unwrap(),
                false => fs::rename(away, path).unwrap(),
            }
        }
    }
}
