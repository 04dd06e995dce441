# make compare-replies REPLY_SETS=DIR: the reply beside what the authors of public test sets expect. DIR has checkouts of
# github/email_reply_parser, discourse/email_reply_trimmer and mailgun/talon, each under its own name. Needs Debian's ruby and
# python3-venv; what talon needs comes from PyPI.
REPLY_SETS ?=
REPLY_PYTHON := target/reply-python/bin/python

.PHONY: compare-replies

compare-replies: $(REPLY_PYTHON)
	@test -d "$(REPLY_SETS)" || { echo "make compare-replies REPLY_SETS=DIR: see tests/reply/reply.mk"; exit 2; }
	$(CARGO) build --locked --example reply
	$(REPLY_PYTHON) -W ignore tests/reply/compare.py target/debug/examples/reply --github $(REPLY_SETS)/email_reply_parser \
	  --discourse $(REPLY_SETS)/email_reply_trimmer --talon $(REPLY_SETS)/talon

$(REPLY_PYTHON):
	python3 -m venv target/reply-python
	target/reply-python/bin/pip install --quiet lxml regex cssselect html5lib cchardet chardet six
