# SPDX-License-Identifier: GPL-2.0
#
# Figures of a guest, ours by TCP's, judged as TAP. A bound is some percent beside what
# was measured.

function judge(title, value, least, most) {
	n++
	ok = value >= least && value <= most
	printf "%sok %d - %s\n", ok ? "" : "not ", n, title
	printf "# %.3f, wanted %.3f to %.3f\n", value, least, most
}

{ value[$1, $2] = $4 }

END {
	judge("bulk over one subflow, of TCP's", value["bulk1", "ours"] / value["bulk1", "tcp-ours"], 0.78, 2)
	judge("bulk over two subflows, of that over one", value["bulk2", "ours"] / value["bulk1", "ours"], 0.9, 2)
	judge("bulk over four subflows, of that over one", value["bulk4", "ours"] / value["bulk1", "ours"], 0.9, 2)
	judge("request and response, of TCP's time", value["rr", "ours"] / value["rr", "tcp-ours"], 0.5, 1.56)
	judge("connections a second, of TCP's", value["connect", "ours"] / value["connect", "tcp-ours"], 0.40, 2)
	print "1.." n
}
