# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: the program that measures, for make bench.

bench_dir()
{
	echo "$MPTCP_CACHE/bench-$(hash_of "$TOP/selftests/bench"/*.[ch])"
}

bench_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" gcc -O2 -Wall -Wextra -o "$1/bench" "$TOP/selftests/bench"/*.c
}

stage_bench()
{
	stage_root
	stage bench "$(basename "$(bench_dir)" | sed 's/.*-//')" "the program that measures" 5 bench_build
}
