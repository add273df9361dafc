#!/bin/bash
# deb.sh VERSION BUILD-FOLDER OUT.deb: a Debian package from `make install`. Its dependencies are what the binaries link, and fuse3.
set -eu
cd "$(dirname "$0")/../.."
version=$1 b=$2 out=$3
arch=$(dpkg --print-architecture)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root

umask 022
${MAKE:-make} -s DESTDIR="$root" PREFIX=/usr B="$b" install >/dev/null
strip --strip-unneeded "$root/usr/bin/varve" "$root/usr/sbin/varved"
find "$root/usr/share/man" -name '*.[18]' -exec gzip -9n {} +
install -D -m 0644 LICENSE "$root/usr/share/doc/varve/copyright"
install -d -m 0755 "$root/var/lib/varve"
install -D -m 0644 README.md "$root/usr/share/doc/varve/README.md"

# dpkg-shlibdeps looks for debian/control where it runs.
mkdir "$tmp/debian"
printf 'Source: varve\n\nPackage: varve\nArchitecture: any\n' >"$tmp/debian/control"
libs=$(cd "$tmp" && dpkg-shlibdeps -O root/usr/bin/varve root/usr/sbin/varved 2>"$tmp/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p')
[ -n "$libs" ] || { cat "$tmp/shlibdeps.log" >&2; exit 1; }

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: varve
Version: $version
Architecture: $arch
Maintainer: The varve developers <varve@localhost>
Section: admin
Priority: optional
Depends: $libs, fuse3
Suggests: docker.io | docker-ce
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: volumes with snapshots, clones and rollback in an instant
 A FUSE filesystem for Docker volumes. Snapshots, clones and rollbacks take
 milliseconds whatever a volume's size; contents are deduplicated, compressed
 and verified on every read.
CONTROL
# The unit is neither enabled nor started: without a store there is nothing to serve.
for script in postinst postrm; do
	cat >"$root/DEBIAN/$script" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
SCRIPT
done
# A running varved becomes the new version under its containers; where that cannot be, the old one goes on until it is restarted.
cat >>"$root/DEBIAN/postinst" <<'SCRIPT'
if [ "$1" = configure ] && [ -S /run/varve/api.sock ]; then
	varve upgrade || true
fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl stop varved.socket varved.service || true
fi
SCRIPT
chmod 0755 "$root"/DEBIAN/p*
mkdir -p "$(dirname "$out")"
dpkg-deb --root-owner-group -b "$root" "$out" >/dev/null
echo "$out"
