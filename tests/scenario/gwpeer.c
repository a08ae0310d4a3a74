/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MGCP of many small gateways on one machine's kernel sockets: what a scenario runs behind a kernel's XFRM. No library but libc, so that
 * it goes alone into a machine without any.
 *
 * gwpeer FILE [ike]: each line of it "ADDRESS AGENT DOMAIN"; the N-th one is gateway N: a socket at ADDRESS:2427. Commands that come are answered
 * 200; one for an endpoint "pad/N@..." by at least N bytes. It keeps UDP 4500 open for ESP (RFC 3948) unless there is an IKE daemon, which does,
 * and says READY. Each line of stdin then is an order to the gateways FIRST..LAST:
 *   send FIRST LAST COUNT SIZE TOS: COUNT keep-alives of SIZE bytes with that TOS to the agent's port 2727, the next when the last was
 *     answered, each said again every second, up to 20 times. One line for each gateway, "GW N answered A of C said S refused R", then "DONE".
 *   flow FIRST LAST RATE: so many keep-alives a second from each, whether answered or not, until the line "enough", and then until no answer is
 *     missing or none has come for 10 s. "FLOW N sent S answered A refused R" for each, then "DONE". What is sent and not answered is lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GW_MAX   1500
#define AGAIN_MS 1000
#define TRIES    20
#define LEN_MAX  4000
#define FLOW_TIDS  128   /* a flow's transactions, said again and again: the agent remembers no endless number of them */
#define FLOW_AHEAD 100   /* so many that are not answered: more would be lost in buffers */
#define QUIET_MS   10000

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

struct gw {
	int fd;
	struct addr agent;
	char domain[64];
	unsigned int want, size, tid, tries; /* of the order; tid: of the one that is open, 0: none */
	unsigned int answered, refused, said;
	unsigned int base, given_up; /* of a flow: its first transaction, 0: none; not waited for any more */
	long long at_ms, heard_ms;
};

static struct gw gws[GW_MAX];
static struct pollfd fds[GW_MAX + 1];
static unsigned int gw_cnt;
static unsigned int next_tid = 1000;

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static struct addr addr_of(const char *text, unsigned int port)
{
	struct addr a = {.len = sizeof(a.v4)};

	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
		a.len = sizeof(a.v6);
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)port);
	} else {
		fprintf(stderr, "gwpeer: no address: %s\n", text);
		exit(2);
	}
	return a;
}

static int bound(const struct addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1, room = 4 << 20;

	if (fd < 0 || (a->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, &a->sa, a->len) < 0) {
		perror("gwpeer: bind");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return fd;
}

/*
 * ESP in UDP is taken off this socket by the kernel, which first asks the policies about the UDP around it: let it pass, as IKE daemons do.
 */
static void encap_open(const char *any)
{
	const struct addr a = addr_of(any, 4500);
	int fd = bound(&a), type = UDP_ENCAP_ESPINUDP, v4 = a.sa.sa_family == AF_INET;
	struct xfrm_userpolicy_info pass = {.action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_IN, .sel = {.family = a.sa.sa_family}};

	if (setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_XFRM_POLICY : IPV6_XFRM_POLICY, &pass, sizeof(pass)) < 0 ||
	    setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type)) < 0)
		perror("gwpeer: UDP_ENCAP");
}

static void load(const char *path)
{
	FILE *f = fopen(path, "r");
	char me[64], agent[64];

	if (f == NULL) {
		perror(path);
		exit(2);
	}
	while (gw_cnt < GW_MAX && fscanf(f, "%63s %63s %63s", me, agent, gws[gw_cnt].domain) == 3) {
		const struct addr a = addr_of(me, 2427);

		gws[gw_cnt].fd = bound(&a);
		gws[gw_cnt].agent = addr_of(agent, 2727);
		fds[gw_cnt] = (struct pollfd){.fd = gws[gw_cnt].fd, .events = POLLIN};
		gw_cnt++;
	}
	fclose(f);
}

