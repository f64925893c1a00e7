# SPDX-License-Identifier: GPL-2.0
#
# The commands of mptcp-rs. What Kbuild reads is in Kbuild; this file only calls
# the scripts. 'make help' lists the targets.

KERNEL ?= default
export KERNEL

ifneq ($(SUITE),)
export SUITE
endif
ifneq ($(PROFILE),)
export PROFILE
endif
ifneq ($(TEST),)
export TEST
endif

.PHONY: run check bench modules install shell help clean distclean \
	print-kernel print-root print-module

run:
	@scripts/run $(if $(OUT),"$(OUT)")

check:
	@scripts/check

bench:
	@scripts/bench

shell:
	@scripts/guest $$([ "$(KERNEL)" = c ] || echo -l) -s -t 86400

# Without KDIR, for the kernel in the cache; with it, for one's own.
modules:
ifeq ($(KDIR),)
	@scripts/prepare module
	@echo "$$(scripts/print module)"
else
	@scripts/kdir "$(KDIR)" modules
endif

install:
	@scripts/kdir "$(if $(KDIR),$(KDIR),/lib/modules/$(shell uname -r)/build)" modules_install

print-kernel print-root print-module:
	@scripts/print $(@:print-%=%)

clean:
	@scripts/clean module

distclean:
	@scripts/clean all

help:
	@echo 'make run                 build everything that is missing, boot it, run the demo'
	@echo 'make run OUT=demo.png    the same, with its picture at that path'
	@echo 'make run TRACE=1         the same, recorded and drawn by mptcp-trace'
	@echo 'make check               run every test suite'
	@echo 'make check SUITE="a b"   run these suites: $(notdir $(wildcard selftests/suites/*))'
	@echo 'make check SUITE=mptcp_join TEST="-f"    arguments for a selftest of the kernel'
	@echo 'make bench               measure the speed, beside TCP and C MPTCP'
	@echo 'make bench PROFILE=1     ... and where the instructions go'
	@echo 'make shell               a shell in a guest with mptcp.ko loaded'
	@echo 'make modules             build mptcp.ko for the kernel in the cache'
	@echo 'make KDIR=/path modules  build mptcp.ko here, for the kernel built in /path'
	@echo 'make KDIR=/path install  install it to /lib/modules (root), or below INSTALL_MOD_PATH=DIR'
	@echo 'make -s print-kernel     the path of the kernel image; also print-root, print-module'
	@echo 'make clean               remove what was built of the module'
	@echo 'make distclean           remove the whole cache'
	@echo
	@echo 'KERNEL=default|debug     the kernel: plain, or with KASAN, lockdep, kmemleak and the like'
	@echo 'V=1                      show the commands of the build'
	@echo 'MPTCP_CACHE=DIR          where things are built, now $${XDG_CACHE_HOME:-~/.cache}/mptcp-rs'
	@echo 'MPTCP_MIRROR=URL         the Debian mirror, else the one that apt uses'
	@echo 'MPTCP_KVM=1              use KVM if a kernel boots in it within 8 seconds'
