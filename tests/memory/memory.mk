# How much memory a release build takes, and how long bad input; prints figures, and fails if a bound is broken.
CARGO ?= cargo

.PHONY: memory

memory:
	$(CARGO) test --release --locked --test memory -- --ignored --nocapture --test-threads=1
