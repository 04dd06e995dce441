//! The connection with a real Dovecot: TLS, STARTTLS, login, the open folder, idling.

use std::sync::Arc;
use std::time::Duration;

use mailhatch::config::Secret;
use mailhatch::intake::mailbox::failure::{Cause, Failure};
use mailhatch::intake::mailbox::imap::{
    Access, Connection, Credential, Endpoint, Folder, Limits, Plan, Proof, Security, Woken,
};
use tokio::time::Instant;

use crate::servers::{Dovecot, PASSWORD, USER};
use crate::support::needs;

pub fn plan(security: Security, password: &str) -> Plan {
    Plan {
        security,
        endpoint: ("localhost".to_owned(), 0),
        credential: Credential {
            user: USER.to_owned(),
            proof: Proof::Password(Secret::new(password.as_bytes().to_vec())),
        },
        folder: Folder::named("INBOX").unwrap(),
        folder_name: "INBOX".to_owned(),
        access: Access::ReadWrite,
        max_response_size: 64 * 1024 * 1024,
        tag_prefix: "t".to_owned(),
    }
}

async fn open(port: u16, security: Security, ca: Option<&Dovecot>, password: &str) -> Result<Connection, Failure> {
    let extra =
        ca.map(|server| mailhatch::tls::read_certificates(&server.path("tls.pem")).unwrap()).unwrap_or_default();
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port,
        security,
        tls: Some(Arc::new(mailhatch::tls::client(&extra).unwrap())),
    };
    Connection::open(&endpoint, plan(security, password), Limits::default()).await
}

#[needs(dovecot_imap, root)]
#[tokio::test]
async fn a_real_dovecot_lets_us_in_by_each_way() {
    let server = Dovecot::start();
    let (imap, imaps) = (server.imap(), server.imaps());
    type Row<'r> = (&'r str, u16, Security, bool, &'r str, Result<(), Cause>);
    let rows: &[Row<'_>] = &[
        ("TLS", imaps, Security::Tls, true, PASSWORD, Ok(())),
        ("STARTTLS", imap, Security::StartTls, true, PASSWORD, Ok(())),
        ("plain on loopback", imap, Security::Loopback, false, PASSWORD, Ok(())),
        ("TLS, unknown authority", imaps, Security::Tls, false, PASSWORD, Err(Cause::Certificate)),
        ("STARTTLS, unknown authority", imap, Security::StartTls, false, PASSWORD, Err(Cause::Certificate)),
        ("TLS on the port of STARTTLS", imap, Security::Tls, true, PASSWORD, Err(Cause::Certificate)),
        ("wrong password", imaps, Security::Tls, true, "guess", Err(Cause::Authentication)),
    ];
    for (name, port, security, with_ca, password, expected) in rows {
        let found = open(*port, *security, with_ca.then_some(&server), password).await;
        assert_eq!(found.as_ref().map(|_| ()).map_err(|failure| failure.cause), *expected, "{name}");
    }
    assert!(!server.log().contains("guess"), "a password in the log of a test proves nothing");
}

#[tokio::test]
async fn a_dead_port_is_unreachable() {
    let [port] = crate::servers::free_ports();
    let failure = open(port, Security::Loopback, None, PASSWORD).await.err().unwrap();
    assert_eq!(failure.cause, Cause::Unreachable);
}

#[needs(dovecot_imap, root)]
#[tokio::test]
async fn idling_with_dovecot_hears_of_a_message() {
    let server = Dovecot::start();
    let mut connection = open(server.imap(), Security::Loopback, None, PASSWORD).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(connection.idle(soon, std::future::pending()).await, Ok(Woken::Asked));
    assert_eq!(connection.idle(Instant::now() + Duration::from_secs(60), async {}).await, Ok(Woken::Asked));
    let mut client = server.client();
    std::thread::spawn(move || client.append("INBOX", "", None, b"Subject: x\r\n\r\nx\r\n"));
    let woken = connection.idle(Instant::now() + Duration::from_secs(100), std::future::pending()).await;
    assert_eq!(woken, Ok(Woken::News));
}
