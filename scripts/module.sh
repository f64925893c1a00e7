# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Stage: mptcp.ko for a flavour. Its sources are copied into the cache and built
# there, so that the checkout stays clean and that two flavours do not mix. It
# is the one stage without a key: make knows best what has changed.

# module_dir FLAVOUR: one for each checkout, as they may share a cache.
module_dir()
{
	echo "$MPTCP_CACHE/module-$1-$(hash_of "$TOP")"
}

module_file()
{
	echo "$(module_dir "$1")/mptcp.ko"
}

# module_empty DIR KERNEL: make has no way to see that what it built was for another
# kernel, whose structures may be others.
module_empty()
{
	[[ $(cat "$1/.kernel" 2>/dev/null) != "$2" ]] || return 0
	find "$1" -mindepth 1 -delete
	echo "$2" >"$1/.kernel"
}

# module_sync DIR: copy what is built; what make has made there stays.
module_sync()
{
	"$TOP/scripts/in-root" "$(root_dir)" rsync -a --delete --prune-empty-dirs \
		--exclude=/.git --exclude=/scripts --exclude=/selftests --exclude=/Documentation \
		--exclude=/.ci --exclude=/bench --exclude=/Makefile --exclude=target \
		--filter='P *.o' --filter='P *.ko' --filter='P *.mod' --filter='P *.mod.c' \
		--filter='P .*' --filter='P *.symvers' --filter='P *.order' --filter='P *.a' \
		--filter='P *generated*' --filter='P *.rmeta' --filter='P *.so' --filter='P *.bc' --filter='P *.ll' \
		--filter='P *.bc' --filter='P *.ll' \
		"$TOP/" "$1/"
}

# What rustc warns of is an error here, where it is always the same rustc. scripts/kdir builds with
# any other, whose warnings nobody knows.
module_build()
{
	"$TOP/scripts/in-root" "$(root_dir)" make -C "$(kernel_dir "$1")" M="$2" LLVM=1 \
		KRUSTFLAGS=-Dwarnings -j"$(nproc)" ${V:+V="$V"} modules
	touch "$2/mptcp.ko"
}

# module_current DIR KERNEL: nothing that it is made of is newer.
module_current()
{
	[[ -f $1/mptcp.ko && $1/mptcp.ko -nt $2/Module.symvers ]] || return
	[[ -z $(find "$1" -cnewer "$1/mptcp.ko" -type f \( -name '*.rs' -o -name '*.[chS]' \
		-o -name 'Kbuild*' -o -name '*.mk' -o -name bindgen_parameters \) -print -quit) ]]
}

stage_module()
{
	local flavour=$1 dir lock

	[[ $flavour = c ]] && die "KERNEL=c has MPTCP built in: mptcp.ko is for default and debug"
	[[ -f $TOP/Kbuild ]] || die "$TOP has no Kbuild: there is no module to build"
	stage_kernel "$flavour"
	dir=$(module_dir "$flavour")
	mkdir -p "$dir" "$MPTCP_CACHE/lock"
	exec {lock}>"$MPTCP_CACHE/lock/$(basename "$dir")"
	flock "$lock"
	module_empty "$dir" "$(kernel_dir "$flavour")"
	# The copy keeps times and contents, so an unchanged module builds nothing.
	module_sync "$dir"
	if ! module_current "$dir" "$(kernel_dir "$flavour")"; then
		run_logged "mptcp.ko, $flavour" "$LOGS/$(basename "$dir").log" 40 \
			module_build "$flavour" "$dir" || exit 1
	fi
	exec {lock}>&-
}
