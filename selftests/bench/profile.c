// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel is, sampled by the timer of perf's software clock: the
 * emulated CPU has no counters. With counted instructions, a sample is taken
 * every PERIOD instructions, late where interrupts are off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

/* Nanoseconds; odd, so that it does not beat with anything. */
#define PERIOD 20011
/* 16 bytes a sample: enough for some seconds. */
#define PAGES 2048

struct sample {
	struct perf_event_header header;
	uint64_t ip;
};

static int event = -1;
static const char *target;
static struct perf_event_mmap_page *ring;

void profile_open(const char *file)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP,
		.disabled = 1,
		.exclude_idle = 1,
	};

	target = file;
	event = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		fail("perf_event_open");
	ring = mmap(NULL, (PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
	if (ring == MAP_FAILED)
		fail("memory for samples");
}

void profile_start(void)
{
	if (event >= 0 && ioctl(event, PERF_EVENT_IOC_ENABLE, 0) < 0)
		fail("samples cannot be taken");
}

void profile_stop(void)
{
	if (event >= 0)
		ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
}

/* A line with the period in nanoseconds, then one a sample, with the address. */
void profile_write(void)
{
	const char *data = (const char *)ring + 4096;
	uint64_t at, head;
	FILE *out;

	if (event < 0)
		return;
	head = ring->data_head;
	__sync_synchronize();
	out = fopen(target, "w");
	if (!out)
		fail("%s", target);
	fprintf(out, "%d\n", PERIOD);
	for (at = 0; at < head;) {
		struct sample sample;

		memcpy(&sample, data + at, sizeof(sample));
		if (sample.header.type == PERF_RECORD_LOST) {
			errno = 0;
			fail("there is not enough memory for samples");
		}
		if (sample.header.type == PERF_RECORD_SAMPLE)
			fprintf(out, "%llx\n", (unsigned long long)sample.ip);
		at += sample.header.size;
	}
	if (fclose(out) != 0)
		fail("%s", target);
}
