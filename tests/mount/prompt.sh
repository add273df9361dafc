#!/bin/bash
# Passphrases asked for on a terminal: when, how often, what is shown, and how the terminal is left.
. "$(dirname "$0")/../lib/harness.sh"
command -v python3 >/dev/null || skip "no python3"
harness_start
cd "$WORK" || exit 1
export VARVE_REPOS=$WORK/repos
R=$WORK/backup

# asks WHAT STATUS PATTERN ANSWER… -- COMMAND…: the screen matches, no answer is on it, and typing is shown again after.
asks() {
	local what=$1 status=$2 pattern=$3 screen rc word
	shift 3
	screen=$(timeout 90 "$HERE/tests/lib/on_terminal.py" "$@" 2>&1)
	rc=$?
	[ $rc -eq "$status" ] && [[ $screen =~ $pattern ]] && [ "${screen##*$'\n'}" = "echo on" ] || {
		fail "$what" "status $rc, the screen: $screen" "expected: $status, $pattern"
		return
	}
	while [ "$1" != -- ]; do
		word=$1
		shift
		[[ -z $word || $word == ^C || $screen != *"$word"* ]] || { fail "$what: what was typed is shown"; return; }
	done
	pass "$what"
}

asks 'a new repository asks twice' 0 'New passphrase for .*: .*The same again: ' hidden1 hidden1 -- "$VARVE" repo init "$R"
asks 'two that differ are refused' 1 'are not the same' hidden1 hidden2 -- "$VARVE" repo init "$WORK/other"
expect_fail 'and nothing is made' test -e "$WORK/other/config"
asks 'an empty one too' 1 'empty' '' '' -- "$VARVE" repo init "$WORK/other"
expect_fail 'nothing is made of it either' test -e "$WORK/other/config"
asks 'a listing asks once' 0 'Passphrase for .*: ' hidden1 -- "$VARVE" repo ls "$R"
asks 'a wrong one is one line' 1 'does not open' wrong1 -- "$VARVE" repo ls "$R"
volume v
echo content >"$VOL/file"
"$VARVE" -q snapshot create v@one >/dev/null
asks 'a push asks before the daemon is bothered' 0 'Passphrase for .*: .*v@one: sent' hidden1 -- "$VARVE" push v@one "$R"
asks 'a pull too' 0 'Passphrase for .*: .*v@one: received|w@one: received' hidden1 -- "$VARVE" pull "$R" v@one w
asks 'a restore too' 0 'Passphrase for ' hidden1 -- "$VARVE" restore "$R" v@one file "$WORK/file"
expect_eq 'what is restored' "$(cat file)" content
asks 'a new key asks for the old one, then for the new one twice' 0 'Passphrase for .*New passphrase for .*The same again: ' \
	hidden1 hidden3 hidden3 -- "$VARVE" repo key add "$R"
asks 'which opens it as well' 0 'v@one' hidden3 -- "$VARVE" repo ls "$R"
asks 'control-C ends it' 130 'Passphrase for .*: ' '^C' -- "$VARVE" repo ls "$R"
asks 'a name stores what was typed' 0 'Passphrase for ' hidden1 -- "$VARVE" repo add nightly "$R"
asks 'so that nothing is asked' 0 '^v@one' -- "$VARVE" -q repo ls nightly
expect_eq 'without a terminal nobody is asked' "$("$VARVE" repo ls "$R" 2>&1 | grep -c 'Passphrase for')" 0
asks 'a passphrase in the environment is enough' 0 '^v@one' -- env VARVE_PASSPHRASE=hidden1 "$VARVE" -q repo ls "$R"
check_store
finish
