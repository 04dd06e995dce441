//! `mailhatch check` on a site that runs, as root would call it.

use std::process::Command;

use crate::service::{Site, over_lmtp_and_pipe};
use crate::support::process::run;

over_lmtp_and_pipe! {
    fn a_canary_comes_through_postfix_and_no_application_sees_it(variant) {
        let site = Site::start(variant);
        let as_user = site.mailhatch(&["check", "--send", "--postfix-config"]);
        // Without its user: the command finds out by itself whom it should be.
        let mut as_root = Command::new(as_user.get_program());
        let output = run(as_root.args(as_user.get_args()).arg(site.postfix.config_dir()).current_dir("/"));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}\n{}", site.postfix.log());
        for line in ["checked as nobody, who owns state_dir", "through Postfix to its verdict in", "ignored, auto-submitted"] {
            assert!(said.contains(line), "{line} is not in\n{said}");
        }
        assert!(site.delivered().is_empty(), "{:?}", site.delivered());
        assert!(!site.held().contains("auto-submitted"), "the copy is removed: {}", site.held());
        site.postfix.assert_nobody_was_written_to();
    }
}
