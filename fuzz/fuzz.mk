# make fuzz FUZZ_SECONDS=600: every target for that long, from its seeds. Needs a nightly toolchain.
FUZZ_SECONDS ?= 30
FUZZ_TARGETS = lmtp_session message identity reply authentication_results configuration explain http_answer

# SQLite's one C file has two static tables of one name, which AddressSanitizer takes for a violation.
.PHONY: fuzz
fuzz: export ASAN_OPTIONS = detect_odr_violation=0
fuzz:
	@rustup run nightly rustc --version || { echo "make fuzz needs a nightly toolchain: rustup toolchain install nightly"; exit 1; }
	command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	cargo +nightly fuzz build --fuzz-dir fuzz
	set -e; for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo +nightly fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=4096 -print_final_stats=1; \
	done
