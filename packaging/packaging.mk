# The packages. Included by the Makefile; `make deb rpm test-packaging`.
#
# PACKAGING_PROFILE=dev packs a debug build, to try the packaging itself.
CARGO ?= cargo
PACKAGING_PROFILE ?= release
PACKAGING_TARGET := target/packaging
PACKAGING_BINARY := target/$(if $(filter dev,$(PACKAGING_PROFILE)),debug,$(PACKAGING_PROFILE))/mailhatch
PACKAGING_PAGES := $(addprefix $(PACKAGING_TARGET)/,mailhatch.8.gz mailhatch-postfix.8.gz mailhatch.toml.5.gz)

.PHONY: deb rpm test-packaging packaging-binary

deb: packaging-binary $(PACKAGING_PAGES) $(PACKAGING_TARGET)/third-party-notices.gz
	packaging/stage deb $(PACKAGING_BINARY) $(PACKAGING_TARGET)/deb
	command -v cargo-deb >/dev/null || $(CARGO) install --locked cargo-deb
	$(CARGO) deb --no-build --profile $(PACKAGING_PROFILE) --output $(PACKAGING_TARGET)/

rpm: packaging-binary $(PACKAGING_PAGES) $(PACKAGING_TARGET)/third-party-notices.gz
	packaging/stage rpm $(PACKAGING_BINARY) $(PACKAGING_TARGET)/rpm
	command -v cargo-generate-rpm >/dev/null || $(CARGO) install --locked cargo-generate-rpm
	$(CARGO) generate-rpm --profile $(PACKAGING_PROFILE) --output $(PACKAGING_TARGET)/

test-packaging: deb rpm
	tests/packaging/run $(PACKAGING_TARGET)

packaging-binary:
	$(CARGO) build --locked --profile $(PACKAGING_PROFILE)

$(PACKAGING_TARGET)/%.gz: packaging/man/%
	@mkdir -p $(@D)
	gzip -9nc $< >$@

$(PACKAGING_TARGET)/third-party-notices.gz: packaging/third-party-notices Cargo.lock
	@mkdir -p $(@D)
	packaging/third-party-notices | gzip -9nc >$@
