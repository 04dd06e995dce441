# The fault campaigns in full size: 5,000 messages over LMTP, then 1,000 over pipe. SEED=n repeats the plan of a run.
CARGO ?= cargo

.PHONY: faults faults-hosts faults-inbox faults-graph soak

faults:
	tests/setup.sh
	MAILHATCH_FAULTS_SEED=$(SEED) MAILHATCH_FAULTS_MESSAGES=$(MESSAGES) \
	    $(CARGO) test --locked --features crash-points --test faults -- --ignored --nocapture --test-threads=1 full_campaign

# Two hosts with a Postfix and a ledger each and one Redis: 1,000 messages, most of them on both.
faults-hosts:
	tests/setup.sh
	MAILHATCH_FAULTS_SEED=$(SEED) MAILHATCH_FAULTS_MESSAGES=$(MESSAGES) \
	    $(CARGO) test --locked --features crash-points --test faults -- --ignored --nocapture two_hosts_in_full_size

# The same for mail in a mailbox, with a real Dovecot; as root.
faults-inbox:
	tests/setup.sh
	$(CARGO) build --locked --features crash-points
	tests/faults/inbox target/debug/mailhatch --mails $(or $(MESSAGES),5000) --seed $(or $(SEED),1)

# The same with a strict Microsoft Graph of the tests: there is no real one to be had.
faults-graph:
	tests/setup.sh
	MAILHATCH_FAULTS_SEED=$(or $(SEED),1) MAILHATCH_FAULTS_MESSAGES=$(or $(MESSAGES),5000) \
	    $(CARGO) test --locked --features crash-points --test mailbox -- --ignored --nocapture full_graph_campaign

# Mail by LMTP, by pipe and from a mailbox at once for SOAK_SECONDS, while the application and mailhatch are killed, reloaded, and certificates
# change; draws docs/soak.png.
SOAK_SECONDS ?= 3600

soak:
	tests/setup.sh
	@/usr/bin/python3 -c 'import matplotlib' 2>/dev/null || \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-matplotlib
	$(CARGO) build --locked --release
	MAILHATCH_BINARY=$(CURDIR)/target/release/mailhatch MAILHATCH_SOAK_DIRECTORY=$(CURDIR)/target/soak \
	    MAILHATCH_SOAK_SECONDS=$(SOAK_SECONDS) MAILHATCH_FAULTS_SEED=$(or $(SEED),1) \
	    $(CARGO) test --locked --features crash-points --test faults -- --ignored --nocapture soak_over_all_ways
	tests/faults/plot target/soak/soak.csv docs/soak.png
