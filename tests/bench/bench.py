#!/usr/bin/env python3
"""Speed as ratios: varve, a folder of the machine's own filesystem, and libfuse's passthrough_ll on such a folder, in turn.

Every round runs each piece of work on each filesystem, the order turning, so that a machine's moods fall on all alike. A ratio
is between speeds in the same round: above 1.00 varve is the faster. The table shows the median of the rounds and their range.
Nothing here passes or fails; the column "goal" is what the project asks of itself.

  bench.py [--rounds N] [--only NAMES] [--json FILE] [--without-varve]
  names: seqwrite coldread create statwalk rename unlink fsync16k append4k pgbench cuts schedule, or files for the middle four
"""
import argparse
import glob
import json
import os
import pwd
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
B = os.environ.get("B", os.path.join(ROOT, "build/out"))
VARVE = os.environ.get("VARVE", os.path.join(B, "varve"))
os.environ["VARVE_DOCKER"] = "none"  # no plugin on this machine's engine
VARVED = os.environ.get("VARVED", os.path.join(B, "varved"))
WORK = os.path.join(B, "tests/bench/work")
PASSTHROUGH = os.path.join(B, "tests/bench/passthrough_ll")

# Name, what it is, the goal as a ratio to passthrough_ll.
ROWS = [
    ("seqwrite", "sequential write, fsync at the end", 0.8),
    ("coldread", "sequential read, cold", 1.0),
    ("create", "create + write 4 KiB + close", 1.0),
    ("statwalk", "list and stat a tree, kernel caches dropped", 1.0),
    ("rename", "rename", 1.0),
    ("unlink", "unlink", 1.0),
    ("fsync16k", "16 KiB overwrite + fdatasync", 1.0),
    ("append4k", "4 KiB append + fdatasync", 1.0),
    ("pgbench", "pgbench, 4 clients (TPC-B)", 1.0),
]
GROUPS = {"files": ["create", "statwalk", "rename", "unlink"]}
CUT_FILES = [1000, 100_000, 1_000_000]


def run(*cmd, **kw):
    return subprocess.run(cmd, check=True, stdout=subprocess.PIPE, text=True, **kw).stdout


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


def work(op, path, count=None):
    out = run(WORK, op, path, *([str(count)] if count else []))
    return json.loads(out)


def speed(result):
    return (result["bytes"] or result["ops"]) / result["seconds"]


class Native:
    name = "ext4"  # what a Debian machine has; the title says what it really is

    def __init__(self, base):
        self.dir = os.path.join(base, "native")
        os.makedirs(self.dir)

    def stop(self):
        pass


class Passthrough:
    name = "passthrough_ll"

    def __init__(self, base):
        source = os.path.join(base, "source")
        self.dir = os.path.join(base, "passthrough")
        os.makedirs(source)
        os.makedirs(self.dir)
        self.process = subprocess.Popen(
            [PASSTHROUGH, "-f", "-o", f"source={source},writeback,cache=always,allow_other", self.dir])
        wait_for(lambda: os.path.ismount(self.dir), "passthrough_ll to mount")

    def stop(self):
        subprocess.run(["umount", self.dir], check=False)
        self.process.wait(60)


