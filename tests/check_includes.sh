#!/bin/bash
# Holds the tree to its layers: which folder may include which, and where a library may be seen.
#
#   base <- chunk, journal, meta <- volume <- maint, archive, repo <- fs, docker
#   tools <- store/base and the HTTP API; those commands that work without a daemon link the engine.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1

bad=0
complain() {
	echo "include check: $*" >&2
	bad=$((bad + 1))
}

# The folders that a file of FOLDER may include, as one regular expression.
allowed() {
	local base='store/base' low='store/(base|chunk)' mid='store/(base|chunk|journal|meta)'
	case $1 in
	store/base) echo "$base" ;;
	store/chunk) echo "$low" ;;
	store/journal) echo 'store/(base|journal)' ;;
	store/meta) echo 'store/(base|meta)' ;;
	store/volume) echo "$mid|store/volume" ;;
	store/maint) echo "$mid|store/(volume|maint)" ;;
	store/archive) echo "$mid|store/(volume|archive)" ;;
	store/repo) echo "$mid|store/(volume|maint|archive|repo)" ;;
	fs) echo 'store/[a-z]+|fs' ;;
	docker) echo 'store/(base|volume)|fs|docker' ;;
	tools) echo 'store/base|tools' ;;
	*) echo '' ;;
	esac
}

# The commands that also work with no daemon open the store themselves.
engine_command() {
	case $1 in
	tools/cmd_init.c | tools/cmd_check.c | tools/cmd_archive.c | tools/daemon.[ch] | tools/cmd_repo*.[ch]) return 0 ;;
	*) return 1 ;;
	esac
}

files=$(find store fs tools docker \( -name '*.c' -o -name '*.h' \) | sort)
n=0
for f in $files; do
	n=$((n + 1))
	folder=$(dirname "$f")
	rule=$(allowed "$folder")
	if [ -z "$rule" ]; then
		complain "$f: the folder $folder is not in the layout"
		continue
	fi
	engine_command "$f" && rule="store/[a-z]+|tools"
	# where the daemon's parts are put together
	[ "$f" = fs/daemon.c ] && rule="$rule|docker"
	while IFS= read -r inc; do
		[ -n "$inc" ] || continue
		if [[ $inc != */* ]]; then
			complain "$f includes \"$inc\": paths begin at the top of the tree"
		elif [[ ! $(dirname "$inc") =~ ^($rule)$ ]]; then
			complain "$f includes \"$inc\": $folder may not see $(dirname "$inc")"
		elif [[ $folder == store/maint && $inc == store/volume/store_internal.h ]]; then
			: # a check walks the open store from inside, under its locks
		elif [[ $f == store/repo/@(source.c|source_changes.c|sink_internal.h|stream_id.c) && $inc == store/volume/@(store|volume)_internal.h ]]; then
			: # a push and a pull read and write rows under the locks
		elif [[ $inc == *_internal.h && $(dirname "$inc") != "$folder" ]]; then
			complain "$f includes \"$inc\": internal to $(dirname "$inc")"
		fi
	done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$f")
done

# only LIBRARY-HEADER FOLDER-REGEX: nobody else includes it.
only() {
	local f
	while IFS= read -r f; do
		[ -n "$f" ] || continue
		[[ $(dirname "$f") =~ ^($2)$ ]] || complain "$f includes <$1>, which belongs to $2 alone"
	done < <(grep -lE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$1" $files /dev/null)
}
only 'sqlite3' 'store/meta'
only 'fuse' 'fs'
only 'archive' 'store/archive'
only 'microhttpd' 'fs|docker'
only 'curl/' 'tools|store/repo'
only 'zstd' 'store/(chunk|repo)'

[ "$n" -gt 0 ] || complain "no source files found"
[ "$bad" -eq 0 ] || exit 1
echo "include check: $n files"
