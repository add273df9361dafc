#!/bin/bash
# Backups from the command line: push, pull, restore, forget, prune, check, keys, through the daemon and without it.
. "$(dirname "$0")/../lib/harness.sh"
harness_start
cd "$WORK" || exit 1
export VARVE_PASSPHRASE=secret VARVE_REPOS=$WORK/repos
R=$WORK/backup

# What a tree is, all that survives a copy: a line for each name.
listing() {
	(cd "$1" && { find . ! -type d -printf '%p %y %m %U %G %n %s %T@ %l\n'; find . -type d -printf '%p %y %m %U %G %n %T@\n'; } | sort)
}
contents() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum); }
attributes() { (cd "$1" && find . -print0 | sort -z | xargs -0 getfattr -dh -m - 2>/dev/null); }
same_tree() {
	diff <(listing "$1" | grep -v '^\. ') <(listing "$2" | grep -v '^\. ') && diff <(contents "$1") <(contents "$2") &&
		diff <(attributes "$1") <(attributes "$2")
}

expect 'repo init' "$VARVE" -q repo init "$R"
expect_fail 'not twice' "$VARVE" repo init "$R"
"$VARVE" volume create v >/dev/null
cp -a "$HERE/store" "$MNT/v/store"
head -c 5000000 /dev/urandom >"$MNT/v/random"
seq 1 400000 >"$MNT/v/text"
truncate -s 10M "$MNT/v/sparse" && printf x | dd of="$MNT/v/sparse" seek=5000000 bs=1 conv=notrunc status=none
ln "$MNT/v/text" "$MNT/v/linked"
ln -s text "$MNT/v/symbolic"
mkfifo "$MNT/v/fifo"
setfattr -n user.note -v 'a value' "$MNT/v/text"
chown 1234:4321 "$MNT/v/random" && chmod 4755 "$MNT/v/random"
setfacl -m u:1000:rw "$MNT/v/text"
"$VARVE" snapshot create v@one >/dev/null

expect 'push' "$VARVE" push v@one "$R"
sed -i 's/^200000$/two hundred thousand/' "$MNT/v/text"
rm "$MNT/v/store/README.md"
mv "$MNT/v/store/base" "$MNT/v/moved"
"$VARVE" snapshot create v@two >/dev/null
"$VARVE" --json push v@two "$R" >out.json
expect_eq 'the second push is of what changed' "$(jq .incremental out.json)" true
expect 'and sends little' [ "$(jq .sent out.json)" -lt 200000 ]
expect_eq 'there already' "$("$VARVE" push v@two "$R")" 'v@two: there already'
expect_eq 'repo ls' "$("$VARVE" -q repo ls "$R" | tr '\n' ' ')" 'v@one v@two '

expect 'pull to a new volume' "$VARVE" pull "$R" v@two w
expect 'is the same' same_tree "$MNT/v/.snapshots/two" "$MNT/w"
expect 'its snapshot too' same_tree "$MNT/v/.snapshots/two" "$MNT/w/.snapshots/two"
expect 'it can be written to' sh -c "echo more >> $MNT/w/text"
expect_fail 'not over a volume that is there' "$VARVE" pull "$R" v@one w
touch "$MNT/v/after"
"$VARVE" snapshot rm v@one >/dev/null
expect 'pull of a snapshot that was deleted' "$VARVE" pull "$R" v@one
expect 'the head is as it was' test -e "$MNT/v/after"
expect 'the store is clean' "$VARVE" check

