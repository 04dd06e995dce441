//! What an application answers: any octets are an answer or a fault, and only clean ones acknowledge.
#![no_main]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use mailhatch::app::{Answer, Apps, Event};
use mailhatch::config::{AddressSource, Config};
use mailhatch::event_id::{EventId, MessageDigest};
use mailhatch::mail::{Client, Content, Envelope, Message, Recipient, Sender};
use mailhatch::route::{Key, Matched, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const KINDS: [(&str, &str); 2] =
    [("gitlab", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), ("webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];

/// Answers each request with the same octets, and closes the connection.
async fn answer(listener: UnixListener, octets: Vec<u8>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = Vec::new();
        while !is_whole(&request) && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
        let _ = stream.write_all(&octets).await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn event(config: &Config) -> Event {
    let message = Message::parse(Content::whole("Subject: x\r\n\r\nx\r\n"));
    Event {
        id: EventId::of("m", "k", &MessageDigest::of(&message, None).expect("digest")),
        time: SystemTime::UNIX_EPOCH,
        route: Route {
            mailbox: Arc::new(config.mailboxes[0].clone()),
            action: "message".to_owned(),
            key: Key::new("k").expect("key"),
            captures: [].into(),
            matched: Matched { source: AddressSource::Envelope, address: "m@h".to_owned() },
        },
        envelope: Arc::new(Envelope {
            sender: Sender::Null,
            recipients: Vec::new(),
            client: Client::default(),
            queue_id: None,
            origin: mailhatch::mail::Origin::Smtp,
        }),
        recipient: Recipient::new("m@h"),
        message,
        authentication: None,
    }
}

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("directory");
    let (socket, secret) = (directory.path().join("s"), directory.path().join("secret"));
    for (kind, text) in KINDS {
        std::fs::write(&secret, text).expect("secret");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let text = format!(
            "[[mailbox]]\nname = \"m\"\naddress = \"m@h\"\napp = \"a\"\n[[app]]\nname = \"a\"\nkind = \"{kind}\"\n\
             url = \"http+unix://{}\"\nsecret_file = \"{}\"\n",
            socket.display(),
            secret.display(),
        );
        let config = Config::parse(Path::new("fuzz.toml"), &text).expect("configuration");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let answered = runtime.block_on(async {
            let server = tokio::spawn(answer(UnixListener::bind(&socket).expect("listen"), data.to_vec()));
            let apps = Apps::new(&config).expect("applications");
            let answered = apps.get("a").expect("app").hand_over(&event(&config)).await;
            server.abort();
            answered
        });
        std::fs::remove_file(&socket).expect("socket");
        if let Ok(Answer::Delivered { .. }) = answered {
            let text = String::from_utf8_lossy(data).to_lowercase();
            assert!(text.starts_with("http/1."), "{text}");
            let is_framed = ["content-length", "chunked", " 204"].iter().any(|word| text.contains(word));
            assert!(is_framed, "an answer that does not say where it ends: {text}");
        }
    }
});
