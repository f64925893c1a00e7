# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: the Debian 13 root, with the Rust-for-Linux toolchain and the guest's
# tools. The host needs debootstrap and nothing else; QEMU runs in here too, so
# that every host has the same.

ROOT_SUITE=trixie

# root_mirror: the mirror that the host's own apt uses, else debootstrap's.
root_mirror()
{
	if [[ -n ${MPTCP_MIRROR:-} ]]; then
		echo "$MPTCP_MIRROR"
	elif command -v apt-get >/dev/null; then
		# shellcheck disable=SC2016
		apt-get indextargets --format '$(REPO_URI) $(LABEL)' \
			'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
			sed -n 's/ Debian$//p' | head -n 1
	fi
}

root_packages()
{
	sed 's/#.*//' "$TOP/scripts/root.packages" | xargs
}

root_key()
{
	hash_of "$ROOT_SUITE $(root_packages)" "$(declare -f root_build root_trim root_settle)"
}

root_dir()
{
	echo "$MPTCP_CACHE/root-$(root_key)"
}

# need_debootstrap: on the host, where it is missing, install it.
need_debootstrap()
{
	command -v debootstrap >/dev/null && return
	command -v apt-get >/dev/null ||
		die "debootstrap is missing and this host has no apt-get: install debootstrap"
	run_logged "debootstrap for the host" "$LOGS/host.log" 40 \
		sh -c 'apt-get update && apt-get install -y --no-install-recommends debootstrap' ||
		die "debootstrap could not be installed: is the network up? Try: apt-get install debootstrap"
}

# root_trim DIR: leave out what no guest reads, and do not wait for the disk.
root_trim()
{
	mkdir -p "$1/etc/dpkg/dpkg.cfg.d" "$1/etc/apt/apt.conf.d"
	cat >"$1/etc/dpkg/dpkg.cfg.d/mptcp-rs" <<-END
		force-unsafe-io
		path-exclude=/usr/share/doc/*
		path-exclude=/usr/share/man/*
		path-exclude=/usr/share/info/*
		path-exclude=/usr/share/locale/*
		path-exclude=/usr/share/icons/*
	END
	printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Languages "none";' \
		'Acquire::Retries "3";' 'Dpkg::Use-Pty "false";' \
		>"$1/etc/apt/apt.conf.d/mptcp-rs"
	apt-config dump 2>/dev/null | grep -E '^Acquire::https?::Proxy ' \
		>>"$1/etc/apt/apt.conf.d/mptcp-rs" || true
	printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
	chmod +x "$1/usr/sbin/policy-rc.d"
}

root_build()
{
	local dir=$1 mirror

	mirror=$(root_mirror)
	# shellcheck disable=SC2086
	debootstrap --variant=minbase "$ROOT_SUITE" "$dir" $mirror || {
		tail -n 5 "$dir/debootstrap/debootstrap.log" 2>/dev/null
		echo "error: debootstrap failed: is the network up, and is the mirror right?" \
			"(MPTCP_MIRROR=URL chooses another)"
		return 1
	}
	root_trim "$dir"
	# shellcheck disable=SC2046
	DEBIAN_FRONTEND=noninteractive "$TOP/scripts/in-root" "$dir" sh -c \
		'export DEBIAN_FRONTEND=noninteractive
		 apt-get update && apt-get install -y "$@" && apt-get clean' sh $(root_packages)
	root_settle "$dir"
}

# root_settle DIR: what a guest wants to find, and the toolchain checked.
root_settle()
{
	rm -rf "$1"/var/lib/apt/lists/*
	echo mptcp >"$1/etc/hostname"
	printf '127.0.0.1\tlocalhost mptcp\n::1\tlocalhost\n' >"$1/etc/hosts"
	"$TOP/scripts/in-root" "$1" sh -ec '
		rustc --version && bindgen --version && clang --version && ld.lld --version
		rustc --version | grep -q " 1\.85" ||
			{ echo "error: rustc 1.85 of Debian 13 is wanted"; exit 1; }'
}

# stage_root: make it, if it is not there.
stage_root()
{
	if [[ ! -d $(root_dir) ]]; then
		need_space 15 "a build from nothing"
		need_debootstrap
	fi
	stage root "$(root_key)" "Debian 13 root" 2600 root_build
}
