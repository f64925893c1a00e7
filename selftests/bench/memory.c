// SPDX-License-Identifier: GPL-2.0
/* What the kernel holds: objects of each slab cache, and pages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CACHES 400

struct cache {
	char name[64];
	long active;
	long size;
};

struct memory {
	struct cache caches[CACHES];
	int count;
	long free;	/* pages nobody has, those that a CPU keeps ready included */
	long slab;	/* pages of slabs */
};

static FILE *open_proc(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		fail("%s", path);
	return file;
}

static void read_slabs(struct memory *m)
{
	FILE *file = open_proc("/proc/slabinfo");
	char line[512];

	while (fgets(line, sizeof(line), file) && m->count < CACHES) {
		struct cache *c = &m->caches[m->count];
		long total;

		if (sscanf(line, "%63s %ld %ld %ld", c->name, &c->active, &total, &c->size) == 4)
			m->count++;
	}
	fclose(file);
}

/* Sum of the values that stand behind a word. */
static long sum_of(const char *path, const char *word)
{
	FILE *file = open_proc(path);
	char line[512], name[64];
	long value, sum = 0;

	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %63s %ld", name, &value) == 2 && !strcmp(name, word))
			sum += value;
	fclose(file);
	return sum;
}

/* What is free on the lists of CPUs counts as free, and what could be freed is freed. */
struct memory *memory_now(void)
{
	struct memory *m = calloc(1, sizeof(*m));
	FILE *drop = fopen("/proc/sys/vm/drop_caches", "w");

	if (!m || !drop)
		fail("memory");
	fputs("3\n", drop);
	fclose(drop);
	sleep(1);
	m->free = sum_of("/proc/vmstat", "nr_free_pages") + sum_of("/proc/zoneinfo", "count:");
	m->slab = sum_of("/proc/vmstat", "nr_slab_unreclaimable") +
		  sum_of("/proc/vmstat", "nr_slab_reclaimable");
	read_slabs(m);
	return m;
}

static long active_before(const struct memory *m, const char *name)
{
	int n;

	for (n = 0; n < m->count; n++)
		if (!strcmp(m->caches[n].name, name))
			return m->caches[n].active;
	return 0;
}

void memory_tell(const struct memory *before, const struct memory *after,
		 unsigned long connections)
{
	double bytes = 0, n = connections;
	int i;

	for (i = 0; i < after->count; i++) {
		const struct cache *c = &after->caches[i];
		long more = c->active - active_before(before, c->name);

		/* What comes less often than for one connection in twenty is not theirs. */
		if (more * 20 < (long)connections)
			continue;
		printf("cache %s %ld %.2f\n", c->name, c->size, more / n);
		bytes += more / n * c->size;
	}
	printf("slab_bytes %.0f\n", bytes);
	printf("slab_pages %.3f\n", (after->slab - before->slab) / n);
	printf("pages %.3f\n", (before->free - after->free) / n);
}
