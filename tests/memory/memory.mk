# How much memory a release build takes, and how long bad input; prints figures, and fails if a bound is broken.
CARGO ?= cargo

# How many messages the growth is looked at over; 100000 if it is not set.
MESSAGES ?=

.PHONY: memory

memory:
	MAILHATCH_MEMORY_MESSAGES=$(MESSAGES) $(CARGO) test --release --locked --test memory -- --ignored --nocapture --test-threads=1
