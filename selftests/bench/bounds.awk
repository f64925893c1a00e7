# SPDX-License-Identifier: GPL-2.0
#
# Figures of a guest, ours by TCP's, judged as TAP. What is sent in bulk must not be less
# than with the in-tree implementation, whose figures are those of 'make bench', by TCP's.
# The other bounds are some percent beside what was measured.

function judge(title, value, least, most) {
	n++
	ok = value >= least && value <= most
	printf "%sok %d - %s\n", ok ? "" : "not ", n, title
	printf "# %.3f, wanted %.3f to %.3f\n", value, least, most
}

{ value[$1, $2] = $4 }

END {
	tcp = value["bulk1", "tcp-ours"]
	judge("bulk over one subflow, of TCP's: not less than C's", value["bulk1", "ours"] / tcp, 0.930, 2)
	judge("bulk over two subflows, of TCP's: not less than C's", value["bulk2", "ours"] / tcp, 0.931, 2)
	judge("bulk over four subflows, of TCP's: not less than C's", value["bulk4", "ours"] / tcp, 0.876, 2)
	judge("request and response, of TCP's time", value["rr", "ours"] / value["rr", "tcp-ours"], 0.5, 1.40)
	judge("connections a second, of TCP's", value["connect", "ours"] / value["connect", "tcp-ours"], 0.5, 2)
	print "1.." n
}
