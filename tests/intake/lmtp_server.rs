//! The LMTP service over real sockets.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use mailhatch::config::ListenAddress;
use mailhatch::intake::listener::{ListenError, Listener};
use nix::unistd::Uid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::service::{Client, Service};
use crate::support::needs;
use crate::support::wait::awaited;

async fn two_messages<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>) {
    client.greet().await;
    for _ in 0..2 {
        let replies = client.message("<a@b.example>", &["one@h", "held@h", "one@h"], b"hi\r\n").await;
        assert_eq!(replies, ["250 2.0.0 delivered", "250 2.0.0 held: unproven-sender", "250 2.0.0 delivered"]);
    }
    client.send("QUIT\r\n").await;
    assert_eq!(client.rest().await, "221 2.0.0 Bye\r\n");
}

#[tokio::test]
async fn every_recipient_has_its_reply_in_order_on_both_kinds_of_socket() {
    let service = Service::start(|_| {});
    two_messages(service.unix().await).await;
    two_messages(service.tcp().await).await;
    let messages = service.recorder.messages.lock().unwrap();
    assert_eq!(messages.len(), 4);
    assert_eq!(&messages[3].1.head()[..], b"hi\r\n");
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.send("LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@h>\r\nDATA\r\n.\r\nNOOP\r\nQUIT\r\n").await;
    let text = client.rest().await;
    let codes: Vec<_> = text.lines().map(|line| &line[..4]).collect();
    assert_eq!(codes[..9], ["220 ", "250-", "250-", "250-", "250-", "250-", "250-", "250-", "250 "]);
    assert_eq!(codes[9..], ["250 ", "250 ", "354 ", "250 ", "250 ", "221 "]);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_turned_away_until_one_ends() {
    let service = Service::start(|settings| settings.connections = 1);
    let mut first = service.unix().await;
    first.greet().await;
    assert_eq!(service.tcp().await.rest().await, "421 4.3.2 Too many connections\r\n");
    first.send("QUIT\r\n").await;
    first.rest().await;
    // The place is given back a moment after the socket is closed.
    let served = async {
        while !service.unix().await.line().await.starts_with("220 ") {
            tokio::task::yield_now().await;
        }
    };
    awaited("the place of the connection that ended", served).await;
}

#[tokio::test]
async fn a_panic_costs_one_message_a_deferral() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.greet().await;
    let replies = client.message("<panic@b.example>", &["one@h", "two@h"], b"").await;
    assert!(replies.iter().all(|reply| reply.starts_with("451 4.3.0 ")), "{replies:?}");
    assert_eq!(client.message("<a@b.example>", &["one@h"], b"").await, ["250 2.0.0 delivered"]);
    assert!(service.logged("panicked"));
}

#[tokio::test]
async fn a_recipient_without_an_outcome_is_deferred() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.greet().await;
    let replies = client.message("<short@b.example>", &["one@h", "two@h"], b"").await;
    assert_eq!(replies[0], "250 2.0.0 delivered");
    assert!(replies[1].starts_with("451 4.3.0 "), "{replies:?}");
    assert!(service.logged("1 outcomes for 2 recipients"));
}

#[tokio::test]
async fn a_delivery_goes_on_when_its_client_goes_away() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.greet().await;
    client.begin("<slow@b.example>", &["one@h"]).await;
    client.send(".\r\n").await;
    service.begun(1).await;
    drop(client);
    service.recorder.gate.add_permits(1);
    service.done(1).await;
    two_messages(service.unix().await).await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_a_message_hands_in_nothing() {
    let service = Service::start(|_| {});
    let mut client = service.unix().await;
    client.greet().await;
    client.begin("<a@b.example>", &["one@h"]).await;
    client.send("half a mess").await;
    drop(client);
    two_messages(service.unix().await).await;
    assert_eq!(service.senders(), ["a@b.example"; 2]);
}

