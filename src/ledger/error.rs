//! What can go wrong with the database, said so that the administrator knows what to do. Always temporary.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::state_dir::StateError;

/// Somebody else writes to the database, for too long.
pub(super) fn locked(path: &Path) -> StateError {
    let holder = lock_holder(path).unwrap_or_else(|| "another process".to_owned());
    StateError::new(format!("ledger {} is locked by {holder}: end it, or wait until it is done", path.display()))
}

/// What SQLite's error means.
pub(super) fn database(path: &Path, error: &rusqlite::Error) -> StateError {
    let name = path.display();
    let (detail, full) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return locked(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (corrupt(path, &error.to_string()), false),
        Some(ErrorCode::DiskFull) => {
            (format!("ledger {name} cannot be written, the disk is full: free space there"), true)
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            format!(
                "ledger {name} cannot be written ({error}): it, its -wal and -shm files and their directory must belong to the user that mailhatch runs as"
            ),
            is_full(path),
        ),
        Some(ErrorCode::SystemIoFailure) if is_full(path) => {
            (format!("ledger {name} cannot be written, the disk is full ({error}): free space there"), true)
        }
        Some(ErrorCode::SystemIoFailure) => (
            format!("ledger {name} cannot be read or written ({error}): look for disk errors in the kernel log"),
            false,
        ),
        _ => (format!("ledger {name}: {error}"), false),
    };
    StateError { detail, full }
}

/// The sentence for a ledger whose content cannot be trusted.
pub(super) fn corrupt(path: &Path, why: &str) -> String {
    let name = path.display();
    format!(
        "ledger {name} is corrupt ({why}): nothing is handed over until it is repaired. Stop mailhatch, move {name}, \
         {name}-wal and {name}-shm away, and start it again: it begins a new one, which does not know what was delivered before"
    )
}

/// SQLite reports a full disk in several ways; the file system says it plainly.
fn is_full(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    nix::sys::statvfs::statvfs(directory).is_ok_and(|stat| stat.blocks_available() == 0)
}

/// Who holds the write lock of a database in WAL mode: byte 120 of the -shm file (SQLite's "WAL-mode File Format",
/// section 2.3.1). Asked of the kernel's table, because opening and closing that file here would drop the locks of
/// every other connection in this process.
fn lock_holder(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(beside(path, "-shm")).ok()?.ino();
    let pid = lock_in_table(&std::fs::read_to_string("/proc/locks").ok()?, inode)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim_end()))
}

/// Looks for `1: POSIX  ADVISORY  WRITE PID MAJOR:MINOR:INODE 120 120` (proc_locks(5)).
fn lock_in_table(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let [_, _, _, "WRITE", pid, device, from, to] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let inode_here = device.rsplit(':').next()?.parse() == Ok(inode);
        let covers = from.parse::<u64>().ok()? <= 120 && to.parse::<u64>().is_ok_and(|to| to >= 120);
        // A process of another namespace has no number here.
        (inode_here && covers).then(|| pid.parse().ok()).flatten().filter(|&pid| pid > 0)
    })
}

/// `ledger.sqlite-wal` beside `ledger.sqlite`
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::lock_in_table;

    #[test]
    fn the_holder_of_the_write_lock_is_found_in_the_kernels_table() {
        let table = "1: POSIX  ADVISORY  READ 100 fd:00:77 123 123\n\
                     2: POSIX  ADVISORY  WRITE 200 fd:00:78 120 120\n\
                     2: -> POSIX  ADVISORY  WRITE 201 fd:00:77 120 120\n\
                     3: OFDLCK ADVISORY  WRITE -1 fd:00:77 120 120\n\
                     4: POSIX  ADVISORY  WRITE 300 fd:00:77 120 120\n\
                     5: POSIX  ADVISORY  WRITE 400 fd:00:79 0 EOF\n";
        assert_eq!(lock_in_table(table, 77), Some(300));
        assert_eq!(lock_in_table(table, 78), Some(200));
        assert_eq!(lock_in_table(table, 79), None);
    }
}