/* Lines that nobody reads, until the message has so many bytes. */
static size_t pad(char *to, size_t len, size_t size)
{
	if (size > LEN_MAX)
		size = LEN_MAX;
	while (len < size) {
		size_t n = size - len > 300 ? 200 : size - len > 8 ? size - len - 8 : 0;

		len += (size_t)sprintf(to + len, "X-Pad: %.*s\n", (int)n,
		                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj"
		                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj"
		                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj");
	}
	return len;
}

static void say(struct gw *g)
{
	char text[LEN_MAX + 400];
	size_t len = (size_t)sprintf(text, "NTFY %u *@%s MGCP 1.0\nX: 0\nO:\n", g->tid, g->domain);

	len = pad(text, len, g->size);
	g->at_ms = now_ms() + AGAIN_MS;
	g->tries++;
	g->said++;
	if (sendto(g->fd, text, len, 0, &g->agent.sa, g->agent.len) < 0 && errno != EAGAIN)
		printf("GW %ld: %s\n", (long)(g - gws), strerror(errno));
}

static void heard(struct gw *g)
{
	char in[LEN_MAX + 1], out[LEN_MAX + 400], verb[16], local[128] = "";
	struct addr from = {.len = sizeof(from.v6)};
	ssize_t n = recvfrom(g->fd, in, sizeof(in) - 1, 0, &from.sa, &from.len);
	unsigned int tid = 0, size = 0;
	size_t len = 0;

	if (n <= 0)
		return;
	in[n] = '\0';
	if (sscanf(in, "%15s %u", verb, &tid) != 2)
		return;
	if (atoi(verb) >= 100) {
		if (g->base != 0 && tid - g->base < FLOW_TIDS) {
			g->answered += atoi(verb) == 200;
			g->refused += atoi(verb) != 200;
			g->heard_ms = now_ms();
		} else if (tid == g->tid && tid != 0) {
			g->answered += atoi(verb) == 200;
			g->refused += atoi(verb) != 200;
			g->tid = 0;
		}
		return;
	}
	/* Commands that came in one datagram are answered in one (RFC 3435 s3.5.5). */
	for (char *at = in; at != NULL && sscanf(at, "%15s %u %127s", verb, &tid, local) == 3 && len + 200 < LEN_MAX;) {
		size = strncmp(local, "pad/", 4) == 0 ? (unsigned int)atoi(local + 4) : 0;
		len += (size_t)sprintf(out + len, "%s200 %u OK\n", len > 0 ? ".\n" : "", tid);
		at = strstr(at, "\n.");
		at = at != NULL ? strchr(at + 1, '\n') : NULL;
		at = at != NULL ? at + 1 : NULL;
	}
	if (len == 0)
		return;
	len = pad(out, len, size);
	if (sendto(g->fd, out, len, 0, &from.sa, from.len) < 0 && errno != EAGAIN)
		printf("GW %ld: %s\n", (long)(g - gws), strerror(errno));
}

static unsigned int missing(const struct gw *g)
{
	return g->said - g->answered - g->refused;
}

/* What is due of a flow that began at 'begin'; after a pause of this machine nothing of it in one burst. */
static void flow_say(struct gw *g, unsigned int rate, long long begin)
{
	long long due = (now_ms() - begin) * rate / 1000;
	char text[200];

	if (missing(g) - g->given_up >= FLOW_AHEAD && now_ms() > g->heard_ms + 2000) {
		g->given_up = missing(g);
		g->heard_ms = now_ms();
	}
	if (due - g->want > 20)
		g->want = (unsigned int)due - 20;
	for (; g->want < due && missing(g) - g->given_up < FLOW_AHEAD; g->want++) {
		size_t len = (size_t)sprintf(text, "NTFY %u *@%s MGCP 1.0\nX: 0\nO:\n", g->base + g->said % FLOW_TIDS, g->domain);

		if (sendto(g->fd, text, len, 0, &g->agent.sa, g->agent.len) < 0 && errno != EAGAIN)
			printf("GW %ld: %s\n", (long)(g - gws), strerror(errno));
		g->said++;
	}
}

static void flow(unsigned int first, unsigned int last, unsigned int rate)
{
	long long begin = now_ms(), quiet = 0;
	unsigned int left = 1;
	char line[200];

	for (unsigned int i = first; i <= last; i++) {
		gws[i].want = gws[i].answered = gws[i].refused = gws[i].said = gws[i].tid = gws[i].given_up = 0;
		gws[i].base = next_tid + 1;
		gws[i].heard_ms = begin;
		next_tid += FLOW_TIDS;
	}
	fds[gw_cnt].fd = 0;
	while (left > 0 && (quiet == 0 || now_ms() < quiet + QUIET_MS)) {
		if (poll(fds, gw_cnt + 1, 5) < 0)
			exit(1);
		for (unsigned int i = 0; i < gw_cnt; i++)
			if (fds[i].revents != 0)
				heard(&gws[i]);
		if (quiet == 0 && fds[gw_cnt].revents != 0 && fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "enough", 6) == 0)
			quiet = now_ms();
		left = quiet == 0;
		for (unsigned int i = first; i <= last; i++) {
			if (quiet == 0)
				flow_say(&gws[i], rate, begin);
			left += missing(&gws[i]);
			if (quiet != 0 && gws[i].heard_ms > quiet)
				quiet = gws[i].heard_ms;
		}
	}
	for (unsigned int i = first; i <= last; i++) {
		printf("FLOW %u sent %u answered %u refused %u\n", i, gws[i].said, gws[i].answered, gws[i].refused);
		gws[i].base = gws[i].want = 0;
	}
	printf("DONE\n");
}

