//! The clock by which things grow old: the wall clock without its jumps.
//!
//! What is forgotten after ten days, or deleted after thirty, must not go because a battery was empty or somebody mistyped a
//! year: a retry would become a second delivery, and a held copy would be lost. So age is counted in time that this machine
//! has lived through. Between two readings the wall clock and the time since the boot (boottime, which goes on in a suspend)
//! must agree; where they differ by more than an hour, only the shorter of the two has passed. Over a reboot only the time
//! since the boot is certain.
//!
//! `state_dir/clock` keeps the last reading for all processes. Where it is missing, nothing is older than the newest thing that
//! was written here.

use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::sysinfo::sysinfo;

use crate::directory::Directory;
use crate::state_dir::{StateDir, StateError, private_file};

/// Its name in the state directory.
const FILE: &str = "clock";

/// What is written when something happens: the newest of them tells when this directory was last used.
const EVIDENCE: [&str; 4] = ["ledger.sqlite-wal", "ledger.sqlite", "held", "claims"];

/// A difference that is not a jump: a leap second, a correction, a clock that is a little fast.
const TOLERANCE: Duration = Duration::from_secs(3600);

/// A reading this old is replaced, so that small corrections do not add up, and a reboot finds a fresh one.
const FRESH: Duration = Duration::from_secs(1800);

/// The clock of one state directory.
#[derive(Debug)]
pub struct AgeClock {
    state_dir: StateDir,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    jumps: Vec<ClockJump>,
}

/// What this process knows without asking again.
#[derive(Clone, Copy, Debug)]
struct Known {
    wall: Duration,
    at: Instant,
    ahead: Milliseconds,
}

/// How far the wall clock is ahead of this one, in milliseconds; negative where it is behind.
type Milliseconds = i64;

/// The wall clock did not say the same as the machine's own time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockJump {
    /// What the wall clock said before.
    before: SystemTime,
    /// What it says now.
    after: SystemTime,
    /// What has surely passed between them.
    passed: Duration,
}

/// What the clocks said at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    /// Which boot; empty where the kernel does not say.
    boot: String,
    /// Since the boot.
    uptime: Duration,
    /// Since 1970.
    wall: Duration,
    ahead: Milliseconds,
}

impl AgeClock {
    /// The clock of this directory; looks at nothing yet.
    pub fn new(state_dir: &StateDir) -> Self {
        Self { state_dir: state_dir.clone(), state: Mutex::default() }
    }

    /// The directory that it is for.
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// What it says. Where the directory cannot be read, it goes on by what this process knows.
    pub fn now(&self) -> SystemTime {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, at) = (since_1970(SystemTime::now()), Instant::now());
        let is_known = |known: &Known| {
            let passed = at.saturating_duration_since(known.at);
            passed < FRESH && wall.abs_diff(known.wall + passed) <= TOLERANCE
        };
        let ahead = match state.known.filter(is_known) {
            Some(known) => known.ahead,
            None => {
                let (reading, jump) = self.read(state.known.map(|known| known.ahead));
                state.jumps.extend(jump);
                state.known = Some(Known { wall: reading.wall, at, ahead: reading.ahead });
                reading.ahead
            }
        };
        less(wall, ahead)
    }

    /// The jumps that were found since this was asked last; each is to be logged as an error.
    pub fn take_jumps(&self) -> Vec<ClockJump> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).jumps)
    }

    /// Compares the clocks with the last reading, and keeps this one if it is time to.
    fn read(&self, known: Option<Milliseconds>) -> (Reading, Option<ClockJump>) {
        let mut now = Reading::now();
        // Without a directory nothing can grow old in it.
        let Ok(Some(directory)) = self.state_dir.open_existing() else {
            now.ahead = known.unwrap_or(0);
            return (now, None);
        };
        let kept = kept(&directory);
        let jump = match &kept {
            Some(kept) => now.follow(kept),
            None => now.begin(newest(&directory)),
        };
        if jump.is_some() || kept.is_none_or(|kept| now.wall.abs_diff(kept.wall) >= FRESH) {
            // A disk that takes nothing is found by what must be written: this is tried again.
            let _ = now.keep(&directory);
        }
        (now, jump)
    }
}

