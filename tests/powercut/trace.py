"""Reads what strace recorded, as operations on files: what was written where, and what was synced.

Only what lies below the directories of interest counts. Names are resolved while reading, so that an operation knows its file and
its directory by number, whatever they are called later.
"""
import re

CALLS = (
    "openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,sync_file_range,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlinkat,copy_file_range,sendto,sendmsg"
)
LINE = re.compile(r"^(\d+) +(.*)$")
CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)", re.S)
HANDLE = re.compile(r"^(?:AT_FDCWD|(\d+))<(.*?)>(?=,|$)")
REPLY = re.compile(rb"(250) 2\.0\.0 (\w+).*? id=([0-9a-f]{32})")


class Unknown(Exception):
    """A system call whose effect on the disk this reader does not know."""


def unescape(text):
    """A string as strace -xx prints it."""
    return bytes.fromhex(text.strip('"').replace("\\x", ""))


def split(arguments):
    """The arguments of a call: strings are hexadecimal and handles stand in angle brackets, so commas inside of either do not count."""
    parts, depth, quoted, current = [], 0, False, ""
    for c in arguments:
        if c == '"':
            quoted = not quoted
        if not quoted:
            if c in "<[{":
                depth += 1
            elif c in ">]}":
                depth -= 1
            elif c == "," and depth == 0:
                parts.append(current.strip())
                current = ""
                continue
        current += c
    parts.append(current.strip())
    return parts


def whole_calls(lines):
    """(process, call) with calls that were interrupted in the output put together; they count when they return."""
    unfinished = {}
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        process, text = found.groups()
        if text.endswith("<unfinished ...>"):
            unfinished[process] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)$", text)
        if resumed:
            text = unfinished.pop(process, "") + resumed.group(1)
        yield process, text


class Tree:
    """Files and directories while the trace goes on. Number 0 is the root above all directories of interest."""

    def __init__(self, roots):
        self.roots = roots
        self.entries = {}  # number of a directory -> {name: number}
        self.positions = {}
        self.next = 1
        self.tops = {}
        for root in roots:
            self.tops[root] = self.new_directory()

    def new_directory(self):
        number = self.next
        self.next += 1
        self.entries[number] = {}
        return number

    def new_file(self):
        number = self.next
        self.next += 1
        self.positions[number] = 0
        return number

    def place(self, path):
        """(directory, name) of a path, or None if it is not of interest. A top directory is (None, root)."""
        for root, top in self.tops.items():
            if path == root:
                return None, root
            if path.startswith(root + "/"):
                directory = top
                *above, name = path[len(root) + 1 :].split("/")
                for step in above:
                    directory = self.entries.get(directory, {}).get(step)
                    if directory is None:
                        return None
                return directory, name
        return None

    def number(self, path):
        place = self.place(path)
        if place is None:
            return None
        directory, name = place
        return self.tops[name] if directory is None else self.entries.get(directory, {}).get(name)


def is_of_interest(tree, path):
    return any(path == root or path.startswith(root + "/") for root in tree.roots) and not path.endswith(" (deleted)")


