#!/bin/bash
# git: many small files, renames over, links, packs by mmap; a clone and a check-out after a rollback are whole.
. "$(dirname "$0")/../lib/harness.sh"

export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
export GIT_CONFIG_GLOBAL=/dev/null HOME=$WORK
harness_start
volume v

# A repository with a history, made on the machine's own filesystem.
src=$WORK/src
git init -q "$src" && cd "$src" || exit 1
cp -r /usr/include/linux . && find linux -type l -delete
git add -A && git commit -qm first
for i in $(seq 20); do
	for f in $(find linux -name '*.h' | sed -n "$i~40p"); do echo "/* $i */" >>"$f"; done
	git commit -qam "change $i"
done
git gc -q

expect "git clone into the volume" git clone -q "$src" "$VOL/repo"
cd "$VOL/repo" || exit 1
expect "git fsck" git fsck --full --strict
expect_eq "a clean working tree" "$(git status --porcelain)" ""
expect "its tree equals the source's" diff -r --exclude=.git "$src" "$VOL/repo"
"$VARVE" snapshot create v@cloned >>"$LOG" 2>&1

git checkout -q -b work
for i in $(seq 10); do
	find linux -name '*.h' | sed -n "$i~30p" | while read -r f; do echo "/* more $i */" >>"$f"; done
	git commit -qam "work $i"
done
expect "git gc" git gc -q --prune=now
expect "git fsck after commits and gc" git fsck --full --strict
rm -rf .git/objects/pack
expect_fail "the destroyed repository is broken" git log --oneline -1
cd "$WORK" || exit 1
expect "rollback" "$VARVE" rollback v@cloned
cd "$VOL/repo" || exit 1
expect "git fsck after the rollback" git fsck --full --strict
expect_eq "a clean working tree after the rollback" "$(git status --porcelain)" ""
cd "$WORK" || exit 1
expect "git clone out of the snapshot" git clone -q "$VOL/.snapshots/cloned/repo" "$WORK/out"
check_store
finish
