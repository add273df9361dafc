# bash completion for varve: commands, options, and the names of volumes and snapshots, asked from the daemon.

# The names that `varve … ls -q` prints; nothing when no daemon answers, be it that it takes too long.
_varve_names() {
	local varve=${COMP_WORDS[0]} i
	local -a where=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == --api ]] && where=(--api "${COMP_WORDS[i + 1]}")
	done
	# The word is still as typed: a ~ or a variable at its beginning is for the shell.
	timeout 2 "${varve/#\~/$HOME}" "${where[@]}" "$@" -q 2>/dev/null
}

_varve_volumes() { _varve_names volume ls; }
_varve_trash() { _varve_names volume ls --trash; }
_varve_snapshots() { _varve_names snapshot ls; }

# Offers the lines of $1 that begin with $2. '@' may be one of COMP_WORDBREAKS, so what stands before it is cut off the answers then.
_varve_offer() {
	local cut=
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
	if [[ $2 == *@* && $COMP_WORDBREAKS == *@* ]]; then
		cut=${2%"${2##*@}"}
		COMPREPLY=("${COMPREPLY[@]#"$cut"}")
	fi
}

_varve() {
	local commands='init status df volume snapshot diff rollback clone export import check gc set push pull send receive restore repo upgrade version help'
	local volume='create ls inspect rm undelete purge rename set' snapshot='create ls rm hold release' repo='init add ls info check forget prune key'
	local global='--json --bytes --quiet --yes --api --store --help --version'
	local keys='quota= quota-inodes= compression= uid= gid= mode= type= size='
	local cur prev command='' n=0 i
	local -a words

	# The words as typed, whatever readline splits at.
	read -r -a words <<<"${COMP_LINE:0:COMP_POINT}"
	[[ ${COMP_LINE:0:COMP_POINT} == *' ' ]] && words+=('')
	cur=${words[-1]}
	prev=${words[-2]:-}
	# The command, and how many words stand between it and the one to complete.
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		case ${words[i]} in
		--api | --store | --from | -o | --option) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [[ -z $command || $command == volume || $command == snapshot || $command == repo || $command == help* ]]; then
				command+=${command:+ }${words[i]}
			else
				n=$((n + 1))
			fi
			;;
		esac
	done

	COMPREPLY=()
	[[ ($command == export || $command == send) && $prev == -o ]] && prev=--output
	case $prev in
	--api | --store | --output | --input | -i)
		compopt -o default
		return
		;;
	--from)
		_varve_offer "$(_varve_volumes; _varve_snapshots)" "$cur"
		return
		;;
	-o | --option)
		compopt -o nospace
		_varve_offer "$keys" "$cur"
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		case $command in
		'volume create') global+=' --from --option' ;;
		'volume set' | clone) global+=' --option' ;;
		'volume rm') global+=' --force --purge' ;;
		'volume ls') global+=' --trash' ;;
		'volume purge') global+=' --all' ;;
		export) global+=' --output --zstd --gzip' ;;
		send) global+=' --from --output' ;;
		receive) global+=' --input' ;;
		import) global+=' --input --merge --strip-components --option' ;;
		'snapshot ls') global+=' --unique' ;;
		diff) global+=' --long' ;;
		rollback) global+=' --live' ;;
		check) global+=' --data' ;;
		'repo check') global+=' --data --repair' ;;
		esac
		_varve_offer "$global" "$cur"
		return
	fi
	case $command:$n in
	:*) _varve_offer "$commands" "$cur" ;;
	help:0) _varve_offer "$commands" "$cur" ;;
	volume:0 | 'help volume':0) _varve_offer "$volume" "$cur" ;;
	snapshot:0 | 'help snapshot':0) _varve_offer "$snapshot" "$cur" ;;
	repo:0 | 'help repo':0) _varve_offer "$repo" "$cur" ;;
	init:0 | check:0) compopt -o dirnames ;;
	'volume inspect':* | 'volume rm':* | 'volume rename':0 | 'volume set':0 | 'snapshot create':* | 'snapshot ls':0)
		_varve_offer "$(_varve_volumes)" "$cur"
		;;
	'volume undelete':0 | 'volume purge':*) _varve_offer "$(_varve_trash)" "$cur" ;;
	export:0) _varve_offer "$(_varve_volumes; _varve_snapshots)" "$cur" ;;
	import:0 | receive:0) _varve_offer "$(_varve_volumes)" "$cur" ;;
	set:*)
		compopt -o nospace
		_varve_offer 'trash-days=' "$cur"
		;;
	'volume set':*)
		compopt -o nospace
		_varve_offer "$keys" "$cur"
		;;
	'snapshot rm':* | 'snapshot hold':* | 'snapshot release':* | rollback:0 | diff:0 | send:0) _varve_offer "$(_varve_snapshots)" "$cur" ;;
	diff:1 | clone:0) _varve_offer "$(_varve_volumes; _varve_snapshots)" "$cur" ;;
	esac
}

complete -F _varve varve