class Reader:
    def __init__(self, roots):
        self.tree = Tree(roots)
        self.operations = []

    def read(self, lines):
        for _, text in whole_calls(lines):
            found = CALL.match(text)
            if not found:
                continue
            name, arguments, result = found.group(1), split(found.group(2)), int(found.group(3))
            if result < 0:
                continue
            getattr(self, f"on_{name}", self.on_unknown(name))(arguments, result, text)
        return self.operations

    def on_unknown(self, name):
        def refuse(arguments, result, text):
            if any(is_of_interest(self.tree, path) for path in re.findall(r"<(/.*?)>", text)):
                raise Unknown(text[:200])

        return refuse

    def path(self, handle, name=None):
        """The path of a handle, or of a name relative to one."""
        found = HANDLE.match(handle)
        base = found.group(2) if found else ""
        base = base.encode().decode("unicode_escape") if "\\x" in base else base
        if name is None:
            return base
        relative = unescape(name).decode()
        return relative if relative.startswith("/") else f"{base}/{relative}" if relative not in ("", ".") else base

    # Names.
    def create(self, path, is_directory):
        place = self.tree.place(path)
        if place is None or place[0] is None:
            return None
        directory, name = place
        number = self.tree.entries[directory].get(name)
        if number is None:
            number = self.tree.new_directory() if is_directory else self.tree.new_file()
            self.tree.entries[directory][name] = number
            self.operations.append(("create", directory, name, number, is_directory))
        return number

    def on_openat(self, arguments, result, text):
        opened = self.path(re.search(r"= (\d+<.*>)$", text).group(1)) if text.endswith(">") else ""
        flags = arguments[2] if len(arguments) > 2 else ""
        if "O_TMPFILE" in flags or not is_of_interest(self.tree, opened):
            return
        if "O_CREAT" in flags:
            number = self.create(opened, False)
        else:
            number = self.tree.number(opened)
        if number in self.tree.positions:
            self.tree.positions[number] = 0
            if "O_TRUNC" in flags:
                self.operations.append(("truncate", number, 0))

    on_openat2 = on_openat

    def on_mkdir(self, arguments, result, text):
        self.create(unescape(arguments[0]).decode(), True)

    def on_mkdirat(self, arguments, result, text):
        self.create(self.path(arguments[0], arguments[1]), True)

    def remove(self, path):
        place = self.tree.place(path)
        if place and place[0] is not None and self.tree.entries[place[0]].pop(place[1], None) is not None:
            self.operations.append(("remove", *place))

    def on_unlink(self, arguments, result, text):
        self.remove(unescape(arguments[0]).decode())

    on_rmdir = on_unlink

    def on_unlinkat(self, arguments, result, text):
        self.remove(self.path(arguments[0], arguments[1]))

    def rename(self, source, target):
        source, target = self.tree.place(source), self.tree.place(target)
        if source is None and target is None:
            return
        if source is None or target is None:
            raise Unknown(f"a name that crosses the border: {source} {target}")
        number = self.tree.entries[source[0]].pop(source[1], None)
        if number is not None:
            self.tree.entries[target[0]][target[1]] = number
            self.operations.append(("rename", *source, *target, number))

    def on_rename(self, arguments, result, text):
        self.rename(unescape(arguments[0]).decode(), unescape(arguments[1]).decode())

    def on_renameat(self, arguments, result, text):
        if "RENAME_EXCHANGE" in text:
            raise Unknown(text[:200])
        self.rename(self.path(arguments[0], arguments[1]), self.path(arguments[2], arguments[3]))

    on_renameat2 = on_renameat

    def link(self, source, target):
        number, place = self.tree.number(source), self.tree.place(target)
        if place is None:
            return
        if number is None:
            raise Unknown(f"a link to {source}, which is not known")
        self.tree.entries[place[0]][place[1]] = number
        self.operations.append(("link", number, *place))

    def on_link(self, arguments, result, text):
        self.link(unescape(arguments[0]).decode(), unescape(arguments[1]).decode())

    def on_linkat(self, arguments, result, text):
        self.link(self.path(arguments[0], arguments[1]), self.path(arguments[2], arguments[3]))

    # Data.
    def write(self, handle, offset, data):
        path = self.path(handle)
        # The shared memory of SQLite is made anew from the log after a power cut.
        if not is_of_interest(self.tree, path) or path.endswith("-shm"):
            return
        number = self.tree.number(path)
        if number is None:
            raise Unknown(f"written to {path}, which is not known")
        if offset is None:
            offset = self.tree.positions[number]
            self.tree.positions[number] += len(data)
        self.operations.append(("write", number, offset, data))

    def on_write(self, arguments, result, text):
        data = unescape(arguments[1])[:result]
        if is_of_interest(self.tree, self.path(arguments[0])):
            self.write(arguments[0], None, data)
        else:
            self.answer(data)

    def on_pwrite64(self, arguments, result, text):
        self.write(arguments[0], int(arguments[3]), unescape(arguments[1])[:result])

    def on_writev(self, arguments, result, text):
        data = b"".join(unescape(part) for part in re.findall(r'iov_base=("[^"]*")', text))[:result]
        if is_of_interest(self.tree, self.path(arguments[0])):
            self.write(arguments[0], None, data)
        else:
            self.answer(data)

    def on_sendto(self, arguments, result, text):
        self.answer(unescape(arguments[1])[:result])

    def on_sendmsg(self, arguments, result, text):
        self.answer(b"".join(unescape(part) for part in re.findall(r'iov_base=("[^"]*")', text)))

    def answer(self, data):
        for _, verdict, event in REPLY.findall(data):
            self.operations.append(("answer", verdict.decode(), event.decode()))

    def on_ftruncate(self, arguments, result, text):
        path = self.path(arguments[0])
        number = self.tree.number(path) if is_of_interest(self.tree, path) and not path.endswith("-shm") else None
        if number is not None:
            self.operations.append(("truncate", number, int(arguments[1])))

    def on_fallocate(self, arguments, result, text):
        if is_of_interest(self.tree, self.path(arguments[0])):
            raise Unknown(text[:200])

    def on_fsync(self, arguments, result, text):
        path = self.path(arguments[0])
        number = self.tree.number(path) if is_of_interest(self.tree, path) else None
        if number is not None:
            self.operations.append(("sync", number))

    on_fdatasync = on_fsync
