//! A message longer than one FETCH, from a server that does not give pieces: from the first one on (Tencent), or only later. It comes
//! whole, or it waits; never in part, and never with a part twice.

use crate::servers::{Act, At, Dovecot, Fault, Proxy};
use crate::site::{Site, address, message};
use crate::support::needs;
use crate::trial::at_once;

#[needs(dovecot_imap, root)]
#[test]
fn a_large_message_comes_whole_or_waits_whatever_the_server_thinks_of_pieces() {
    let piece = |range: &'static str, instead| Fault(At::Command(range), Act::Replace(range, instead));
    let rows: &[(&str, &[Fault], &str)] = &[
        ("all pieces", &[], ""),
        ("the whole at once", &[piece("<0.1048576>", "")], ""),
        ("the whole for a later piece", &[piece("<1048576.1048576>", "")], "piece-too-long"),
        ("more than was asked for later", &[piece("<1048576.1048576>", "<1048576.1048577>")], "piece-too-long"),
        (
            "the first piece is of another message",
            &[Fault(At::Response("UID FETCH", "BODY[]"), Act::Replace("UID 1 ", "UID 9 "))],
            "no-data",
        ),
        (
            "a piece before the end is said not to be there",
            &[Fault(
                At::Response("<2097152.1048576>", "BODY[]"),
                Act::Instead("* 1 FETCH (UID 1 BODY[]<2097152> NIL)\r\n"),
            )],
            "no-data",
        ),
    ];
    at_once(rows, |(name, faults, said)| {
        let server = Dovecot::start();
        let mut large = message(&address(1), "large");
        while large.len() < 2_500_000 {
            large.extend_from_slice(
                format!("{:07} of a message that is longer than one piece of it\r\n", large.len()).as_bytes(),
            );
        }
        server.client().append("INBOX", "", None, &large);
        let proxy = Proxy::start(server.imap(), faults);
        let site = Site::new(proxy.port(), "since = \"all\"");
        let log = site.once().err();
        assert_eq!(proxy.played(), faults.len(), "{name}: {log}");
        assert!(log.contains(said) && site.spooled().is_empty() != said.is_empty(), "{name}: {said} is not in {log}");
        site.run(&["inbox", "retry", "test"]);
        site.once().expect(0);
        let spooled = site.place.spooled();
        assert_eq!(spooled.len(), 1, "{name}");
        let octets = std::fs::read(site.place.path().join("spool").join(&spooled[0]).join("message.eml")).unwrap();
        assert!(octets == large, "{name}: {} octets instead of {}", octets.len(), large.len());
        assert_eq!(server.client().flags("INBOX"), [(1, "$MailhatchDone".to_owned())], "{name}");
    });
}