class Varve:
    name = "varve"

    def __init__(self, base):
        self.base = os.path.join(base, "varve")
        self.mount = os.path.join(self.base, "mnt")
        self.pidfile = os.path.join(self.base, "pid")
        os.makedirs(self.mount)
        self.env = dict(os.environ, VARVE_STORE=os.path.join(self.base, "store"), VARVE_MOUNT=self.mount,
                        VARVE_API=os.path.join(self.base, "api.sock"))
        self.varve("init", self.env["VARVE_STORE"])
        log = open(os.path.join(self.base, "log"), "a")
        subprocess.run([VARVED, "--store", self.env["VARVE_STORE"], "--mount", self.mount, "--api", self.env["VARVE_API"],
                        "--pidfile", self.pidfile, "--log", "stderr"], check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.varve("volume", "create", "bench")
        self.dir = os.path.join(self.mount, "bench")

    def varve(self, *args):
        return run(VARVE, "--json", *args, env=self.env)

    def pid(self):
        return int(open(self.pidfile).read())

    def memory_mib(self):
        for line in open(f"/proc/{json.loads(self.varve('status'))['pid']}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), "varved to end")


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: waited {seconds} s for {what}")
        time.sleep(0.05)


class Postgres:
    """One server on each filesystem; idle but for the one that is measured."""

    def __init__(self, base, fs, port):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.port = port
        self.sockets = os.path.join(base, "sockets")
        self.data = os.path.join(fs.dir, "pgdata")
        user = pwd.getpwnam("postgres")
        for d, mode in (self.sockets, 0o755), (self.data, 0o700):
            os.makedirs(d, exist_ok=True)
            os.chmod(d, mode)
            os.chown(d, user.pw_uid, user.pw_gid)
        self.cmd("initdb", "-D", self.data, "-A", "trust", "--locale=C", "-E", "UTF8")
        self.cmd("pg_ctl", "-D", self.data, "-w", "-s", "-l", os.path.join(self.sockets, f"{port}.log"), "-o",
                 f"-p {port} -k {self.sockets} -c listen_addresses= -c autovacuum=off -c checkpoint_timeout=1h "
                 "-c shared_buffers=128MB -c max_wal_size=4GB", "start")
        self.cmd("pgbench", *self.at(), "-i", "-q", "-s", "10", "postgres")

    def cmd(self, program, *args):
        # The server inherits these: pipes would never see their end.
        with tempfile.TemporaryFile("w+") as out:
            r = subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
                                os.path.join(self.bin, program), *args], cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            out.seek(0)
            text = out.read()
        if r.returncode != 0:
            raise SystemExit(f"bench: {program}: {text}")
        return text

    def at(self):
        return "-h", self.sockets, "-p", str(self.port)

    def tps(self, seconds):
        self.cmd("psql", *self.at(), "-c", "checkpoint", "postgres")
        out = self.cmd("pgbench", *self.at(), "-c", "4", "-j", "2", "-T", str(seconds), "-n", "postgres")
        return next(float(line.split()[2]) for line in out.splitlines() if line.startswith("tps"))

    def stop(self):
        self.cmd("pg_ctl", "-D", self.data, "-m", "immediate", "-s", "stop")


class Bench:
    def __init__(self, args, base):
        self.args = args
        self.base = base
        self.systems = []
        self.servers = {}
        self.speeds = {}  # row -> system -> one speed a round
        self.report = {}

    def start(self):
        for system in [Native, Passthrough] + ([] if self.args.without_varve else [Varve]):
            self.systems.append(system(self.base))

    def stop(self):
        for server in self.servers.values():
            server.stop()
        for s in self.systems:
            s.stop()

    def wanted(self, *rows):
        return any(r in self.args.only for r in rows)

    def note(self, row, system, value):
        if self.wanted(row):
            self.speeds.setdefault(row, {}).setdefault(system.name, []).append(value)

    def rotated(self, i):
        k = i % len(self.systems)
        return self.systems[k:] + self.systems[:k]

    def one_round(self, i):
        n = self.args.files
        for s in self.rotated(i):
            if self.wanted("seqwrite", "coldread"):
                self.note("seqwrite", s, speed(work("seqwrite", s.dir, self.args.mib)))
                drop_caches()
                self.note("coldread", s, speed(work("read", s.dir)))
                os.unlink(os.path.join(s.dir, "seq"))
        for s in self.rotated(i):
            if self.wanted(*GROUPS["files"]):
                self.note("create", s, speed(work("create", s.dir, n)))
                drop_caches()
                self.note("statwalk", s, speed(work("statwalk", s.dir)))
                self.note("rename", s, speed(work("rename", s.dir, n)))
                self.note("unlink", s, speed(work("unlink", s.dir, n)))
                shutil.rmtree(os.path.join(s.dir, "files"))
        for op in "fsync16k", "append4k":
            for s in self.rotated(i):
                if self.wanted(op):
                    os.sync()
                    self.note(op, s, speed(work(op, s.dir)))
        if self.wanted("pgbench"):
            for s in self.rotated(i):
                if s.name not in self.servers:
                    self.servers[s.name] = Postgres(self.base, s, 25432 + len(self.servers))
            for s in self.rotated(i):
                self.note("pgbench", s, self.servers[s.name].tps(self.args.pgbench_seconds))

    def ratio(self, row, a, b):
        """Median, least and greatest of a's speed to b's, by rounds."""
        pairs = [x / y for x, y in zip(self.speeds[row].get(a, []), self.speeds[row].get(b, []))]
        return (statistics.median(pairs), min(pairs), max(pairs)) if pairs else None

    def print_table(self):
        if not self.speeds:
            return
        print(f"\n{'':44} {'varve/passthrough':>20} {'goal':>5} {'varve/native':>18} {'passthr./native':>18}   native")
        for row, text, goal in ROWS:
            if row not in self.speeds:
                continue
            cells = []
            for a, b in ("varve", "passthrough_ll"), ("varve", "ext4"), ("passthrough_ll", "ext4"):
                r = self.ratio(row, a, b)
                cells.append(f"{r[0]:.2f} ({r[1]:.2f}-{r[2]:.2f})" if r else "-")
                self.report.setdefault(row, {})[f"{a}/{b}"] = r
            native = statistics.median(self.speeds[row]["ext4"])
            unit = f"{native / 2**20:8.0f} MiB/s" if row in ("seqwrite", "coldread") else f"{native:8.0f} /s"
            print(f"{text:44} {cells[0]:>20} {goal:>5} {cells[1]:>18} {cells[2]:>18} {unit}")

    def cuts(self):
        """Snapshot, clone and rollback as a volume grows, and the daemon's memory after it."""
        varve = self.systems[-1]
        varve.varve("volume", "create", "cuts")
        vol = os.path.join(varve.mount, "cuts")
        medians = {}
        print(f"\n{'cut, microseconds (median, worst; whole command)':50} {'snapshot':>26} {'clone':>26} {'rollback':>26}")
        for n in self.args.cut_files:
            work("populate", vol, n)
            os.sync()
            times = {"snapshot": [], "clone": [], "rollback": []}
            for i in range(self.args.cut_repeats):
                for what, args in (("snapshot", ("snapshot", "create", f"cuts@n{n}-{i}")),
                                   ("clone", ("clone", f"cuts@n{n}-{i}", f"clone{n}-{i}")),
                                   ("rollback", ("rollback", f"cuts@n{n}-{i}"))):
                    # A snapshot of a volume that has changed, a rollback with something to take back.
                    with open(os.path.join(vol, f"touched{random.randrange(100)}"), "w") as f:
                        f.write(str(i))
                    t = time.monotonic()
                    reply = json.loads(varve.varve(*args))
                    whole = (time.monotonic() - t) * 1e6
                    cut = find(reply, "cut_us")
                    times[what].append((whole if cut is None else cut, whole))
            line = []
            for what, pairs in times.items():
                cut = [c for c, _ in pairs]
                medians.setdefault(what, []).append(statistics.median(cut))
                line.append(f"{statistics.median(cut):.0f}, {max(cut):.0f}; {statistics.median(w for _, w in pairs):.0f}")
            print(f"{n:>12,} files {'':31} {line[0]:>26} {line[1]:>26} {line[2]:>26}", flush=True)
        for what, values in medians.items():
            flat = max(values) / max(min(values), 1e-9)
            print(f"{what}: largest to smallest {flat:.2f} (goal at most 1.5), slowest {max(values) / 1000:.2f} ms (goal under 5)")
            self.report.setdefault("cuts", {})[what] = {"us": values, "flatness": flat}
        self.report["memory_mib"] = varve.memory_mib()
        print(f"the daemon's memory after that: {self.report['memory_mib']:.0f} MiB (goal under 300)", flush=True)

    def schedule(self):
        """What a snapshot every ten seconds costs a writer of random 8 KiB in a 1 GiB file."""
        varve = self.systems[-1]
        seconds, pairs = self.args.schedule_seconds, []
        work("rand8k", varve.dir, 5)  # makes the file, and brings the store to its working state
        for i in range(self.args.rounds):
            got = {}
            for snapshots in (False, True) if i % 2 else (True, False):
                stop = threading.Event()

                def every_ten_seconds(run_number=i):
                    k = 0
                    while not stop.wait(10):
                        varve.varve("snapshot", "create", f"bench@every{run_number}-{k}")
                        k += 1

                thread = threading.Thread(target=every_ten_seconds)
                if snapshots:
                    thread.start()
                got[snapshots] = speed(work("rand8k", varve.dir, seconds))
                stop.set()
                if snapshots:
                    thread.join()
            pairs.append(got[True] / got[False])
            print(f"  round {i + 1}: {got[False] / 2**20:.0f} MiB/s without, {got[True] / 2**20:.0f} with snapshots", flush=True)
        cost = (1 - statistics.median(pairs)) * 100
        self.report["schedule_cost_percent"] = cost
        print(f"a snapshot every 10 s under random 8 KiB writes costs {cost:.1f}% of throughput "
              f"({(1 - max(pairs)) * 100:.1f} to {(1 - min(pairs)) * 100:.1f}; goal under 5)")


def find(value, key):
    """The first field of that name, however deep."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            got = find(v, key)
            if got is not None:
                return got
    return None


def parse_args():
    every = [r[0] for r in ROWS] + ["cuts", "schedule"]
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--only", default=",".join(every))
    p.add_argument("--json", help="write every number there")
    p.add_argument("--without-varve", action="store_true", help="only what FUSE itself costs")
    p.add_argument("--mib", type=int, default=512, help="size of the sequential file")
    p.add_argument("--files", type=int, default=5000)
    p.add_argument("--pgbench-seconds", type=int, default=10)
    p.add_argument("--cut-files", type=lambda s: [int(x) for x in s.split(",")], default=CUT_FILES)
    p.add_argument("--cut-repeats", type=int, default=15)
    p.add_argument("--schedule-seconds", type=int, default=35, help="length of one run, which has a snapshot every 10 s")
    args = p.parse_args()
    names = []
    for name in args.only.split(","):
        names += GROUPS.get(name, [name])
    unknown = set(names) - set(every)
    if unknown:
        p.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    args.only = names
    return args


def main():
    args = parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run as root (it mounts filesystems and drops caches)")
    base = tempfile.mkdtemp(prefix="varve-bench.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    os.chmod(base, 0o755)
    fstype = run("stat", "-f", "-c", "%T", base).strip()
    print(f"{os.cpu_count()} CPUs, kernel {os.uname().release}, native: {fstype}, {args.rounds} rounds; ratios of speeds, "
          "median (least-greatest)", flush=True)
    bench = Bench(args, base)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        bench.start()
        for i in range(args.rounds):
            if bench.wanted(*[r[0] for r in ROWS]):
                bench.one_round(i)
        bench.print_table()
        if not args.without_varve:
            if bench.wanted("cuts"):
                bench.cuts()
            if bench.wanted("schedule"):
                bench.schedule()
        if args.json:
            with open(args.json, "w") as f:
                json.dump({"speeds": bench.speeds, "report": bench.report}, f, indent=1)
    finally:
        bench.stop()
        for m in "passthrough", "varve/mnt":
            path = os.path.join(base, m)
            if os.path.ismount(path):
                subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
