# SPDX-License-Identifier: GPL-2.0
#
# Reads the TAP of one suite and prints a line of the table, then each failure
# with its diagnostics. A suite that tells nothing, breaks off, or fails without
# saying of which test, counts as one failure.

function failure(text)
{
	failed++
	failures = failures "  failed: " name ": " text "\n"
	diagnostics = 0
	in_failure = 1
}

/^ok / {
	in_failure = 0
	tests++
	if ($0 ~ /# *[Ss][Kk][Ii][Pp]/)
		skipped++
	else
		passed++
	next
}

/^not ok / {
	in_failure = 0
	tests++
	sub(/^not ok +[0-9]* *-? */, "")
	if ($0 ~ /# *[Tt][Oo][Dd][Oo]/)
		skipped++
	else
		failure($0)
	next
}

/^1\.\.0/ {
	tests++
	skipped++
	next
}

/^1\.\.[0-9]+/ {
	planned = substr($1, 4) + 0
	next
}

/^Bail out!/ {
	tests++
	failure($0)
	next
}

in_failure && /^( *#| +)/ && diagnostics++ < 100 {
	failures = failures "    " $0 "\n"
}

END {
	split(end, ended, " ")
	if (ended[1] == 124 || ended[1] == 137) {
		tests++
		failure("was ended after " limit " seconds")
	} else if (ended[1] == "killed") {
		tests++
		failure("somebody has killed the job that ran it")
	} else if (tests == 0) {
		tests++
		failure("told no result (exit status " ended[1] ")")
	} else if (planned && tests < planned) {
		failure("planned " planned " tests, told of " tests)
		tests++
	} else if (ended[1] != 0 && (failed == 0 || !planned)) {
		tests++
		failure("broke off (exit status " ended[1] ")")
	}
	printf "  %-14s %6d %7d %7d %8d %5d:%02d\n", name, tests, passed, failed, skipped,
		ended[2] / 60, ended[2] % 60
	printf "%s", failures
}
