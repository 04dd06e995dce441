//! The user that the check runs as: the owner of the state directory, as for the service.

use nix::unistd::Uid;
use std::os::unix::fs::MetadataExt;

use super::finding::Finding;
use crate::config::Config;
use crate::service_user::{Identity, become_owner};
use crate::state_dir::name_of;

/// Goes on as the owner of the state directory, if root runs the check and the owner is another.
pub(super) fn become_service(config: &Config) -> Vec<Finding> {
    const PART: &str = "user";
    let state = config.state_dir.display();
    let owner = match std::fs::metadata(&config.state_dir) {
        Ok(metadata) if metadata.is_dir() => Uid::from_raw(metadata.uid()),
        Ok(_) => return vec![Finding::failed(PART, format!("state_dir {state} is not a directory"))],
        Err(error) => {
            let advice = "create it for the service's user (the packages do so: systemd-tmpfiles --create), for example \
                 with install -d -o mailhatch -g mailhatch -m 0750";
            return vec![Finding::failed(PART, format!("state_dir {state}: {error}; {advice}"))];
        }
    };
    let user = Uid::effective();
    vec![match become_owner(&config.state_dir) {
        Ok(Identity::Unprivileged) if owner != user => {
            let (user, owner) = (name_of(user), name_of(owner));
            let text = format!("checked as {user}, but state_dir belongs to {owner}: run it as root or as {owner}");
            Finding::warning(PART, text)
        }
        Ok(_) => Finding::ok(PART, format!("checked as {}, who owns state_dir", name_of(owner))),
        Err(error) => {
            let owner = name_of(owner);
            Finding::failed(
                PART,
                format!("root cannot become {owner}, the owner of state_dir: {error}; run it as {owner}"),
            )
        }
    }]
}