#[tokio::test]
async fn a_stop_lets_deliveries_finish_and_sends_the_others_away() {
    let service = Service::start(|_| {});
    let (mut idle, mut busy, mut sending) = (service.unix().await, service.tcp().await, service.unix().await);
    idle.greet().await;
    busy.greet().await;
    sending.greet().await;
    busy.begin("<slow@b.example>", &["one@h"]).await;
    busy.send(".\r\n").await;
    service.begun(1).await;
    assert!(sending.begin("<a@b.example>", &["one@h"]).await.starts_with("354 "));
    service.trigger.request();
    assert_eq!(idle.rest().await, "421 4.3.2 Service is stopping\r\n");
    sending.send("late\r\n.\r\n").await;
    let answers = "250 2.0.0 delivered\r\n421 4.3.2 Service is stopping\r\n";
    assert_eq!(sending.rest().await, answers);
    service.recorder.gate.add_permits(1);
    assert_eq!(busy.rest().await, answers);
    assert_eq!(awaited("the end of the service", service.running).await.unwrap(), 0);
    assert!(!service.folder.path().join("lmtp.sock").exists(), "the socket is removed");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let service = Service::start(|settings| settings.drain = Duration::from_millis(20));
    let mut client = service.unix().await;
    client.greet().await;
    client.begin("<slow@b.example>", &["one@h"]).await;
    client.send(".\r\n").await;
    service.begun(1).await;
    service.trigger.request();
    assert_eq!(awaited("the end of the service", service.running).await.unwrap(), 1);
}

#[tokio::test]
async fn a_message_waits_for_memory_and_then_is_deferred() {
    let service = Service::start(|settings| settings.memory = 1 << 20);
    let (mut first, mut second) = (service.unix().await, service.unix().await);
    first.greet().await;
    second.greet().await;
    // No size declared: a mebibyte is reserved, which is all there is.
    assert!(first.begin("<slow@b.example>", &["one@h"]).await.starts_with("354 "));
    assert!(second.begin("<a@b.example>", &["one@h"]).await.starts_with("451 4.3.1 "));
    assert!(service.logged("limits.memory"));
    // A message of a few octets in delivery leaves room for others.
    first.send("hi\r\n.\r\n").await;
    service.begun(1).await;
    assert_eq!(second.message("<a@b.example> SIZE=1000", &["one@h"], b"").await, ["250 2.0.0 delivered"]);
    service.recorder.gate.add_permits(1);
    assert_eq!(first.line().await, "250 2.0.0 delivered");
}

#[tokio::test]
async fn a_message_that_outgrows_its_declared_size_and_the_memory_is_deferred_for_everybody() {
    let service = Service::start(|settings| settings.memory = 3 << 20);
    let (mut first, mut second) = (service.unix().await, service.unix().await);
    first.greet().await;
    second.greet().await;
    assert!(first.begin("<a@b.example> SIZE=700000", &["one@h"]).await.starts_with("354 "));
    let content = [&vec![b'x'; 600_000][..], b"\r\n"].concat();
    let replies = second.message("<a@b.example> SIZE=10", &["one@h", "two@h"], &content).await;
    assert!(replies.iter().all(|reply| reply.starts_with("451 4.3.1 ")), "{replies:?}");
    first.send(".\r\n").await;
    assert_eq!(first.line().await, "250 2.0.0 delivered");
    assert_eq!(second.message("<a@b.example> SIZE=10", &["one@h"], &content).await, ["250 2.0.0 delivered"]);
}

