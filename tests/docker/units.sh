#!/bin/bash
# At boot: the units are sound and in order; the plugin's socket is there before varved, which the first question starts; Docker comes
# up in between and finds its volumes. And `docker varve`.
. "$(dirname "$0")/../lib/docker.sh"
command -v systemd-analyze >/dev/null && command -v systemd-socket-activate >/dev/null || skip "no systemd"
O=${O:-$HERE/build}
MAKE=${MAKE:-make}

# --- the units ---
mkdir -p "$WORK/units"
for u in varved.service varved.socket; do
	sed "s|@SBINDIR@|$(dirname "$VARVED")|" "$HERE/docker/$u" >"$WORK/units/$u"
done
verify=$(systemd-analyze verify --man=no "$WORK"/units/varved.service "$WORK"/units/varved.socket 2>&1)
expect_eq "systemd-analyze verify finds nothing to say of ours" "$(grep -E 'varved' <<<"$verify")" ""
expect "the service goes before docker" grep -qx 'Before=docker.service' "$WORK/units/varved.service"
expect "and so does the socket" grep -qx 'Before=docker.service' "$WORK/units/varved.socket"
expect "a daemon that the kernel kills for its memory is left to the supervisor" grep -qx 'OOMPolicy=continue' "$WORK/units/varved.service"
expect "both are enabled together" grep -qx 'Also=varved.socket' "$WORK/units/varved.service"
expect "the socket is where Docker looks" grep -qx "ListenStream=$VARVE_DOCKER" "$WORK/units/varved.socket"

# --- socket activation ---
"$VARVE" init "$STORE" >>"$LOG" 2>&1
harness_mount
"$VARVE" volume create early >>"$LOG" 2>&1
echo here >"$MNT/early/file"
harness_stop
mkdir -p /run/docker/plugins
systemd-socket-activate -l "$VARVE_DOCKER" "$VARVED" --store "$STORE" --mount "$MNT" --api "$VARVE_API" --docker "$VARVE_DOCKER" \
	--foreground >>"$LOG" 2>&1 </dev/null &
ACTIVATED=$!
started $ACTIVATED
for i in $(seq 100); do [ -S "$VARVE_DOCKER" ] && break; sleep 0.05; done
expect_fail "varved does not run yet" mountpoint -q "$MNT"
docker_first_start
docker_busybox
expect_eq "Docker's first question starts it, and Docker has its volume" "$(run_busy -v early:/vol -- cat /vol/file)" here
expect_eq "which is not a local one" "$(docker volume inspect -f '{{.Driver}}' early)" varve
expect "it runs now" mountpoint -q "$MNT"
end_pid $ACTIVATED TERM
wait $ACTIVATED 2>/dev/null
expect "its end leaves the socket to whoever made it" test -S "$VARVE_DOCKER"
rm -f "$VARVE_DOCKER"

# --- docker varve ---
harness_mount
mkdir -p "$DOCKER_CONFIG/cli-plugins"
ln -s "$VARVE" "$DOCKER_CONFIG/cli-plugins/docker-varve"
expect "docker knows the command" grep -q 'varve.*Volumes with snapshots' <(docker --help 2>&1)
expect_eq "docker varve volume ls" "$(docker varve -q volume ls)" early
expect "docker varve snapshot create" docker varve snapshot create early@one
expect_eq "docker varve with docker's own options before it" "$(docker --log-level error varve -q snapshot ls)" "early@one"
expect_fail "errors are errors" docker varve volume inspect none
expect_eq "and usage has its own exit status" "$(docker varve volume >/dev/null 2>&1; echo $?)" 2
expect "the help says how it is called" grep -q 'docker varve volume' <(docker varve volume --help)
complete() { "$DOCKER_CONFIG/cli-plugins/docker-varve" __complete varve "$@" | tr '\n' ' '; }
echo there >"$MNT/early/file2"
expect "docker varve export, into a pipe" bash -c 'docker varve export early 2>/dev/null >"$1"' - "$WORK/early.tar"
expect "docker varve import, from one" bash -c 'cat "$1" | docker varve import late' - "$WORK/early.tar"
expect_eq "with all that was in it" "$(cat "$MNT/late/file" "$MNT/late/file2" | tr '\n' ' ')" "here there "
"$VARVE" volume rm -y late >>"$LOG" 2>&1
expect_eq "completion: commands" "$(complete snap)" "snapshot :4 "
expect_eq "completion: subcommands" "$(complete volume r)" "rm rename :4 "
expect_eq "completion: volumes" "$(complete volume inspect "")" "early :4 "
expect_eq "completion: snapshots" "$(complete rollback e)" "early@one :4 "
expect_eq "completion: options" "$(complete rollback --l)" "--live :4 "
expect_eq "completion: nothing for a name that is new" "$(complete volume create "")" ":4 "
check_store
finish
