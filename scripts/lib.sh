# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here needs: where things are, how to complain, and how to
# become root with the variables that matter.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

if [[ -z ${MPTCP_CACHE:-} ]]; then
	MPTCP_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mptcp-rs
fi
KERNEL=${KERNEL:-default}
export TOP MPTCP_CACHE KERNEL

# Variables that a user may set and that must survive sudo.
PASSED_ON=(MPTCP_CACHE MPTCP_MIRROR MPTCP_KVM MPTCP_SUITE_TIMEOUT MPTCP_CHECK_JOBS
	KERNEL SUITE TEST TRACE PROFILE V CI TERM http_proxy https_proxy no_proxy)

# die MESSAGE...: one line that says what is wrong and what to do.
die()
{
	echo "mptcp-rs: $*" >&2
	exit 1
}

note()
{
	echo "mptcp-rs: $*" >&2
}

# become_root SCRIPT [ARG...]: run the script again as root unless we are.
become_root()
{
	local name keep=()

	[[ $EUID -eq 0 ]] && return
	command -v sudo >/dev/null ||
		die "debootstrap and chroot need root: run this as root, or install sudo"
	# Made here, so that the user's own folders stay the user's.
	mkdir -p "$MPTCP_CACHE" ||
		die "$MPTCP_CACHE cannot be made: set MPTCP_CACHE to a folder that you may write to"
	for name in "${PASSED_ON[@]}"; do
		[[ -n ${!name:-} ]] && keep+=("$name=${!name}")
	done
	exec sudo -- env "${keep[@]}" "$@"
}

# hash_of FILE|WORD...: a short key over the contents of files and over words.
hash_of()
{
	local item

	for item in "$@"; do
		if [[ -f $item ]]; then
			cat "$item"
		else
			echo "$item"
		fi
	done | sha256sum | cut -c 1-12
}

# need_space GIB WHAT: refuse early instead of failing late.
need_space()
{
	local free

	free=$(df --output=avail -k "$MPTCP_CACHE" | tail -n 1)
	((free >= $1 * 1024 * 1024)) ||
		die "$2 needs $1 GiB in $MPTCP_CACHE, $((free / 1024 / 1024)) GiB are free:" \
			"free some, or set MPTCP_CACHE to a folder elsewhere"
}

check_flavour()
{
	case $1 in
	default | debug | c) ;;
	*) die "KERNEL=$1 is unknown: use default, debug, or c (the in-tree C implementation)" ;;
	esac
}
