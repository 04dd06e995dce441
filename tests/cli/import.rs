//! `mailhatch import`: exit status, and an output that the program takes.

use std::path::Path;
use std::process::{Command, Output};

use mailhatch::config::Config;

use crate::support::process::run;
use crate::support::service::MAILHATCH;

fn import(name: &str, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    std::fs::write(&file, text).unwrap();
    run(Command::new(MAILHATCH).arg("import").arg(file))
}

#[test]
fn what_is_printed_is_a_configuration() {
    let text = "external_url 'https://gitlab.example.com'\ngitlab_rails['incoming_email_enabled'] = true\n\
                gitlab_rails['incoming_email_address'] = 'incoming+%{key}@mail.example.com'\n";
    let output = import("gitlab.rb", text);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let config = Config::parse(Path::new("mailhatch.toml"), &printed).unwrap();
    assert_eq!(config.mailboxes[0].address.value, "incoming+%{key}@mail.example.com");
}

#[test]
fn the_exit_status_tells_a_wrong_file_from_one_without_mail() {
    let rows = [
        ("not enabled", "gitlab.rb", "gitlab_rails['incoming_email_enabled'] = false\n", 1),
        ("another file", "compose.yml", "services: {}\n", 2),
    ];
    for (name, file, text, status) in rows {
        let output = import(file, text);
        assert_eq!(output.status.code(), Some(status), "{name}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{name}: {output:?}");
    }
}
