#!/bin/bash
# Backup and restore: what GNU tar, bsdtar and docker cp write comes in, what goes out they read; also while programs
# write; and nothing is ever left of what fails.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
cd "$WORK" || exit 1

# A tree with every kind of thing.
tree=$WORK/tree
mkdir -p "$tree/sub/deep" && cd "$tree" || exit 1
cp -a /usr/include/linux "$tree/linux"
printf 'x' >$'new\nline \xff\xfe'
echo ü >grüße
truncate -s 20M sparse && printf end | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none
truncate -s 5M hole
mkfifo fifo && mknod chr c 1 3 && mknod blk b 259 70000
ln -s "$(printf 'long/%.0s' $(seq 100))" symlink
ln -s /etc/passwd absolute
echo linked >l1 && ln l1 l2 && ln l1 sub/l3
echo x >suid && chown 3000000000:12 suid && chmod 6755 suid
echo x >attrs && setfattr -n user.note -v 'a value' attrs && setfattr -n trusted.t -v 0x00ff attrs && setfacl -m u:99:r,g:5:rw attrs
setfacl -d -m u:99:rx sub
mkdir -m 1777 sticky && touch -d '1971-02-03 04:05:06.123456789' old
name=$(printf 'n%.0s' $(seq 250)) && mkdir -p "$name/$name" && echo deep >"$name/$name/$name"
touch -d '2001-01-01 01:01:01.5' sub .
cd "$WORK" || exit 1

attributes() { (cd "$1" && getfattr -Rhdm- . 2>/dev/null | grep -av posix_acl; getfacl -Rn . 2>/dev/null) | LC_ALL=C sort; }
# The trees are equal in every respect.
same_tree() {
	tree_list "$2" >"$WORK/want"
	tree_list "$3" >"$WORK/got"
	expect "$1: the tree is the same" cmp "$WORK/want" "$WORK/got"
	expect_eq "$1: attributes and ACLs" "$(attributes "$3" | md5sum)" "$(attributes "$2" | md5sum)"
	expect_eq "$1: the folders' times" "$(cd "$3" && find . -type d -printf '%P %T@\n' | sort | md5sum)" \
		"$(cd "$2" && find . -type d -printf '%P %T@\n' | sort | md5sum)"
}

# --- in ---
gnu() { tar -C "$tree" --xattrs --xattrs-include='*' --acls --numeric-owner -S "$@" -cf - .; }
# It complains of the name that is no UTF-8, and writes it as it is.
bsd() { LC_ALL=C.UTF-8 bsdtar -C "$tree" --format=pax --xattrs --acls --numeric-owner "$@" -cf - . || [ $? = 1 ]; }
expect "import of GNU tar's" bash -c "$(declare -f gnu); tree='$tree'; gnu --format=pax | '$VARVE' import g"
same_tree "GNU tar, pax" "$tree" "$MNT/g"
expect "import of bsdtar's, compressed" bash -c "$(declare -f bsd); tree='$tree'; bsd --gzip | '$VARVE' import b"
same_tree "bsdtar, gzip" "$tree" "$MNT/b"
expect "and by zstd" bash -c "$(declare -f bsd); tree='$tree'; bsd | zstd -q | '$VARVE' import bz"
same_tree "bsdtar, zstd" "$tree" "$MNT/bz"
if out=$(bsd --zstd 2>/dev/null | "$VARVE" import bp 2>&1); then
	same_tree "a bsdtar that can do it itself" "$tree" "$MNT/bp"
else
	expect "bsdtar's own --zstd, which no zstd reads, is refused with a hint" grep -q 'use bsdtar.* | zstd' <<<"$out"
fi
expect "import of GNU tar's own format, xz" bash -c "tar -C '$tree' --numeric-owner -S --format=gnu -cJf - . | '$VARVE' import -q x"
tree_list "$tree" >"$WORK/want"
tree_list "$MNT/x" | sed 's/\.[0-9]*$//' | sort >"$WORK/got"
expect_eq "GNU tar, gnu: all is there" "$(wc -l <"$WORK/got")" "$(wc -l <"$WORK/want")"

# --- out ---
expect "export" "$VARVE" export g -o "$WORK/g.tar"
for how in --zstd --gzip; do
	expect "export $how" "$VARVE" export g $how -o "$WORK/g$how.tar"
done
expect "export to standard output" bash -c "'$VARVE' export g >'$WORK/g2.tar'"
expect "the same archive again" cmp "$WORK/g.tar" "$WORK/g2.tar"
mkdir "$WORK/gnu" "$WORK/bsd"
out=$(tar -C "$WORK/gnu" --xattrs --xattrs-include='*' --acls --numeric-owner -xpf "$WORK/g.tar" 2>&1 | grep -v hdrcharset)
expect_eq "GNU tar reads it without a complaint" "$out" ""
same_tree "GNU tar out" "$tree" "$WORK/gnu"
expect "bsdtar reads it" bsdtar -C "$WORK/bsd" --xattrs --acls --numeric-owner -xpf "$WORK/g--zstd.tar"
touch -d '2001-01-01 01:01:01.5' "$WORK/bsd" # which bsdtar leaves as it is
same_tree "bsdtar out" "$tree" "$WORK/bsd"
expect "a compressed one is the same inside" bash -c "gzip -dc '$WORK/g--gzip.tar' | cmp - '$WORK/g.tar'"
rm -rf "$WORK/gnu" "$WORK/bsd"

