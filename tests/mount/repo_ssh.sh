#!/bin/bash
# Repositories over ssh: a real sshd on loopback, with a configuration, port and keys of its own; also over connections that break.
. "$(dirname "$0")/../lib/harness.sh"
command -v /usr/sbin/sshd >/dev/null || skip 'no sshd here'
cd "$WORK" || exit 1
mkdir -p /run/sshd
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f user
cat >sshd_config <<END
Port $PORT
ListenAddress 127.0.0.1
HostKey $WORK/host
AuthorizedKeysFile $WORK/user.pub
PidFile $WORK/sshd.pid
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
END
/usr/sbin/sshd -f sshd_config -E sshd.log -D &
SSHD=$!
at_exit "kill $SSHD"
for _ in $(seq 50); do
	ssh-keyscan -p "$PORT" 127.0.0.1 2>/dev/null >known && [ -s known ] && break
	sleep 0.1
done
export VARVE_SSH_COMMAND="ssh -F none -i $WORK/user -o UserKnownHostsFile=$WORK/known -o BatchMode=yes -o IdentitiesOnly=yes"
export VARVE_PASSPHRASE=secret
U="ssh://$(id -un)@127.0.0.1:$PORT$WORK/far?command=$VARVE"

expect 'repo init over ssh' "$VARVE" -q repo init "$U"
mkdir trees
expect 'random trees there and back' env VARVE_TEST_REPO="ssh://$(id -un)@127.0.0.1:$PORT$WORK/trees/RANDOM?command=$VARVE" \
	"$B/tests/unit/repo/test_push_pull"
# Without ssh, whose greeting takes long: the far side's program, and what goes between.
printf '#!/bin/bash\nexec sh -c "${@: -1}"\n' >direct
chmod +x direct
expect 'interrupted at every request' env VARVE_SSH_COMMAND="$WORK/direct" VARVE_TEST_REPO="ssh://nowhere$WORK/trees/RANDOM?command=$VARVE" \
	"$B/tests/unit/repo/test_interruption"

# Every connection ends after so many reads, in the middle of whatever it is: requests are asked again on a new one.
cat >cutting <<END
#!/bin/bash
exec 3<&0
exec dd bs=64k count=70 status=none < <(exec $VARVE_SSH_COMMAND "\$@" <&3 3<&-) 3<&-
END
chmod +x cutting
export ROUNDS=5
expect 'the same over connections that break' env VARVE_SSH_COMMAND="$WORK/cutting" SEED=2 \
	VARVE_TEST_REPO="ssh://$(id -un)@127.0.0.1:$PORT$WORK/trees/RANDOM?command=$VARVE" "$B/tests/unit/repo/test_push_pull"

harness_start
"$VARVE" volume create v >/dev/null
cp -a "$HERE/store" "$MNT/v/"
"$VARVE" snapshot create v@one >/dev/null
expect 'push through the daemon' "$VARVE" push v@one "$U"
expect 'restore' "$VARVE" restore "$U" v@one store "$WORK/restored"
expect 'is the same' diff -r "$MNT/v/store" "$WORK/restored"
expect 'check' "$VARVE" repo check --data "$U"
expect 'a directory on the far side is a repository like any other' "$VARVE" repo check "$WORK/far"
out=$("$VARVE" repo ls "ssh://127.0.0.1:1/nowhere" 2>&1)
expect 'no ssh there: one line, with what ssh said' [ "$(grep -c '^varve' <<<"$out")" = 1 ] && expect 'and it is about the connection' grep -qi 'refused' <<<"$out"
out=$("$VARVE" repo ls "ssh://$(id -un)@127.0.0.1:$PORT$WORK/far?command=/no/such/varve" 2>&1)
expect 'no varve there' grep -q 'no/such/varve' <<<"$out"
harness_stop
finish
