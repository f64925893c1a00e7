# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: the kernel's own selftests of MPTCP, as they are in linux-source, with
# their helper programs built against the headers of that kernel. The folder has
# the layout that the scripts expect: net/lib.sh, net/mptcp/*.

kselftest_key()
{
	hash_of "$(source_key)" "$(declare -f kselftest_build kselftest_make)"
}

kselftest_dir()
{
	echo "$MPTCP_CACHE/kselftest-$(kselftest_key)"
}

# kselftest_make SOURCE OUT: in the root.
kselftest_make()
{
	local tests=$1/tools/testing/selftests/net

	make -C "$1" O=/tmp/headers headers_install INSTALL_HDR_PATH=/tmp/usr
	mkdir -p "$2/net/mptcp"
	find "$tests" -maxdepth 1 -type f -name '*.sh' -exec cp -t "$2/net" {} +
	find "$tests/mptcp" -maxdepth 1 -type f \( -name '*.sh' -o -name settings \) \
		-exec cp -t "$2/net/mptcp" {} +
	make -C "$tests/mptcp" OUTPUT="$2/net/mptcp" KHDR_INCLUDES='-isystem /tmp/usr/include' all
}

kselftest_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" bash -ec \
		"$(declare -f kselftest_make); kselftest_make $(source_dir) $1"
}

stage_kselftest()
{
	stage_root
	stage_source
	stage kselftest "$(kselftest_key)" "the kernel's selftests" 900 kselftest_build
}