# --- larger than 8 GiB, and hardly anything in it ---
volume huge
truncate -s 9G "$VOL/f" && printf x | dd of="$VOL/f" bs=1 seek=9000000000 conv=notrunc status=none
expect "export of 9 GiB of hole" "$VARVE" export huge -o huge.tar
expect "it is small" test "$(stat -c %s huge.tar)" -lt 100000
expect_eq "GNU tar sees its size" "$(tar -tvf huge.tar | awk '/f$/ { print $3 }')" 9663676416
expect "import of it" bash -c "'$VARVE' import huge2 <huge.tar"
expect_eq "size and content" "$(stat -c %s "$MNT/huge2/f") $(dd if="$MNT/huge2/f" bs=1 skip=8999999999 count=3 status=none | xxd -p)" "9663676416 007800"
expect "it is a hole there" test "$(stat -c %b "$MNT/huge2/f")" -lt 1000

# --- round trip costs next to nothing ---
harness_stop
harness_mount
before=$(json_field unique_bytes df)
expect "re-import under another name" bash -c "'$VARVE' import again <'$WORK/g--zstd.tar'"
same_tree "re-import" "$MNT/g" "$MNT/again"
harness_stop
harness_mount
after=$(json_field unique_bytes df)
say "unique before $before, after $after"
expect "it took next to no space" test $((after - before)) -lt $((before / 100 + 65536))

# --- replace and merge ---
mkdir small && echo new >small/new && echo other >small/l1
tar -C small -cf small.tar .
expect "import replaces" bash -c "'$VARVE' import again <small.tar"
expect_eq "only the archive's content is there" "$(ls "$MNT/again" | sort | tr '\n' ' ')" "l1 new "
saved=$("$VARVE" -q snapshot ls again | grep pre-import-)
same_tree "what was there is a snapshot" "$MNT/g" "$MNT/again/.snapshots/${saved#*@}"
expect "merge" bash -c "'$VARVE' import --merge g <small.tar"
expect_eq "merged: old and new" "$(cat "$MNT/g/new" "$MNT/g/l1" "$MNT/g/l2" "$MNT/g/old")" "$(printf 'new\nother\nlinked\n')"
exec 9>>"$MNT/g/new"
expect_fail "not while files are open" bash -c "'$VARVE' import g <small.tar 2>'$WORK/err'"
expect "and it says who" grep -q "new (process $$" "$WORK/err"
exec 9>&-
expect "a cwd in the volume survives a replacement" bash -c "cd '$MNT/again' && '$VARVE' -q import again <'$WORK/small.tar' && cat new"
expect "import -o sets a new volume's options" "$VARVE" import -o quota=1M -i small.tar q
expect_eq "its quota" "$(json_field quota volume inspect q)" 1048576

# --- what is refused, with nothing left ---
volumes=$("$VARVE" -q volume ls)
refused() {
	local what=$1 say=$2 file=$3
	expect_fail "refused: $what" bash -c "'$VARVE' import bad <'$file' 2>'$WORK/err'"
	expect "  and it says '$say'" grep -q -- "$say" "$WORK/err"
}
mkdir -p evil/d && echo x >evil/d/f
tar -C evil/d -P -cf dots.tar ../d/f && refused ".." "leads out of the volume" dots.tar
tar -P -cf abs.tar "$WORK/evil/d/f" && refused "absolute names" "absolute name" abs.tar
ln -s /tmp evil/out && tar -C evil -cf link.tar out && rm evil/out && mkdir evil/out && echo x >evil/out/x &&
	tar -C evil -rf link.tar out/x && refused "through a link" "behind the symbolic link" link.tar
head -c 3000000 g.tar >cut.tar && refused "cut short" "cut short" cut.tar
head -c $(($(stat -c %s g--zstd.tar) / 2)) g--zstd.tar >cut.tar && refused "cut short, compressed" "cut short" cut.tar
head -c 100000 /dev/urandom >noise && refused "noise" "no tar archive" noise
: >empty && refused "nothing" "empty" empty
head -c 3M /dev/zero >evil/d/f && tar -C evil/d -czf bomb.tar f
expect_fail "refused: more than the quota" bash -c "'$VARVE' import q <bomb.tar 2>'$WORK/err'"
expect "  and it says so" grep -q quota "$WORK/err"
expect_eq "the volume is as it was" "$(cat "$MNT/q/new")" new
expect_eq "no volume came or went" "$("$VARVE" -q volume ls)" "$volumes"
expect_fail "no archive to a terminal" script -qec "'$VARVE' export g" /dev/null
expect_fail "no archive from a terminal" script -qec "'$VARVE' import zz" /dev/null
expect_fail "no such volume" "$VARVE" export none -o none.tar
expect "no file is left of that" test ! -e none.tar

