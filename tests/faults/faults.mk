# The fault campaigns in full size: 5,000 messages over LMTP, then 1,000 over pipe. SEED=n repeats the plan of a run.
CARGO ?= cargo

.PHONY: faults

faults:
	tests/setup.sh
	MAILHATCH_FAULTS_SEED=$(SEED) MAILHATCH_FAULTS_MESSAGES=$(MESSAGES) \
	    $(CARGO) test --locked --features crash-points --test faults -- --ignored --nocapture --test-threads=1 full_campaign
