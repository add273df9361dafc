#!/bin/bash
# stress-ng's filesystem stressors with their own verification, each bounded by operations and time.
. "$(dirname "$0")/../lib/harness.sh"

command -v stress-ng >/dev/null || skip "no stress-ng"
harness_start
volume v
mkdir "$VOL/tmp"

# Left out of `--class filesystem`: what is not about the mount (procfs, sysfs, binderfs, eventfd …), what FUSE does not have
# (chattr, fiemap, inode-flags, verity), and fanotify, which marks the whole machine.
stressors=(
	access chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl file-ioctl filename flock fpunch
	fsize fstat getdent hdd inotify io iomix lease link locka lockf lockofd mknod open rename seek
	sync-file symlink touch utime xattr
)
seconds=$([ -n "$LONG" ] && echo 10 || echo 2)
available=" $(stress-ng --stressors) "
for s in "${stressors[@]}"; do
	[[ $available == *" $s "* ]] || { say "stress-ng has no $s" && continue; }
	case $s in
	hdd) more=(--hdd-bytes 64M) ;;
	seek) more=(--seek-size 32M) ;;
	iomix) more=(--iomix-bytes 64M) ;;
	fallocate) more=(--fallocate-bytes 64M) ;;
	copy-file) more=(--copy-file-bytes 128M) ;;
	sync-file) more=(--sync-file-bytes 16M) ;;
	dirmany) more=(--dirmany-ops 20000) ;;
	*) more=() ;;
	esac
	expect "stress-ng $s" timeout -k 10 300 stress-ng --temp-path "$VOL/tmp" --verify --"$s" 2 --timeout "$seconds" \
		--no-rand-seed "${more[@]}"
	left=$(find "$VOL/tmp" -mindepth 1 | head -n 3)
	[ -z "$left" ] || fail "$s leaves nothing behind" "$left"
	rm -rf "$VOL/tmp" && mkdir "$VOL/tmp"
	mountpoint -q "$MNT" && stat "$VOL" >/dev/null || { fail "the mount survives $s" && break; }
done
check_store
finish
