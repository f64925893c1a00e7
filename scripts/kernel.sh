# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stages: the kernel source of Debian 13, unpacked, and a kernel of each
# flavour built from it. Their keys are the versions of the source and of the
# tools, so that another tool in the root does not build the kernel again.

# tool_versions: everything in the root that a kernel's bytes depend on.
tool_versions()
{
	# shellcheck disable=SC2016
	dpkg-query --admindir="$(root_dir)/var/lib/dpkg" -W -f '${Package} ${Version}\n' \
		linux-source-6.12 rustc rust-src bindgen clang-19 lld llvm
}

source_key()
{
	hash_of "$(tool_versions | grep linux-source)"
}

source_dir()
{
	echo "$MPTCP_CACHE/source-$(source_key)"
}

source_unpack()
{
	tar -C "$1" -xf "$(root_dir)/usr/src/linux-source-6.12.tar.xz" \
		--strip-components=1 --checkpoint=2000
}

stage_source()
{
	stage source "$(source_key)" "kernel source" 75 source_unpack
}

# kernel_options FLAVOUR: the files that together make the configuration.
kernel_options()
{
	echo "$TOP/scripts/kernel.config"
	case $1 in
	debug) echo "$TOP/scripts/kernel-debug.config" ;;
	c) echo "$TOP/scripts/kernel-c.config" ;;
	esac
}

kernel_key()
{
	# shellcheck disable=SC2046
	hash_of "$(tool_versions)" $(kernel_options "$1") "$TOP/scripts/kernel-build"
}

kernel_dir()
{
	echo "$MPTCP_CACHE/kernel-$1-$(kernel_key "$1")"
}

kernel_image()
{
	echo "$(kernel_dir "$1")/arch/x86/boot/bzImage"
}

# kernel_merged FILE...: the options of the files, each once: where two files
# name the same one, the later has its way.
kernel_merged()
{
	cat "$@" | awk '
		/^CONFIG_[A-Z0-9_]+=/ || /^# CONFIG_[A-Z0-9_]+ is not set$/ {
			match($0, /CONFIG_[A-Z0-9_]+/)
			option[substr($0, RSTART, RLENGTH)] = $0
		}
		END {
			for (name in option)
				print option[name]
		}' | sort
}

kernel_build()
{
	# shellcheck disable=SC2046
	kernel_merged $(kernel_options "$1") >"$2/options.config"
	"$TOP/scripts/in-root" "$(root_dir)" "$TOP/scripts/kernel-build" \
		"$(source_dir)" "$2" "$2/options.config"
}

stage_kernel()
{
	local flavour=$1 lines=2300

	check_flavour "$flavour"
	stage_root
	stage_source
	stage "kernel-$flavour" "$(kernel_key "$flavour")" "kernel, $flavour" "$lines" \
		kernel_build "$flavour"
}