static void order(unsigned int *first, unsigned int *last)
{
	char line[200];
	unsigned int count, size, tos;

	if (fgets(line, sizeof(line), stdin) == NULL)
		exit(0);
	if (sscanf(line, "flow %u %u %u", first, last, &count) == 3 && *last < gw_cnt && *first <= *last) {
		flow(*first, *last, count);
		*first = 1;
		*last = 0;
		return;
	}
	if (sscanf(line, "send %u %u %u %u %u", first, last, &count, &size, &tos) != 5 || *last >= gw_cnt || *first > *last) {
		printf("?\nDONE\n");
		*first = 1;
		*last = 0;
		return;
	}
	for (unsigned int i = *first; i <= *last; i++) {
		struct gw *g = &gws[i];
		int v = (int)tos;

		g->want = count;
		g->size = size;
		g->answered = g->refused = g->said = g->tid = g->tries = 0;
		if (g->agent.sa.sa_family == AF_INET)
			setsockopt(g->fd, IPPROTO_IP, IP_TOS, &v, sizeof(v));
		else
			setsockopt(g->fd, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v));
	}
}

/* One step of what is ordered; true: this gateway is through. */
static int step(struct gw *g)
{
	if (g->tid != 0 && now_ms() >= g->at_ms) {
		if (g->tries == TRIES)
			g->tid = 0; /* lost */
		else
			say(g);
	}
	if (g->tid == 0 && g->want > 0) {
		g->want--;
		g->tid = ++next_tid;
		g->tries = 0;
		say(g);
	}
	return g->tid == 0 && g->want == 0;
}

int main(int argc, char **argv)
{
	const struct rlimit many = {GW_MAX + 50, GW_MAX + 50};
	unsigned int first = 1, last = 0, count = 0, through;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	if (argc < 2 || argc > 3 || setrlimit(RLIMIT_NOFILE, &many) < 0)
		return 2;
	load(argv[1]);
	if (argc == 2) {
		encap_open("0.0.0.0");
		encap_open("::");
	}
	printf("READY %u\n", gw_cnt);
	fds[gw_cnt] = (struct pollfd){.fd = 0, .events = POLLIN};
	for (;;) {
		int busy = first <= last;

		fds[gw_cnt].fd = busy ? -1 : 0;
		if (poll(fds, gw_cnt + 1, busy ? 20 : -1) < 0)
			return 1;
		for (unsigned int i = 0; i < gw_cnt; i++)
			if (fds[i].revents != 0)
				heard(&gws[i]);
		if (!busy) {
			if (fds[gw_cnt].revents == 0)
				continue;
			order(&first, &last);
			count = first <= last ? gws[first].want : 0;
		}
		through = 0;
		for (unsigned int i = first; i <= last; i++)
			through += (unsigned int)step(&gws[i]);
		if (first > last || through <= last - first)
			continue;
		for (unsigned int i = first; i <= last; i++)
			printf("GW %u answered %u of %u said %u refused %u\n", i, gws[i].answered, count, gws[i].said, gws[i].refused);
		printf("DONE\n");
		first = 1;
		last = 0;
	}
}
