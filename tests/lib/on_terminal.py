#!/usr/bin/env python3
"""on_terminal.py ANSWER… -- COMMAND…

Runs the command on a terminal of its own. Whenever it has asked something (what it wrote last ends with ": ") and typing is not shown, the next
answer is typed; "^C" is that key. Prints what was on the screen, then a line "echo on" or "echo off": how the terminal was left. The status is
the command's, 128 and the signal when one ended it."""
import os
import select
import subprocess
import sys
import termios
import time

TIMEOUT_S = 60


def echoes(fd):
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


def main():
    at = sys.argv.index("--")
    answers, command = sys.argv[1:at], sys.argv[at + 1:]
    master, slave = os.openpty()
    child = subprocess.Popen(command, preexec_fn=lambda: os.login_tty(os.dup(slave)))
    screen, asked = b"", 0
    end = time.monotonic() + TIMEOUT_S
    while True:
        done = child.poll() is not None
        if select.select([master], [], [], 0 if done else 0.02)[0]:
            screen += os.read(master, 65536)
        elif done:
            break
        elif time.monotonic() > end:
            child.kill()
            sys.exit("on_terminal.py: the command does not end; it has said: %r" % screen)
        if answers and len(screen) > asked and screen.endswith(b": ") and not echoes(slave):
            answer = answers.pop(0)
            os.write(master, b"\x03" if answer == "^C" else answer.encode() + b"\n")
            asked = len(screen)
    sys.stdout.write(screen.decode(errors="replace").replace("\r\n", "\n"))
    print("echo on" if echoes(slave) else "echo off")
    sys.stdout.flush()
    os._exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


main()
