// SPDX-License-Identifier: GPL-2.0
/*
 * bench: one figure about TCP or MPTCP between two network namespaces.
 *
 * usage: bench bulk|rr|connect|idle tcp|mptcp CLIENT SERVER ADDRESS COUNT WARM
 *              [SUBFLOWS [PROFILE]]
 *
 *   bulk     COUNT bytes in writes of 64 KiB: "mbits N"
 *   rr       COUNT times 64 bytes there and back: "us N"
 *   connect  COUNT times connect, a byte each way, close: "rate N", per second
 *   idle     COUNT connections that have exchanged a byte: what they hold
 *
 * CLIENT and SERVER are network namespaces, WARM as much as COUNT but before the
 * measurement. With SUBFLOWS, the connection has that many before it starts.
 * Samples of where the kernel was are written to the file PROFILE.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mptcp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

#define PORT 5201
#define BLOCK 65536
#define MESSAGE 64

static char block[BLOCK];

void fail(const char *format, ...)
{
	va_list args;
	int error = errno;

	va_start(args, format);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	va_end(args);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void enter(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("network namespace %s", name);
	close(fd);
}

static int new_socket(const struct setup *s)
{
	int fd = socket(AF_INET, SOCK_STREAM, s->protocol);

	if (fd < 0)
		fail("socket");
	return fd;
}

static struct sockaddr_in server_address(const struct setup *s)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
	};

	if (inet_pton(AF_INET, s->address, &a.sin_addr) != 1)
		fail("'%s' is no IPv4 address", s->address);
	return a;
}

static int listening(const struct setup *s)
{
	struct sockaddr_in a = server_address(s);
	int fd = new_socket(s), one = 1;

	/* Any address: subflows come to the others. */
	a.sin_addr.s_addr = htonl(INADDR_ANY);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		fail("cannot listen at %s", s->address);
	return fd;
}

static int accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		fail("accept");
	return fd;
}

static int connected(const struct setup *s)
{
	struct sockaddr_in a = server_address(s);
	int fd = new_socket(s);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail("connecting to %s", s->address);
	return fd;
}

static void put(int fd, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, block + done, len - done);

		if (n <= 0)
			fail("write");
		done += n;
	}
}

static void get(int fd, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, block + done, len - done);

		if (n < 0)
			fail("read");
		if (n == 0) {
			errno = 0;
			fail("the connection ended too early");
		}
		done += n;
	}
}

/* The other side has closed: nothing else may come. */
static void get_end(int fd)
{
	ssize_t n = read(fd, block, 1);

	if (n < 0)
		fail("read");
	if (n > 0) {
		errno = 0;
		fail("data came where the end was due");
	}
}

/* MPTCP must be MPTCP: a connection that fell back would be compared with itself. */
static void check_kind(const struct setup *s, int fd)
{
	struct mptcp_info info;
	socklen_t len = sizeof(info);

	if (s->protocol != IPPROTO_MPTCP)
		return;
	if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &len) < 0)
		fail("MPTCP_INFO: is this plain TCP?");
	if (info.mptcpi_flags & MPTCP_INFO_FLAG_FALLBACK) {
		errno = 0;
		fail("the connection fell back to TCP");
	}
}

/* Until the connection has all its subflows. */
static void await_subflows(const struct setup *s, int fd)
{
	struct mptcp_info info;
	socklen_t len;
	int tries;

	if (s->protocol != IPPROTO_MPTCP)
		return;
	for (tries = 0; tries < 500; tries++) {
		len = sizeof(info);
		if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &len) < 0)
			fail("MPTCP_INFO");
		if (info.mptcpi_subflows + 1 >= s->subflows)
			return;
		usleep(10000);
	}
	errno = 0;
	fail("there are %d subflows, not %d", info.mptcpi_subflows + 1, s->subflows);
}

static struct span bulk_server(const struct setup *s, int listener)
{
	int fd = accepted(listener);
	unsigned long left;
	struct span span;

	get(fd, 1);
	put(fd, 1);
	for (left = s->warm; left > 0;) {
		ssize_t n = read(fd, block, left < BLOCK ? left : BLOCK);

		if (n <= 0)
			fail("read");
		left -= n;
	}
	profile_start();
	span.start = now();
	for (left = s->count; left > 0;) {
		ssize_t n = read(fd, block, left < BLOCK ? left : BLOCK);

		if (n <= 0)
			fail("read");
		left -= n;
	}
	span.end = now();
	profile_stop();
	close(fd);
	return span;
}

static void bulk_client(const struct setup *s)
{
	unsigned long left;
	int fd = connected(s);

	put(fd, 1);
	get(fd, 1);
	check_kind(s, fd);
	await_subflows(s, fd);
	for (left = s->warm + s->count; left > 0; left -= BLOCK)
		put(fd, BLOCK);
	get_end(fd);
	close(fd);
}

static struct span rr_server(const struct setup *s, int listener)
{
	int fd = accepted(listener);
	struct span span;
	unsigned long n;

