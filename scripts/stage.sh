# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Cached stages. A stage fills a folder; the folder is made under a temporary
# name and renamed when it is complete, so a folder that has its final name is
# whole, whatever was interrupted before. A lock keeps two from making it at
# once. Nothing is printed when the folder exists already. A kernel that was
# interrupted is gone on with: make knows what is whole there.

LOGS=$MPTCP_CACHE/log

# clock SECONDS: as m:ss.
clock()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# stage_progress LOG EXPECTED: how far a stage is, by the lines it has logged.
stage_progress()
{
	local lines percent

	lines=$(wc -l <"$1" 2>/dev/null) || lines=0
	percent=$((lines * 100 / $2))
	((percent < 99)) || percent=99
	echo "$percent%"
}

# stage_watch PID TITLE LOG EXPECTED: show the time that goes by, and progress:
# on a terminal in one line that is rewritten, elsewhere in a line a minute.
stage_watch()
{
	local start=$SECONDS said=$SECONDS spent

	while kill -0 "$1" 2>/dev/null; do
		spent=$((SECONDS - start))
		if [[ -t 2 ]]; then
			printf '\r  %-38s %4s  %6s ' "$2" "$(stage_progress "$3" "$4")" \
				"$(clock "$spent")" >&2
		elif ((SECONDS - said >= 60)); then
			said=$SECONDS
			printf '  %-38s %4s  %6s\n' "$2" "$(stage_progress "$3" "$4")" \
				"$(clock "$spent")" >&2
		fi
		sleep 0.5
	done
	[[ -t 2 ]] && printf '\r' >&2
	return 0
}

# stage_failed TITLE LOG: which step, why, and where the log is.
stage_failed()
{
	echo >&2
	echo "mptcp-rs: failed: $1" >&2
	grep -E '(^E: |error[:[]|No space|not found|FAILED|cannot )' "$2" | grep -v '^make' |
		head -n 8 | sed 's/^/    /' >&2 || true
	echo "  last lines of the log:" >&2
	tail -n 8 "$2" | sed 's/^/    /' >&2
	if grep -q 'No space left' "$2"; then
		echo "  the disk is full: free some space, or set MPTCP_CACHE to a folder elsewhere" >&2
	fi
	if grep -qE 'Could not resolve|Temporary failure|Failed to fetch|Unable to connect' "$2"; then
		echo "  the network failed: try again, or set MPTCP_MIRROR to another Debian mirror" >&2
	fi
	echo "  the whole log: $2" >&2
}

# run_logged TITLE LOG EXPECTED COMMAND...: run with output in the log.
run_logged()
{
	local title=$1 log=$2 expected=$3 start=$SECONDS pid=''
	shift 3

	mkdir -p "$(dirname "$log")"
	: >"$log"
	# A process group of its own, so that all of it ends when this is interrupted,
	# be it before its number is in pid.
	# shellcheck disable=SC2016
	trap 'kill -- "-${pid:-${!:-}}" 2>/dev/null; exit 130' INT TERM
	set -m
	# A shell of its own: in this one, errexit may be off, as under '||'.
	# shellcheck disable=SC2016
	bash -c '. "$TOP/scripts/prepare"; "$@"' "$TOP/scripts/stage.sh" "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	stage_watch "$pid" "$title" "$log" "$expected"
	if ! wait "$pid"; then
		trap - INT TERM
		stage_failed "$title" "$log"
		return 1
	fi
	trap - INT TERM
	printf '  %-38s done  %6s\n' "$title" "$(clock $((SECONDS - start)))" >&2
}

# drop_unused NAME: remove what a stage made from other inputs, when nothing has
# used it for two weeks.
drop_unused()
{
	find "$MPTCP_CACHE" -mindepth 1 -maxdepth 1 -type d -name "$1-????????????" -mtime +14 \
		-exec rm -rf --one-file-system {} +
}

# stage NAME KEY TITLE EXPECTED COMMAND...: COMMAND gets the folder to fill as
# its last argument. EXPECTED is the number of lines it usually logs.
stage()
{
	local name=$1 key=$2 title=$3 expected=$4 dir lock
	shift 4

	dir=$MPTCP_CACHE/$name-$key
	if [[ -d $dir ]]; then
		touch -c "$dir" 2>/dev/null || true
		return
	fi

	mkdir -p "$MPTCP_CACHE/lock" "$LOGS"
	exec {lock}>"$MPTCP_CACHE/lock/$name-$key"
	if ! flock -n "$lock"; then
		note "waiting for another run that is at: $title"
		flock "$lock"
	fi
	if [[ ! -d $dir ]]; then
		[[ $name = kernel-* ]] || rm -rf --one-file-system "$dir.new"
		mkdir -p "$dir.new"
		run_logged "$title" "$LOGS/$name-$key.log" "$expected" "$@" "$dir.new" || exit 1
		mv "$dir.new" "$dir"
		drop_unused "$name"
	fi
	exec {lock}>&-
}
