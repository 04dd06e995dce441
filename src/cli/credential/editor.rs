//! `$EDITOR` on plain text that is in memory alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use zeroize::Zeroizing;

use super::interrupt::Interrupt;
use super::memory_directory::MemoryDirectory;
use crate::credential::{Contents, CredentialName};

/// How often it is looked whether the editor has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Where editors keep what they remember: history, backups, what was copied. All of it goes where the plain text is.
const HOMES: &[&str] = &["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/// Gives the text to the editor; what is there when it ends well.
pub(super) async fn edit(name: &CredentialName, text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: io::Error| format!("the editor's file: {error}; nothing was changed");
    // Before anything is written: from here on the directory is removed whatever comes.
    let mut interrupt = Interrupt::new().map_err(failed)?;
    let directory = MemoryDirectory::new()?;
    let path = directory.path().join(format!("{name}.toml"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    drop(file);
    let editor = std::env::var("EDITOR").ok().filter(|editor| !editor.trim().is_empty());
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut child = start(&editor, &path, directory.path())
        .map_err(|error| format!("the editor cannot be started: {error}; nothing was changed"))?;
    tokio::select! {
        ended = end_of(&mut child) => match ended {
            Ok(true) => {}
            Ok(false) => return Err(format!("the editor \"{editor}\" failed; nothing was changed")),
            Err(error) => return Err(format!("the editor: {error}; nothing was changed")),
        },
        () = interrupt.but_the_keyboard() => {
            let _ = child.kill();
            let _ = child.wait();
            return Err("interrupted; nothing was changed".to_owned());
        }
    }
    let mut edited = Zeroizing::new(Vec::with_capacity(Contents::LONGEST + 1));
    let file = File::open(&path).map_err(failed)?;
    file.take(Contents::LONGEST as u64 + 1).read_to_end(&mut edited).map_err(failed)?;
    Ok(edited)
}

/// `$EDITOR` may have arguments, as everywhere.
fn start(editor: &str, path: &Path, home: &Path) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$1\"")).arg(editor).arg(path);
    command.envs(HOMES.iter().map(|variable| (variable, home))).current_dir(home);
    command.spawn()
}

async fn end_of(child: &mut Child) -> io::Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        tokio::time::sleep(LOOK).await;
    }
}
