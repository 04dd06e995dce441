# make compare-events EVENT_SETS=DIR: the event beside what Python, Ruby and Perl read of the same mail. DIR has checkouts of mikel/mail,
# jhillyerd/enmime and zbateson/mail-mime-parser, each under its own name; MAILHATCH_CORPUS names the mail of other projects. Needs
# Debian's python3, ruby-mail, libmime-tools-perl and libmailtools-perl.
EVENT_SETS ?=

.PHONY: compare-events

compare-events:
	@test -d "$(EVENT_SETS)" || { echo "make compare-events EVENT_SETS=DIR: see tests/event/event.mk"; exit 2; }
	$(CARGO) build --locked
	python3 tests/event/differential/compare.py target/debug/mailhatch $(if $(MAILHATCH_CORPUS),corpus=$(MAILHATCH_CORPUS)/mail) \
	  mail=$(EVENT_SETS)/mail/spec/fixtures/emails enmime=$(EVENT_SETS)/enmime/testdata \
	  mail-mime-parser=$(EVENT_SETS)/mail-mime-parser/tests/_data/emails
