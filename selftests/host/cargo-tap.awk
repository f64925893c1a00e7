# SPDX-License-Identifier: GPL-2.0
#
# Reads the output of 'cargo test' and prints a line 'ok - NAME' or 'not ok - NAME' for each test, with
# what a failed one printed. A build that fails, or a test binary that breaks off, is a failure too.

function tell(line)
{
	print line
	fflush()
}

# The name of the file that a test stands in makes its name unique.
/^ *Running / {
	binary = $2 == "unittests" ? "" : $2
	sub(/^tests\//, "", binary)
	sub(/\.rs$/, "", binary)
	if (binary != "")
		binary = binary ": "
	running = 1
	next
}

/^ *Doc-tests / {
	binary = "doc: "
	next
}

/^test .* \.\.\. (ok|FAILED)$/ || /^test .* \.\.\. ignored/ {
	name = $0
	sub(/^test /, "", name)
	sub(/ \.\.\. .*/, "", name)
	sub(/^proto::/, "", name)
	sub(/ - should panic$/, "", name)
	if ($0 ~ / \.\.\. ok$/)
		tell("ok - " binary name)
	else if ($0 ~ / ignored/)
		tell("ok - " binary name " # SKIP ignored")
	else
		failed[++failures] = binary name
	next
}

# What failed tests printed comes after the last test of their binary.
/^---- .* stdout ----$/ {
	current = $2
	sub(/^proto::/, "", current)
	current = binary current
	next
}

/^failures:$/ {
	current = ""
	next
}

/^test result: / {
	for (i = 1; i <= failures; i++) {
		tell("not ok - " failed[i])
		printf "%s", said[failed[i]]
	}
	failures = 0
	delete said
	current = ""
	running = 0
	next
}

current != "" {
	if (++lines[current] <= 40)
		said[current] = said[current] "# " $0 "\n"
	next
}

/^error(\[|:)/ {
	errors = 1
}

errors && !running {
	if (++shown <= 40)
		broken = broken "# " $0 "\n"
}

{
	last = $0
}

END {
	if (running)
		tell("not ok - " (binary == "" ? "unit tests" : binary) " broke off\n# " last)
	else if (broken != "" && broken !~ /^# error: (test failed|[0-9]+ target)/)
		tell("not ok - cargo test\n" broken)
}
