#!/usr/bin/env python3
"""Asks the volume plugin what it must answer at once, over and over until stdin ends. plugin_pace.py SOCKET MOUNT NAME…, volumes that are there
all the time; "none-…" never are. Each line of stdin ends a phase and names it: then ok lines say whether every answer was right, and came
within a second."""
import collections
import random
import sys
import threading
import time

from plugin_wire import Connection, call, send

MOUNT, NAMES = sys.argv[2], sys.argv[3:]
LIMIT_S = 1.0
PAUSE_S = 0.03
lock = threading.Lock()
worst, asked, cut, wrong = collections.Counter(), collections.Counter(), collections.Counter(), []
failed = 0
ending = False


def is_volume(answer, name):
    v = answer.get("Volume", answer)
    return answer.get("Err") == "" and v.get("Mountpoint") == MOUNT + "/" + name


def some_name():
    return random.choice(NAMES)


def get(c):
    name = some_name()
    a = call("Get", c, Name=name)
    return a, a and is_volume(a, name) and a["Volume"]["Name"] == name


def get_absent(c):
    a = call("Get", c, Name="none-%d" % random.randrange(1 << 30))
    return a, a and a["Err"] != ""


def path(c):
    name = some_name()
    a = call("Path", c, Name=name)
    return a, a and is_volume(a, name)


def list_all(c):
    a = call("List", c)
    return a, a and a["Err"] == "" and set(NAMES) <= {v["Name"] for v in a["Volumes"]}


def capabilities(c):
    a = send("VolumeDriver.Capabilities", {}, c)
    return a, a == {"Capabilities": {"Scope": "local"}}


CALLS = {"Get": get, "Get of what is absent": get_absent, "Path": path, "List": list_all, "Capabilities": capabilities}


def ask(what, kept):
    """Keeps one connection, as dockerd does, or makes one for each call. A call that is cut off is made again, and timed again."""
    c = Connection()
    while not ending:
        begun = time.monotonic()
        try:
            answer, good = CALLS[what](c)
        except OSError as e:  # no socket, or no answer for a minute
            answer, good = e, False
        took = time.monotonic() - begun
        with lock:
            asked[what] += 1
            worst[what] = max(worst[what], took)
            if answer is None:
                cut[what] += 1
            elif not good:
                wrong.append((what, answer))
        if answer is None or not kept:
            c.close()
            c = Connection()
        time.sleep(PAUSE_S)


def report(phase):
    global failed
    with lock:
        for what in CALLS:
            good = asked[what] > cut[what] and worst[what] < LIMIT_S
            failed += not good
            print("%s - %s: %s, at most %.0f ms (%d calls, %d cut off)"
                  % ("ok" if good else "not ok", phase, what, worst[what] * 1000, asked[what], cut[what]))
        failed += bool(wrong)
        print("%s - %s: every answer is right" % ("not ok" if wrong else "ok", phase))
        for w in wrong[:5]:
            print("#   %r" % (w,))
        for c in (worst, asked, cut, wrong):
            c.clear()
    sys.stdout.flush()


threads = [threading.Thread(target=ask, args=(what, kept)) for what in CALLS for kept in (True, False)]
for t in threads:
    t.start()
for line in sys.stdin:
    report(line.strip())
ending = True
for t in threads:
    t.join()
sys.exit(failed > 0)
