#!/bin/bash
# `make install` and the package: what they hold, and that an installed package can make a store. dpkg runs in a throw-away overlay of
# the machine's root, so that the machine itself stays as it is.
. "$(dirname "$0")/../lib/harness.sh"
O=${O:-$HERE/build}
MAKE=${MAKE:-make}

cd "$HERE" || exit 1
root=$WORK/root
expect "make install with DESTDIR and PREFIX" $MAKE -s O="$O" DESTDIR="$root" PREFIX=/usr install
for f in bin/varve sbin/varved lib/systemd/system/varved.service lib/systemd/system/varved.socket libexec/docker/cli-plugins/docker-varve share/bash-completion/completions/varve; do
	expect "it has $f" test -f "$root/usr/$f"
done
expect "it has man pages" bash -c 'ls "$1"/usr/share/man/man1/varve.1 "$1"/usr/share/man/man8/varved.8' - "$root"
for f in "$HERE"/docker/examples/*/*.yml; do
	expect "it has the example ${f#*/docker/examples/}" cmp "$f" "$root/usr/share/doc/varve/examples/${f#*/docker/examples/}"
done
expect "the unit starts what was installed" grep -q '^ExecStart=/usr/sbin/varved' "$root/usr/lib/systemd/system/varved.service"
expect "the completion is valid bash" bash -n "$root/usr/share/bash-completion/completions/varve"
expect "the installed varve makes a store" "$root/usr/bin/varve" init "$WORK/made"
$MAKE -s O="$O" DESTDIR="$root" PREFIX=/usr uninstall
expect_eq "make uninstall takes all of it away" "$(find "$root" ! -type d)" ""
expect_fail "with its own folders" test -e "$root/usr/share/doc/varve"

expect "make deb" $MAKE -s O="$O" deb || exit 1
deb=$(ls -t "$O"/varve_*.deb | head -n 1)
expect "it depends on the libraries and on fuse3" bash -c '
	d=$(dpkg-deb -f "$1" Depends) && for w in libc6 libfuse3-3 libsqlite3-0 libzstd1 libxxhash0 libmicrohttpd12 libjansson4 libcurl4 fuse3; do
		[[ $d == *$w* ]] || { echo "$w is not in $d"; exit 1; }; done' - "$deb"
expect "it has the examples" grep -q './usr/share/doc/varve/examples/mariadb/docker-compose.yml$' <(dpkg-deb -c "$deb")
expect "nothing in it belongs to anyone but root" bash -c '! dpkg-deb -c "$1" | grep -v " root/root "' - "$deb"

mkdir "$WORK"/{upper,work,sys} "$WORK/overlay-store"
# A writable layer over the machine's root; its own scratch must lie on a filesystem that overlay accepts.
mount -t overlay overlay -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/sys" 2>/dev/null || {
	say "no overlay here: the package is unpacked only"
	dpkg-deb -x "$deb" "$WORK/sys"
	expect "the unpacked varve makes a store" "$WORK/sys/usr/bin/varve" init "$WORK/made2"
	finish
}
at_exit "umount -l '$WORK/sys'"
mkdir -p "$WORK/sys/var/lib/varve" "$WORK/sys/proc"
mount --bind "$WORK/overlay-store" "$WORK/sys/var/lib/varve"
at_exit "umount -l '$WORK/sys/var/lib/varve'"
cp "$deb" "$WORK/sys/var/tmp/varve.deb"
in_root() { chroot "$WORK/sys" "$@"; }
expect "dpkg -i" in_root dpkg -i /var/tmp/varve.deb
expect "varve init, as the package installed it, with the default place" in_root env -u VARVE_STORE varve init
expect "the store is at /var/lib/varve/store" test -d "$WORK/overlay-store/store"
expect "varve check of it" in_root env -u VARVE_STORE varve check
expect "dpkg -r" in_root dpkg -r varve
expect_fail "which takes the program" test -e "$WORK/sys/usr/bin/varve"
expect "but never the store" test -d "$WORK/overlay-store/store"
finish
