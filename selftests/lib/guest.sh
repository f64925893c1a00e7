# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For suites that run in a guest, to be sourced on the host. KERNEL chooses what
# is tested: default and debug load mptcp.ko, c has the in-tree implementation
# built in and shows what a test says of that.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export TOP KERNEL=${KERNEL:-default}

# guest SECONDS [OPTION...] -- COMMAND...: a guest of that kernel, with its time
# limit, which is there for one that hangs: several times what it takes on a slow
# machine. The debug kernel is given four times as long.
guest()
{
	local limit=$1 options=()
	shift

	[[ $KERNEL != debug ]] || limit=$((limit * 4))
	[[ -z ${RESULTS:-} ]] || options+=(-r "$RESULTS")
	"$TOP/scripts/guest" -k "$KERNEL" -t "$limit" ${options[@]+"${options[@]}"} "$@"
}

# guest_loaded SECONDS [OPTION...] -- COMMAND...: with MPTCP there to be used.
guest_loaded()
{
	local limit=$1
	shift

	[[ $KERNEL = c ]] || set -- -l "$@"
	guest "$limit" "$@"
}

# steady: the option for a guest whose clock counts instructions, on one CPU: what a
# test measures does not depend on what else the host does, and sleeping costs
# nothing. Not with the debug kernel, which would be at it for hours with one CPU.
steady()
{
	[[ $KERNEL = debug ]] || echo -i
}

# needs_module: end a suite that is about the module where there is none.
needs_module()
{
	[[ $KERNEL != c ]] || {
		echo "1..0 # SKIP the in-tree implementation is no module"
		exit 0
	}
}
