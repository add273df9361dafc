#!/bin/bash
# A snapshot is instant, holds what was written before it was asked for, and is browsable and read-only at VOLUME/.snapshots/NAME.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
volume v
mkdir -p "$VOL/dir/sub"
echo one >"$VOL/dir/file"
ln -s file "$VOL/dir/link"
head -c 3000000 /dev/urandom >"$VOL/dir/sub/big"
setfattr -n user.k -v before "$VOL/dir/file"
python3 - "$VOL/mapped" <<'PY'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o644)
os.ftruncate(fd, 1 << 20)
m = mmap.mmap(fd, 1 << 20)
m[4096:4104] = b"by map.."
os._exit(0)
PY
# A file that is open, unlinked, dirty and mapped while the snapshot is taken: none of it may hold the fence up.
exec 9<>"$VOL/unlinked"
rm "$VOL/unlinked"
head -c 2000000 /dev/urandom >&9
tree_list "$VOL" >"$WORK/before"

fence=$(json_field fence_us snapshot create v@s1)
expect "snapshot create tells fence and cut times" bash -c '[[ $1 =~ ^[0-9]+$ ]]' - "$fence"
exec 9>&-
SNAP=$VOL/.snapshots/s1

tree_list "$SNAP" >"$WORK/snap"
expect "the snapshot equals the volume, dirty and mapped pages included" cmp "$WORK/before" "$WORK/snap"
expect_eq "it has the extended attributes" "$(getfattr --absolute-names -n user.k --only-values "$SNAP/dir/file" 2>&1)" before

# Now everything changes.
echo two >"$VOL/dir/file"
echo more >>"$VOL/mapped"
dd if=/dev/zero of="$VOL/dir/sub/big" bs=4096 seek=100 count=3 conv=notrunc status=none
setfattr -n user.k -v after "$VOL/dir/file"
chmod 600 "$VOL/dir/file"
mv "$VOL/dir/sub" "$VOL/moved"
rm "$VOL/dir/link"
mkdir "$VOL/later"
tree_list "$SNAP" >"$WORK/snap2"
expect "it does not change with the volume" cmp "$WORK/before" "$WORK/snap2"
drop_caches
tree_list "$SNAP" >"$WORK/snap3"
expect "nor when read cold" cmp "$WORK/before" "$WORK/snap3"

expect_eq "readdir does not list .snapshots" "$(ls -A "$VOL" | grep -c snapshots)" 0
expect ".snapshots resolves" test -d "$VOL/.snapshots"
expect_eq ".snapshots lists the snapshots" "$(ls "$VOL/.snapshots")" s1
expect "st_ino differs between the file and its snapshot" bash -c '[ "$(stat -c %i "$1")" != "$(stat -c %i "$2")" ]' - \
	"$VOL/dir/file" "$SNAP/dir/file"
expect_fail "no .snapshots below the volume's root" test -e "$VOL/dir/.snapshots"

expect "every change in a snapshot is EROFS" python3 - "$SNAP" "$VOL" <<'PY'
import errno, os, sys
s, v = sys.argv[1:]
def erofs(what, call, *args, **kw):
    try:
        call(*args, **kw)
    except OSError as e:
        assert e.errno == errno.EROFS, (what, e)
    else:
        raise AssertionError(what + " succeeded")
erofs("create", os.open, s + "/new", os.O_CREAT | os.O_WRONLY)
erofs("open for writing", os.open, s + "/dir/file", os.O_WRONLY)
erofs("open rw", os.open, s + "/dir/file", os.O_RDWR)
erofs("truncate", os.truncate, s + "/dir/file", 0)
erofs("unlink", os.unlink, s + "/dir/file")
erofs("mkdir", os.mkdir, s + "/d")
erofs("rmdir", os.rmdir, s + "/dir/sub")
erofs("rename", os.rename, s + "/dir/file", s + "/dir/x")
erofs("symlink", os.symlink, "x", s + "/l")
erofs("link", os.link, s + "/dir/file", s + "/l")
erofs("chmod", os.chmod, s + "/dir/file", 0o600)
erofs("chown", os.chown, s + "/dir/file", 1, 1)
erofs("utime", os.utime, s + "/dir/file", (1, 1))
erofs("setxattr", os.setxattr, s + "/dir/file", "user.k", b"x")
erofs("removexattr", os.removexattr, s + "/dir/file", "user.k")
erofs("mkdir in .snapshots", os.mkdir, v + "/.snapshots/made")
erofs("rmdir of a snapshot", os.rmdir, v + "/.snapshots/s1")
try:
    os.mkdir(v + "/.snapshots")
except OSError:
    pass
else:
    raise AssertionError(".snapshots could be made")
PY

"$VARVE" snapshot create v@s2 >>"$LOG" 2>&1
expect "a new snapshot resolves at once" test -d "$VOL/.snapshots/s2/later"
expect "snapshot rm" "$VARVE" snapshot rm v@s1
expect_fail "a removed snapshot is gone at once" test -e "$VOL/.snapshots/s1"
expect "cp -a out of a snapshot" cp -a "$VOL/.snapshots/s2" "$WORK/out"
expect "and it equals the volume" bash -c 'diff -r "$1" "$2"' - "$WORK/out" "$VOL"

tree_list "$VOL/.snapshots/s2" >"$WORK/s2"
check_store "after snapshots"
harness_mount
tree_list "$VOL/.snapshots/s2" >"$WORK/s2b"
expect "a snapshot is the same after a restart" cmp "$WORK/s2" "$WORK/s2b"

# Several volumes, one instant: a writer counts in both, second never ahead of first.
volume w
python3 - "$MNT" <<'PY' &
import os, sys
m = sys.argv[1]
a = os.open(m + "/v/n", os.O_CREAT | os.O_WRONLY, 0o644)
b = os.open(m + "/w/n", os.O_CREAT | os.O_WRONLY, 0o644)
for i in range(1, 10**9):
    for fd in a, b:
        os.pwrite(fd, b"%09d" % i, 0)
        os.fdatasync(fd)
PY
writer=$!
started $writer
while [ ! -s "$VOL/n" ] && kill -0 $writer 2>/dev/null; do sleep 0.05; done
good=1
for i in $(seq 10); do
	"$VARVE" snapshot create "v@both$i" "w@both$i" >>"$LOG" 2>&1 || good=0
	a=$(cat "$MNT/v/.snapshots/both$i/n")
	b=$(cat "$MNT/w/.snapshots/both$i/n")
	d=$((10#${a:-0} - 10#${b:-9}))
	[ $d -eq 0 ] || [ $d -eq 1 ] || good=0
done
expect_eq "several volumes are cut at one instant, ten times" $good 1
finish
