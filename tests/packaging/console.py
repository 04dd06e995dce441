#!/usr/bin/env python3
"""Does what the console blocks of a page say, word for word, on two hosts and a Redis.

    console.py REDIS PID1 PID2 PAGE

PID1 and PID2 are the first processes of the hosts mx1 and mx2 (root.sh). In a ```console block a line is
- `mx1# COMMAND`, `mx2# COMMAND`, `both# COMMAND`: run by bash, as root, there; one that fails is an error of the page;
- `redis> COMMAND`: as redis-cli takes it;
- anything else: what the command before prints: each such line, in this order; "..." stands for anything.
"""

import importlib.util
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("page", HERE / "page.py")
PAGE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PAGE)

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(mx1|mx2|both)# (.*)|redis> (.*)")


def steps(text):
    """Each command of a block with the lines that it must print."""
    found = []
    for line in text.splitlines():
        if prompt := PROMPT.fullmatch(line):
            found.append((prompt, []))
        elif found:
            found[-1][1].append(line)
        else:
            sys.exit(f"a block begins without a command: {line}")
    return found


def main():
    redis, one, two, page = sys.argv[1:]
    hosts = {"mx1": PAGE.Root(one), "mx2": PAGE.Root(two)}
    blocks = BLOCK.findall(pathlib.Path(page).read_text(encoding="utf-8"))
    if not blocks:
        sys.exit(f"{page}: no console block found")
    for prompt, expected in (step for block in blocks for step in steps(block)):
        print(f"  {prompt[0]}", flush=True)
        where, command, question = prompt.groups()
        if question:
            done = subprocess.run(["redis-cli", "-h", redis], input=question, text=True, capture_output=True, check=True)
            answers = [(0, done.stdout)]
        else:
            asked = hosts.values() if where == "both" else [hosts[where]]
            answers = []
            for host in asked:
                answers.append(host.run(command))
                host.wait_for_mail()
        for status, output in answers:
            print("".join(f"    {line}\n" for line in output.splitlines()), end="", flush=True)
            if status:
                sys.exit(f"{page}: exit status {status}")
            if (line := PAGE.missing_line("\n".join(expected), output)) is not None:
                sys.exit(f"{page}: this line is not in the output above:\n{line}")


if __name__ == "__main__":
    main()
