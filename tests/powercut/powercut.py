#!/usr/bin/env python3
"""Power cuts: records what the service does to the disk, builds what a cut at any point may leave, and looks at each.

powercut.py BINARY [--messages N] [--states N] [--seed N] [--keep DIR]

`--states` is how many states are looked at, spread over the whole run; without it, all: three for each system call that touches
the disk or answers. Ends with 1 if anything that was acknowledged is missing, or anything half is visible.
"""
import argparse
import collections
import http.server
import json
import pathlib
import random
import shutil
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

from disk import Cuts
from trace import CALLS, Reader

WAYS = ("nothing", "everything", "something")
DOMAIN = "example.com"


class Hook(http.server.BaseHTTPRequestHandler):
    """An application that takes everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def configure(place, hook):
    """A site in a directory of its own."""
    secret = place / "secret"
    secret.write_text("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    secret.chmod(0o600)
    config = place / "mailhatch.toml"
    config.write_text(
        f"""hostname = "mx.example.com"
state_dir = "{place}/state"
[listen]
lmtp = ["unix:{place}/lmtp.sock"]
users = []
[[mailbox]]
name = "files"
address = "files+%{{key}}@{DOMAIN}"
actions = "any"
app = "files"
[[mailbox]]
name = "hook"
address = "hook+%{{key}}@{DOMAIN}"
actions = "any"
app = "hook"
[[app]]
name = "files"
kind = "spool"
path = "{place}/spool"
[[app]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:{hook}/"
secret_file = "{secret}"
[auth]
method = "off"
[notice]
enabled = false
[log]
to = "stderr"
"""
    )
    for name in ("state", "spool"):
        (place / name).mkdir(exist_ok=True)
    return config


def message(number):
    """(recipient, octets): some for a spool, some for a webhook, some machine-made, some for nobody."""
    recipient, extra = (
        (f"files+key{number}@{DOMAIN}", ""),
        (f"hook+key{number}@{DOMAIN}", ""),
        (f"files+key{number}@{DOMAIN}", "Auto-Submitted: auto-replied\r\n"),
        (f"nobody{number}@{DOMAIN}", ""),
    )[number % 4]
    body = f"message {number} " * (40 + number % 7 * 60)
    lines = "\r\n".join(body[at : at + 70] for at in range(0, len(body), 70))
    text = f"From: jane@example.org\r\nTo: {recipient}\r\nMessage-ID: <{number}@example.org>\r\nSubject: {number}\r\n{extra}\r\n{lines}\r\n"
    return recipient, text.encode()


def send(socket, numbers, replies):
    client = smtplib.LMTP(socket)
    client.ehlo("mx.example.com")
    for number in numbers:
        recipient, text = message(number)
        client.mail("jane@example.org")
        client.rcpt(recipient)
        code, reply = client.data(text)
        replies[number] = (code, reply.decode())
    client.quit()


def record(binary, place, hook, messages):
    """Runs the service under strace; (operations, replies by number)."""
    config, trace = configure(place, hook), place / "trace"
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", trace, binary, "--config", config, "serve"]
    service = subprocess.Popen(command, stderr=(place / "log").open("wb"))
    socket, replies = place / "lmtp.sock", {}
    deadline = time.monotonic() + 30
    while not socket.exists():
        if service.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the service does not start:\n{(place / 'log').read_text()}")
        time.sleep(0.05)
    senders = [threading.Thread(target=send, args=(str(socket), range(first, messages, 4), replies)) for first in range(4)]
    [sender.start() for sender in senders]
    [sender.join(timeout=300) for sender in senders]
    child = subprocess.run(["pgrep", "-P", str(service.pid)], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["kill", "-TERM", *child], check=True)
    service.wait(timeout=60)
    if len(replies) != messages or any(code != 250 for code, _ in replies.values()):
        sys.exit(f"not all were answered with 250: {collections.Counter(code for code, _ in replies.values())}")
    reader = Reader([f"{place}/state", f"{place}/spool"])
    with trace.open() as lines:
        operations = reader.read(line.rstrip("\n") for line in lines)
    return operations, sorted(reader.tree.tops.items()), replies


class Check:
    """Looks at one state as an administrator would after the power is back."""

    def __init__(self, binary, hook, by_id):
        self.binary, self.hook, self.by_id = binary, hook, by_id

    def run(self, place, *words, text=None):
        done = subprocess.run([self.binary, "--config", place / "mailhatch.toml", *words], input=text, capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def faults(self, place, answered, chance):
        """What is wrong; `answered` is {event id: verdict} at this point."""
        configure(place, self.hook)
        yield from self.spool(place, answered)
        yield from self.held(place, answered, chance)
        yield from self.ledger(place, answered, chance)

    def spool(self, place, answered):
        there = {entry.name for entry in (place / "spool").iterdir() if not entry.name.startswith(".")}
        for name in there:
            entry, (number, _) = place / "spool" / name, self.by_id[name]
            try:
                whole = (entry / "message.eml").read_bytes() == message(number)[1] and json.loads((entry / "event.json").read_bytes())["id"] == name
            except (OSError, ValueError) as error:
                whole, name = False, f"{name} ({error})"
            if not whole:
                yield f"half an event is visible in the spool: {name}"
        for event, verdict in answered.items():
            number, _ = self.by_id[event]
            if verdict == "delivered" and message(number)[0].startswith("files+") and event not in there:
                yield f"delivered and not in the spool: {event}"

    def held(self, place, answered, chance):
        status, output, error = self.run(place, "held", "list")
        if status != 0:
            yield f"held list ends with {status}: {error}"
        listed = {line.split()[0] for line in output.decode().splitlines()}
        wanted = [event for event, verdict in answered.items() if verdict in ("ignored", "rejected", "held")]
        for event in wanted:
            if event not in listed:
                yield f"answered {answered[event]}, and no copy is held: {event}"
        # The newest is the one in danger.
        for event in {*wanted[-1:], *chance.sample(wanted, min(1, len(wanted)))} & listed:
            _, output, error = self.run(place, "held", "show", "--raw", event)
            if output != message(self.by_id[event][0])[1]:
                yield f"the held copy {event} is not whole: {error}"

    def ledger(self, place, answered, chance):
        delivered = [event for event, verdict in answered.items() if verdict == "delivered"]
        for event in {*delivered[-1:], *chance.sample(delivered, min(1, len(delivered)))}:
            recipient, text = message(self.by_id[event][0])
            _, output, error = self.run(place, "pipe", "--sender=jane@example.org", f"--recipient={recipient}", text=text)
            if not output.startswith(b"2.0.0 duplicate"):
                yield f"delivered, and the ledger does not know it: {event}: {output.decode()}{error}"
        recipient, text = message(1000000)
        _, output, error = self.run(place, "pipe", "--sender=jane@example.org", f"--recipient={recipient}", text=text)
        if not output.startswith(b"2.0.0 delivered"):
            yield f"a new message is not taken: {output.decode()}{error}"


def control(check, operations, tops, answered_before, place, seed):
    """Shows that what is looked for would be seen: the same run without its syncs must lose what it acknowledged."""
    cuts = Cuts([operation for operation in operations if operation[0] != "sync"], [number for _, number in tops])
    disk, room = cuts.state(len(cuts.operations), "nothing", seed), place / "control"
    room.mkdir()
    for root, top in tops:
        disk.write_out(top, room / pathlib.Path(root).name)
    faults = list(check.faults(room, answered_before[-1], random.Random(seed)))
    shutil.rmtree(room)
    if not faults:
        sys.exit("a run without a single sync loses nothing: this cannot be, and the check sees nothing")
    print(f"control, the end of the run had nothing been synced: {len(faults)} faults, as it must be")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("binary", type=lambda path: pathlib.Path(path).resolve())
    options.add_argument("--messages", type=int, default=200)
    options.add_argument("--states", type=int)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--keep", type=pathlib.Path)
    options = options.parse_args()
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailhatch-powercut-"))
    (place / "run").mkdir()
    operations, tops, replies = record(options.binary, place / "run", hook.server_port, options.messages)
    by_id = {reply.rsplit("id=", 1)[1]: (number, reply) for number, (_, reply) in replies.items()}
    calls = collections.Counter(operation[0] for operation in operations)
    print(f"{options.messages} messages, all answered: " + ", ".join(f"{number} {kind}" for kind, number in sorted(calls.items())))
    cuts = Cuts(operations, [number for _, number in tops])
    check = Check(options.binary, hook.server_port, by_id)
    answered_before, answered = [{}], {}
    for operation in operations:
        if operation[0] == "answer":
            answered = {**answered, operation[2]: operation[1]}
        answered_before.append(answered)
    control(check, operations, tops, answered_before, place, options.seed)
    states = [(point, way) for point in range(len(operations) + 1) for way in WAYS]
    chance = random.Random(options.seed)
    if options.states and options.states < len(states):
        states = sorted(chance.sample(states, options.states))
    wrong, shown = [], time.monotonic()
    for number, (point, way) in enumerate(states):
        disk, room = cuts.state(point, way, options.seed * 1_000_003 + point), place / "cut"
        room.mkdir()
        for root, top in tops:
            disk.write_out(top, room / pathlib.Path(root).name)
        found = list(check.faults(room, answered_before[point], chance))
        for fault in found:
            wrong.append((point, way, fault))
            print(f"after {point} operations, {way}: {fault}", file=sys.stderr)
        if found and options.keep:
            shutil.copytree(room, options.keep / f"{point}-{way}", dirs_exist_ok=True)
        shutil.rmtree(room)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"  {number + 1} of {len(states)} states, {len(wrong)} faults", file=sys.stderr)
    shutil.rmtree(place)
    print(f"{len(states)} states after a power cut (seed {options.seed}): {len(wrong)} faults")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
