//! `mailhatch fetch` with a real Dovecot: what is taken, what is marked, what is left alone.

use crate::servers::Dovecot;
use crate::site::{Site, address, append, key, message};
use crate::support::needs;

#[needs(dovecot_imap, root)]
#[test]
fn a_message_is_handed_over_and_marked_and_nothing_else_is_touched() {
    let server = Dovecot::start();
    let mut client = server.client();
    append(&mut client, [message("other@example.net", "other"), message(&address(1), "one")]);
    let site = Site::new(server.imap(), "since = \"all\"");
    site.once().expect(0);
    assert_eq!(site.spooled(), ["one"]);
    assert_eq!(client.flags("INBOX"), [(1, String::new()), (2, "$MailhatchDone".to_owned())]);
    let again = site.once().expect(0);
    assert_eq!(site.spooled(), ["one"], "{}", again.err());
    append(&mut client, [message(&address(2), "two")]);
    site.once().expect(0);
    assert_eq!(site.keys(), [key(1), key(2)]);
}
