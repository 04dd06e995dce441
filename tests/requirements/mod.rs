//! What the tests need, and what `MAILHATCH_REQUIRE` says must be here.

use crate::support::parts::{REQUIRE, missing, required};

#[test]
fn what_is_required_is_here() {
    for part in required() {
        assert_eq!(missing(&part), Ok(None), "{REQUIRE} names {part}");
    }
}

#[test]
fn the_list_of_setup_sh_is_read() {
    for part in ["dovecot", "opendkim", "openssl", "postfix", "prometheus", "python3", "root", "corpus", "mounts"] {
        assert!(missing(part).is_ok(), "{part}");
    }
    assert!(missing("opendkim-tools").is_err(), "a package is not a part");
}
