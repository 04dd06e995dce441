# `make test-imap-servers`: `mailhatch fetch` with a real Courier and a real Cyrus, beside the Dovecot of `make test`. The Debians in
# which they run are made once (half a minute to two minutes) and kept.
CARGO ?= cargo
IMAP_SERVERS_ROOT ?= /var/tmp/mailhatch-imap-servers

.PHONY: test-imap-servers

test-imap-servers:
	tests/setup.sh
	tests/mailbox/imap-servers/root $(IMAP_SERVERS_ROOT)
	MAILHATCH_IMAP_SERVERS_ROOT=$(IMAP_SERVERS_ROOT) $(CARGO) test --locked --features crash-points --test mailbox -- \
	    --ignored --nocapture --test-threads=2 other_servers