impl Reading {
    fn now() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            uptime: sysinfo().map_or(Duration::ZERO, |system| system.uptime()),
            wall: since_1970(SystemTime::now()),
            ahead: 0,
        }
    }

    /// Goes on from an earlier reading.
    fn follow(&mut self, before: &Self) -> Option<ClockJump> {
        // Without a name of the boot, a shorter time since it tells that it is another one.
        let is_same_boot = match self.boot.is_empty() || before.boot.is_empty() {
            true => self.uptime >= before.uptime,
            false => self.boot == before.boot,
        };
        let lived = if is_same_boot { self.uptime.saturating_sub(before.uptime) } else { self.uptime };
        if self.wall.abs_diff(before.wall.saturating_add(lived)) <= TOLERANCE {
            self.ahead = before.ahead;
            return None;
        }
        // Either may be the one that is wrong: no more than both say has passed.
        let passed = self.wall.saturating_sub(before.wall).min(lived);
        self.ahead = before.ahead.saturating_add(difference(self.wall, before.wall.saturating_add(passed)));
        Some(ClockJump { before: UNIX_EPOCH + before.wall, after: UNIX_EPOCH + self.wall, passed })
    }

    /// Begins where nothing is known but what was written last.
    fn begin(&mut self, newest: Option<SystemTime>) -> Option<ClockJump> {
        let newest = newest.map(since_1970)?;
        if self.wall.abs_diff(newest) <= TOLERANCE {
            return None;
        }
        self.ahead = difference(self.wall, newest);
        Some(ClockJump { before: UNIX_EPOCH + newest, after: UNIX_EPOCH + self.wall, passed: Duration::ZERO })
    }

    fn keep(&self, directory: &Directory) -> Result<(), StateError> {
        let (boot, uptime, wall) = (&self.boot, self.uptime.as_millis(), self.wall.as_millis());
        let text = format!("1 {} {uptime} {wall} {}\n", if boot.is_empty() { "-" } else { boot }, self.ahead);
        let mut file = private_file(directory, FILE)?;
        // In place: a reader of half a line finds that it is none, and begins anew.
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.set_len(text.len() as u64));
        written.map_err(|error| StateError::file("write", &directory.path_of(FILE), &error))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n')?;
        let ["1", boot, uptime, wall, ahead] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some(Self {
            boot: if boot == "-" { String::new() } else { boot.to_owned() },
            uptime: Duration::from_millis(uptime.parse().ok()?),
            wall: Duration::from_millis(wall.parse().ok()?),
            ahead: ahead.parse().ok()?,
        })
    }
}

/// The last reading, if it can be read.
fn kept(directory: &Directory) -> Option<Reading> {
    let mut text = String::new();
    directory.file(FILE).ok()?.take(256).read_to_string(&mut text).ok()?;
    Reading::parse(&text)
}

/// When something was last written in the directory.
fn newest(directory: &Directory) -> Option<SystemTime> {
    EVIDENCE.iter().filter_map(|name| directory.find(name).ok().flatten()).map(|entry| entry.modified).max()
}

impl fmt::Display for ClockJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at| humantime::format_rfc3339_seconds(at);
        let passed = humantime::format_duration(Duration::from_secs(self.passed.as_secs()));
        write!(
            f,
            "the clock jumped from {} to {}, and this machine can only be sure of {passed} between them: nothing is deleted or \
             forgotten for the difference, and ages go on without it. Set the clock, if it is wrong; after a long time \
             switched off or unused there is nothing to do",
            time(self.before),
            time(self.after)
        )
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn difference(from: Duration, what: Duration) -> Milliseconds {
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    milliseconds(from).saturating_sub(milliseconds(what))
}

