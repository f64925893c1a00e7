# SPDX-License-Identifier: GPL-2.0
#
# Reads the files 'subtests' that selftests/kernel/guest.py leaves, and prints how
# many subtests passed, and in what time, beside the C implementation's results
# for the same subtests in the file 'baseline'.

BEGIN {
	FS = "\t"
	while ((getline <baseline) > 0) {
		if ($0 ~ /^#/)
			continue
		result[$1, $2] = $3
		took[$1, $2] = $4
	}
}

!($1 in count) {
	order[++scripts] = $1
}

{
	count[$1]++
	ours[$1] += $3 == "passed"
	ours_ms[$1] += $4
	if (($1, $2) in result) {
		known[$1]++
		c[$1] += result[$1, $2] == "passed"
		c_ms[$1] += took[$1, $2]
	}
}

function clock(ms) {
	return sprintf("%d:%02d", ms / 60000, ms / 1000 % 60)
}

END {
	printf "  %-14s %8s %7s %7s %8s %8s\n", "script", "subtests", "ours", "C", "time", "C's time"
	for (n = 1; n <= scripts; n++) {
		name = order[n]
		printf "  %-14s %8d %7d %7s %8s %8s\n", name, count[name], ours[name], \
			known[name] ? c[name] + 0 : "-", clock(ours_ms[name]), \
			known[name] ? clock(c_ms[name]) : "-"
	}
}
