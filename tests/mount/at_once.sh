#!/bin/bash
# Everything at once for some seconds: programs that write, snapshots, clones, rollbacks, removals, exports, imports, backups, diffs, checks,
# collections, the plugin, and whoever looks on. Nothing fails but what must, and nothing is lost. Sanitizers see most here.
. "$(dirname "$0")/../lib/harness.sh"

export VARVE_DOCKER=$WORK/plugin.sock VARVE_PASSPHRASE=secret VARVE_REPOS=$WORK/repos
seconds=$([ -n "$LONG" ] && echo 60 || echo 8)
harness_start
R=$WORK/backup
"$VARVE" -q repo init "$R" >>"$LOG" 2>&1 || fail "repo init"
for v in write back tar push; do
	volume $v
	cp -a "$HERE/store/base" "$VOL/base"
done
"$VARVE" snapshot create back@base tar@base push@base write@base >>"$LOG" 2>&1 || fail "snapshots"

# Replaces, appends, maps and removes files of its own, and reads them back.
cat >"$WORK/writer.py" <<'PY'
import mmap, os, random, sys
folder, stop, rnd = sys.argv[1], sys.argv[2], random.Random(int(sys.argv[3]))
os.mkdir(folder)
have = {}
while not os.path.exists(stop):
    path, data = f"{folder}/{rnd.randrange(40)}", rnd.randbytes(rnd.choice([10, 5000, 70000, 400000]))
    how = rnd.randrange(5)
    if how == 0 and path in have:
        os.unlink(path)
        del have[path]
        continue
    if how == 1:
        with open(path + ".new", "wb") as f:
            f.write(data)
        os.rename(path + ".new", path)
        have[path] = data
    elif how == 2 and path in have:
        with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[:10] = data[:10]
        have[path] = data[:10] + have[path][10:]
    else:
        with open(path, "ab") as f:
            f.write(data)
            if how == 3:
                f.flush()
                os.fsync(f.fileno())
        have[path] = (have.get(path, b"") + data)
        if len(have[path]) > 4000000:
            os.truncate(path, 1000)
            have[path] = have[path][:1000]
    path = rnd.choice(list(have))
    with open(path, "rb") as f:
        if f.read() != have[path]:
            sys.exit(f"{path} is not what was written")
for path, data in have.items():
    with open(path, "rb") as f:
        if f.read() != data:
            sys.exit(f"{path} is not what was written, at the end")
PY

# round NAME N: the Nth time of a piece of work.
round() {
	local n=$2
	case $1 in
	snapshots) "$VARVE" snapshot create write@s$n push@s$n && [ -d "$MNT/write/.snapshots/s$n/base" ] && "$VARVE" snapshot rm write@s$n ;;
	clones)
		"$VARVE" clone write@base c$n && cmp "$HERE/store/base/io.c" "$MNT/c$n/base/io.c" && echo "$n" >"$MNT/c$n/own" &&
			"$VARVE" volume rename c$n d$n && [ "$(<"$MNT/d$n/own")" = "$n" ] && "$VARVE" volume rm --purge d$n
		;;
	rollbacks)
		echo "$n" >"$MNT/back/number" && "$VARVE" snapshot create back@r$n && rm -rf "$MNT/back/base" &&
			"$VARVE" rollback --live -y back@r$n && cmp "$HERE/store/base/io.c" "$MNT/back/base/io.c" && [ "$(<"$MNT/back/number")" = "$n" ]
		;;
	tars)
		"$VARVE" export tar@base | "$VARVE" import t$n && cmp "$HERE/store/base/io.c" "$MNT/t$n/base/io.c" && "$VARVE" volume rm t$n &&
			"$VARVE" volume undelete t$n && "$VARVE" volume rm --purge t$n
		;;
	backups)
		echo "$n" >"$MNT/push/number" && "$VARVE" snapshot create push@p$n && "$VARVE" push push@p$n "$R" && "$VARVE" pull "$R" push@p$n b$n &&
			[ "$(<"$MNT/b$n/number")" = "$n" ] && "$VARVE" volume rm --purge b$n
		;;
	maintenance) "$VARVE" gc && "$VARVE" check --data ;;
	plugin)
		plugin Create "{\"Name\":\"p$n\"}" && plugin Mount "{\"Name\":\"p$n\",\"ID\":\"i\"}" && echo "$n" >"$MNT/p$n/f" &&
			plugin Unmount "{\"Name\":\"p$n\",\"ID\":\"i\"}" && plugin Remove "{\"Name\":\"p$n\"}"
		;;
	lookers)
		"$VARVE" status && "$VARVE" df && "$VARVE" volume ls && "$VARVE" snapshot ls && "$VARVE" diff write@base write && "$VARVE" volume inspect write &&
			curl -sf --unix-socket "$VARVE_API" http://varve/metrics && curl -sf --unix-socket "$VARVE_API" http://varve/v1/jobs
		;;
	folders) find "$MNT/write" -type f -newer "$MNT/write/base" 2>/dev/null | sort | tail -n 3; cp -a "$MNT/tar/base" "$MNT/tar/copy" && rm -r "$MNT/tar/copy" ;;
	esac
}
plugin() { curl -s -m 60 --unix-socket "$VARVE_DOCKER" -d "$2" "http://x/VolumeDriver.$1" | grep -q '"Err":""'; }
work() {
	local n=0
	while [ ! -e "$WORK/stop" ]; do
		n=$((n + 1))
		round "$1" $n >"$WORK/$1.log" 2>&1 || { echo "round $n: $(tail -n 3 "$WORK/$1.log")" >"$WORK/$1.failed"; return 1; }
	done
	echo $n >"$WORK/$1.rounds"
}

works=(snapshots clones rollbacks tars backups maintenance plugin lookers folders)
pids=()
for i in 1 2 3; do
	python3 "$WORK/writer.py" "$MNT/write/w$i" "$WORK/stop" "$i" 2>"$WORK/writer$i.log" &
	pids+=($!)
	started $!
done
for w in "${works[@]}"; do
	work "$w" &
	pids+=($!)
	started $!
done
sleep "$seconds"
touch "$WORK/stop"
wait "${pids[@]}"
for i in 1 2 3; do
	expect_eq "writer $i has read what it wrote" "$(<"$WORK/writer$i.log")" ""
done
for w in "${works[@]}"; do
	if [ -e "$WORK/$w.failed" ]; then
		fail "$w" "$(<"$WORK/$w.failed")"
	else
		pass "$w, $(<"$WORK/$w.rounds") times"
	fi
done
tree_list "$MNT/write" >"$WORK/before"
check_store
harness_mount
tree_list "$MNT/write" >"$WORK/after"
expect "a restart changes nothing" cmp "$WORK/before" "$WORK/after"
finish