	for (n = 0; n < s->warm + s->count; n++) {
		get(fd, MESSAGE);
		if (n == s->warm) {
			profile_start();
			span.start = now();
		}
		put(fd, MESSAGE);
	}
	/* The client sends one more, for the last one to be whole. */
	get(fd, MESSAGE);
	span.end = now();
	profile_stop();
	put(fd, MESSAGE);
	get_end(fd);
	close(fd);
	return span;
}

static void rr_client(const struct setup *s)
{
	int fd = connected(s);
	unsigned long n;

	for (n = 0; n < s->warm + s->count + 1; n++) {
		put(fd, MESSAGE);
		get(fd, MESSAGE);
		if (n == 0) {
			check_kind(s, fd);
			await_subflows(s, fd);
		}
	}
	close(fd);
}

static struct span connect_server(const struct setup *s, int listener)
{
	struct span span;
	unsigned long n;

	for (n = 0; n < s->warm + s->count + 1; n++) {
		int fd = accepted(listener);

		if (n == s->warm) {
			profile_start();
			span.start = now();
		}
		if (n == s->warm + s->count) {
			span.end = now();
			profile_stop();
		}
		get(fd, 1);
		put(fd, 1);
		get_end(fd);
		close(fd);
	}
	return span;
}

static void connect_client(const struct setup *s)
{
	unsigned long n;

	for (n = 0; n < s->warm + s->count + 1; n++) {
		int fd = connected(s);

		put(fd, 1);
		get(fd, 1);
		if (n == 0)
			check_kind(s, fd);
		close(fd);
	}
}

static void open_some(const struct setup *s, int listener, int *fds, unsigned long count)
{
	unsigned long n;

	for (n = 0; n < count; n++) {
		int client = connected(s);
		int server = accepted(listener);

		put(client, 1);
		get(server, 1);
		put(server, 1);
		get(client, 1);
		if (n == 0)
			check_kind(s, client);
		fds[2 * n] = client;
		fds[2 * n + 1] = server;
	}
}

/* Both ends are in this process: a socket remembers the namespace it was made in. */
static void idle(const struct setup *s)
{
	struct rlimit limit = { 65536, 65536 };
	struct memory *before, *after;
	int *fds, listener, tcp;

	fds = calloc(2 * (s->count + s->warm), sizeof(*fds));
	if (!fds || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail("%lu connections", s->count);
	memset(fds, 0xff, 2 * (s->count + s->warm) * sizeof(*fds));
	tcp = dup2(0, 60000);	/* the table of files shall not grow */
	enter(s->server);
	listener = listening(s);
	enter(s->client);
	open_some(s, listener, fds, s->warm);
	sleep(2);
	before = memory_now();
	open_some(s, listener, fds + 2 * s->warm, s->count);
	sleep(2);
	after = memory_now();
	memory_tell(before, after, s->count);
	close(tcp);
}

static const struct workload {
	const char *name;
	struct span (*server)(const struct setup *s, int listener);
	void (*client)(const struct setup *s);
} workloads[] = {
	{ "bulk", bulk_server, bulk_client },
	{ "rr", rr_server, rr_client },
	{ "connect", connect_server, connect_client },
	{ "idle", NULL, idle },
};

static void tell(const struct workload *w, const struct setup *s, struct span span)
{
	double ns = span.end - span.start;

	if (w->server == bulk_server)
		printf("mbits %.1f\n", s->count * 8 * 1000 / ns);
	else if (w->server == rr_server)
		printf("us %.3f\n", ns / s->count / 1000);
	else
		printf("rate %.1f\n", s->count * 1e9 / ns);
}

/* The server in this process, the client in another. */
static void run(const struct workload *w, const struct setup *s)
{
	int listener, status;
	struct span span;
	pid_t child;

	if (s->profile)
		profile_open(s->profile);
	enter(s->server);
	listener = listening(s);
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		close(listener);
		enter(s->client);
		w->client(s);
		exit(0);
	}
	alarm(300);
	span = w->server(s, listener);
	if (waitpid(child, &status, 0) < 0 || status != 0) {
		errno = 0;
		fail("the client failed");
	}
	tell(w, s, span);
	profile_write();
}

static unsigned long count_of(const char *word)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (*end || end == word) {
		errno = 0;
		fail("'%s' is no number", word);
	}
	return value;
}

int main(int argc, char **argv)
{
	const struct workload *w = NULL;
	struct setup s = { .subflows = 1 };
	size_t n;

	for (n = 0; argc >= 8 && n < sizeof(workloads) / sizeof(*workloads); n++)
		if (!strcmp(argv[1], workloads[n].name))
			w = &workloads[n];
	if (!w || argc > 10) {
		errno = 0;
		fail("usage: bench bulk|rr|connect|idle tcp|mptcp CLIENT SERVER ADDRESS COUNT WARM [SUBFLOWS [PROFILE]]");
	}
	s.protocol = strcmp(argv[2], "mptcp") ? IPPROTO_TCP : IPPROTO_MPTCP;
	s.client = argv[3];
	s.server = argv[4];
	s.address = argv[5];
	s.count = count_of(argv[6]);
	s.warm = count_of(argv[7]);
	if (argc > 8)
		s.subflows = count_of(argv[8]);
	if (argc > 9)
		s.profile = argv[9];
	if (w->server)
		run(w, &s);
	else
		w->client(&s);
	return 0;
}
