#!/usr/bin/env python3
"""event_cost.py OLD NEW: the user instructions of `pipe` with one message of 10 MB into a spool, counted by valgrind (Debian's package): the
count is the same on every run, however busy the machine is. OLD and NEW are release builds."""

import base64
import pathlib
import random
import re
import subprocess
import sys
import tempfile

CONFIG = """hostname = "mx.example.com"
state_dir = "{place}/state"
[[mailbox]]
name = "box"
address = "box+%{{key}}@example.com"
actions = "any"
app = "files"
[[app]]
name = "files"
kind = "spool"
path = "{place}/spool"
parts = ["body", "attachments"{more}]
[auth]
method = "off"
[log]
to = "stderr"
"""
HEAD = b"From: Jane <jane@example.org>\r\nTo: box+k1@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"


def messages():
    octets = base64.encodebytes(random.Random(1).randbytes(7_390_000)).replace(b"\n", b"\r\n")
    parts = b"--b\r\nContent-Type: text/plain\r\n\r\nsee file\r\n--b\r\nContent-Type: image/png; name=a.png\r\n"
    picture = parts + b"Content-Transfer-Encoding: base64\r\n\r\n" + octets + b"--b--\r\n"
    text = b"".join(b"Line %d of a text that somebody wrote, and that is long.\r\n" % n for n in range(162_000))
    yield "an attachment in base64", HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + picture
    yield "plain text", HEAD + b"Content-Type: text/plain\r\n\r\n" + text


def instructions(program, message, more):
    with tempfile.TemporaryDirectory(prefix="mh-cost-") as place:
        place = pathlib.Path(place)
        for folder in ("state", "spool"):
            (place / folder).mkdir()
        (place / "mailhatch.toml").write_text(CONFIG.format(place=place, more=more))
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "--config", place / "mailhatch.toml"]
        command += ["pipe", "--sender=jane@example.org", "--recipient=box+k1@example.com"]
        done = subprocess.run(command, input=message, capture_output=True, check=True)
        if not done.stdout.startswith(b"2.0.0 delivered"):
            raise SystemExit(f"{program}: {done.stdout} {done.stderr}")
        return int(re.search(rb"Collected : (\d+)", done.stderr)[1]) / 1e6


def main():
    old, new = sys.argv[1:]
    print("| message of 10 MB | before | now | now with the reply |\n|---|---:|---:|---:|")
    for name, message in messages():
        counts = instructions(old, message, ""), instructions(new, message, ""), instructions(new, message, ', "reply"')
        print(f"| {name} |", " | ".join(f"{count:.0f}" for count in counts), "|", flush=True)


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 3 else __doc__)
