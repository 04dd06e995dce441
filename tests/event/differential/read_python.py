"""The messages named on the command line as Python's email package reads them: a line of JSON for each."""

import base64
import email
import email.policy
import json
import re
import sys

POLICY = email.policy.default.clone(refold_source="none")


def attempt(read):
    try:
        return read()
    except Exception:  # whatever an old message makes of a new parser
        return {"error": True}


def octets_of(part):
    if part.get_content_maintype() == "message":
        return b"".join(one.as_bytes() if not isinstance(one, str) else one.encode() for one in part.get_payload())
    return part.get_payload(decode=True) or b""


def tree(part):
    node = {
        "type": part.get_content_type(),
        "charset": attempt(part.get_content_charset),
        "filename": attempt(part.get_filename),
        "disposition": attempt(part.get_content_disposition) or "",
        "cid": re.sub(r"[<>\s]", "", str(part.get("content-id", ""))),
        "start": str(part.get_param("start", "")).strip("<>"),
    }
    children = part.get_payload() if part.get_content_maintype() == "multipart" and part.is_multipart() else []
    if children:
        return node | {"children": [tree(one) for one in children]}
    octets = octets_of(part) if isinstance(part.get_payload(), (str, list)) else b""
    return node | {"octets": base64.b64encode(octets).decode(), "text": None}


def ids_of(text):
    """What stands in brackets; without brackets, each word."""
    return re.findall(r"<([^<>\s]+)>", text) if "<" in text else text.split()


def text(value):
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            mail = email.message_from_binary_file(file, policy=POLICY)
        addresses = lambda name: [one.addr_spec for one in mail[name].addresses] if mail[name] is not None else []
        ids = lambda name: ids_of(str(mail[name] or ""))
        said = {name: attempt(lambda: addresses(name.replace("_", "-"))) for name in ("from", "to", "cc", "reply_to")}
        said |= {name: attempt(lambda: ids(name.replace("_", "-"))) for name in ("message_id", "in_reply_to", "references")}
        said |= {"subject": attempt(lambda: text(mail["subject"])), "tree": attempt(lambda: tree(mail))}
        print(json.dumps(said))


if __name__ == "__main__":
    main()
