# `make bench`: builds what is released, measures it beside its floor and its peers, and writes docs/performance.md.
# On a quiet machine it takes about a quarter of an hour; BENCH_OPTIONS="--seconds 0.5 --rounds 2" is a first look,
# BENCH_OPTIONS="--ledger 10000000" fills the largest ledger with ten million entries.
BENCH_OPTIONS ?=

.PHONY: bench bench-inbox bench-graph bench-rooms bench-setup

bench: bench-setup
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --bench figures -- $(BENCH_OPTIONS)

# Reading a mailbox, beside mail_room, fetchmail, getmail6 and mbsync; as root. It prints what stands in docs/performance-inbox.md.
bench-inbox:
	@command -v fetchmail >/dev/null && command -v getmail >/dev/null && command -v mbsync >/dev/null && \
		command -v mail_room >/dev/null && ruby -e 'require "faraday"' 2>/dev/null && test -x /usr/lib/dovecot/imap || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		dovecot-imapd fetchmail getmail6 isync ruby-faraday ruby-mail-room
	$(CARGO) build --locked --release
	benches/inbox/run target/release/mailhatch

# The same for Microsoft Graph, with the strict one of the tests; the service's limit of requests makes it last half an hour.
bench-graph:
	$(CARGO) build --locked --release
	MAILHATCH_BINARY=$(CURDIR)/target/release/mailhatch MAILHATCH_GRAPH_MESSAGES=$(or $(MESSAGES),10000) \
	    $(CARGO) test --locked --features crash-points --test mailbox -- --ignored --nocapture figures_of_graph

# What each room costs by itself.
bench-rooms:
	$(CARGO) bench --locked --bench rooms

# Postfix for its load generator, its sink and its pipe(8); Dovecot as the peer.
bench-setup:
	@command -v smtp-source >/dev/null && test -x /usr/lib/dovecot/lmtp && command -v openssl >/dev/null || \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix dovecot-lmtpd openssl
