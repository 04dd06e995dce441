//! `mailhatch demo`: the main job with nothing set up. A temporary LMTP service, the `spool` application, sample messages sent
//! through, a table of what became of each.

mod client;

use std::io;
use std::path::Path;
use std::sync::Arc;

use client::LmtpClient;

use super::output::{FAILED, print_error, say};
use super::serve;
use super::set_up::Site;
use crate::config::Config;
use crate::telemetry::Telemetry;

/// One sample message.
struct Sample {
    title: &'static str,
    sender: &'static str,
    recipient: &'static str,
    message: &'static str,
}

const SAMPLES: [Sample; 5] = [
    Sample {
        title: "a reply to a notification",
        sender: "jane@example.org",
        recipient: "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@gitlab.example.com",
        message: include_str!("reply.eml"),
    },
    Sample {
        title: "a new issue",
        sender: "jane@example.org",
        recipient: "incoming+group-project-20-glimt-Xy7_demoTOKENdemoTOKEN-issue@gitlab.example.com",
        message: include_str!("issue.eml"),
    },
    Sample {
        title: "an out-of-office",
        sender: "max@example.net",
        recipient: "incoming+59d8df8370b7e95c5a49fbf86aeb2c93@gitlab.example.com",
        message: include_str!("out-of-office.eml"),
    },
    Sample {
        title: "forwarded, found by Received",
        sender: "customer@example.org",
        recipient: "gitlab-inbox@mx.example.com",
        message: include_str!("forwarded.eml"),
    },
    Sample {
        title: "an unknown address",
        sender: "somebody@example.org",
        recipient: "incoming@gitlab.example.com",
        message: include_str!("unknown.eml"),
    },
];

/// Shows it and gives the exit status.
pub(super) fn run() -> u8 {
    match show() {
        Ok(true) => 0,
        Ok(false) => FAILED,
        Err(error) => {
            print_error(format_args!("the demo cannot run: {error}"));
            FAILED
        }
    }
}

fn show() -> io::Result<bool> {
    let directory = tempfile::Builder::new().prefix("mailhatch-demo-").tempdir()?;
    let spool = directory.path().join("spool");
    let socket = directory.path().join("lmtp.sock");
    std::fs::create_dir(&spool)?;
    let text = configuration(directory.path(), &spool, &socket);
    say(format_args!("The configuration:\n"));
    text.lines().for_each(|line| say(format_args!("    {line}")));
    let config = Config::parse(&directory.path().join("mailhatch.toml"), &text).map_err(io::Error::other)?;
    let site = Site::new(config, Arc::new(Telemetry::silent())).map_err(io::Error::other)?;
    let service = serve::Background::start(site)?;
    let all_answered = send_all(&socket)?;
    show_one_event(&spool)?;
    service.stop();
    Ok(all_answered)
}

fn configuration(state: &Path, spool: &Path, socket: &Path) -> String {
    format!(
        r#"hostname = "mx.example.com"
state_dir = "{}"

[listen]
lmtp = ["unix:{}"]

[[mailbox]]
name = "incoming_email"
address = "incoming+%{{key}}@gitlab.example.com"
actions = "gitlab"
app = "tickets"

[[app]]
name = "tickets"
kind = "spool"
path = "{}"

[auth]
method = "off"

[notice]
enabled = false
"#,
        state.display(),
        socket.display(),
        spool.display()
    )
}

fn send_all(socket: &Path) -> io::Result<bool> {
    let mut client = LmtpClient::connect(socket)?;
    let mut all_answered = true;
    say(format_args!("\n{:<30} {:<10} {}", "message", "verdict", "LMTP reply"));
    for sample in SAMPLES {
        let reply = client.send(sample.sender, sample.recipient, sample.message)?;
        let verdict = reply.split([' ', ':']).nth(2).unwrap_or("?");
        say(format_args!("{:<30} {verdict:<10} {reply}", sample.title));
        all_answered &= reply.starts_with("250 2.0.0 ");
    }
    client.quit()?;
    Ok(all_answered)
}

fn show_one_event(spool: &Path) -> io::Result<()> {
    let mut events = std::fs::read_dir(spool)?.collect::<io::Result<Vec<_>>>()?;
    // What begins with a point is not an event: what is being written.
    events.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    events.sort_by_key(std::fs::DirEntry::file_name);
    say(format_args!("\nThe spool has {} events; one of them, event.json:\n", events.len()));
    for event in events {
        let text = std::fs::read(event.path().join("event.json"))?;
        let json: serde_json::Value = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if json["data"]["action"] == "reply" {
            let pretty = serde_json::to_string_pretty(&json).map_err(io::Error::other)?;
            pretty.lines().for_each(|line| say(format_args!("    {line}")));
        }
    }
    Ok(())
}
