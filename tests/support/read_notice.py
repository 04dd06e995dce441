"""Reads a message from standard input with Python's email package and says as JSON what it found.

A parser that is not ours: what it reads is what a mail program will read.
"""
import email
import email.policy
import json
import sys


def part(message):
    found = {
        "type": message.get_content_type(),
        "fields": [[name.lower(), str(value)] for name, value in message.items()],
        "parameters": dict(message["content-type"].params) if message["content-type"] else {},
        "defects": [type(defect).__name__ for defect in message.defects],
    }
    for _, value in message.items():
        found["defects"] += [type(defect).__name__ for defect in value.defects]
    kind = message.get_content_type()
    if kind == "message/delivery-status":
        # Python reads each block as a message of its own.
        found["blocks"] = [[[n.lower(), str(v)] for n, v in block.items()] for block in message.get_payload()]
    elif kind == "message/global-delivery-status":
        # RFC 6533, which Python does not know: it takes the part for a message in a message.
        boundary = b"--" + outermost["content-type"].params["boundary"].encode()
        piece = next(piece for piece in raw.split(boundary) if b"global-delivery-status" in piece.split(b"\r\n\r\n")[0])
        text = piece.split(b"\r\n\r\n", 1)[1].decode("utf-8")
        found["blocks"] = [
            [[line.split(":", 1)[0].lower(), line.split(":", 1)[1].strip()] for line in block.splitlines()]
            for block in text.replace("\r\n", "\n").strip().split("\n\n")
        ]
    elif message.is_multipart():
        found["parts"] = [part(child) for child in message.iter_parts()]
    else:
        found["text"] = message.get_payload(decode=True).decode("utf-8", "replace")
    return found


raw = sys.stdin.buffer.read()
outermost = email.message_from_bytes(raw, policy=email.policy.default)
found = part(outermost)
try:
    header = raw.split(b"\r\n\r\n")[0]
    if not header.isascii() and header.decode():
        # RFC 6532, which Python's parser of bytes does not know.
        known = ["NonASCIILocalPartDefect", "UndecodableBytesDefect"]
        found["defects"] = [defect for defect in found["defects"] if defect not in known]
except UnicodeDecodeError:
    pass
found["longest_line"] = max(len(line) for line in raw.split(b"\r\n"))
found["bare_line_ends"] = raw.replace(b"\r\n", b"").count(b"\n") + raw.replace(b"\r\n", b"").count(b"\r")
found["nul"] = raw.count(b"\0")
json.dump(found, sys.stdout)
