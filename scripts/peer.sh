# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: Debian's stock kernel, the MPTCP implementation that nobody here
# wrote. It is unpacked, not installed: it needs no initramfs of its own.

PEER_PACKAGE=linux-image-cloud-amd64

peer_key()
{
	hash_of "$(root_key)" "$PEER_PACKAGE" "$(declare -f peer_build peer_unpack)"
}

peer_dir()
{
	echo "$MPTCP_CACHE/peer-$(peer_key)"
}

# peer_unpack DIR: in the root; the package that the metapackage depends on.
peer_unpack()
{
	local real

	cd /tmp || return
	apt-get update
	real=$(apt-cache depends "$PEER_PACKAGE" | sed -n 's/.*Depends: //p' | head -n 1)
	apt-get download "$real"
	dpkg-deb -x "$real"_*.deb "$1"
	ln -s "boot/vmlinuz-${real#linux-image-}" "$1/vmlinuz"
	ln -s "boot/config-${real#linux-image-}" "$1/config"
	[[ -d $1/usr/lib/modules ]] || { mkdir -p "$1/usr/lib" && mv "$1/lib/modules" "$1/usr/lib/"; }
	depmod -b "$1/usr" "${real#linux-image-}" || depmod -b "$1" "${real#linux-image-}"
	rm -rf /var/lib/apt/lists/*
}

peer_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" bash -ec \
		"PEER_PACKAGE=$PEER_PACKAGE; $(declare -f peer_unpack); peer_unpack $1"
}

stage_peer()
{
	stage_root
	stage peer "$(peer_key)" "Debian's stock kernel" 20 peer_build
}
