# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For suites written in bash: tell results as TAP.

TAP_COUNT=0

# tap_run NAME COMMAND...: a test that passes when the command succeeds; what it
# printed is shown when it fails. Exit status 4 means that it was skipped, and
# the last line says why.
tap_run()
{
	local name=$1 out status=0
	shift

	TAP_COUNT=$((TAP_COUNT + 1))
	out=$("$@" 2>&1) || status=$?
	case $status in
	0) echo "ok $TAP_COUNT - $name" ;;
	4) echo "ok $TAP_COUNT - $name # SKIP ${out##*$'\n'}" ;;
	*)
		echo "not ok $TAP_COUNT - $name"
		echo "${out:-exit status $status}" | awk 'NR <= 40 { print "# " $0 }'
		;;
	esac
}

# tap_plan: to be called last.
tap_plan()
{
	echo "1..$TAP_COUNT"
}
