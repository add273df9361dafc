#!/bin/bash
# A large tree in by tar and out again: every name, mode, owner, time, link, attribute and byte the same.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
volume v

# What a real system has, with its odd cases added.
tree=$WORK/tree
mkdir -p "$tree"
src=/usr/share/perl
[ -z "$LONG" ] || src=/usr/lib
[ -d $src ] || src=/usr/include
cp -a --one-file-system "$src" "$tree/system"
mkdir "$tree/odd" && cd "$tree/odd" || exit 1
printf 'x' >$'new\nline \xff\xfe'
truncate -s 100M sparse && printf end | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
mkfifo fifo && mknod chr c 1 3 && mknod blk b 7 9
ln -s "$(printf 'long/%.0s' $(seq 100))" symlink
echo linked >l1 && ln l1 l2 && ln l1 "$tree/l3"
echo x >suid && chown 12:34 suid && chmod 6755 suid
echo x >attrs && setfattr -n user.note -v 'a value' attrs && setfacl -m u:99:r attrs
mkdir -m 1777 sticky && touch -d '1971-02-03 04:05:06.789' old

tar_out() { tar -C "$1" --xattrs --xattrs-include='*' --acls --numeric-owner -S -cf - .; }
tar_in() { tar -C "$1" --xattrs --xattrs-include='*' --acls --numeric-owner -S -xpf -; }

mkdir "$VOL/in" "$WORK/back"
expect "tar into the volume" bash -c "$(declare -f tar_out tar_in); set -o pipefail; tar_out '$tree' | tar_in '$VOL/in'"
tree_list "$tree" >"$WORK/want"
tree_list "$VOL/in" >"$WORK/got"
say "$(wc -l <"$WORK/want") lines of listing"
expect "the tree is the same" cmp "$WORK/want" "$WORK/got"
drop_caches
expect "tar out of the volume, cold" bash -c "$(declare -f tar_out tar_in); set -o pipefail; tar_out '$VOL/in' | tar_in '$WORK/back'"
tree_list "$WORK/back" >"$WORK/got"
expect "what came back is the same" cmp "$WORK/want" "$WORK/got"
attributes() { (cd "$1" && getfattr -Rdm- . 2>/dev/null; getfacl -Rn "$1/odd" 2>/dev/null | grep -v '^# file'); }
expect_eq "extended attributes and ACLs" "$(attributes "$WORK/back" | md5sum)" "$(attributes "$tree" | md5sum)"

expect "cp -a within the volume" cp -a "$VOL/in" "$VOL/copy"
tree_list "$VOL/copy" >"$WORK/got"
expect "the copy is the same" cmp "$WORK/want" "$WORK/got"
expect "rm -rf" rm -rf "$VOL/copy"
harness_stop
harness_mount
tree_list "$VOL/in" >"$WORK/got"
expect "the same after a restart" cmp "$WORK/want" "$WORK/got"
check_store
finish
