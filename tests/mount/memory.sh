#!/bin/bash
# The daemon's memory stays bounded: with many open files, with many inodes that the kernel knows, and with a writer that is faster than
# what stores its data. Prints what it found. The bounds are what the caches may hold and what each file, node and open is known to take.
. "$(dirname "$0")/../lib/harness.sh"

files=$([ -n "$LONG" ] && echo 100000 || echo 5000)
inodes=$([ -n "$LONG" ] && echo 1000000 || echo 20000)
written=$([ -n "$LONG" ] && echo 2000 || echo 200) # MiB
openers=$((files / 15000 + 1)) # processes: each may have 20,000 descriptors or so
[ "$(ulimit -Hn)" -gt 16000 ] || skip "a process may have only $(ulimit -Hn) descriptors"
# KiB: 64 + 16 MiB of database pages (sql_list.h), 40,000 live rows and their index (limits.h) 35, chunks that were read (chunk_cache.h) 8,
# requests' buffers (session.c, parked.c) 20; and as much as a third of it again that malloc keeps.
caches=200000
# What outlives the daemon: the ring (RING_SIZE_DEFAULT), 16 bytes a node and 24 an open (node_table.h, open_table.h), whose places are used
# again and not given back, and 2 MiB for what is said about them and the index of the WAL.
shared=$((131072 + (inodes + files) * 16 / 1024 + files * 24 / 1024 + 2048))
harness_start
volume v -o compression=zstd:15

# Kilobytes that are the daemon's own; the ring is a file in memory, of a size that is set.
own_kb() { awk '/^(RssAnon|VmSwap):/ { n += $2 } END { print n }' "/proc/$(harness_daemon)/status"; }
ring_kb() { awk '/^RssShmem:/ { print $2 }' "/proc/$(harness_daemon)/status"; }
# within WHAT KB BOUND-KB
within() { expect "$1: $2 KiB, at most $3" [ "$2" -le "$3" ]; }

mkdir "$VOL/open"
start=$(own_kb)
say "to begin with: $start KiB"
cat >"$WORK/open.py" <<'PY'
import os, resource, sys, time
folder, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = []
for i in range(first, first + n):
    fd = os.open(f"{folder}/{i}", os.O_CREAT | os.O_RDWR, 0o644)
    os.write(fd, b"x")
    held.append(fd)
print("open", flush=True)
time.sleep(100000)
PY
pids=()
for i in $(seq 0 $((openers - 1))); do
	python3 "$WORK/open.py" "$VOL/open" $((i * files / openers)) $((files / openers)) >>"$WORK/open.out" &
	pids+=($!)
	started $!
done
for _ in $(seq 6000); do
	[ "$(wc -l <"$WORK/open.out")" -eq $openers ] && break
	sleep 0.1
done
expect_eq "$files files are open" "$(wc -l <"$WORK/open.out")" $openers
sync -f "$VOL"
now=$(own_kb)
within "for $files files open for writing" $((now - start)) $((caches + files)) # a file with data in the ring: 1 KiB
for pid in "${pids[@]}"; do
	end_pid "$pid" TERM
done

# Processes that hold each a part of them, by O_PATH, so that the kernel has to know them all at once.
cat >"$WORK/know.py" <<'PY'
import os, sys, time
vol, n, each, parent = sys.argv[1], int(sys.argv[2]), 15000, os.getpid()
for first in range(0, n, each):
    ready, told = os.pipe()
    if os.fork() == 0:
        held = []
        for i in range(first, min(first + each, n)):
            if i % 10000 == 0:
                os.mkdir(f"{vol}/d{i // 10000}")
            name = f"{vol}/d{i // 10000}/{i}"
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
            held.append(os.open(name, os.O_PATH))
        os.write(told, b"x")
        while os.getppid() == parent:
            time.sleep(0.1)
        os._exit(0)
    os.close(told)
    if not os.read(ready, 1):
        sys.exit("one of them failed")
    os.close(ready)
print("known", flush=True)
time.sleep(100000)
PY
python3 "$WORK/know.py" "$VOL" "$inodes" >"$WORK/know.out" &
knower=$!
started $knower
while kill -0 $knower 2>/dev/null && ! grep -q known "$WORK/know.out"; do
	sleep 0.2
done
known=$(curl -s --unix-socket "$VARVE_API" http://v/metrics | sed -n 's/^varve_fuse_nodes //p')
expect "the kernel knows $known nodes at once, at least $inodes" [ "$known" -ge "$inodes" ]
find "$VOL" -type f -size +1M >/dev/null
now=$(own_kb)
within "for $inodes inodes that the kernel knows" $((now - start)) $((caches + inodes * 11 / 1024)) # 11 bytes of index
end_pid $knower TERM
drop_caches

before=$(own_kb)
peak=0
dd if=/dev/urandom of="$VOL/stream" bs=1M count="$written" 2>/dev/null &
writer=$!
started $writer
while kill -0 $writer 2>/dev/null; do
	now=$(own_kb)
	[ "$now" -gt "$peak" ] && peak=$now
	sleep 0.05
done
within "a writer of $written MiB that outruns its compression" $((peak - before)) 65536 # its data is in the ring: this is what compresses it
within "the ring, nodes and opens" "$(ring_kb)" $shared
check_store
finish
