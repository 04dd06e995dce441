//! The service with a client that is not ours: Postfix's own load generator, where it is installed.

use std::process::Command;

use super::service::Service;
use crate::support::needs;
use crate::support::parts::find;
use crate::support::process::run;

#[needs(postfix)]
#[tokio::test(flavor = "multi_thread")]
async fn smtp_source_hands_in_every_message() {
    let service = Service::start(|settings| settings.connections = 50);
    for once in [true, false] {
        let mut command = Command::new(find("smtp-source").unwrap());
        // -L: LMTP; -d: connections are kept.
        command.args(["-L", "-s", "8", "-m", "200", "-l", "4000", "-f", "a@example.org", "-t", "u@example.com"]);
        if !once {
            command.arg("-d");
        }
        command.arg(format!("unix:{}", service.socket().display()));
        let output = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let messages = service.recorder.messages.lock().unwrap();
    assert_eq!(messages.len(), 400);
    for (envelope, content) in messages.iter() {
        assert_eq!(envelope.sender.as_text(), Some("a@example.org"));
        // smtp-source counts its lines without their ends, and adds a header.
        assert!(content.size() > 4000, "{}", content.size());
    }
}
