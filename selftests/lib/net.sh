# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Hosts for tests: network namespaces, joined by links. To be sourced in a guest.

export PYTHONPATH=$TOP/selftests/lib PYTHONDONTWRITEBYTECODE=1
# For the scripts that source this one.
# shellcheck disable=SC2034
XFER=$TOP/selftests/lib/xfer.py JUDGE=$TOP/selftests/lib/judge.py

# on HOST COMMAND...: run it there.
on()
{
	ip netns exec "$@"
}

# hosts NAME...: namespaces with loopback up.
hosts()
{
	local name

	for name in "$@"; do
		ip netns add "$name"
		ip -n "$name" link set lo up
	done
}

# link HOST DEV HOST DEV NET: a veth pair, 10.0.NET.1 and .2, fd00:NET::1 and ::2.
link()
{
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
	ip -n "$1" addr add "10.0.$5.1/24" dev "$2"
	ip -n "$3" addr add "10.0.$5.2/24" dev "$4"
	ip -n "$1" addr add "fd00:$5::1/64" dev "$2" nodad
	ip -n "$3" addr add "fd00:$5::2/64" dev "$4" nodad
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# two_hosts: h1 and h2 with two links between them.
two_hosts()
{
	hosts h1 h2
	link h1 eth0 h2 eth0 1
	link h1 eth1 h2 eth1 2
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
	local end=$((SECONDS + $1))
	shift

	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# counter HOST NAME: its value in that namespace, 0 when it is not there.
counter()
{
	on "$1" nstat -asz "MPTcpExt$2" | awk -v name="MPTcpExt$2" '$1 == name { n = $2 }
		END { print n + 0 }'
}
