#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""guest.py FOLDER SCRIPT [ARG...]: in a guest, run one of the kernel's selftests.

FOLDER has the selftests built (scripts/kselftest.sh), SCRIPT is a name without
its '.sh'. The script itself runs unmodified. It tells its results as TAP when it
ends; they are told again here with what it printed, and what the kernel said,
during each subtest that failed. In $RESULTS it leaves:

  SCRIPT.log    all that it printed, with the time
  kernel.log    all that the kernel said since
  subtests      a line 'SCRIPT<tab>NAME<tab>RESULT<tab>MILLISECONDS' for each subtest
"""

import os
import re
import shutil
import subprocess
import sys
import time

# Lines of output, and of the kernel's log, that are shown of a failed subtest.
OUTPUT_LINES, KERNEL_LINES = 60, 30
# Seconds by which a subtest may begin earlier than the sum of the times says.
SLACK = 0.15

STATUS = re.compile(r"\[ *(OK|FAIL|SKIP|IGNO) *\]")
RESULT = re.compile(r"(ok|not ok) \d+ - (?:[^:]*: )?(.*?)(?: #(.*?))?(?: ?time=(\d+)ms)?$")


class Line:
    """A line that was printed, and when."""

    def __init__(self, when, text):
        self.when, self.text = when, text


class Subtest:
    """A result, and the time in which it came about."""

    def __init__(self, result, name, directive, milliseconds):
        self.name, self.milliseconds = name, milliseconds
        self.begin = self.end = None
        if result != "ok":
            self.result = "failed"
        elif re.match(" *SKIP", directive):
            self.result = "skipped"
        else:
            self.result = "passed"


def kallsyms(features):
    """Show the scripts a kallsyms in which the features of the module are listed."""
    with open("/proc/kallsyms", encoding="ascii") as symbols:
        lines = symbols.read()
    with open(features, encoding="utf-8") as table:
        for line in table:
            name = line.split("#")[0].split()
            if name:
                lines += f"0000000000000000 t {name[0]}\n"
    with open("/run/kallsyms", "w", encoding="ascii") as copy:
        copy.write(lines)
    subprocess.run(["mount", "--bind", "/run/kallsyms", "/proc/kallsyms"], check=True)


def run(script, args, log_path):
    """Run it: its exit status, and the lines that it printed."""
    environment = dict(os.environ, SELFTESTS_MPTCP_LIB_EXPECT_ALL_FEATURES="1",
                       SELFTESTS_MPTCP_LIB_OVERRIDE_FLAKY="1")
    lines, begin = [], time.monotonic()
    with open(log_path, "w", encoding="utf-8") as log, \
            subprocess.Popen([f"./{script}.sh", *args], stdin=subprocess.DEVNULL, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             errors="replace", env=environment) as process:
        for text in process.stdout:
            line = Line(time.monotonic(), text.rstrip("\n"))
            lines.append(line)
            log.write(f"[{line.when - begin:9.3f}] {line.text}\n")
            log.flush()
    return process.returncode, lines


def kernel_log(path):
    """What the kernel has said, in the clock of lines; a copy in a file."""
    lines = []
    before = time.monotonic()
    with open("/dev/kmsg", "w", encoding="ascii") as kmsg:
        kmsg.write("selftests: end of the script\n")
    device = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    while True:
        try:
            record = os.read(device, 8192).decode(errors="replace")
        except BlockingIOError:
            break
        except BrokenPipeError:
            continue
        head, text = record.split("\n")[0].split(";", 1)
        lines.append(Line(int(head.split(",")[2]) / 1e6, text))
    os.close(device)
    # The kernel stamps its messages with a clock that is not quite this one.
    shift = before - lines.pop().when
    with open(path, "w", encoding="utf-8") as copy:
        for line in lines:
            copy.write(f"[{line.when:12.6f}] {line.text}\n")
            line.when += shift
    return lines


def subtests(lines):
    """The results in the last TAP block of the output, with their times."""
    starts = [n for n, line in enumerate(lines) if line.text.startswith("TAP version")]
    if not starts:
        return None, lines
    printed, found, planned = lines[:starts[-1]], [], None
    for line in lines[starts[-1]:]:
        plan = re.match(r"1\.\.(\d+)$", line.text)
        told = RESULT.match(line.text)
        if plan:
            planned = int(plan[1])
        elif told:
            found.append(Subtest(told[1], told[2].strip(), told[3] or "", int(told[4] or 0)))
    if planned != len(found):
        return None, lines
    # Each time counts from the result before; the last result came with the last
    # status that was printed.
    end = max((line.when for line in printed if STATUS.search(line.text)), default=0)
    for subtest in reversed(found):
        subtest.end, subtest.begin = end, end - subtest.milliseconds / 1000
        end = subtest.begin
    return found, printed


def during(subtest, lines, most):
    """The text of the lines that belong to a subtest."""
    text = [line.text for line in lines
            if subtest.begin - SLACK <= line.when <= subtest.end + SLACK]
    left_out = len(text) - most
    return text if left_out <= 0 else [f"({left_out} lines before)", *text[-most:]]


def comment(lines):
    """Print lines as TAP's diagnostics."""
    for line in lines:
        print(f"# {line}")


def tell(found, printed, kernel):
    """The results as TAP."""
    for number, subtest in enumerate(found, 1):
        took = f"{subtest.milliseconds} ms"
        if subtest.result == "skipped":
            print(f"ok {number} - {subtest.name} # SKIP")
        elif subtest.result == "passed":
            print(f"ok {number} - {subtest.name} # {took}")
        else:
            print(f"not ok {number} - {subtest.name} # {took}")
            comment(during(subtest, printed, OUTPUT_LINES))
            said = during(subtest, kernel, KERNEL_LINES)
            if said:
                comment(["the kernel said:", *said])


def record(script, found, path):
    """Leave the results in the form of the baseline."""
    with open(path, "w", encoding="utf-8") as file:
        for subtest in found:
            file.write(f"{script}\t{subtest.name}\t{subtest.result}\t{subtest.milliseconds}\n")


def main():
    """Returns the exit status: 0 when the script and every subtest succeeded."""
    folder, script, args = sys.argv[1], sys.argv[2], sys.argv[3:]
    results = os.environ["RESULTS"]
    # In memory: the scripts start their programs hundreds of times, and write here.
    shutil.copytree(folder, "/tmp/selftests")
    if os.environ["KERNEL"] != "c":
        kallsyms(os.path.join(os.path.dirname(os.path.abspath(__file__)), "features"))
    os.chdir("/tmp/selftests/net/mptcp")
    status, lines = run(script, args, f"{results}/{script}.log")
    kernel = kernel_log(f"{results}/kernel.log")
    found, printed = subtests(lines)
    if found is None:
        print(f"not ok 1 - {script}.sh tells its results (it ended with status {status})")
        comment([line.text for line in lines[-OUTPUT_LINES:]])
        comment(["the kernel said:", *(line.text for line in kernel[-KERNEL_LINES:])])
        print("1..1")
        return 1
    tell(found, printed, kernel)
    count, failed = len(found), any(subtest.result == "failed" for subtest in found)
    if status and not failed:
        count += 1
        print(f"not ok {count} - {script}.sh ended with status {status}")
        comment([line.text for line in printed[-OUTPUT_LINES:]])
    print(f"1..{count}")
    record(script, found, f"{results}/subtests")
    return int(bool(status or failed))


sys.exit(main())
