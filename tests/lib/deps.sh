#!/bin/bash
# Installs what building, testing and the demo need, from Debian 12. Does nothing when all of it is there.
# No service is started or left running: a PostgreSQL cluster or a dockerd of the machine is none of a build's business.
set -eu

packages=(
	build-essential pkg-config
	libfuse3-dev libsqlite3-dev libxxhash-dev libzstd-dev libmicrohttpd-dev libjansson-dev libcurl4-openssl-dev
	libarchive-dev libsodium-dev libcmocka-dev
	fuse3 postgresql postgresql-contrib sqlite3 fio stress-ng git docker.io containerd docker-compose busybox-static systemd mmdebstrap
	libarchive-tools attr acl jq curl python3 util-linux procps psmisc xz-utils
	openssh-server nodejs
)

missing=()
for p in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "deps: not root; install these first: ${missing[*]}" >&2
	exit 1
fi
echo "deps: installing ${missing[*]}"

# policy-rc.d is how Debian lets an administrator forbid that installing a package starts its services.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' > "$policy"
	chmod 0755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
# And this how not to get a cluster "main" with the first PostgreSQL package.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	mkdir -p /etc/postgresql-common
	echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
fi

export DEBIAN_FRONTEND=noninteractive
apt_get() {
	apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
}
apt_get install --no-install-recommends "${missing[@]}" || {
	apt_get update
	apt_get install --no-install-recommends "${missing[@]}"
}