fn less(wall: Duration, ahead: Milliseconds) -> SystemTime {
    let by = Duration::from_millis(ahead.unsigned_abs());
    // Between 1970 and the year 9999, whatever stands in the file.
    const END: Duration = Duration::from_secs(253_402_300_799);
    UNIX_EPOCH + if ahead >= 0 { wall.saturating_sub(by) } else { wall.saturating_add(by) }.min(END)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60;
    const DAY: u64 = 86_400;

    fn reading(boot: &str, uptime: u64, wall: u64) -> Reading {
        let (uptime, wall) = (Duration::from_secs(uptime), Duration::from_secs(wall));
        Reading { boot: boot.to_owned(), uptime, wall, ahead: 0 }
    }

    /// Seconds by which the clock of ages goes on from one reading to the next, and whether that is called a jump.
    fn goes_on(before: &Reading, mut after: Reading) -> (i64, bool) {
        let jump = after.follow(before);
        let age = |reading: &Reading| difference(reading.wall, Duration::ZERO) - reading.ahead;
        ((age(&after) - age(before)) / 1000, jump.is_some())
    }

    #[test]
    fn only_what_was_lived_through_counts() {
        const T: u64 = 1_700_000_000;
        let before = reading("a", DAY, T);
        let rows: &[(&str, Reading, i64, bool)] = &[
            ("ten minutes", reading("a", DAY + 10 * MINUTE, T + 10 * MINUTE), 600, false),
            ("ten days without a look", reading("a", 11 * DAY, T + 10 * DAY), 864_000, false),
            ("a correction by a minute", reading("a", DAY + 10 * MINUTE, T + 9 * MINUTE), 540, false),
            ("40 days ahead", reading("a", DAY + 10 * MINUTE, T + 40 * DAY), 600, true),
            ("40 days back", reading("a", DAY + 10 * MINUTE, T - 40 * DAY), 0, true),
            ("the time since the boot is the one that jumped", reading("a", 41 * DAY, T + 10 * MINUTE), 600, true),
            ("a reboot", reading("b", MINUTE, T + 5 * MINUTE), 300, false),
            ("a reboot after a night", reading("b", MINUTE, T + DAY), 60, true),
            ("a reboot into the past", reading("b", MINUTE, T - DAY), 0, true),
            ("a boot without a name", reading("", DAY + 10 * MINUTE, T + 10 * MINUTE), 600, false),
            ("a boot without a name, another one", reading("", MINUTE, T + 5 * MINUTE), 300, false),
        ];
        for (name, after, seconds, is_jump) in rows {
            assert_eq!(goes_on(&before, after.clone()), (*seconds, *is_jump), "{name}");
        }
    }

    #[test]
    fn a_clock_that_is_set_right_again_is_where_it_was() {
        let before = reading("a", DAY, 1_700_000_000);
        let mut away = reading("a", DAY + 60, 1_700_000_060 + 40 * DAY);
        assert!(away.follow(&before).is_some());
        let mut back = reading("a", DAY + 120, 1_700_000_120);
        assert!(back.follow(&away).is_some());
        let age = difference(back.wall, Duration::ZERO) - back.ahead;
        // The minute in which it was set back is not counted.
        assert_eq!(age, 1_700_000_060_000);
    }

    #[test]
    fn what_is_kept_is_read_again_and_what_is_not_is_none() {
        let state = tempfile::tempdir().expect("directory");
        let directory = Directory::open(state.path()).expect("directory");
        let mut written = reading("0f9c-11", 100, 1_700_000_000);
        for ahead in [0, 5, -1_000_000] {
            written.ahead = ahead;
            written.keep(&directory).expect("kept");
            assert_eq!(kept(&directory), Some(written.clone()));
        }
        for text in ["", "1 a 1 1 1", "1 a 1 1\n", "2 a 1 1 1\n", "1 a -1 1 1\n", "1 a 1 1 1 1\n", "\u{0}\n"] {
            assert_eq!(Reading::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn without_a_reading_nothing_is_older_than_what_was_written_last() {
        let state = tempfile::tempdir().expect("directory");
        let day = Duration::from_secs(DAY);
        for (name, written, is_jump) in [
            ("just now", SystemTime::now(), false),
            ("40 days ago", SystemTime::now() - 40 * day, true),
            ("in 40 days", SystemTime::now() + 40 * day, true),
        ] {
            let _ = std::fs::remove_file(state.path().join(FILE));
            let file = std::fs::File::create(state.path().join("ledger.sqlite")).expect("file");
            file.set_modified(written).expect("time");
            let clock = AgeClock::new(&StateDir::new(state.path()));
            let now = clock.now();
            let apart = since_1970(now).abs_diff(since_1970(written));
            assert!(apart < Duration::from_secs(60), "{name}: {apart:?}");
            assert_eq!(clock.take_jumps().len(), usize::from(is_jump), "{name}");
            // Another process goes on from there.
            let other = AgeClock::new(&StateDir::new(state.path()));
            assert!(since_1970(other.now()).abs_diff(since_1970(now)) < Duration::from_secs(60), "{name}");
            assert_eq!(other.take_jumps(), [], "{name}: said once");
        }
    }

    proptest! {
        #[test]
        fn it_never_runs_ahead_of_either_clock(
            uptime in 0..10_000_000_u64, wall in 0..10_000_000_000_u64,
            later in 0..10_000_000_u64, wall_later in 0..10_000_000_000_u64, ahead in -1_000_000_000_i64..1_000_000_000,
        ) {
            let mut before = reading("a", uptime, wall);
            before.ahead = ahead;
            let (seconds, _) = goes_on(&before, reading("a", uptime + later, wall_later));
            let by_wall = wall_later as i64 - wall as i64;
            let hour = 3600;
            prop_assert!(seconds <= (later as i64) + hour && seconds <= by_wall.max(0) + hour, "{seconds}");
            prop_assert!(seconds >= -hour, "{seconds}");
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            if let Some(mut reading) = Reading::parse(&text) {
                let _ = reading.clone().follow(&reading);
                reading.ahead = i64::MIN;
                let _ = less(reading.wall, reading.ahead);
            }
        }
    }
}
