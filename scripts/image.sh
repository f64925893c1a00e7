# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: what a guest boots from: the root as an erofs image, without the
# compilers, with the modules of Debian's kernel; and a small initramfs. A block
# device that QEMU serves is read once and then as fast as memory, and starting a
# process from it costs the same as from a root in memory.

image_key()
{
	hash_of "$(root_key)" "$(peer_key)" "$TOP/scripts/image-build" "$TOP/scripts/initramfs-init"
}

image_dir()
{
	echo "$MPTCP_CACHE/image-$(image_key)"
}

image_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" "$TOP/scripts/image-build" "$(peer_dir)" "$1"
}

stage_image()
{
	stage_root
	stage_peer
	stage image "$(image_key)" "guest image" 20 image_build
}
