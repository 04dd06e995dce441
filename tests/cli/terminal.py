"""Runs a command at a terminal: types each line when the terminal has become quiet, prints all that was shown, then the
exit status and whether the terminal shows again what is typed.

Usage: terminal.py LINE... -- COMMAND...     A LINE of ^C is the key Ctrl-C.
"""
import fcntl
import os
import pty
import select
import sys
import termios
import time

split = sys.argv.index("--")
lines, command = sys.argv[1:split], sys.argv[split + 1:]
# The inner end is held open, so that its settings can be looked at when the command has ended.
terminal, inside = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
    for descriptor in (0, 1, 2):
        os.dup2(inside, descriptor)
    os.execvp(command[0], command)
shown, deadline = b"", time.monotonic() + 120


def read(until):
    """All that is shown until there is what was waited for, or the command has ended."""
    global shown
    start = len(shown)
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            shown += os.read(terminal, 65536)
        elif until(shown[start:]):
            return
        elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
    sys.exit("waited in vain; shown: " + repr(shown))


for line in lines:
    read(lambda new: new.rstrip(b" ").endswith(b":"))
    os.write(terminal, b"\x03" if line == "^C" else line.encode() + b"\n")
read(lambda _: False)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
echo = bool(termios.tcgetattr(inside)[3] & termios.ECHO)
sys.stdout.write(shown.decode(errors="replace"))
print(f"status={status} echo={echo}")
