# `make bench`: builds what is released, measures it beside its floor and its peers, and writes docs/performance.md.
# On a quiet machine it takes about a quarter of an hour; BENCH_OPTIONS="--seconds 0.5 --rounds 2" is a first look,
# BENCH_OPTIONS="--ledger 10000000" fills the largest ledger with ten million entries.
BENCH_OPTIONS ?=

.PHONY: bench bench-rooms bench-setup

bench: bench-setup
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --bench figures -- $(BENCH_OPTIONS)

# What each room costs by itself.
bench-rooms:
	$(CARGO) bench --locked --bench rooms

# Postfix for its load generator, its sink and its pipe(8); Dovecot as the peer.
bench-setup:
	@command -v smtp-source >/dev/null && test -x /usr/lib/dovecot/lmtp && command -v openssl >/dev/null || \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postfix dovecot-lmtpd openssl