expect 'restore of everything' "$VARVE" restore "$R" v@two / "$WORK/all"
expect 'is the same, on another filesystem' same_tree "$MNT/v/.snapshots/two" "$WORK/all"
expect 'restore of one file' "$VARVE" restore "$R" v@one text "$WORK/text"
expect 'is that file' cmp "$MNT/v/.snapshots/one/text" "$WORK/text"
expect 'restore of a folder' "$VARVE" restore "$R" v@two /moved "$WORK/moved"
expect 'is that folder' same_tree "$MNT/v/.snapshots/two/moved" "$WORK/moved"
says() {
	local what=$1 pattern=$2 out
	shift 2
	out=$("$@" 2>&1 </dev/null)
	if [ $? -eq 0 ] || [ "$(printf '%s\n' "$out" | grep -c '^varve')" -ne 1 ] || [[ ! $out =~ $pattern ]]; then
		fail "$what" "said: $out" "expected: $pattern"
	else
		pass "$what"
	fi
}
says 'a path that is not there' "has no 'nothing'" "$VARVE" restore "$R" v@two nothing "$WORK/x"
says 'a place that is taken' 'there already' "$VARVE" restore "$R" v@two text "$WORK/text"
says 'a snapshot that is not there' "no snapshot 'v@three'" "$VARVE" restore "$R" v@three / "$WORK/x"
says 'no passphrase' 'needs its passphrase' env -u VARVE_PASSPHRASE "$VARVE" push v@two "$R"
says 'a wrong passphrase' 'does not open' env VARVE_PASSPHRASE=wrong "$VARVE" push v@two "$R"
says 'no repository' 'no repository|cannot be opened' "$VARVE" push v@two "$WORK/nowhere"
"$VARVE" snapshot create v@three >/dev/null
expect 'without the right to read it, one line' bash -c '
	out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$1" repo ls "$2" 2>&1)
	[ $? -eq 1 ] && [[ $out == *ermission* ]]' - "$VARVE" "$R"

# A full disk: nothing is lost, and the next push goes on.
mkdir small && mount -t tmpfs -o size=2M none small && at_exit "umount $WORK/small"
expect 'a repository on a small disk' "$VARVE" -q repo init small/repo
says 'a full disk' 'No space left' "$VARVE" push v@three small/repo
mount -o remount,size=100M small
expect 'with room the push goes on' "$VARVE" push v@three small/repo
expect 'and what is there is whole' "$VARVE" repo check --data small/repo

# Keys
NEW=$(VARVE_NEW_PASSPHRASE=fresh "$VARVE" repo key add "$R")
OLD=$("$VARVE" --json repo key ls "$R" | jq -r ".keys[].id" | grep -v "$NEW")
expect 'a key is taken away' "$VARVE" repo key rm "$R" "$OLD"
says 'it does not open it any more' 'does not open' "$VARVE" repo ls "$R"
export VARVE_PASSPHRASE=fresh
expect 'the other one does' "$VARVE" repo ls "$R"
expect 'a name for it' "$VARVE" repo add nightly "$R"
expect_eq 'only its owner reads what is stored' "$(stat -c %a repos/nightly.json)" 600
expect 'the name opens it' env -u VARVE_PASSPHRASE "$VARVE" push --all --new nightly
expect_eq 'all snapshots of all volumes' "$("$VARVE" -q repo ls "$R" | sort | tr '\n' ' ')" 'v@one v@three v@two w@two '

# Forgetting and pruning
expect 'forget by policy' "$VARVE" repo forget --keep-last 1 "$R" v
expect_eq 'one of the volume is left' "$("$VARVE" -q repo ls "$R" v)" v@three
rm -rf "$MNT/v/random" && "$VARVE" snapshot create v@four >/dev/null && "$VARVE" -q push v@four "$R"
expect 'forget by name' "$VARVE" repo forget "$R" v@three w@two
expect 'prune sets aside' "$VARVE" repo prune --grace 0 "$R"
SIZE=$(du -sk "$R/packs" | cut -f1)
expect 'prune deletes' "$VARVE" repo prune --grace 0 "$R"
expect 'what was only in what was forgotten' [ "$(du -sk "$R/packs" | cut -f1)" -lt $((SIZE - 4000)) ]
expect 'the repository is clean' "$VARVE" repo check --data "$R"
expect 'and complete' "$VARVE" restore "$R" v@four / "$WORK/four"
expect 'what is restored is the same' same_tree "$MNT/v/.snapshots/four" "$WORK/four"

