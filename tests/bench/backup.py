#!/usr/bin/env python3
"""make bench-backup: varve push beside restic, borg, casync and btrfs send, on the same data in one run.

A dump with small edits at random places, a source tree with 1% of its files changed, and a database file with 2% of its 16 KiB pages
changed, each day. Prints the time of the first backup, the median of the later ones, the repository's size after the last, the time of a full
restore, the processor time of each, and the most memory that the program had. Ratios count: everything is measured in turn on the same
machine."""
import argparse
import collections
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time

PAGE = 16384
B = os.environ.get("B", "build/out")
VARVE, VARVED = os.environ.get("VARVE", f"{B}/varve"), os.environ.get("VARVED", f"{B}/varved")


def make_words(rng):
    return ["".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 9))) for _ in range(4000)]


def dump_line(rng, words, i):
    return f"INSERT INTO orders VALUES ({i},'{' '.join(rng.choices(words, k=8))}',{rng.random():.9f},'{rng.getrandbits(64):016x}');\n"


def page(rng, words):
    """Half text, a third numbers, the rest zeros: compresses about 2:1, as database pages do."""
    text = " ".join(rng.choices(words, k=PAGE // 12)).encode()[: PAGE // 2]
    return (text + rng.randbytes(PAGE // 3)).ljust(PAGE, b"\0")


Cost = collections.namedtuple("Cost", "seconds cpu memory")


class Data:
    """The same content, changed in the same way, in any folder."""

    def __init__(self, args):
        self.args = args

    def first(self, at):
        rng = random.Random(1)
        words = make_words(rng)
        os.makedirs(f"{at}/src")
        with open(f"{at}/dump.sql", "w") as f:
            size = i = 0
            while size < self.args.dump * 10**6:
                line = dump_line(rng, words, i)
                f.write(line)
                size += len(line)
                i += 1
        with open(f"{at}/data.db", "wb") as f:
            for _ in range(self.args.db * 2**20 // PAGE):
                f.write(page(rng, words))
        for i in range(self.args.files):
            os.makedirs(f"{at}/src/{i % 50}", exist_ok=True)
            with open(f"{at}/src/{i % 50}/{i}.c", "w") as f:
                f.writelines("\t" * rng.randint(0, 3) + " ".join(rng.choices(words, k=9)) + ";\n" for _ in range(rng.randint(5, 400)))

    def day(self, at, n):
        rng = random.Random(1000 + n)
        words = make_words(random.Random(1))
        with open(f"{at}/dump.sql") as f:
            lines = f.readlines()
        for _ in range(self.args.edits):
            i = rng.randrange(len(lines))
            if rng.random() < 0.3:
                lines.insert(i, dump_line(rng, words, i))
            else:
                lines[i] = dump_line(rng, words, i)
        with open(f"{at}/dump.new", "w") as f:
            f.writelines(lines)
        os.rename(f"{at}/dump.new", f"{at}/dump.sql")
        pages = self.args.db * 2**20 // PAGE
        with open(f"{at}/data.db", "r+b") as f:
            for i in rng.sample(range(pages), pages // 50):
                f.seek(i * PAGE)
                f.write(page(rng, words))
        for i in rng.sample(range(self.args.files), self.args.files // 100):
            with open(f"{at}/src/{i % 50}/{i}.c", "a") as f:
                f.write(" ".join(rng.choices(words, k=9)) + ";\n")


def tree(pid):
    """A process and those that it started."""
    todo = [pid]
    while todo:
        p = todo.pop()
        yield p
        try:
            for t in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{t}/children") as f:
                    todo += map(int, f.read().split())
        except OSError:
            pass


def rss_of_tree(pid):
    """MiB."""
    total = 0
    for p in tree(pid):
        try:
            with open(f"/proc/{p}/status") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        except OSError:
            pass
    return total / 1024


def cpu_of_tree(pid):
    """Seconds of processor time of processes that run."""
    total = 0
    for p in tree(pid):
        with open(f"/proc/{p}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def cpu_of_ended():
    """The same of all that was started and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(cmd, env=None, cwd=None, also=None):
    """Seconds, seconds of processor time, and the most memory in MiB that was seen (`also`: a daemon that does the work)."""
    began, memory, cpu = time.monotonic(), 0, -cpu_of_ended() - (cpu_of_tree(also) if also else 0)
    p = subprocess.Popen(cmd, shell=isinstance(cmd, str), env={**os.environ, **(env or {})}, cwd=cwd, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    ended = None
    while ended is None:
        try:
            ended = p.wait(0.05)
        except subprocess.TimeoutExpired:
            memory = max(memory, rss_of_tree(also or p.pid))
    seconds = time.monotonic() - began
    if ended:
        sys.exit(f"{cmd}: {p.stderr.read().decode()[-500:]}")
    return Cost(seconds, cpu + cpu_of_ended() + (cpu_of_tree(also) if also else 0), memory)


def tree_size(path):
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, files in os.walk(path) for f in files)


class Plain:
    """Programs that back a folder up."""

    def __init__(self, work, data):
        self.work, self.repo, self.at = work, f"{work}/repo", f"{work}/data"
        os.makedirs(work)
        data.first(self.at)
        self.init()

    def end(self):
        pass

    def size(self):
        return tree_size(self.repo)


class Restic(Plain):
    env = {"RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": "/nonexistent"}

    def init(self):
        run(["restic", "--no-cache", "-q", "-r", self.repo, "init"], self.env)

    def backup(self, n):
        return run(["restic", "--no-cache", "-q", "-r", self.repo, "backup", "."], self.env, self.at)

    def restore(self, to):
        return run(["restic", "--no-cache", "-q", "-r", self.repo, "restore", "latest", "--target", to], self.env)


class Borg(Plain):
    chunker = "19,23,21,4095"

    def init(self):
        self.env = {"BORG_PASSPHRASE": "secret", "BORG_BASE_DIR": self.work}
        run(["borg", "init", "-e", "repokey-blake2", self.repo], self.env)

    def backup(self, n):
        return run(["borg", "create", "-C", "lz4", "--chunker-params", self.chunker, f"{self.repo}::day{n}", "."], self.env, self.at)

    def restore(self, to):
        os.makedirs(to)
        last = subprocess.run(["borg", "list", "--short", "--last", "1", self.repo], env={**os.environ, **self.env}, text=True,
                              capture_output=True).stdout.strip()
        return run(["borg", "extract", f"{self.repo}::{last}"], self.env, to)


class BorgSmall(Borg):
    chunker = "12,17,14,4095"


class Casync(Plain):
    def init(self):
        os.makedirs(self.repo)

    def backup(self, n):
        self.last = f"{self.repo}/day{n}.caidx"
        return run(["casync", "make", f"--store={self.repo}/store.castr", self.last, self.at])

    def restore(self, to):
        return run(["casync", "extract", f"--store={self.repo}/store.castr", self.last, to])


class Btrfs(Plain):
    def init(self):
        pass

    def __init__(self, work, data):
        os.makedirs(f"{work}/mnt")
        self.work, self.repo, self.previous = work, f"{work}/repo", None
        os.makedirs(self.repo)
        with open(f"{work}/image", "wb") as f:
            f.truncate(32 << 30) # ten days, received beside what they were sent from
        run(["mkfs.btrfs", "-q", f"{work}/image"])
        run(["mount", "-o", "loop", f"{work}/image", f"{work}/mnt"])
        run(["btrfs", "subvolume", "create", f"{work}/mnt/v"])
        self.at = f"{work}/mnt/v"
        data.first(self.at)

    def backup(self, n):
        snap = f"{self.work}/mnt/day{n}"
        run(["btrfs", "subvolume", "snapshot", "-r", self.at, snap])
        os.sync()
        parent = f"-p {self.previous}" if self.previous else ""
        self.previous = snap
        return run(f"btrfs send -q {parent} {snap} | zstd -q -3 -T2 > {self.repo}/{n:02}.zst")

    def restore(self, to):
        run(["btrfs", "subvolume", "create", f"{self.work}/mnt/back"])
        return run(f"for f in {self.repo}/*.zst; do zstd -dc $f | btrfs receive -q {self.work}/mnt/back || exit 1; done")

    def end(self):
        run(["umount", f"{self.work}/mnt"])


class Varve(Plain):
    def __init__(self, work, data):
        os.makedirs(f"{work}/mnt")
        self.work, self.repo, self.n = work, f"{work}/repo", 0
        self.env = {"VARVE_STORE": f"{work}/store", "VARVE_MOUNT": f"{work}/mnt", "VARVE_API": f"{work}/api", "VARVE_PASSPHRASE": "secret"}
        run([VARVE, "init"], self.env)
        self.daemon = subprocess.Popen([VARVED, "--store", f"{work}/store", "--mount", f"{work}/mnt", "--api", f"{work}/api", "--foreground"],
                                       env={**os.environ, **self.env}, stderr=open(f"{work}/log", "w"))
        while subprocess.run([VARVE, "status"], env={**os.environ, **self.env}, capture_output=True).returncode:
            time.sleep(0.1)
        run([VARVE, "volume", "create", "v"], self.env)
        run([VARVE, "repo", "init", self.repo], self.env)
        self.at = f"{work}/mnt/v"
        data.first(self.at)

    def backup(self, n):
        run([VARVE, "snapshot", "create", f"v@day{n}"], self.env)
        self.last = f"v@day{n}"
        return run([VARVE, "push", self.last, self.repo], self.env, also=self.daemon.pid)

    def restore(self, to):
        return run([VARVE, "restore", self.repo, self.last, "/", to], self.env)

    def end(self):
        self.daemon.terminate()
        self.daemon.wait()


PROGRAMS = {"varve": Varve, "restic": Restic, "borg": Borg, "borg16k": BorgSmall, "casync": Casync, "btrfs": Btrfs}


def measure(name, data, args):
    work = f"{args.work}/{name}"
    shutil.rmtree(work, ignore_errors=True)
    p = PROGRAMS[name](work, data)
    try:
        os.sync()
        first, later = p.backup(0), []
        for day in range(1, args.days):
            data.day(p.at, day)
            os.sync()
            later.append(p.backup(day))
        os.sync()
        restore = p.restore(f"{work}/restored")
        if os.path.exists(f"{work}/restored/dump.sql"):
            run(["cmp", f"{p.at}/dump.sql", f"{work}/restored/dump.sql"])
            run(["cmp", f"{p.at}/data.db", f"{work}/restored/data.db"])
        middle = [statistics.median(c[i] for c in later) if later else 0 for i in (0, 1)]
        return {"program": name, "first_s": first.seconds, "first_cpu_s": first.cpu, "later_s": middle[0], "later_cpu_s": middle[1],
                "restore_s": restore.seconds, "restore_cpu_s": restore.cpu, "size_mib": p.size() / 2**20,
                "memory_mib": max(c.memory for c in (first, restore, *later))}
    finally:
        p.end()
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--days", type=int, default=10)
    a.add_argument("--dump", type=int, default=200, help="MB")
    a.add_argument("--db", type=int, default=256, help="MiB")
    a.add_argument("--files", type=int, default=2000)
    a.add_argument("--edits", type=int, default=300)
    a.add_argument("--only", default=",".join(PROGRAMS))
    a.add_argument("--work", default="/var/tmp/varve-bench-backup")
    a.add_argument("--json")
    a.add_argument("--keep", action="store_true")
    args = a.parse_args()
    data, rows = Data(args), []
    print(f"{'':10} {'first s':>8} {'cpu':>6} {'later s':>8} {'cpu':>6} {'restore s':>10} {'cpu':>6} {'size MiB':>9} {'memory MiB':>11}")
    for name in args.only.split(","):
        pid = os.fork()  # so that the children's memory is this program's alone
        if not pid:
            row = measure(name, data, args)
            with open(f"{args.work}.row", "w") as f:
                json.dump(row, f)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            print(f"{name:10} failed")
            continue
        with open(f"{args.work}.row") as f:
            r = json.load(f)
        rows.append(r)
        print(f"{name:10} {r['first_s']:8.2f} {r['first_cpu_s']:6.2f} {r['later_s']:8.2f} {r['later_cpu_s']:6.2f} {r['restore_s']:10.2f} "
              f"{r['restore_cpu_s']:6.2f} {r['size_mib']:9.0f} {r['memory_mib']:11.0f}", flush=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(rows, f, indent=1)


main()