#[tokio::test]
async fn a_too_large_message_is_taken_whole() {
    let service = Service::start(|settings| settings.message_size = 1000);
    let mut client = service.unix().await;
    client.greet().await;
    let content: Vec<u8> = (0..40_000).flat_map(|line| format!("line {line}\r\n").into_bytes()).collect();
    assert_eq!(client.message("<a@b.example>", &["one@h"], &content).await, ["250 2.0.0 delivered"]);
    assert_eq!(client.message("<a@b.example>", &["one@h"], &content[..1000]).await, ["250 2.0.0 delivered"]);
    let messages = service.recorder.messages.lock().unwrap();
    let mut written = Vec::new();
    messages[0].1.write_to(&mut written).unwrap();
    assert!(messages[0].1.is_too_large() && written == content);
    assert!(!messages[1].1.is_too_large());
    let left: Vec<_> =
        std::fs::read_dir(service.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lmtp.sock"], "the file has no name");
}

#[tokio::test]
async fn a_too_large_message_that_cannot_be_kept_is_deferred() {
    let service = Service::start(|settings| {
        settings.message_size = 1000;
        settings.state_dir = "/nonexistent/mailhatch".into();
    });
    let mut client = service.unix().await;
    client.greet().await;
    let content = [&vec![b'x'; 200_000][..], b"\r\n"].concat();
    let replies = client.message("<a@b.example>", &["one@h", "two@h"], &content).await;
    assert!(replies.iter().all(|reply| reply.starts_with("451 4.3.1 ")), "{replies:?}");
    assert!(service.logged("/nonexistent/mailhatch"));
    assert_eq!(client.message("<a@b.example>", &["one@h"], b"").await, ["250 2.0.0 delivered"]);
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let service = Service::start(|settings| settings.command_timeout = Duration::from_millis(20));
    let mut client = service.unix().await;
    assert!(client.line().await.starts_with("220 "));
    assert_eq!(client.rest().await, "421 4.4.2 Nothing said for too long\r\n");
}

#[tokio::test]
async fn silence_in_a_message_ends_a_connection() {
    let service = Service::start(|settings| settings.data_timeout = Duration::from_millis(20));
    let mut client = service.unix().await;
    client.send("LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@h>\r\nDATA\r\nhalf").await;
    assert!(client.rest().await.ends_with("\r\n421 4.4.2 Message not finished in time\r\n"));
    assert!(service.senders().is_empty());
}

#[tokio::test]
async fn only_allowed_users_are_served() {
    let me = Uid::current().as_raw();
    for (allowed, greeting) in [(me, "220 "), (me + 1, "421 4.7.0 ")] {
        let service = Service::start(|settings| settings.allowed_uids = Some(vec![allowed]));
        let line = service.unix().await.line().await;
        assert!(line.starts_with(greeting), "{allowed}: {line}");
    }
}

#[needs(interface)]
#[tokio::test]
async fn a_peer_that_is_not_loopback_is_turned_away() {
    let service = Service::start(|_| {});
    // The machine's own address: nothing is sent to find it out.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.connect("192.0.2.1:9").unwrap();
    let mut address = probe.local_addr().unwrap();
    address.set_port(service.tcp.port());
    let line = Client::new(TcpStream::connect(address).await.unwrap()).rest().await;
    assert_eq!(line, "421 4.7.0 Only clients on this machine are served\r\n");
    assert!(service.logged("foreign-address"));
}

#[tokio::test]
async fn an_http_request_is_no_mail() {
    let service = Service::start(|_| {});
    let mut client = service.tcp().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nLHLO c\r\n").await;
    let text = client.rest().await;
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(service.logged("http"));
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let address = ListenAddress::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&address, 0o660).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(matches!(Listener::bind(&address, 0o660), Err(ListenError::InUse(_))));
    assert!(UnixStream::connect(&path).await.is_ok(), "the living one is left alone");
    drop(listener);
    std::fs::write(&path, "a file").unwrap();
    assert!(matches!(Listener::bind(&address, 0o660), Err(ListenError::NoSocket(_))));
    let smtp = ListenAddress::Tcp("127.0.0.1:25".parse().unwrap());
    assert!(matches!(Listener::bind(&smtp, 0), Err(ListenError::Port25(_))));
}

#[tokio::test]
async fn sockets_that_systemd_bound_are_served() {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = bound.local_addr().unwrap();
    let listener = Listener::from_tcp(bound).unwrap();
    assert_eq!(listener.tcp_address(), Some(address));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(Listener::from_unix(std::os::unix::net::UnixListener::bind(&path).unwrap()).unwrap());
    assert!(path.exists(), "what systemd made it removes itself");
}
