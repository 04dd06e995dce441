# The front door of mailhatch. Each target sets up all that it needs on a Debian machine with a Rust toolchain.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help demo test lint

help:
	@echo "make demo    the main job with nothing set up"
	@echo "make test    all tests, with a real Postfix"
	@echo "make lint    fmt, clippy, rustdoc, cargo deny"

demo:
	$(CARGO) run --locked --quiet -- demo

test:
	tests/setup.sh
	$(CARGO) test --locked --features crash-points

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features crash-points -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

-include packaging/packaging.mk
-include tests/faults/faults.mk
-include benches/bench.mk
-include fuzz/fuzz.mk
