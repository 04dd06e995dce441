# `make test-apps`: real applications behind mailhatch; `make bench-apps`: beside their own scripts, into docs/. The Debian in which
# they run is made once (two to three minutes) and kept, where also those who are not root may enter it.
CARGO ?= cargo
APPS_ROOT ?= /var/tmp/mailhatch-apps

.PHONY: test-apps bench-apps

test-apps:
	tests/setup.sh
	tests/apps/root $(APPS_ROOT)
	MAILHATCH_APPS_ROOT=$(APPS_ROOT) $(CARGO) test --locked --features crash-points --test apps -- --ignored --nocapture --test-threads=2 --skip speed

# BINARY is what is measured, a release if it is not set.
bench-apps:
	tests/setup.sh
	tests/apps/root $(APPS_ROOT)
ifndef BINARY
	$(CARGO) build --locked --release
endif
	MAILHATCH_APPS_ROOT=$(APPS_ROOT) MAILHATCH_BENCH_BINARY=$(abspath $(or $(BINARY),target/release/mailhatch)) \
	    MAILHATCH_BENCH_OUT=docs/performance-applications.md \
	    $(CARGO) test --locked --features crash-points --test apps -- --ignored --nocapture speed
