//! `mailhatch check` about the shared ledger, and the ACL of the documentation.

use crate::hosts::{SECRET, application, config, message, pipe, place, recipient, shared};
use crate::support::credential_host::{Host, said};
use crate::support::needs;
use crate::support::place::Place;
use crate::support::process::{run, run_with_input};
use crate::support::redis::Redis;

/// The lines of `check` about the shared ledger.
fn check(place: &Place) -> String {
    std::fs::create_dir_all(place.path().join("state")).unwrap();
    let output = place.run(&["check"], b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains("shared ledger")).map(|line| format!("{line}\n")).collect()
}

#[needs(redis)]
#[test]
fn check_says_what_is_wrong_with_a_store() {
    let rows: &[(&str, &[&str], &str, &[&str])] = &[
        ("as it should be", &[], "", &["evicts no keys", "survives its end", "is a master", "written and deleted"]),
        ("evicts", &["--maxmemory-policy", "allkeys-lru"], "", &["failed", "maxmemory-policy is allkeys-lru"]),
        ("snapshots only", &["--appendonly", "no"], "", &["warning", "appendonly is no"]),
        ("too few replicas", &[], "replicas = 1", &["failed", "0 replicas are connected"]),
        ("a replica", &["--replicaof", "127.0.0.1 1"], "", &["failed", "it is a slave"]),
    ];
    for (name, options, lines, wanted) in rows {
        let (redis, application) = (Redis::start_with(options), application());
        let found = check(&place("mx1", &application, &format!("{}\n{lines}", shared(&redis))));
        for text in *wanted {
            assert!(found.contains(text), "{name}: no \"{text}\" in\n{found}");
        }
        let is_good = wanted.iter().all(|text| !["failed", "warning"].contains(text));
        assert!(!is_good || !found.contains("failed"), "{name}: {found}");
        assert_eq!(redis.ask(&["KEYS", "*"]), "*0\r\n", "{name}: what check wrote is gone");
    }
    let application = application();
    let nobody = check(&place("mx1", &application, "url = \"redis://127.0.0.1:1\""));
    assert!(nobody.contains("failed") && nobody.contains("connect"), "{nobody}");
}

#[needs(redis)]
#[test]
fn the_acl_of_the_documentation_is_enough_and_no_more_than_is_used() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/several-hosts.md")).unwrap();
    let acl = page
        .lines()
        .filter_map(|line| line.strip_prefix("redis> "))
        .find(|line| line.starts_with("ACL SETUSER"))
        .expect("the ACL");
    let (redis, application) = (Redis::start(), application());
    let words: Vec<_> = acl.split_whitespace().map(|word| word.replace(">PASSWORD", ">hush")).collect();
    assert!(redis.ask(&words.iter().map(String::as_str).collect::<Vec<_>>()).starts_with("+OK"), "{acl}");
    let lines = format!("url = \"{}/1\"\nuser = \"mailhatch\"\nsecret_file = \"{{dir}}/redis\"", redis.url());
    let one = place("mx1", &application, &lines);
    one.write_secret("redis", "hush");
    let found = check(&one);
    assert!(!found.contains("failed") && !found.contains("warning"), "{found}");
    assert!(pipe(&one, 1).starts_with("2.0.0 delivered"));
    let two = place("mx2", &application, &lines);
    two.write_secret("redis", "hush");
    assert!(pipe(&two, 1).starts_with("2.0.0 duplicate"));
    for command in ["+eval", "+time", "+zadd", "+info", "+zcard", "+pexpire"] {
        let without = format!("-{}", &command[1..]);
        assert!(redis.ask(&["ACL", "SETUSER", "mailhatch", &without]).starts_with("+OK"));
        let found = check(&one);
        assert!(found.contains("failed"), "{without}: {found}");
        assert!(redis.ask(&["ACL", "SETUSER", "mailhatch", command]).starts_with("+OK"));
    }
}

#[needs(redis, root, mounts, systemd_creds)]
#[test]
fn the_password_of_a_store_may_be_in_a_credential() {
    let (redis, application) = (Redis::start_with(&["--requirepass", "hush"]), application());
    let host = Host::new(&config("mx1", &application, &format!("{}\ncredential = \"redis\"", shared(&redis))));
    host.place.write_secret("secret", SECRET);
    let lines = || {
        std::fs::create_dir_all(host.place.path().join("state")).unwrap();
        let output = run(&mut host.mailhatch(&["check"]));
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
    };
    assert!(lines().contains("the credential \"redis\" was not handed over"), "{}", lines());
    host.set("redis", "password = \"wrong\"");
    assert!(lines().contains("failed"), "{}", lines());
    host.set("redis", "password = \"hush\"");
    let found = lines();
    assert!(found.contains("written and deleted"), "{found}");
    let mut pipe = host.mailhatch(&["pipe", "--sender=jane@example.org", &format!("--recipient={}", recipient(1))]);
    let said = said(run_with_input(&mut pipe, &message(1)), true);
    assert!(said.starts_with("2.0.0 delivered"), "{said}");
    assert_eq!(redis.keys("d").len(), 1, "the store does not know of it");
}
