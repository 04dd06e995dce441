#!/usr/bin/env python3
"""Compares what mailhatch says of messages with what Python's email, the Ruby mail gem and Perl's MIME::Parser say.

    compare.py MAILHATCH NAME=FOLDER… [--differences]

MAILHATCH is the program; every file of a FOLDER that looks like a message is one. Needs Debian's ruby-mail, libmime-tools-perl
and libmailtools-perl.

Of each message these are compared: subject, addresses (From, Reply-To, To, Cc), ids (Message-ID, In-Reply-To, References), text,
HTML, and the attachments with their names and octets. Which part of the others' trees is what, is said here, as
docs/event.md says it; line ends and blank lines are no difference, nor are text that is made of HTML and
HTML that is made of text. A reader that gives up has no say. The table counts messages by the worst of these.
"""

import argparse
import base64
import codecs
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
READERS = {
    "Python": [sys.executable, str(HERE / "read_python.py")],
    "Ruby": ["ruby", "-W0", str(HERE / "read_ruby.rb")],
    "Perl": ["perl", "-X", str(HERE / "read_perl.pl")],
}
CONFIG = """hostname = "mx.example.com"
state_dir = "{place}/state"
[[mailbox]]
name = "box"
address = "box@example.com"
key = "all"
app = "files"
[[app]]
name = "files"
kind = "spool"
path = "{place}/spool"
parts = ["body", "attachments"]
[screen]
auto_replies = "deliver"
bounces = "deliver"
reports = "deliver"
[auth]
method = "off"
[log]
to = "stderr"
"""
FIELDS = ("subject", "from", "reply_to", "to", "cc", "message_id", "in_reply_to", "references", "text", "html", "attachments")
SILENT = object()


def of_mailhatch(program, path):
    with tempfile.TemporaryDirectory(prefix="mh-compare-") as place:
        place = pathlib.Path(place)
        for folder in ("state", "spool"):
            (place / folder).mkdir()
        (place / "mailhatch.toml").write_text(CONFIG.format(place=place))
        command = [program, "--config", place / "mailhatch.toml", "pipe", "--sender=a@example.org", "--recipient=box@example.com"]
        done = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=False)
        events = list((place / "spool").glob("[!.]*/event.json"))
        if len(events) != 1:
            raise SystemExit(f"{path}: {done.stdout.decode()} {done.stderr.decode()}")
        message = json.loads(events[0].read_bytes())["data"]["message"]
    said = {name: [one["address"] for one in message[name] if one["address"]] for name in ("from", "reply_to", "to", "cc")}
    said |= {name: message[name] for name in ("subject", "in_reply_to", "references", "text", "html")}
    said["message_id"] = [message["message_id"]] if message["message_id"] else []
    said["attachments"] = [
        (one["filename"], one["content_type"], base64.b64decode(one["content"])) for one in message["attachments"]
    ]
    return said, set(message["undecodable"])


def parts_of(tree):
    """The roles of RFC 8621 section 4.1.4, with what docs/event.md says beyond it."""
    text, html, attachments = [], [], []

    def walk(parts, of, root, wants_text, wants_html, is_alternative):
        before = len(text), len(html)
        for number, part in enumerate(parts):
            # A multipart in which no part was found can only be read as text.
            kind = part["type"] = "text/plain" if part["type"].startswith("multipart/") and "children" not in part else part["type"]
            if "children" in part:
                of_it = kind.partition("/")[2]
                start = [n for n, one in enumerate(part["children"]) if part["start"] and one["cid"] == part["start"]]
                root_of_it = start[0] if of_it == "related" and start else 0
                walk(part["children"], of_it, root_of_it, wants_text, wants_html, is_alternative or of_it == "alternative")
            elif (
                kind not in ("text/plain", "text/html")
                or part["disposition"] not in ("", "inline")
                or not (number == root if of == "related" else of == "alternative" or number == 0 or not named(part))
            ):
                attachments.append(part)
            elif of == "alternative":
                (html if kind == "text/html" else text).append(part)
            else:
                if is_alternative:
                    wants_html &= kind != "text/plain"
                    wants_text &= kind != "text/html"
                if wants_text:
                    text.append(part)
                if wants_html:
                    html.append(part)
        if of == "alternative" and wants_text and wants_html:
            if len(text) == before[0]:
                text.extend(html[before[1] :])
            elif len(html) == before[1]:
                html.extend(text[before[0] :])

    walk([tree], "mixed", 0, True, True, False)
    if not text and not html:
        shown = [part for part in attachments if part["disposition"] in ("", "inline")]
        texts = [part for part in shown if part["type"] in ("text/plain", "text/html")]
        only = texts if len(texts) == 1 else [tree] if shown == [tree] and tree["type"].startswith("text/") else []
        attachments = [part for part in attachments if part not in only]
        text, html = only, only
    return text, html, attachments


def named(part):
    return (part["filename"] or "").strip() if isinstance(part["filename"], (str, type(None))) else ""


