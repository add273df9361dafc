#!/usr/bin/env python3
"""Drives the volume plugin over its socket as no well-behaved engine would. plugin_client.py SOCKET MOUNT; prints ok lines."""
import os
import random
import sys
import threading

from plugin_wire import Connection, call, send

MOUNT = sys.argv[2]
failed = 0


def check(what, good, *details):
    global failed
    print(("ok - " if good else "not ok - ") + what)
    if not good:
        failed += 1
        for d in details:
            print("#   %r" % (d,))


def all_ok(answers):
    return all(a == {"Err": ""} or (a and a.get("Err") == "") for a in answers)


def at_once(n, fn):
    answers = [None] * n

    def one(i):
        answers[i] = fn(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


def mounts(name):
    return call("Get", Name=name)["Volume"]["Status"]["mounts"]


def wire():
    c = Connection()
    answers = [send("Plugin.Activate", "", c), send("VolumeDriver.Capabilities", {}, c), call("List", c), call("Get", c, Name="none")]
    check("one connection is kept for many requests", answers[0] == {"Implements": ["VolumeDriver"]}, answers)
    check("scope", answers[1] == {"Capabilities": {"Scope": "local"}}, answers)
    check("an empty list", answers[2] == {"Volumes": [], "Err": ""}, answers)
    check("an absent volume", answers[3].get("Err") != "", answers)


def empty_bodies():
    call("Create", Name="e", Opts=None)
    call("Mount", Name="e", ID="i")
    for verb in ("Create", "Remove", "Mount", "Unmount"):
        a = send("VolumeDriver." + verb, "")
        check("%s without a body is refused" % verb, a is not None and a["Err"] != "", a)
    for verb in ("Get", "Path"):
        check("%s without a body gets no answer" % verb, send("VolumeDriver." + verb, "") is None)
    check("nothing was done for them", mounts("e") == 1)
    for junk in ("{", "[]", "null", "1", '{"Name":1}', '{"Name":null}', '{"ID":"x"}', b"\xff\xfe", "x" * 2000000):
        for verb in ("Create", "Remove", "Mount", "Unmount"):
            a = send("VolumeDriver." + verb, junk)
            if a is None or not a.get("Err"):
                check("junk is refused: %s %r" % (verb, junk[:20]), False, a)
    check("junk is refused", True)
    check("and changes nothing", mounts("e") == 1 and os.listdir(MOUNT) == ["e"], os.listdir(MOUNT))
    a = send("VolumeDriver.Create", {"Name": "f", "Opts": {"quota": 1}})
    check("an option that is no string is refused", a["Err"] != "", a)
    call("Remove", Name="e")


def hostile_names():
    names = ["", ".", "..", "../x", "a/b", "/etc", ".x", "-x", "a b", "a\nb", "a\0b", "ü", "x" * 129, "x" * 100000, "%2e%2e", "a@b", "@"]
    for name in names:
        for verb in ("Create", "Remove", "Mount", "Unmount", "Get", "Path"):
            a = call(verb, Name=name, ID="i")
            # an unmount of nothing is no fault
            good = a is not None and (a["Err"] != "" or verb == "Unmount")
            if not good:
                check("%s of %r" % (verb, name[:30]), False, a)
    check("hostile names are refused", True)
    check("and leave nothing", os.listdir(MOUNT) == [], os.listdir(MOUNT))
    for bad in ("", "i" * 129, "i" * 100000):
        call("Create", Name="n", Opts={})
        check("an id of %d characters is refused" % len(bad), call("Mount", Name="n", ID=bad)["Err"] != "")
    call("Remove", Name="n")


def repeated():
    check("create, ten times", all_ok([call("Create", Name="r", Opts={"uid": "5"}) for _ in range(10)]))
    check("but not with other options", call("Create", Name="r", Opts={"uid": "6"})["Err"] != "")
    check("remove", call("Remove", Name="r")["Err"] == "")
    check("remove again", call("Remove", Name="r")["Err"] != "")
    check("unmount of what is gone", call("Unmount", Name="r", ID="x")["Err"] == "")
    check("twenty creations at once", all_ok(at_once(20, lambda i: call("Create", Name="c", Opts=None))))
    answers = at_once(20, lambda i: call("Remove", Name="c"))
    check("of twenty removals at once one succeeds", sum(a["Err"] == "" for a in answers) == 1, answers)


def out_of_order(rng):
    """Mounts and unmounts in any order, against a multiset."""
    call("Create", Name="m", Opts=None)
    ids = ["%064x" % i for i in range(5)]
    model = {i: 0 for i in ids}
    c = Connection()
    for _ in range(300):
        i = rng.choice(ids)
        if rng.random() < 0.5:
            good = call("Mount", c, Name="m", ID=i) == {"Mountpoint": MOUNT + "/m", "Err": ""}
            model[i] += 1
        else:
            good = call("Unmount", c, Name="m", ID=i) == {"Err": ""}
            model[i] = max(0, model[i] - 1)
        if not good:
            check("mount or unmount", False)
    check("mounts are a multiset of ids", mounts("m") == sum(model.values()), mounts("m"), model)
    for i in ids:
        for _ in range(model[i]):
            call("Unmount", c, Name="m", ID=i)
    check("and all can be undone", mounts("m") == 0)
    answers = at_once(16, lambda i: [call("Mount", Name="m", ID="t%d" % (i % 4)) for _ in range(5)])
    check("mounts at once", all(all_ok(a) for a in answers) and mounts("m") == 80, mounts("m"))
    check("leaked mounts are not in the way of removal", call("Remove", Name="m")["Err"] == "")
    call("Create", Name="m", Opts=None)
    check("nor do they come back with the name", mounts("m") == 0)
    call("Remove", Name="m")


def everything_at_once(rng):
    """Creations, removals, mounts and look-ups of a few names by many: no answer is missing, and none lies."""
    names = ["x%d" % i for i in range(4)]
    seeds = [rng.random() for _ in range(8)]

    def one(n):
        r = random.Random(seeds[n])
        c = Connection()
        bad = []
        for _ in range(60):
            verb = r.choice(("Create", "Remove", "Mount", "Unmount", "Get", "List", "Path"))
            a = call(verb, c, Name=r.choice(names), ID="id%d" % n)
            if a is None or "Err" not in a:
                bad.append((verb, a))
        return bad

    check("everything at once is answered", not any(at_once(8, one)))
    listed = {v["Name"] for v in call("List")["Volumes"]}
    check("list, get and the mount agree", listed == set(os.listdir(MOUNT)) == {n for n in names if call("Get", Name=n)["Err"] == ""},
          listed, os.listdir(MOUNT))
    for n in listed:
        call("Remove", Name=n)


seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
print("# SEED=%d" % seed)
wire()
empty_bodies()
hostile_names()
repeated()
out_of_order(random.Random(seed))
everything_at_once(random.Random(seed + 1))
sys.exit(failed > 0)
