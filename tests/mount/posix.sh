#!/bin/bash
# What any local filesystem does, and a database or an image build relies on: see posix.h for the cases.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
harness_seed
volume other
OTHER=$VOL
volume posix

"$B/tests/mount/posix" "$VOL" "$OTHER" --seed "$SEED" || FAILED=$((FAILED + 1))

expect "setfacl and getfacl" bash -c '
	cd "$1" && touch acl && setfacl -m u:4242:rwx,g:77:r acl && getfacl -nc acl | grep -q ^user:4242:rwx && setfacl -b acl' - "$VOL"
expect "setfattr and getfattr" bash -c '
	cd "$1" && touch attr && setfattr -n user.k -v value attr && [ "$(getfattr -n user.k --only-values attr)" = value ]' - "$VOL"
expect_fail "a folder in the mount's root is no volume" mkdir "$MNT/not-a-volume"
expect_fail "a volume's folder cannot be removed by rmdir" rmdir "$VOL"
expect "the root lists the volumes" bash -c '[ "$(ls "$1" | sort | tr "\n" " ")" = "other posix " ]' - "$MNT"

entries=$([ -n "$LONG" ] && echo 1000000 || echo 20000)
mkdir "$VOL/large"
expect "a folder of $entries entries" python3 - "$VOL/large" "$entries" <<'PY'
import os, sys
d, n = sys.argv[1], int(sys.argv[2])
for i in range(n):
    os.close(os.open(f"{d}/entry-{i:07d}", os.O_CREAT | os.O_WRONLY, 0o644))
open("/proc/sys/vm/drop_caches", "w").write("3")
names = sorted(os.listdir(d))
assert names == [f"entry-{i:07d}" for i in range(n)], (len(names), names[:3])
for i in range(0, n, 997):
    assert os.stat(f"{d}/entry-{i:07d}").st_size == 0
for name in names:
    os.unlink(f"{d}/{name}")
assert os.listdir(d) == []
PY
rmdir "$VOL/large"

check_store
finish