def words_of(part):
    """The text of a part, in the charset that it declares; a reader that gives octets only has them read by Python."""
    if part["text"] is not None:
        return part["text"]
    octets = base64.b64decode(part["octets"])
    try:
        return octets.decode(codecs.lookup(part["charset"] or "utf-8").name)
    except (LookupError, UnicodeError, ValueError):
        return octets.decode("utf-8", "replace")


def of_other(line):
    said = json.loads(line)
    if "error" in said:
        return {field: SILENT for field in FIELDS}
    said = {field: SILENT if isinstance(value, dict) and "error" in value else value for field, value in said.items()}
    tree = said.pop("tree")
    if tree is SILENT:
        return said | {"text": SILENT, "html": SILENT, "attachments": SILENT}
    text, html, attachments = parts_of(tree)
    is_html = lambda part: part["type"] == "text/html"
    said["text"] = None if not text else SILENT if any(map(is_html, text)) else "\n".join(lines(words_of(one)) for one in text)
    pieces = [words_of(part) for part in html if is_html(part)]
    said["html"] = None if not pieces else SILENT if len(pieces) < len(html) else "\n".join(map(lines, pieces))
    said["attachments"] = [(named(part) or None, part["type"], base64.b64decode(part["octets"])) for part in attachments]
    return said


def lines(text):
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").removeprefix("\ufeff")
    return "\n".join(line.rstrip() for line in text.split("\n") if line.strip())


def plain(field, value):
    if value is SILENT or value is None:
        return value
    if field in ("text", "html"):
        return lines(value)
    if field == "subject":
        return " ".join(value.replace("\0", "").split())
    if field == "attachments":
        return sorted((name or "", kind, octets_of(kind, octets)) for name, kind, octets in value)
    return [re.sub(r"\s", "", one).lower() for one in value if one]


def octets_of(kind, octets):
    """Readers change the line ends of what is text."""
    is_text = kind.startswith(("text/", "message/")) or b"\0" not in octets
    return octets.replace(b"\r\n", b"\n").rstrip() if is_text else octets


def is_message(path):
    return path.is_file() and path.suffix in (".eml", ".raw", ".txt") and re.search(rb"(?m)^[A-Za-z-]+:", path.read_bytes()[:4096])


def compare(program, folder):
    paths = sorted(path for path in folder.rglob("*") if is_message(path))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ours = list(pool.map(lambda path: of_mailhatch(program, path), paths))
    others = {}
    for name, command in READERS.items():
        done = subprocess.run([*command, *map(str, paths)], capture_output=True, check=True)
        others[name] = list(map(of_other, done.stdout.splitlines()))
        if len(others[name]) != len(paths):
            raise SystemExit(f"{name} says {len(others[name])} of {len(paths)} messages: {done.stderr.decode()[-500:]}")
    for number, path in enumerate(paths):
        yield path, ours[number], {name: said[number] for name, said in others.items()}


def verdict(field, ours, others):
    """How many of those that have a say agree."""
    our, values = plain(field, ours[field]), [plain(field, said[field]) for said in others.values()]
    if field == "text" and any(value is SILENT for value in values):
        return "all"
    said = [value for value in values if value is not SILENT]
    same = sum(value == our for value in said)
    if same == len(said):
        return "all"
    return "alone" if same == 0 else "majority" if 2 * same >= len(said) else "one"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--differences", action="store_true")
    given = parser.parse_args()
    reasons = json.loads((HERE / "reasons.json").read_text())
    unexplained = 0
    alone = []
    print("| set | messages | all agree | the majority agrees | one agrees | mailhatch stands alone |")
    print("|---|---|---|---|---|---|")
    for one in given.sets:
        name, _, folder = one.partition("=")
        counts = dict.fromkeys(("all", "majority", "one", "alone"), 0)
        for path, (ours, undecodable), others in compare(given.program.resolve(), pathlib.Path(folder).resolve()):
            verdicts = {field: verdict(field, ours, others) for field in FIELDS}
            counts[max(verdicts.values(), key=list(counts).index)] += 1
            place = f"{name}/{path.relative_to(pathlib.Path(folder).resolve())}"
            fields = [field for field, came in verdicts.items() if came == "alone"]
            if fields:
                alone.append((place, fields))
            if given.differences:
                show(place, verdicts, ours, others)
        print("|", " | ".join([name, str(sum(counts.values())), *map(str, counts.values())]), "|", flush=True)
    print()
    for place, fields in alone:
        reason = reasons.get(place)
        unexplained += reason is None
        print(f"{place}: {', '.join(fields)}: {reason or 'WITHOUT A REASON'}")
    print(f"\n{len(alone)} alone, {unexplained} of them without a reason")
    return unexplained > 0


def show(place, verdicts, ours, others):
    for field, came in verdicts.items():
        if came in ("alone", "one"):
            print(f"\n== {place}: {field}: {came}\n   mailhatch {brief(plain(field, ours[field]))}", file=sys.stderr)
            for name, said in others.items():
                value = plain(field, said[field])
                print(f"   {name:9} {'-' if value is SILENT else brief(value)}", file=sys.stderr)


def brief(value):
    text = repr(value)
    return text if len(text) < 500 else f"{text[:350]} … {text[-140:]} ({len(text)})"


if __name__ == "__main__":
    sys.exit(main())
