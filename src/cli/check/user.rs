//! The user that the service runs as: the owner of the state directory.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Uid, User};

use super::finding::Finding;
use crate::config::Config;

/// Goes on as the owner of the state directory, if root runs the check and the owner is another. It only returns where
/// there is nothing to change, or where that fails.
pub(super) fn become_service(config: &Config) -> Vec<Finding> {
    let state = &config.state_dir;
    let user = Uid::effective();
    let name = |uid: Uid| User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name);
    let owner = match std::fs::metadata(state) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return vec![Finding::failed("user", format!("state_dir {} is not a directory", state.display()))],
        Err(error) => {
            let advice = "create it for the service's user (the packages do so: systemd-tmpfiles --create), for example \
                 with install -d -o mailhatch -g mailhatch -m 0750";
            return vec![Finding::failed("user", format!("state_dir {}: {error}; {advice}", state.display()))];
        }
    };
    if !user.is_root() || owner.uid() == 0 {
        let is_owner = owner.uid() == user.as_raw();
        let text = format!("checked as {}", name(user));
        return vec![if is_owner {
            Finding::ok("user", format!("{text}, who owns state_dir"))
        } else {
            let owner = name(Uid::from_raw(owner.uid()));
            Finding::warning("user", format!("{text}, but state_dir belongs to {owner}: run it as root or as {owner}"))
        }];
    }
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).gid(owner.gid()).uid(owner.uid()).exec(),
        Err(error) => error,
    };
    let owner = name(Uid::from_raw(owner.uid()));
    vec![Finding::warning(
        "user",
        format!("checked as root, because it cannot be run as {owner}, the service's user: {error}"),
    )]
}
