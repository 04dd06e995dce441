# Power cuts: what may be left of the disk at any point of a run of MESSAGES messages (200), and whether anything acknowledged is missing.
# STATES=n looks at so many states spread over the run (all, if it is not set); BINARY is what is run, a release if it is not set.
.PHONY: powercut

powercut:
	tests/setup.sh
ifndef BINARY
	$(CARGO) build --locked --release
endif
	python3 tests/powercut/powercut.py $(or $(BINARY),target/release/mailhatch) --messages $(or $(MESSAGES),200) $(if $(STATES),--states $(STATES)) --seed $(or $(SEED),1)
