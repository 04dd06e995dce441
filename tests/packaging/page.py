#!/usr/bin/env python3
"""Does what a page of docs/ says, word for word, in a root that was booted by root.sh.

    page.py PID PAGE

PID is the root's first process. What a page holds is taken in its order:
- ```sh        is run by bash, as root; any command that fails is an error of the page;
- ```text      is what the commands before it print: each line must be there, in this order; "..." stands for anything;
- any other block whose first line is a comment with a path ("# /etc/...") is written to that path.
After each block the mail that it sent is waited for: until Postfix's queue holds nothing that is being delivered.
"""

import pathlib
import re
import subprocess
import sys
import time

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (/\S+)\n")


class Root:
    def __init__(self, init):
        self.enter = ["nsenter", "-t", init, "-m", "-p", "-u", "-i", "-n", "env", "-i"]
        self.enter += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]

    def run(self, script):
        command = [*self.enter, "bash", "-eu", "-o", "pipefail", "-c", f"cd /root\n{script}"]
        # A service that a page starts in the background keeps the output open: a file does not wait for it.
        with open("/tmp/mailhatch-page-output", "w+", encoding="utf-8") as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
            output.seek(0)
            return done.returncode, output.read()

    def write(self, path, text):
        subprocess.run([*self.enter, "tee", path], input=text, text=True, stdout=subprocess.DEVNULL, check=True)

    def wait_for_mail(self):
        for _ in range(150):
            _, active = self.run("find /var/spool/postfix/maildrop /var/spool/postfix/incoming /var/spool/postfix/active -type f")
            if not active.strip():
                return
            time.sleep(0.2)


def missing_line(expected, output):
    """The first expected line that is not there in its place."""
    lines = iter(output.splitlines())
    for line in filter(str.strip, expected.splitlines()):
        pattern = re.compile(".*".join(re.escape(part) for part in line.strip().split("...")))
        if not any(pattern.fullmatch(found.strip()) for found in lines):
            return line
    return None


def main():
    root, page = Root(sys.argv[1]), pathlib.Path(sys.argv[2])
    output, blocks = "", 0
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        blocks += 1
        if kind == "sh":
            print("".join(f"  # {line}\n" for line in text.splitlines()), end="", flush=True)
            status, output = root.run(text)
            root.wait_for_mail()
            print("".join(f"    {line}\n" for line in output.splitlines()), end="", flush=True)
            if status:
                sys.exit(f"{page}: exit status {status}")
        elif kind == "text":
            if (line := missing_line(text, output)) is not None:
                sys.exit(f"{page}: this line is not in the output above:\n{line}")
        elif found := FILE.match(text):
            print(f"  # (writes {found[1]})", flush=True)
            root.write(found[1], text)
    if not blocks:
        sys.exit(f"{page}: no command found")


if __name__ == "__main__":
    main()
