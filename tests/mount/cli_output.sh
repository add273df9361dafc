#!/bin/bash
# What the command line prints and where: results on stdout, chatter on stderr, --quiet, --bytes, --json, questions on a terminal, diff's
# escapes, several names in one command, and completion.
. "$(dirname "$0")/../lib/harness.sh"

harness_start
cd "$WORK" || exit 1

# both CMD…: runs varve, keeps its two outputs in $OUT and $ERR and its status in $RC.
both() {
	"$VARVE" "$@" >out 2>err
	RC=$?
	OUT=$(<out) ERR=$(<err)
}
# matches WHAT TEXT REGEX
matches() {
	if [[ $2 =~ $3 ]]; then pass "$1"; else fail "$1" "got: $2" "expected: $3"; fi
}
# on_terminal ANSWER CMD…: the same with a terminal for stdin, stdout and stderr, all in $OUT.
on_terminal() {
	local answer=$1
	shift
	printf '%s\n' "$answer" | script -qec "$(printf '%q ' "$VARVE" "$@")" /dev/null >out 2>&1
	RC=$?
	OUT=$(tr -d '\r' <out)
}

# Results and chatter
both volume ls
expect_eq "an empty list prints nothing on stdout" "$RC:$OUT" "0:"
matches "and says on stderr how to begin" "$ERR" 'volume create'
both volume ls -q
expect_eq "unless --quiet" "$OUT$ERR" ""
both volume create db -o quota=1G
expect_eq "volume create prints the name" "$RC:$OUT:$ERR" "0:db:"
both volume create web
mkdir "$MNT/db/dir"
head -c 1610612 /dev/urandom >"$MNT/db/file"
both snapshot create db@a web
expect_eq "one NAME serves all volumes" "$RC:$OUT" $'0:db@a\nweb@a'
matches "and the times are chatter" "$ERR" '^fence [0-9.]+ (us|ms|s), cut [0-9.]+ (us|ms|s)'
both -q snapshot create db@b
expect_eq "which --quiet leaves out" "$OUT:$ERR" "db@b:"
both snapshot create db@c web@d db
expect_eq "a volume left without a name among several is a usage error" "$RC" 2
both snapshot ls -q
expect_eq "the names of snapshots, oldest first" "$(sort <<<"$OUT")" $'db@a\ndb@b\nweb@a'
both snapshot ls db
expect_eq "those of one volume" "$(awk 'NR > 1 {print $1}' <<<"$OUT")" $'db@a\ndb@b'
both snapshot ls --unique db
matches "with what each alone holds" "$OUT" '^NAME +CREATED +SIZE +UNIQUE'

# Sizes
both volume ls
matches "sizes for people, and the quota as it was given" "$OUT" 'db +1\.5M +[0-9]+ +1G '
both volume ls --bytes
matches "and exact" "$OUT" 'db +1610612 +[0-9]+ +1073741824 '
expect_eq "JSON has them exact" "$(json_field bytes volume inspect db)" 1610612
expect_eq "inspect's JSON is an array, in the order asked" "$("$VARVE" volume inspect web db --json | jq -r '.[].name' | xargs)" "web db"

# Several names: what fails is reported, the others are done.
"$VARVE" snapshot hold db@a >/dev/null
both snapshot ls db
matches "a hold is listed" "$OUT" 'db@a .* held'
both snapshot rm db@a nosuch@x db@b
expect_eq "removed is what could be" "$RC:$OUT" "1:db@b"
matches "the rest is reported" "$ERR" 'snapshot rm: .*nosuch'
both --json snapshot release db@a
expect_eq "release answers with an array" "$(jq -r '.[0].held' <<<"$OUT")" false

# diff's escapes
touch "$MNT/db/"$'new\nline\x1b[31m' "$MNT/db/"$'latin\xe9'
mv "$MNT/db/dir" "$MNT/db/moved"
LC_ALL=C.UTF-8 both diff db@a
expect_eq "diff escapes what does not print" "$(grep -c '' <<<"$OUT"):$(grep -oE 'new.*' <<<"$OUT")" '3:new\nline\x1b[31m'
matches "and what is no UTF-8" "$OUT" '/latin\\xe9'
matches "a rename has both names" "$OUT" 'R [/]?dir -> [/]?moved'
both diff -l db@a db
matches "--long names the type" "$OUT" '\+ file +'
expect_eq "diff ends with 0" "$RC" 0

# Questions
on_terminal n rollback db@a
expect_eq "on a terminal a refused rollback fails" "$RC" 1
matches "having said what it replaces" "$OUT" 'Go on\? \[y/N\].*nothing was changed'
expect "and changed nothing" test -d "$MNT/db/moved"
on_terminal y rollback db@a
expect_eq "y goes on" "$RC" 0
expect "and did it" test -d "$MNT/db/dir"
both --yes rollback db@a -q
matches "with --quiet it prints the name of what it kept" "$RC:$OUT:$ERR" '^0:db@pre-[^ ]+:$'
on_terminal n --yes snapshot rm "$OUT"
expect_eq "--yes does not ask" "$RC" 0
on_terminal n volume rm web
matches "volume rm says what goes" "$OUT" 'Removing volume web: .* 1 snapshot'
expect "and keeps it" test -d "$MNT/web"
both volume rm web </dev/null
expect_eq "without a terminal nothing asks" "$RC:$OUT" "0:web"
expect_fail "it is gone" test -d "$MNT/web"

# Output that cannot be written is a failure.
"$VARVE" volume ls >/dev/full 2>err
expect_eq "a result that cannot be written" "$?" 1

# Nothing that the daemon does not need from the environment.
expect "a proxy in the environment is not asked" env http_proxy=http://127.0.0.1:9 "$VARVE" status

# A terminal that is too narrow for every column
on_terminal '' volume ls
columns=$(script -qec "stty cols 40; $(printf '%q ' "$VARVE") volume ls" /dev/null </dev/null | tr -d '\r')
expect "a narrow terminal gets fewer columns" test "${#columns}" -lt "${#OUT}"

# Completion
completed() {
	bash -c '
		compopt() { :; }
		. "$1"
		COMP_LINE=$2 COMP_POINT=${#2}
		read -r -a COMP_WORDS <<<"$2 x"
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_WORDS[0]=$3
		_varve
		echo "${COMPREPLY[*]}"' - "$HERE/tools/completion/varve.bash" "$1" "$VARVE"
}
expect_eq "completion of commands" "$(completed 'varve sn')" snapshot
expect_eq "completion of volumes" "$(completed 'varve volume rm ')" db
matches "completion of snapshots" " $(completed 'varve rollback ') " ' db@a '

check_store last
finish
