# The front door of mailhatch. Each target sets up all that it needs on a Debian machine with a Rust toolchain.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help demo try-postfix test test-extending lint

help:
	@echo "make demo    the main job with nothing set up"
	@echo "make try-postfix  the same behind a private Postfix, whose log line stands beside ours"
	@echo "make test    all tests, with a real Postfix"
	@echo "make test-apps  real applications (Redmine, Request Tracker, Action Mailbox) behind a real Postfix"
	@echo "make test-imap-servers  mailhatch fetch with Courier and Cyrus"
	@echo "make test-extending  follows docs/extending.md in a copy of the source"
	@echo "make lint    fmt, clippy, rustdoc, cargo deny"
	@echo "make bench   what a message costs, beside the floor and the peers"
	@echo "make faults  the fault campaign on a real Postfix; faults-hosts on two hosts; faults-inbox and faults-graph for a mailbox"
	@echo "make soak    an hour of mail by all ways at once, while everything is killed, reloaded and changed: nothing grows"
	@echo "make powercut  what a power cut may leave of the disk, at each point of a run"
	@echo "make memory  memory under load, and the time for bad input"
	@echo "make compare-events  the event beside what other parsers of mail say"
	@echo "make compare-replies  the reply beside what the authors of public test sets expect"
	@echo "make fuzz    every fuzz target for FUZZ_SECONDS"
	@echo "make deb     the Debian package; make rpm the other one; make test-packaging installs both"

demo:
	$(CARGO) run --locked --quiet -- demo
	@echo
	@if command -v python3 >/dev/null; then benches/inbox/demo target/debug/mailhatch; fi

# The target directory may be elsewhere; a debug build is enough to look at.
try-postfix:
	$(CARGO) build --locked --quiet
	@examples/try-postfix target/debug/mailhatch

# Most tests wait, for Postfix or for a deadline: more of them at once than there are cores.
test:
	tests/setup.sh
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} $(CARGO) test --locked --features crash-points

# docs/extending.md, followed word for word in a copy of the source.
test-extending:
	rm -rf target/extending/source && mkdir -p target/extending/source
	git ls-files -z | xargs -0 cp --parents -t target/extending/source
	CARGO_TARGET_DIR=$(CURDIR)/target/extending/build python3 tests/extending/prove.py target/extending/source

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features crash-points -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --log-level error check bans licenses sources

include packaging/packaging.mk
include tests/apps/apps.mk
include tests/event/event.mk
include tests/faults/faults.mk
include tests/mailbox/imap-servers/imap-servers.mk
include tests/memory/memory.mk
include tests/powercut/powercut.mk
include tests/reply/reply.mk
include benches/bench.mk
include fuzz/fuzz.mk
