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

# A script may have been run in two ways, by two suites: these are told apart by the
# folders of their files.
FNR == 1 {
	parts = split(FILENAME, path, "/")
	row = path[parts - 1]
}

!(row in count) {
	order[++rows] = row
}

{
	count[row]++
	ours[row] += $3 == "passed"
	ours_ms[row] += $4
	if (($1, $2) in result) {
		known[row]++
		c[row] += result[$1, $2] == "passed"
		c_ms[row] += took[$1, $2]
	}
}

function clock(ms) {
	return sprintf("%d:%02d", ms / 60000, ms / 1000 % 60)
}

END {
	printf "  %-14s %8s %7s %7s %8s %8s\n", "suite", "subtests", "ours", "C", "time", "C's time"
	for (n = 1; n <= rows; n++) {
		name = order[n]
		printf "  %-14s %8d %7d %7s %8s %8s\n", name, count[name], ours[name], \
			known[name] ? c[name] + 0 : "-", clock(ours_ms[name]), \
			known[name] ? clock(c_ms[name]) : "-"
	}
}
