#!/bin/bash
# fio writes with checksums and verifies: sequential, random, small and large blocks, mapped, direct, several jobs, with snapshots between.
. "$(dirname "$0")/../lib/harness.sh"

command -v fio >/dev/null || skip "no fio"
harness_start
cd "$WORK" || exit 1
volume v
size=$([ -n "$LONG" ] && echo 512M || echo 48M)

run() { # run NAME options…
	local name=$1
	shift
	expect "fio $name" fio --name="$name" --directory="$VOL" --size="$size" --verify=xxhash --verify_fatal=1 --do_verify=1 --verify_state_save=0 \
		--group_reporting --minimal "$@"
	drop_caches
	expect "fio $name verified again, cold" fio --name="$name" --directory="$VOL" --size="$size" --verify=xxhash --verify_fatal=1 \
		--verify_only --group_reporting --minimal "$@"
}

run seq-1m --rw=write --bs=1M --ioengine=psync
run rand-8k --rw=randwrite --bs=8k --ioengine=psync --fdatasync=64
run rand-mixed --rw=randrw --bsrange=512-64k --bs_unaligned=1 --ioengine=psync
run mmap --rw=randwrite --bs=4k --ioengine=mmap
run mmap-seq --rw=write --bs=64k --ioengine=mmap
run direct --rw=randwrite --bs=16k --direct=1 --ioengine=libaio --iodepth=8
run jobs --rw=randwrite --bs=16k --numjobs=3 --ioengine=psync --end_fsync=1

# A snapshot in the middle of a verified load: both it and the live file verify.
fio --name=live --directory="$VOL" --size="$size" --rw=randwrite --bs=8k --ioengine=mmap --verify=xxhash --do_verify=0 --loops=6 \
	--rate_iops=6000 --minimal >"$WORK/fio.out" 2>&1 &
job=$!
started $job
for i in 1 2 3 4; do
	sleep 1
	expect "snapshot $i under fio" "$VARVE" snapshot create "v@fio$i"
done
wait $job
expect_eq "fio under snapshots ends well" $? 0
expect "what it wrote verifies" fio --name=live --directory="$VOL" --size="$size" --rw=read --bs=8k --ioengine=psync --verify=xxhash \
	--verify_fatal=1 --verify_only --minimal
expect "snapshots of finished files verify" fio --name=seq-1m --directory="$VOL/.snapshots/fio2" --size="$size" --rw=read --bs=1M --readonly \
	--ioengine=psync --verify=xxhash --verify_fatal=1 --verify_only --minimal
check_store
finish
