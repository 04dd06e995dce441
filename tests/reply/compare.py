#!/usr/bin/env python3
"""Compares mailhatch's reply with what the authors of public test sets expect, and with what their own programs say.

    compare.py PROGRAM [--github DIR] [--discourse DIR] [--talon DIR] [--differences]

PROGRAM is the example `reply`. The folders are checkouts of github/email_reply_parser, discourse/email_reply_trimmer and
mailgun/talon; nothing of them is part of mailhatch. The first two need Debian's ruby, talon needs the Python packages lxml,
regex, cssselect, html5lib, cchardet, chardet and six.

Two texts are the same if they have the same lines, where blank lines and white space at the end of a line do not count
(of HTML: the same characters but for white space). "Nothing dropped" is checked without such mercy: each line of the
whole stands in exactly one of the three texts, in order.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import types
import unittest.mock


def lines(text):
    return [line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n") if line.strip()]


def characters(text):
    """Without the marks that mailhatch puts before what a blockquote holds, which talon does not write."""
    return "".join("".join(line.lstrip("> ") for line in text.splitlines()).split())


class Mailhatch:
    """The program, and what it dropped."""

    def __init__(self, program):
        self.program = program
        self.dropped = []

    def read(self, name, text, html=False):
        command = [self.program] + ["--html"] * html
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
        reply = json.loads(done.stdout)
        if not is_partition(reply) or (not html and reply["whole"] != text):
            self.dropped.append(name)
        return reply


def is_partition(reply):
    """Whether the lines of the whole, one after the other, are the next line of exactly one text."""
    texts = [reply[kind].splitlines(keepends=True)[::-1] for kind in ("text", "quoted", "signature")]
    return sorted(sum(texts, [])) == sorted(reply["whole"].splitlines(keepends=True)) and all(
        is_subsequence(text[::-1], reply["whole"].splitlines(keepends=True)) for text in texts
    )


def is_subsequence(few, many):
    rest = iter(many)
    return all(line in rest for line in few)


# Where an author expects what the contract of message.reply excludes (docs/event.md).
CONTRACT = {
    "forwarded_apple.txt": "a forwarded message is not a quotation",
    "forwarded_gmail.txt": "a forwarded message is not a quotation",
    "forwarded_message.txt": "a forwarded message is not a quotation",
    "quote_only.txt": "nothing but a quotation leaves no text",
    "test_readable_html_empty": "nothing but a quotation leaves no text",
}


class Table:
    def __init__(self, wants_differences):
        self.wants_differences = wants_differences
        print("| set | messages | mailhatch: the same | of the others, the contract excludes | the set's own program |")
        print("|---|---|---|---|---|")

    def row(self, name, cases, same=lambda a, b: lines(a) == lines(b)):
        """Cases: a name, what the author expects, what mailhatch says, what the set's program says."""
        others = [case for case in cases if not same(case[1], case[2])]
        excluded = [case for case in others if case[0] in CONTRACT]
        theirs = [case for case in cases if same(case[1], case[3])]
        ours = len(cases) - len(others)
        print(f"| {name} | {len(cases)} | {ours} | {len(excluded)} | {len(theirs)} |")
        for case in others:
            print(f"  not the same: {name}: {case[0]}", CONTRACT.get(case[0], ""), file=sys.stderr)
            if self.wants_differences:
                print(f"--- expected\n{case[1]}\n--- mailhatch\n{case[2]}\n", file=sys.stderr)


GITHUB = """
require 'json'
require 'email_reply_parser'
said = ARGV.to_h do |path|
  email = EmailReplyParser.read(File.read(path))
  own = email.fragments.reject { |f| f.quoted? || f.signature? }.map(&:to_s).join("\\n")
  [path, [email.visible_text, own]]
end
puts JSON.dump(said)
"""

DISCOURSE = """
require 'json'
require 'email_reply_trimmer'
puts JSON.dump(ARGV.to_h { |path| [path, EmailReplyTrimmer.trim(File.read(path).strip).to_s] })
"""


