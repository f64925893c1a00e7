/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the benchmark share. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* What to run, and between whom: the words of the command line. */
struct setup {
	int protocol;		/* IPPROTO_TCP or IPPROTO_MPTCP */
	const char *client;	/* network namespaces */
	const char *server;
	const char *address;	/* of the server, IPv4 */
	unsigned long count;	/* bytes, requests or connections that are measured */
	unsigned long warm;	/* as many before them */
	int subflows;		/* to wait for, the first one included */
	const char *profile;	/* file for samples, or NULL */
};

/* What a side was measured to do between two moments. */
struct span {
	uint64_t start;		/* nanoseconds */
	uint64_t end;
};

/* Says what is wrong, and errno if it is set, and ends. */
_Noreturn void fail(const char *format, ...);

/* memory.c: what the kernel holds. */
struct memory;
struct memory *memory_now(void);
void memory_tell(const struct memory *before, const struct memory *after,
		 unsigned long connections);

/* profile.c: where the instructions go. */
void profile_open(const char *file);
void profile_start(void);
void profile_stop(void);
void profile_write(void);

#endif