expect 'without encryption' "$VARVE" -q repo init --no-encryption "$WORK/clear"
says 'a key is refused then' 'not encrypted' "$VARVE" repo ls "$WORK/clear"
expect 'it works without' env -u VARVE_PASSPHRASE "$VARVE" push v@four "$WORK/clear"
expect 'and checks' env -u VARVE_PASSPHRASE "$VARVE" repo check --data "$WORK/clear"

# The largest pack rots: which file that costs is said, it cannot be had, and the rest can.
pack=$(find "$WORK/clear/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
printf '\377\376' | dd of="$pack" seek=100000 bs=1 conv=notrunc status=none
out=$(env -u VARVE_PASSPHRASE "$VARVE" repo check --data "$WORK/clear" 2>&1)
expect_eq 'a check of rot fails' $? 1
expect 'and names the object' grep -q "${pack#"$WORK/clear/"} " <<<"$out"
lost=$(sed -n "s/^.*: '\(.*\)' cannot be restored$/\1/p" <<<"$out" | head -n 1)
expect 'and a file' test -n "$lost"
snapshot=$(sed -n "s/^\([^ ]*\): '.*' cannot be restored$/\1/p" <<<"$out" | head -n 1)
out=$(env -u VARVE_PASSPHRASE "$VARVE" restore "$WORK/clear" "$snapshot" "$lost" "$WORK/lost" 2>&1)
expect_eq 'which cannot be restored: one line' "$(grep -c '^varve restore: .*damaged' <<<"$out")" 1
other=store/repo
[[ $lost != store/repo/* ]] || other=store/volume
expect 'another can' env -u VARVE_PASSPHRASE "$VARVE" restore "$WORK/clear" "$snapshot" "$other" "$WORK/found"
expect 'and is what it was' diff -r "$MNT/v/.snapshots/${snapshot#*@}/$other" "$WORK/found"

# A repair takes the pack out of use, and the next push sends again what it had.
expect_eq 'a repair' "$(env -u VARVE_PASSPHRASE "$VARVE" --json repo check --repair "$WORK/clear" 2>/dev/null | jq .set_aside)" 1
expect 'keeps the pack' test -f "$WORK/clear/damaged/${pack##*/}"
"$VARVE" snapshot create v@five >/dev/null
out=$(env -u VARVE_PASSPHRASE "$VARVE" push v@five "$WORK/clear" 2>&1)
expect_eq 'a push says so in one line' "$(grep -c '1 pack of the repository is missing' <<<"$out")" 1
expect 'the repository is whole' env -u VARVE_PASSPHRASE "$VARVE" repo check --data "$WORK/clear"
expect 'and so is the older snapshot' env -u VARVE_PASSPHRASE "$VARVE" restore "$WORK/clear" "$snapshot" "$lost" "$WORK/again"
expect 'which is what it was' cmp "$MNT/v/.snapshots/${snapshot#*@}/$lost" "$WORK/again"

# Without its config: the copy opens it, a line says so, and a push puts it back.
mv "$WORK/clear/config" "$WORK/config"
says_note() { env -u VARVE_PASSPHRASE "$VARVE" repo ls "$WORK/clear" 2>&1 >/dev/null | grep -c 'config.* is missing: its copy config2 was read'; }
expect_eq 'without its config' "$(says_note)" 1
expect_fail 'a check says so' env -u VARVE_PASSPHRASE "$VARVE" repo check "$WORK/clear"
"$VARVE" snapshot create v@six >/dev/null
expect 'a push' env -u VARVE_PASSPHRASE "$VARVE" push v@six "$WORK/clear"
expect 'puts it back' cmp "$WORK/config" "$WORK/clear/config"
expect_eq 'nothing is said any more' "$(says_note)" 0
expect 'and it is clean' env -u VARVE_PASSPHRASE "$VARVE" repo check "$WORK/clear"
harness_stop
finish
