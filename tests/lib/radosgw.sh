# Sourced by tests: a Ceph cluster of one monitor, one OSD in memory and one radosgw, on loopback, in a folder of its own.
#
#   radosgw_start FOLDER     starts it; sets RADOSGW_PORT. Fails with why in RADOSGW_WHY
#   radosgw_stop             ends what was started, by pid
#
# Bucket names are also host names (NAME.localhost). The key is "radosgw", its secret "radosgw-secret".

RADOSGW_PIDS=()
RADOSGW_KEY=radosgw
RADOSGW_SECRET=radosgw-secret

radosgw_free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

radosgw_conf() {
	local fsid=$1 v2=$2 v1=$3
	cat <<-END
		[global]
		fsid = $fsid
		mon host = [v2:127.0.0.1:$v2,v1:127.0.0.1:$v1]
		public addr = 127.0.0.1
		cluster addr = 127.0.0.1
		auth cluster required = cephx
		auth service required = cephx
		auth client required = cephx
		run dir = $RADOSGW_DIR
		admin socket = $RADOSGW_DIR/\$name.asok
		log file = $RADOSGW_DIR/\$name.log
		crash dir = $RADOSGW_DIR/crash
		keyring = $RADOSGW_DIR/keyring
		mon data = $RADOSGW_DIR/mon
		mon data avail crit = 1
		mon allow pool delete = true
		mon allow pool size one = true
		mon pg warn min per osd = 0
		osd data = $RADOSGW_DIR/osd
		osd objectstore = memstore
		memstore device bytes = 4294967296
		osd crush chooseleaf type = 0
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 4
		osd pool default pgp num = 4
		osd pool default pg autoscale mode = off
		rgw data = $RADOSGW_DIR/rgw
		rgw dns name = localhost
		rgw frontends = beast endpoint=127.0.0.1:$RADOSGW_PORT
		rgw enable usage log = false
	END
}

# Background, its output in a file.
radosgw_run() {
	"$@" >>"$RADOSGW_DIR/out" 2>&1 </dev/null &
	RADOSGW_PIDS=("$!" "${RADOSGW_PIDS[@]}")
}

radosgw_ceph() { timeout 60 "$@" -c "$RADOSGW_DIR/ceph.conf" >>"$RADOSGW_DIR/out" 2>&1 </dev/null; }

# Waits up to so many seconds.
radosgw_until() {
	local tries=$(($1 * 5))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.2
	done
}

# One keyring for all; the monitor takes it over.
radosgw_keyring() {
	local ring=$RADOSGW_DIR/keyring
	radosgw_ceph ceph-authtool --create-keyring "$ring" --gen-key -n mon. --cap mon 'allow *' &&
		radosgw_ceph ceph-authtool "$ring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' &&
		radosgw_ceph ceph-authtool "$ring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' &&
		radosgw_ceph ceph-authtool "$ring" --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
}

radosgw_start() {
	local conf fsid osd
	RADOSGW_DIR=$1
	RADOSGW_PORT=$(radosgw_free_port)
	conf=$RADOSGW_DIR/ceph.conf
	fsid=$(cat /proc/sys/kernel/random/uuid)
	osd=$(cat /proc/sys/kernel/random/uuid)
	mkdir -p "$RADOSGW_DIR"/{mon,osd,rgw,crash} || return 1
	radosgw_conf "$fsid" "$(radosgw_free_port)" "$(radosgw_free_port)" >"$conf"
	RADOSGW_WHY='the monitor does not start'
	radosgw_keyring || return 1
	radosgw_ceph monmaptool --create --clobber --fsid "$fsid" --addv a "$(sed -n 's/^mon host = //p' "$conf")" "$RADOSGW_DIR/monmap" || return 1
	radosgw_ceph ceph-mon --mkfs -i a --keyring "$RADOSGW_DIR/keyring" --monmap "$RADOSGW_DIR/monmap" || return 1
	radosgw_run ceph-mon -f -i a -c "$conf"
	radosgw_until 60 radosgw_ceph ceph --connect-timeout 5 mon stat || return 1
	RADOSGW_WHY='the OSD does not start'
	radosgw_ceph ceph osd new "$osd" || return 1
	radosgw_ceph ceph-osd -i 0 --mkfs --osd-uuid "$osd" || return 1
	radosgw_run ceph-osd -f -i 0 -c "$conf"
	radosgw_until 60 radosgw_osd_up || return 1
	RADOSGW_WHY='radosgw does not start'
	radosgw_until 60 radosgw_ceph radosgw-admin user create --uid=varve --display-name=varve --access-key="$RADOSGW_KEY" \
		--secret="$RADOSGW_SECRET" || return 1
	radosgw_run radosgw -f -n client.rgw -c "$conf"
	radosgw_until 120 curl -sf -o /dev/null "http://127.0.0.1:$RADOSGW_PORT/"
}

radosgw_osd_up() { timeout 20 ceph -c "$RADOSGW_DIR/ceph.conf" osd stat 2>/dev/null | grep -q '1 up'; }

# radosgw_bucket NAME
radosgw_bucket() {
	curl -sS -f -o /dev/null -X PUT --aws-sigv4 aws:amz:us-east-1:s3 -u "$RADOSGW_KEY:$RADOSGW_SECRET" \
		-H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d' ' -f1)" "http://127.0.0.1:$RADOSGW_PORT/$1"
}

radosgw_stop() {
	local pid
	for pid in "${RADOSGW_PIDS[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${RADOSGW_PIDS[@]}"; do
		radosgw_until 10 radosgw_ended "$pid" || kill -9 "$pid" 2>/dev/null
	done
	wait "${RADOSGW_PIDS[@]}" 2>/dev/null
	RADOSGW_PIDS=()
}

radosgw_ended() { ! kill -0 "$1"; }