volume socks
python3 -c 'import os, socket, sys
os.chdir(sys.argv[1])
for name in "abc":
    socket.socket(socket.AF_UNIX).bind(name)' "$VOL"
echo here >"$VOL/file"
"$VARVE" export socks >socks.tar 2>err
expect_eq "sockets are left out" "$(tar -tf socks.tar | tr '\n' ' ')" "./ ./file "
expect_eq "with one warning" "$(grep -ci socket err)" 1
"$VARVE" volume rm -y --purge socks >>"$LOG" 2>&1

# --- a client that goes away ---
volume big
head -c 60M /dev/urandom >"$VOL/data"
"$VARVE" export big | head -c 1000 >/dev/null
(head -c 3000000 g.tar; sleep 60) | "$VARVE" import half >/dev/null 2>&1 &
started $!
for i in $(seq 100); do
	[ "$("$VARVE" --json df | jq .buffered_bytes)" -gt 1000 ] && break
	sleep 0.1
done
expect "a second import into the same name is refused" bash -c "'$VARVE' import half <small.tar 2>&1 | grep -q 'running already'"
kill %% 2>/dev/null
wait %% 2>/dev/null
jobs_running() { curl -s --unix-socket "$VARVE_API" http://varve/v1/jobs | jq '[.jobs[] | select(.state == "running")] | length'; }
for i in $(seq 100); do
	[ "$(jobs_running)" = 0 ] && break
	sleep 0.1
done
expect_eq "both ends gone, no job runs on" "$(jobs_running)" 0
expect_fail "nothing of it is there" test -e "$MNT/half"

# --- killed in the middle ---
(head -c 3000000 g.tar; sleep 60) | "$VARVE" import half >/dev/null 2>&1 &
started $!
"$VARVE" export big 2>/dev/null | (sleep 60) &
started $!
sleep 1
harness_kill
harness_mount
expect_eq "after kill -9 nothing half is to be seen" "$("$VARVE" -q volume ls | grep -c half)" 0
expect "what an export had is dropped" grep -q "what was left of .* of 'big' is dropped" "$LOG"

# --- the daemon dies under an export, and the next one takes over: what came is short, and the client says so ---
# Its end of the connection is full long before the archive's end, while the client is stopped.
cut_export() { # cut_export what ARGS…
	local what=$1 client rc
	shift
	rm -f out.tar
	"$VARVE" export big "$@" >stdout.tar 2>err &
	client=$!
	for i in $(seq 1000); do
		[ "$(jobs_running)" = 1 ] && break
	done
	kill -STOP $client
	harness_kill_daemon || fail "kill under an export"
	kill -CONT $client
	wait $client
	rc=$?
	expect "$what: exit status $rc" test $rc -eq 1
	expect "$what: $(head -n 1 err)" grep -q '^varve export: ' err
	expect_fail "$what: no whole archive" tar -tf stdout.tar
	expect_eq "$what: no file of that name" "$(ls out.tar 2>/dev/null)" ""
}
if [ "$(json_field possible status)" = true ]; then
	head -c 200M /dev/urandom >"$MNT/big/data"
	cut_export "an export that is cut"
	cut_export "one that is compressed" --gzip
	cut_export "one into a file" -o out.tar
	"$VARVE" volume rm -y --purge big >>"$LOG" 2>&1
fi

# --- while a program writes: a is always written before b ---
volume live
cat >writer.py <<'P'
import os, sys
d = sys.argv[1]
a = os.open(d + "/a", os.O_RDWR | os.O_CREAT); b = os.open(d + "/b", os.O_RDWR | os.O_CREAT)
n = 0
while True:
    n += 1
    data = (b"%15d\n" % n) * 4096
    os.pwrite(a, data, 0); os.fsync(a)
    os.pwrite(b, data, 0); os.fsync(b)
P
python3 writer.py "$VOL" &
started $!
writer=$!
for i in $(seq 600); do
	[ -s "$VOL/b" ] && break
	sleep 0.1
done
bad=0
for i in 1 2 3 4 5; do
	"$VARVE" export live | tar -C "$WORK" -xf - ./a ./b || bad=$((bad + 1))
	na=$(head -1 a) nb=$(tail -1 b)
	# b never ahead of a
	[ "${nb:-0}" -le "${na:-0}" ] || bad=$((bad + 1))
	[ "$(head -1 a)" -ge $(($(tail -1 a) - 0)) ] || bad=$((bad + 1))
done
end_pid $writer KILL
expect_eq "exports under a writer hold its invariant" "$bad" 0

# --- without a daemon ---
harness_stop
expect "export offline" "$VARVE" --store "$STORE" export q -o "$WORK/q.tar"
expect "import offline" bash -c "'$VARVE' --store '$STORE' import offline <'$WORK/q.tar'"
harness_mount
same_tree "offline" "$MNT/q" "$MNT/offline"
check_store
finish
