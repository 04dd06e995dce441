//! The sandbox around a process that handles mail: where it may write, what it may never ask of the kernel, and who it is.
//!
//! It does not replace the file modes and the service's sandbox; it holds also where there is no systemd, and for `pipe`. A
//! kernel that knows no Landlock or no seccomp is no reason to refuse mail: what could not be raised is said in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::config::{Config, ConfigError, ListenAddress};

/// The sandbox as it stands. One that was never entered keeps nothing out.
#[derive(Debug, Default)]
pub struct Sandbox {
    places: BTreeSet<PathBuf>,
    writing: Part,
    calls: Part,
}

/// One part of it.
#[derive(Debug, Default)]
enum Part {
    #[default]
    Open,
    Closed,
    /// Why not.
    Failed(String),
}

/// What neither `serve` nor `pipe` ever does, and what somebody who has taken the process over would begin with: starting
/// programs, looking into other processes, changing what the machine is made of. A list of what is forbidden, not of what is
/// allowed: a new libc that uses a new call must not cost mail.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// The access rights that this program was tested with; an older kernel knows fewer of them.
const KNOWN: ABI = ABI::V7;

impl Sandbox {
    /// Puts it around this process. Must come before the runtime: Landlock holds for the calling thread and those that it
    /// starts from now on.
    ///
    /// Writing is restricted, and starting programs. Reading is not: name service modules, certificates and resolver
    /// configuration stand wherever the distribution puts them.
    pub fn enter(config: &Config) -> Self {
        // Without it an unprivileged process may raise nothing; and no set-uid program gives rights back.
        let _ = nix::sys::prctl::set_no_new_privs();
        let places = places(config).into_iter().chain(temporary_places()).collect();
        let writing = match restrict_writing(&places) {
            Ok(()) => Part::Closed,
            Err(why) => Part::Failed(why),
        };
        let calls = match restrict_calls() {
            Ok(()) => Part::Closed,
            Err(error) => Part::Failed(error.to_string()),
        };
        Self { places, writing, calls }
    }

    /// Whether a configuration that was read again has all its places within the sandbox; it cannot be left.
    ///
    /// # Errors
    /// A place lies outside: the error shows the line, and says to restart.
    pub fn admits(&self, config: &Config) -> Result<(), ConfigError> {
        if !matches!(self.writing, Part::Closed) {
            return Ok(());
        }
        let real = |place: &PathBuf| place.canonicalize().unwrap_or_else(|_| place.clone());
        let ours: Vec<_> = self.places.iter().map(real).collect();
        let outside =
            |path: &Path| !rules(path).iter().map(real).all(|rule| ours.iter().any(|own| rule.starts_with(own)));
        let text = |what: &str, path: &Path| {
            format!(
                "{what} {} lies outside of what this process may write to since it started: restart mailhatch",
                path.display()
            )
        };
        for app in &config.apps {
            if let Some(path) = app.path.as_ref().filter(|path| outside(&path.value)) {
                return Err(config.error_at(path, text("the spool", &path.value)));
            }
        }
        if outside(&config.state_dir) {
            return Err(config.error(text("state_dir", &config.state_dir)));
        }
        Ok(())
    }

    /// Whether all of it stands.
    pub fn is_whole(&self) -> bool {
        matches!((&self.writing, &self.calls), (Part::Closed, Part::Closed))
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.writing {
            Part::Closed => {
                let places: Vec<_> = self.places.iter().map(|place| place.display().to_string()).collect();
                write!(f, "sandbox: writes only below {}", places.join(", "))?;
            }
            Part::Open => f.write_str("sandbox: writes anywhere its user may")?,
            Part::Failed(why) => write!(f, "sandbox: writes anywhere its user may ({why})")?,
        }
        match &self.calls {
            Part::Closed => f.write_str("; starts no program"),
            Part::Open => f.write_str("; no system call is barred"),
            Part::Failed(why) => write!(f, "; no system call is barred ({why})"),
        }
    }
}

