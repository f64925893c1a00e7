# SPDX-License-Identifier: GPL-2.0
#
# Reads the fields that tshark prints of each packet and tells them in a line.
# Fails unless the handshake and a data mapping were among them.

BEGIN {
	split("MP_CAPABLE MP_JOIN DSS ADD_ADDR REMOVE_ADDR MP_PRIO MP_FAIL MP_FASTCLOSE", names, " ")
}

function flags(text)
{
	gsub(/[^A-Z]/, "", text)
	return (text ~ /S/ ? "SYN " : "") (text ~ /F/ ? "FIN " : "") (text ~ /A/ ? "ACK" : "")
}

{
	line = ""
	kind = $4 == "" ? "" : names[$4 + 1]
	if (kind == "MP_CAPABLE") {
		if ($5 != "")
			line = line " v" $5
		if ($6 != "")
			line = line " sender's key " $6
		if ($7 != "")
			line = line " receiver's key " $7
		step[(NR == 1 ? "SYN" : $6 != "" && $7 != "" ? "ACK" : "SYNACK")] = 1
	} else if (kind == "DSS") {
		if ($8 != "") {
			line = line " mapping of data sequence " $8
			mapped = 1
		}
		if ($9 != "")
			line = line " data ack " $9
	}
	if (NR <= 8)
		printf "             %-9s %-8s %5d bytes  %s%s\n", $1, flags($2), $3, kind, line
}

END {
	if (!step["SYN"] || !step["SYNACK"] || !step["ACK"] || !mapped) {
		print "             the handshake or the first mapping is missing"
		exit 1
	}
}
