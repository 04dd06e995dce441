"""What a power cut may leave of a disk: a state for each point of a run and each way in which it may have come.

What was synced is there. What was not is there, not there, or there in part: of the data any blocks of 512 octets, of each
directory the first so many changes of its names. A sync of a file says nothing of its name; only a sync of its directory does.
"""
import random

BLOCK = 512
NAMES = {"create": 1, "remove": 1, "rename": 1, "link": 2}


def directories(operation):
    """The directories whose names an operation changes."""
    kind = operation[0]
    if kind in ("create", "remove"):
        return [operation[1]]
    if kind == "rename":
        return [operation[1], operation[3]]
    if kind == "link":
        return [operation[2]]
    return []


class Disk:
    """Files and directories as they are after the operations that were chosen."""

    def __init__(self, tops):
        self.entries = {number: {} for number in tops}
        self.data = {}

    def create(self, number, is_directory):
        """What is fsynced is there, whether or not its first name is: a rename may give it another."""
        if is_directory:
            self.entries.setdefault(number, {})
        else:
            self.data.setdefault(number, bytearray())

    def apply(self, operation):
        kind, *rest = operation
        if kind == "create":
            directory, name, number, is_directory = rest
            self.create(number, is_directory)
            if directory in self.entries:
                self.entries[directory][name] = number
        elif kind == "remove":
            directory, name = rest
            self.entries.get(directory, {}).pop(name, None)
        elif kind == "rename":
            source, old, target, new, number = rest
            self.entries.get(source, {}).pop(old, None)
            if target in self.entries and (number in self.data or number in self.entries):
                self.entries[target][new] = number
        elif kind == "link":
            number, directory, name = rest
            if directory in self.entries and (number in self.data or number in self.entries):
                self.entries[directory][name] = number
        elif kind == "write":
            number, offset, data = rest
            content = self.data.setdefault(number, bytearray())
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        elif kind == "truncate":
            number, length = rest
            content = self.data.setdefault(number, bytearray())
            del content[length:]
            content.extend(bytes(length - len(content)))

    def write_out(self, number, path):
        """Makes a directory and all below it."""
        path.mkdir(exist_ok=True)
        for name, child in self.entries[number].items():
            if child in self.entries:
                self.write_out(child, path / name)
            else:
                (path / name).write_bytes(self.data.get(child, b""))


class Cuts:
    """The states at a point of a run."""

    def __init__(self, operations, tops):
        self.operations, self.tops = operations, tops

    def state(self, point, way, seed):
        """`way`: nothing of what was not synced, everything, or something."""
        done = self.operations[:point]
        synced = {}
        for place, operation in enumerate(done):
            if operation[0] == "sync":
                synced[operation[1]] = place
        chance = random.Random(seed)
        disk = Disk(self.tops)
        # How many of the changes of a directory that were not synced are there.
        pending = {}
        for place, operation in enumerate(done):
            for directory in directories(operation):
                if synced.get(directory, -1) < place:
                    pending[directory] = pending.get(directory, 0) + 1
        kept = {directory: {"nothing": 0, "everything": number}.get(way, chance.randint(0, number)) for directory, number in pending.items()}
        for place, operation in enumerate(done):
            kind = operation[0]
            if kind in NAMES:
                where = directories(operation)
                late = [directory for directory in where if synced.get(directory, -1) < place]
                is_there = all(kept[directory] > 0 for directory in late)
                # A rename is one change of two directories: an fsync of either brings all of it.
                if kind == "rename" and len(late) < len(where):
                    is_there = True
                for directory in late:
                    kept[directory] -= 1 if kept[directory] > 0 else 0
                if is_there:
                    disk.apply(operation)
                elif kind == "create":
                    disk.create(*operation[3:])
            elif kind in ("write", "truncate"):
                if synced.get(operation[1], -1) > place or way == "everything":
                    disk.apply(operation)
                elif way == "something":
                    self.in_part(disk, operation, chance)
        return disk

    @staticmethod
    def in_part(disk, operation, chance):
        if operation[0] == "truncate":
            if chance.random() < 0.5:
                disk.apply(operation)
            return
        _, number, offset, data = operation
        fate = chance.choice(["all", "none", "part"])
        if fate == "all":
            disk.apply(operation)
        elif fate == "part":
            for start in range(0, len(data), BLOCK):
                if chance.random() < 0.5:
                    disk.apply(("write", number, offset + start, data[start : start + BLOCK]))
