# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For suites that are one of the kernel's own selftests, to be sourced on the
# host: the suite has the name of the script.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# test_words: the words in TEST, one a line; quotes hold one together.
test_words()
{
	xargs -r printf '%s\n' <<<"${TEST:-}"
}

# kernel_selftest [-i] SECONDS: run it, with the words in TEST as its arguments.
kernel_selftest()
{
	local args

	mapfile -t args < <(test_words)
	exec "$TOP/selftests/kernel/run" "$@" "$(basename "$0")" "${args[@]}"
}
