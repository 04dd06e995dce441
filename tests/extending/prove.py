#!/usr/bin/env python3
"""Follows docs/extending.md word for word in a copy of the source, and shows that the example application and the example rule work.

prove.py COPY: COPY is a copy of the source that may be changed; it is built there with what `CARGO_TARGET_DIR` holds.
"""
import json
import pathlib
import re
import subprocess
import sys

COPY = pathlib.Path(sys.argv[1]).resolve()
MESSAGE = "From: jane@example.org\r\nTo: in+key@example.com\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n%s\r\nhello\r\n"


def change(path, pattern, replacement):
    file = COPY / path
    text, count = re.subn(pattern, lambda found: replacement(found), file.read_text(), count=1, flags=re.S)
    assert count == 1, f"{path} has nothing like {pattern}: the page is not true any more"
    file.write_text(text)


def follow_the_page():
    page = (COPY / "docs/extending.md").read_text()
    application, module, use, kind, rule, test = re.findall(r"```rust\n(.*?)```", page, re.S)
    (COPY / "src/app/journal.rs").write_text(application)
    change("src/app/mod.rs", r"mod gitlab;\n", lambda found: found.group() + module)
    change("src/app/registry.rs", r"use super::application::App;\n", lambda found: found.group() + use)
    change("src/app/registry.rs", r"KINDS: &\[Kind\] = &\[", lambda found: found.group() + kind)
    change("src/screen/table.rs", r' *Rule \{ name: "x-autoreply"', lambda found: rule + found.group())
    change("src/screen/auto_reply.rs", r"\Z", lambda found: "\n#[allow(dead_code, reason = \"shown on a page\")]\n" + test)


def run(*words, text=None):
    done = subprocess.run(words, cwd=COPY, input=text, capture_output=text is not None, text=True)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def main():
    follow_the_page()
    run("cargo", "fmt")
    run("cargo", "clippy", "--locked", "--quiet", "--", "-D", "warnings")
    run("cargo", "build", "--locked", "--quiet")
    target = json.loads(run("cargo", "metadata", "--format-version=1", "--no-deps", text=""))["target_directory"]
    place = COPY / "site"
    (place / "state").mkdir(parents=True)
    config = place / "mailhatch.toml"
    config.write_text(
        f'state_dir = "{place}/state"\n[auth]\nmethod = "off"\n[log]\nto = "stderr"\n'
        '[[mailbox]]\nname = "m"\naddress = "in+%{key}@example.com"\nactions = "any"\napp = "j"\n'
        f'[[app]]\nname = "j"\nkind = "journal"\nfile = "{place}/journal"\n'
    )
    pipe = [f"{target}/debug/mailhatch", "--config", str(config), "pipe", "--sender=jane@example.org", "--recipient=in+key@example.com"]
    answer = run(*pipe, text=MESSAGE % "")
    assert answer.startswith("2.0.0 delivered: m message"), answer
    assert (place / "journal").read_text().endswith(" message\n")
    answer = run(*pipe, text=MESSAGE % "X-Robot-Made: yes\r\n")
    assert answer.startswith("2.0.0 ignored: x-robot-made (X-Robot-Made: yes)"), answer
    print("docs/extending.md: the application takes an event, the rule sets a message aside")


main()
