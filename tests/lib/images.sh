# Sourced after docker.sh: images of real software from Debian packages, under the names that the examples use.
#
#   images_load        mariadb:10.11, nginx:1.22 and redis:7, with wrk and curl in them
#   compose NAME …     docker-compose of docker/examples/NAME
#
# What debootstrap made is kept between runs in $VARVE_TEST_CACHE (/var/cache/varve-tests): delete it to get newer packages.

VARVE_TEST_CACHE=${VARVE_TEST_CACHE:-/var/cache/varve-tests}
IMAGE_PACKAGES=mariadb-server,redis-server,nginx-light,wrk,curl

command -v docker-compose >/dev/null && command -v mmdebstrap >/dev/null || skip "no docker-compose or no mmdebstrap"

# The tree of all of them, as a tar; its path in $IMAGE_TAR.
images_build() {
	IMAGE_TAR=$VARVE_TEST_CACHE/services-$(printf '%s' "$IMAGE_PACKAGES" | sha256sum | cut -c1-12).tar
	mkdir -p "$VARVE_TEST_CACHE" || return 1
	exec 7>"$IMAGE_TAR.lock"
	flock 7
	if [ ! -s "$IMAGE_TAR" ]; then
		say "building $IMAGE_TAR: some minutes, once"
		# This script's network is its own and empty; packages come by the machine's.
		nsenter --net=/proc/self/fd/6 mmdebstrap --variant=minbase --include="$IMAGE_PACKAGES" --aptopt='Acquire::Languages "none"' \
			--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' \
			--format=tar --customize-hook='rm -rf "$1"/var/lib/mysql/* "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*' \
			bookworm "$IMAGE_TAR.new" >"$WORK/mmdebstrap.log" 2>&1 && mv "$IMAGE_TAR.new" "$IMAGE_TAR" || {
			tail -n 5 "$WORK/mmdebstrap.log" | sed 's/^/# /'
			rm -f "$IMAGE_TAR.new"
		}
	fi
	exec 7>&-
	[ -s "$IMAGE_TAR" ]
}

images_load() {
	local name
	images_build || skip "the images cannot be built here"
	docker import "$IMAGE_TAR" services >/dev/null || fail "docker import"
	for name in mariadb:10.11 nginx:1.22 redis:7; do
		docker build -q -t "$name" "$HERE/tests/docker/images/${name%:*}" >/dev/null 2>>"$WORK/build.log" || fail "docker build of $name"
	done
}

compose() {
	local example=$1
	shift
	docker-compose --no-ansi -p "$example" -f "$HERE/docker/examples/$example/docker-compose.yml" "$@" 2>>"$WORK/compose.log" && return
	tail -n 3 "$WORK/compose.log" # of a failure that expect shows
	return 1
}

# in_service NAME SERVICE CMD…: docker-compose exec, without its second of start-up
in_service() { docker exec -i "$1_$2_1" "${@:3}"; }

# until_ok CMD…: waits until it succeeds, as long as a loaded machine may need.
until_ok() {
	local i
	for i in $(seq 1200); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}
