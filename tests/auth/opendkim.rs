//! Messages that OpenDKIM signed: the daemon runs as a milter, and the test plays the MTA.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use mailhatch::auth::AuthResult;

use super::{authenticator, envelope, message};
use crate::support::name_server::{NameServer, Zone};
use crate::support::needs;
use crate::support::parts::find;
use crate::support::process::Process;
use crate::support::signer::Key;
use crate::support::wait::{LIMIT, wait_for};

const HEADER: &[(&str, &str)] = &[
    ("From", "Jane  Doe <jane@example.org>"),
    ("To", "incoming+k@example.com"),
    ("Subject", "a long subject that is\r\n\tfolded over two lines"),
    ("Date", "Sun, 22 Nov 2026 10:00:00 +0000"),
    ("Message-ID", "<1@example.org>"),
];
const BODY: &str = "Hello  there,  \r\n\r\n\ttabs\tand blanks \r\n \r\n\r\n";

#[needs(opendkim, openssl)]
#[tokio::test]
async fn messages_signed_by_opendkim_are_verified() {
    let key = Key::rsa(2048);
    let server = NameServer::start(Zone::new().txt("s._domainkey.example.org", &key.record()));
    let authenticator = authenticator(&server);
    for canonicalization in ["relaxed/relaxed", "simple/simple", "relaxed/simple"] {
        let daemon = Daemon::start(key.file(), canonicalization);
        let signature = daemon.signature();
        assert!(signature.contains(canonicalization), "{signature}");
        let fields: String = HEADER.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let signed = format!("DKIM-Signature: {signature}\r\n{fields}\r\n{BODY}");
        let forms = [
            ("as sent", signed.clone(), AuthResult::Pass),
            ("from pipe(8), with LF", signed.replace("\r\n", "\n"), AuthResult::Pass),
            ("changed", signed.replace("Hello", "Hallo"), AuthResult::Fail),
        ];
        for (name, text, expected) in forms {
            let found = authenticator.examine(&envelope("jane@example.org", ""), &message(text)).await;
            assert_eq!(found.dkim.len(), 1, "{canonicalization}, {name}");
            assert_eq!(found.dkim[0].result, expected, "{canonicalization}, {name}: {:?}", found.steps);
        }
    }
}

/// A running opendkim, and its directory.
struct Daemon {
    _process: Process,
    directory: tempfile::TempDir,
}

impl Daemon {
    fn start(key: &Path, canonicalization: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A test may run as root, and opendkim wants its key in safe hands; here it is a key of the moment.
        let settings = format!(
            "Mode s\nDomain example.org\nSelector s\nKeyFile {}\nCanonicalization {canonicalization}\nRequireSafeKeys no\n\
             Socket local:{}\nSyslog no\nBackground no\nInternalHosts 127.0.0.1\nSignHeaders From,To,Subject,Date\n\
             OversignHeaders From\n",
            key.display(),
            directory.path().join("milter.sock").display(),
        );
        let file = directory.path().join("opendkim.conf");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(find("opendkim").unwrap());
        command.arg("-f").arg("-x").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        Self { _process: Process::start(&mut command), directory }
    }

    fn connect(&self) -> UnixStream {
        let socket = self.directory.path().join("milter.sock");
        let stream = wait_for("opendkim to listen", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends the message over the milter protocol and gives the value of the field that opendkim inserts.
    fn signature(&self) -> String {
        let mut milter = Milter(self.connect());
        // Version 6, every action, no step left out.
        milter.ask(b'O', &[6_u32, 0x1ff, 0].map(u32::to_be_bytes).concat());
        milter.say(b'D', b"C{client_addr}\x00127.0.0.1\0");
        milter.ask(b'C', b"localhost\x004\x00\x19127.0.0.1\0");
        milter.ask(b'H', b"localhost\0");
        milter.say(b'D', b"Mi\x004X\0");
        milter.ask(b'M', b"<jane@example.org>\0");
        milter.ask(b'R', b"<incoming+k@example.com>\0");
        milter.ask(b'T', b"");
        for (name, value) in HEADER {
            // A milter gets values with LF.
            milter.ask(b'L', format!("{name}\0{}\0", value.replace("\r\n", "\n")).as_bytes());
        }
        milter.ask(b'N', b"");
        milter.ask(b'B', BODY.as_bytes());
        milter.say(b'E', b"");
        loop {
            let (command, data) = milter.hear();
            match command {
                b'p' => {}
                // Index, name, value.
                b'i' | b'h' => {
                    let text = &data[if command == b'i' { 4 } else { 0 }..];
                    let mut parts =
                        text.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
                    assert_eq!(parts.next().as_deref(), Some("DKIM-Signature"));
                    return parts.next().unwrap().replace("\r\n", "\n").replace('\n', "\r\n").trim_start().to_owned();
                }
                other => panic!("opendkim did not sign: {}", char::from(other)),
            }
        }
    }
}

/// The MTA's side of the milter protocol: each packet is a length, a letter and data.
struct Milter(UnixStream);

impl Milter {
    fn say(&mut self, command: u8, data: &[u8]) {
        let length = u32::try_from(data.len() + 1).unwrap().to_be_bytes();
        self.0.write_all(&[&length[..], &[command], data].concat()).unwrap();
    }

    fn hear(&mut self) -> (u8, Vec<u8>) {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut packet).unwrap();
        (packet[0], packet.split_off(1))
    }

    /// Sends a step and expects "continue", or the answer to the negotiation.
    fn ask(&mut self, command: u8, data: &[u8]) {
        self.say(command, data);
        let (answer, _) = self.hear();
        assert!(matches!(answer, b'c' | b'O'), "{} to {}", char::from(answer), char::from(command));
    }
}