/// What the configuration lets a process write to.
fn places(config: &Config) -> BTreeSet<PathBuf> {
    let spools = config.apps.iter().filter_map(|app| app.path.as_ref()).map(|path| path.value.as_path());
    let sockets = config.listen.lmtp.iter().chain(&config.listen.policy).filter_map(|address| match address {
        ListenAddress::Unix(path) => Some(path.as_path()),
        ListenAddress::Tcp(_) => None,
    });
    std::iter::once(config.state_dir.as_path()).chain(spools).chain(sockets).flat_map(rules).collect()
}

/// Where the rest of a message that is too large stands if there can be no state, and where SQLite sorts what is large.
fn temporary_places() -> impl Iterator<Item = PathBuf> {
    [std::env::temp_dir(), PathBuf::from("/var/tmp")].into_iter()
}

/// The directories below which one path may be written: the one that it lies in and, if it is a link, the one that it lies in
/// as it is now.
///
/// Not the path itself: a rule is about an inode, and a spool that somebody removes and makes again is another one. The root
/// directory would restrict nothing, so what lies in it stands for itself.
fn rules(path: &Path) -> BTreeSet<PathBuf> {
    let linked = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let rule = |path: &Path| {
        let parent = path.ancestors().skip(1).find(|ancestor| ancestor.exists())?;
        let is_root = parent.parent().is_none();
        Some(if is_root && path.exists() { path } else { parent }.to_owned())
    };
    [Some(path), linked.as_deref()].into_iter().flatten().filter_map(rule).collect()
}

fn restrict_writing(places: &BTreeSet<PathBuf>) -> Result<(), String> {
    let too_old = |_: RulesetError| {
        "no Landlock: the kernel is older than Linux 5.19, has it switched off, or a system-call filter forbids it"
            .to_owned()
    };
    let failed = |error: RulesetError| error.to_string();
    // The first Landlock forbids every rename from one directory to another, and held mail is renamed.
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let ruleset = ruleset.handle_access(AccessFs::Refer).map_err(too_old)?.set_compatibility(CompatLevel::BestEffort);
    let status = ruleset
        .handle_access(AccessFs::from_write(KNOWN) | AccessFs::Execute)
        .and_then(Ruleset::create)
        .and_then(|created| created.add_rules(path_beneath_rules(places, AccessFs::from_write(KNOWN))))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(failed)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel's Landlock is switched off".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn restrict_calls() -> Result<(), seccompiler::Error> {
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        FORBIDDEN.iter().map(|&call| (call, Vec::new())).collect();
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let program = std::env::consts::ARCH
        .try_into()
        .and_then(|architecture| SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture))
        .and_then(BpfProgram::try_from)?;
    seccompiler::apply_filter_all_threads(&program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_restricted_by_what_it_lies_in() {
        let base = tempfile::tempdir().expect("directory");
        let base = base.path().canonicalize().expect("path");
        let (there, elsewhere) = (base.join("there"), base.join("elsewhere"));
        std::fs::create_dir_all(there.join("spool")).expect("directory");
        std::fs::create_dir_all(elsewhere.join("spool")).expect("directory");
        std::os::unix::fs::symlink(elsewhere.join("spool"), there.join("link")).expect("link");
        let rows: &[(&str, PathBuf, &[&Path])] = &[
            ("a directory", there.join("spool"), &[&there]),
            ("one that is not there", there.join("later"), &[&there]),
            ("nor what it lies in", there.join("later/still"), &[&there]),
            ("a link", there.join("link"), &[&there, &elsewhere]),
            ("one in the root directory", "/tmp".into(), &[Path::new("/tmp")]),
            ("one in the root directory that is not there", "/no-such-spool".into(), &[Path::new("/")]),
        ];
        for (name, path, want) in rows {
            let want: BTreeSet<_> = want.iter().map(|path| path.to_path_buf()).collect();
            assert_eq!(rules(path), want, "{name}");
        }
    }
}