def ruby(script, folder, paths):
    command = ["ruby", "-Ku", "-EUTF-8:UTF-8", "-I", str(folder / "lib"), "-e", script, *map(str, paths)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def github(folder, mailhatch, table):
    """The tests name fragments by what they are. What is visible includes quotations between the lines of a reply."""
    paths = sorted((folder / "test" / "emails").glob("*.txt"))
    said = ruby(GITHUB, folder, paths)
    ours = {path: mailhatch.read(path.name, path.read_bytes().decode())["text"] for path in paths}
    own = [(path.name, said[str(path)][1], ours[path], said[str(path)][1]) for path in paths]
    table.row("github: fragments neither quoted nor a signature", own)
    visible = [(path.name, said[str(path)][0], ours[path], said[str(path)][0]) for path in paths]
    table.row("github: visible fragments", visible)


def discourse(folder, mailhatch, table):
    """`trimmed` is what the author expects."""
    tests = folder / "test"
    paths = sorted((tests / "emails").glob("*.txt"))
    said = ruby(DISCOURSE, folder, paths)
    cases = []
    for path in paths:
        expected = (tests / "trimmed" / path.name).read_text()
        ours = mailhatch.read(path.name, path.read_bytes().decode())["text"]
        cases.append((path.name, expected, ours, said[str(path)]))
    table.row("discourse: trimmed", cases)


def talon(folder, mailhatch, table):
    """The tests are run, and each comparison in them is made once more with mailhatch's reply. talon knows no signatures
    here, so its text is compared with all that is not quoted."""
    sys.path.insert(0, str(folder))
    cases = {"plain": [], "html": []}
    tools = types.ModuleType("nose.tools")
    sys.modules.update({"nose": types.ModuleType("nose"), "nose.tools": tools, "mock": unittest.mock})
    os.chdir(folder)
    quotations = importlib.import_module("talon.quotations")
    utils = importlib.import_module("talon.utils")
    asked = []

    def recorder(kind, extract):
        def extract_and_record(body, *rest):
            asked.append((kind, body))
            return extract(body, *rest)

        return extract_and_record

    current = ""

    def compare(expected, said, *_):
        if asked:
            kind, body = asked.pop()
            asked.clear()
            reply = mailhatch.read(current, body, kind == "html")
            if kind == "html" and characters(expected) == characters(body):
                expected, said = reply["whole"], reply["whole"] if said == expected else said
            elif kind == "html" and "<" in expected:
                expected, said = utils.html_to_text(expected) or "", utils.html_to_text(said) or ""
            cases[kind].append((current, expected, reply["text"] + reply["signature"], said))

    tools.eq_ = compare
    tools.ok_ = tools.assert_true = tools.assert_false = lambda *_: None
    tools.assert_equal = tools.assert_raises = lambda *_: None
    quotations.extract_from_plain = recorder("plain", quotations.extract_from_plain)
    quotations.extract_from_html = recorder("html", quotations.extract_from_html)
    for module in ("text_quotations_test", "html_quotations_test"):
        tests = importlib.import_module(f"tests.{module}")
        for current, test in list(vars(tests).items()):
            if current.startswith("test_") and callable(test):
                asked.clear()
                for step in test() or ():
                    # A test that yields asks first and compares afterwards.
                    step[0](*step[1:])
    table.row("talon: text", cases["plain"])
    table.row("talon: HTML", cases["html"], lambda a, b: characters(a) == characters(b))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--github", type=pathlib.Path)
    parser.add_argument("--discourse", type=pathlib.Path)
    parser.add_argument("--talon", type=pathlib.Path)
    parser.add_argument("--differences", action="store_true")
    given = parser.parse_args()
    mailhatch = Mailhatch(given.program.resolve())
    table = Table(given.differences)
    for compare in (github, discourse, talon):
        folder = getattr(given, compare.__name__)
        if folder:
            compare(folder.resolve(), mailhatch, table)
    print(f"\nmessages of which something was dropped: {len(mailhatch.dropped)} {' '.join(mailhatch.dropped)}")
    return bool(mailhatch.dropped)


if __name__ == "__main__":
    sys.exit(main())
