# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: the plugins of Debian's mptcpd, which is in the root. They are unpacked
# and not installed: one suite wants them, and mounts them where mptcpd looks.

MPTCPD_PACKAGE=mptcpd-plugins

mptcpd_key()
{
	hash_of "$(root_key)" "$MPTCPD_PACKAGE" "$(declare -f mptcpd_build mptcpd_unpack)"
}

mptcpd_dir()
{
	echo "$MPTCP_CACHE/mptcpd-$(mptcpd_key)"
}

# mptcpd_unpack DIR: in the root; of the version that mptcpd there has.
mptcpd_unpack()
{
	local version

	cd /tmp || return
	version=$(dpkg-query -W -f '${Version}' mptcpd)
	apt-get update
	apt-get download "$MPTCPD_PACKAGE=$version"
	dpkg-deb -x "$MPTCPD_PACKAGE"_*.deb /tmp/plugins
	cp /tmp/plugins/usr/lib/*/mptcpd/*.so "$1"
	rm -rf /var/lib/apt/lists/*
}

mptcpd_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" bash -ec \
		"MPTCPD_PACKAGE=$MPTCPD_PACKAGE; $(declare -f mptcpd_unpack); mptcpd_unpack $1"
}

stage_mptcpd()
{
	stage_root
	stage mptcpd "$(mptcpd_key)" "the plugins of mptcpd" 20 mptcpd_build
}
