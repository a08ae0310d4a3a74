/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/net/room.c and mbox.c, the turns that strangers and known connections get on one loop, and controlplane/sccp/front.c
 * where several loops, their limits and their end are concerned. (test_sccp.c has phones on them.)
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <CUnit/CUnit.h>

#include "log.h"
#include "net/mbox.h"
#include "net/room.h"
#include "sccp/cursor.h"
#include "sccp/front.h"
#include "sccp/msg.h"
#include "sccp/sccp.h"
#include "sccp/tap.h"
#include "tls_peer.h"

#define NAME "SEP0A1B2C3D4E51"

static const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};

/* --- room --- */

static int come(struct cp_room *room, const struct cfg_addr *from, struct cp_source **ret)
{
	return cp_room_reserve(room) ? cp_room_enter(room, from, ret) : -EAGAIN;
}

static void test_room(void)
{
	const struct cp_room_limits max = {.max_conns = 5, .max_preauth = 4, .max_source = 2};
	const struct cfg_addr a = {.family = 4, .ip = {192, 0, 2, 1}}, b = {.family = 4, .ip = {192, 0, 2, 2}}, c = {.family = 6, .ip = {0x20, 1}};
	struct cfg_addr c2 = c;
	struct cp_source *s[5], *no = NULL;
	struct cp_room *room;

	c2.ip[15] = 9; /* the same /64 */
	CU_ASSERT_EQUAL_FATAL(cp_room_create(&max, &room), 0);
	CU_ASSERT_EQUAL(come(room, &a, &s[0]), 0);
	CU_ASSERT_EQUAL(come(room, &a, &s[1]), 0);
	CU_ASSERT_EQUAL(come(room, &a, &no), -EMFILE);
	CU_ASSERT_EQUAL(come(room, &c, &s[2]), 0);
	CU_ASSERT_FALSE(cp_room_full(room));
	CU_ASSERT_EQUAL(come(room, &c2, &s[3]), 0);
	CU_ASSERT_TRUE(cp_room_full(room));
	CU_ASSERT_EQUAL(come(room, &c2, &no), -EAGAIN);
	cp_room_known(room, s[0]); /* the known do not count as strangers, nor for their address */
	CU_ASSERT_FALSE(cp_room_full(room));
	CU_ASSERT_TRUE(cp_room_reserve(room));
	CU_ASSERT_TRUE(cp_room_full(room)); /* a place that is reserved is nobody else's */
	cp_room_give_back(room);
	CU_ASSERT_EQUAL(come(room, &a, &s[4]), 0);
	cp_room_known(room, s[4]);
	CU_ASSERT_EQUAL(come(room, &b, &no), -ENFILE);
	cp_room_leave(room);
	CU_ASSERT_EQUAL(come(room, &b, &s[4]), 0);
	for (int i = 1; i < 5; i++)
		cp_room_known(room, s[i]);
	for (int i = 0; i < 5; i++)
		cp_room_leave(room);
	/* What one leaves behind keeps his place, also that of his address. */
	CU_ASSERT_EQUAL(come(room, &a, &s[0]), 0);
	no = cp_room_owe(room, &a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(no);
	cp_room_known(room, s[0]);
	cp_room_leave(room);
	CU_ASSERT_EQUAL(come(room, &a, &s[0]), 0);
	CU_ASSERT_EQUAL(come(room, &a, &s[1]), -EMFILE);
	CU_ASSERT_EQUAL(come(room, &b, &s[1]), 0);
	CU_ASSERT_EQUAL(come(room, &b, &s[2]), 0);
	CU_ASSERT_TRUE(cp_room_full(room));
	cp_room_known(room, no);
	CU_ASSERT_FALSE(cp_room_full(room));
	for (int i = 0; i < 3; i++) {
		cp_room_known(room, s[i]);
		cp_room_leave(room);
	}
	cp_room_destroy(room);
	cp_room_destroy(NULL);
}

/* --- letters --- */

#define WRITERS 4
#define LETTERS 20000

struct note {
	struct cp_letter letter;
	int writer, number;
	bool urgent;
};

static struct cp_mbox box;

static void *writer(void *arg)
{
	int who = *(int *)arg;

	for (int i = 0; i < LETTERS; i++) {
		struct note *n = malloc(sizeof(*n));

		if (n == NULL)
			abort();
		*n = (struct note){.writer = who, .number = i, .urgent = who % 2 == 1};
		cp_mbox_put(&box, &n->letter, n->urgent);
	}
	return NULL;
}

/* All letters come, each writer's in its order; urgent ones before the others of the same collection. */
static void test_letters(void)
{
	struct note a = {.number = 1}, b = {.number = 2}, c = {.number = 3, .urgent = true};
	int ids[WRITERS], next[WRITERS] = {0}, got = 0;
	pthread_t thread[WRITERS];
	struct cp_letter *l;

	CU_ASSERT_EQUAL_FATAL(cp_mbox_init(&box), 0);
	cp_mbox_put(&box, &a.letter, a.urgent);
	cp_mbox_put(&box, &b.letter, b.urgent);
	cp_mbox_put(&box, &c.letter, c.urgent);
	CU_ASSERT_PTR_NULL(cp_mbox_take(&box)); /* not collected */
	cp_mbox_collect(&box);
	CU_ASSERT_PTR_EQUAL(cp_mbox_take(&box), &c.letter);
	CU_ASSERT_PTR_EQUAL(cp_mbox_take(&box), &a.letter);
	CU_ASSERT_TRUE(cp_mbox_left(&box));
	CU_ASSERT_PTR_EQUAL(cp_mbox_take(&box), &b.letter);
	CU_ASSERT_FALSE(cp_mbox_left(&box));
	for (int i = 0; i < WRITERS; i++) {
		ids[i] = i;
		if (pthread_create(&thread[i], NULL, writer, &ids[i]) != 0)
			abort();
	}
	while (got < WRITERS * LETTERS) {
		fd_set set;
		struct timeval patience = {10, 0};

		FD_ZERO(&set);
		FD_SET(box.fd, &set);
		if (select(box.fd + 1, &set, NULL, NULL, &patience) != 1) { /* a wake-up was lost */
			CU_FAIL("letters that nobody was told of");
			break;
		}
		cp_mbox_collect(&box);
		while ((l = cp_mbox_take(&box)) != NULL) {
			struct note *n = (struct note *)l;

			if (n->number != next[n->writer]++)
				CU_FAIL("order");
			got++;
			free(n);
		}
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	CU_ASSERT_EQUAL(got, WRITERS * LETTERS);
	cp_mbox_fini(&box);
}

/* Urgent ones have no end: one of the others after each CP_MBOX_ROW of them, each kind in its order. */
static void test_letters_turns(void)
{
	struct note urgent[100], other[6];
	struct cp_letter *l;
	int n[2] = {0};

	CU_ASSERT_EQUAL_FATAL(cp_mbox_init(&box), 0);
	for (int i = 0; i < 100; i++) {
		urgent[i] = (struct note){.number = i, .urgent = true};
		cp_mbox_put(&box, &urgent[i].letter, true);
		if (i < 6) {
			other[i] = (struct note){.number = i};
			cp_mbox_put(&box, &other[i].letter, false);
		}
	}
	cp_mbox_collect(&box);
	for (int i = 0; (l = cp_mbox_take(&box)) != NULL; i++) {
		struct note *note = (struct note *)l;

		CU_ASSERT_EQUAL(note->number, n[note->urgent]++);
		CU_ASSERT_EQUAL(note->urgent, i % (CP_MBOX_ROW + 1) != CP_MBOX_ROW);
	}
	CU_ASSERT(n[0] == 6 && n[1] == 100);
	cp_mbox_fini(&box);
}

/* --- turns --- */

static char turns[16];

struct toy {
	struct cp_conn *conn;
	char name;
};

static void *toy_opened(void *ctx, struct cp_conn *conn)
{
	struct toy *t = calloc(1, sizeof(*t));

	(void)ctx;
	t->conn = conn;
	return t;
}

static void toy_frame(void *user, const uint8_t *frame, size_t len)
{
	struct toy *t = user;

	if (len != 13)
		abort();
	t->name = (char)frame[12];
	snprintf(turns + strlen(turns), sizeof(turns) - strlen(turns), "%c", t->name);
	if (t->name == 'K')
		cp_conn_authed(t->conn);
	if (t->name == 'H')
		cp_conn_hold(t->conn, true);
}

static void toy_closed(void *user, enum cp_close why)
{
	(void)why;
	free(user);
}

static const struct cp_net_ops toy = {
	.frame_max = CP_SCCP_FRAME_MAX, .frame_len = cp_sccp_frame_len, .opened = toy_opened, .frame = toy_frame, .closed = toy_closed};

static void say_toy(int fd, char name)
{
	const uint8_t frame[13] = {5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, (uint8_t)name};

	if (write(fd, frame, sizeof(frame)) != sizeof(frame))
		abort();
}

/* What was ready before it waits for a connection that is known: handshakes are what strangers want most. */
static void test_turns(void)
{
	const struct cp_net_opts opts = {.max_conns = 100, .max_preauth = 50, .handshake_ms = 60000};
	struct event_base *base = cp_net_base();
	struct cp_net *net;
	int stranger, known;
	uint16_t port;

	CU_ASSERT_PTR_NOT_NULL_FATAL(base);
	CU_ASSERT_EQUAL_FATAL(cp_net_create(base, &opts, &net), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, NULL, &toy, NULL, &port), 0);
	turns[0] = '\0';
	stranger = tp_connect(port, 1);
	say_toy(stranger, 's');
	TP_PUMP(base, strlen(turns) == 1, 3000);
	known = tp_connect(port, 1);
	say_toy(known, 'K');
	TP_PUMP(base, strlen(turns) == 2, 3000);
	CU_ASSERT_STRING_EQUAL(turns, "sK");
	for (int i = 0; i < 3; i++) {
		turns[0] = '\0';
		say_toy(stranger, 's');
		say_toy(known, 'k');
		usleep(2000); /* both are there when the loop looks */
		TP_PUMP(base, strlen(turns) == 2, 3000);
		CU_ASSERT_STRING_EQUAL(turns, "ks");
	}
	close(stranger);
	close(known);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 3000);
	cp_net_destroy(net);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
}

static struct cp_conn *held;

static void *hold_opened(void *ctx, struct cp_conn *conn)
{
	held = conn;
	return toy_opened(ctx, conn);
}

/* Held: nothing is delivered, what comes is bounded by the watermark, and all is there afterwards. */
static void test_hold(void)
{
	const struct cp_net_opts opts = {.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000};
	struct cp_net_ops ops = toy;
	struct event_base *base = event_base_new();
	struct cp_net *net;
	uint16_t port;
	int fd;

	ops.opened = hold_opened;
	CU_ASSERT_EQUAL_FATAL(cp_net_create(base, &opts, &net), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, NULL, &ops, NULL, &port), 0);
	turns[0] = '\0';
	fd = tp_connect(port, 1);
	say_toy(fd, 'H');
	for (int i = 0; i < 5; i++)
		say_toy(fd, (char)('a' + i));
	TP_PUMP(base, strlen(turns) > 1, 100);
	CU_ASSERT_STRING_EQUAL(turns, "H");
	cp_conn_hold(held, false);
	CU_ASSERT_STRING_EQUAL(turns, "Habcde");
	say_toy(fd, 'f');
	TP_PUMP(base, strlen(turns) > 6, 3000);
	CU_ASSERT_STRING_EQUAL(turns, "Habcdef");
	close(fd);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 3000);
	cp_net_destroy(net);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
}

static void know_it(evutil_socket_t fd, short what, void *arg)
{
	char c;

	(void)what, (void)arg;
	if (read(fd, &c, 1) == 1)
		cp_conn_authed(held);
}

/* It becomes known while what it says waits for a stranger's turn: from the next time on it comes first. */
static void test_known_while_active(void)
{
	const struct cp_net_opts opts = {.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000};
	struct cp_net_ops ops = toy;
	struct event_base *base = cp_net_base();
	struct event *ev;
	struct cp_net *net;
	uint16_t port;
	int stranger, known, p[2];

	ops.opened = hold_opened;
	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_create(base, &opts, &net), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, NULL, &ops, NULL, &port), 0);
	ev = event_new(base, p[0], EV_READ | EV_PERSIST, know_it, NULL);
	CU_ASSERT_EQUAL_FATAL(event_add(ev, NULL), 0);
	turns[0] = '\0';
	stranger = tp_connect(port, 1);
	say_toy(stranger, 's');
	TP_PUMP(base, strlen(turns) == 1, 3000);
	known = tp_connect(port, 1);
	say_toy(known, 'n');
	TP_PUMP(base, strlen(turns) == 2, 3000);
	say_toy(known, 'n');
	CU_ASSERT_EQUAL(write(p[1], "!", 1), 1);
	usleep(2000); /* both are there when the loop looks */
	TP_PUMP(base, strlen(turns) == 3, 3000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->preauth, 1);
	for (int i = 0; i < 3; i++) {
		turns[0] = '\0';
		say_toy(stranger, 's');
		say_toy(known, 'k');
		usleep(2000);
		TP_PUMP(base, strlen(turns) == 2, 3000);
		CU_ASSERT_STRING_EQUAL(turns, "ks");
	}
	close(stranger);
	close(known);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 3000);
	event_free(ev);
	close(p[0]);
	close(p[1]);
	cp_net_destroy(net);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
}

static void still_there(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	++*(unsigned *)arg;
}

/* The loop for so long; it never has nothing to do. */
#define SPIN(base, cond, ms)                                                         \
	for (uint64_t end_ = tp_ms() + (ms); !(cond) && tp_ms() < end_;) {            \
		event_base_loopexit(base, &(struct timeval){0, 5000});               \
		event_base_loop(base, 0);                                            \
	}

/* The known always want something: whoever is new gets his turn all the same, from the first to the last byte. */
static void test_share_of_strangers(void)
{
	const struct cp_net_opts opts = {.max_conns = 200, .max_preauth = 100, .handshake_ms = 60000};
	struct event_base *base = cp_net_base();
	struct event *ev;
	struct cp_net *net;
	unsigned rounds = 0;
	uint16_t port;
	int fds[60], idle[20], early[5], p[2];

	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_create(base, &opts, &net), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, NULL, &toy, NULL, &port), 0);
	for (int i = 0; i < 5; i++) {
		early[i] = tp_connect(port, 1);
		say_toy(early[i], 's');
	}
	turns[0] = '\0';
	TP_PUMP(base, cp_net_stats(net)->frames == 5, 3000); /* so far there was time for them */
	ev = event_new(base, p[0], EV_READ | EV_PERSIST, still_there, &rounds);
	CU_ASSERT(event_add(ev, NULL) == 0 && write(p[1], "!", 1) == 1);
	for (int i = 0; i < 20; i++) /* who says nothing is in nobody's way */
		idle[i] = tp_connect(port, 2);
	for (int i = 0; i < 60; i++)
		fds[i] = tp_connect(port, 1);
	turns[0] = '\0';
	for (int i = 0; i < 5; i++)
		say_toy(early[i], 's');
	SPIN(base, cp_net_stats(net)->accepted == 85 && cp_net_stats(net)->frames == 10, 60000);
	CU_ASSERT(cp_net_stats(net)->accepted == 85 && cp_net_stats(net)->frames == 10);
	for (int i = 0; i < 60; i++)
		say_toy(fds[i], i % 10 == 0 ? 'K' : 's');
	SPIN(base, cp_net_stats(net)->frames == 70, 60000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->frames, 70);
	CU_ASSERT_EQUAL(cp_net_stats(net)->preauth, 79);
	for (int i = 0; i < 60; i++)
		say_toy(fds[i], 's');
	SPIN(base, cp_net_stats(net)->frames == 130, 60000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->frames, 130);
	CU_ASSERT(rounds > 1000); /* theirs, all the time */
	event_free(ev);
	for (int i = 0; i < 60; i++)
		close(fds[i]);
	for (int i = 0; i < 20; i++)
		close(idle[i]);
	for (int i = 0; i < 5; i++)
		close(early[i]);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 3000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->conns, 0);
	close(p[0]);
	close(p[1]);
	cp_net_destroy(net);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
}

/* --- loops --- */

static struct event_base *base;
static struct cp_sccp *sccp;
static struct cp_fronts *fronts;
static uint16_t port;
static unsigned gone;
#define ALONE_US 120000 /* between two keep-alives that a loop answers alone, and a little more */

static struct cp_line line = {.number = "1001", .label = "Alice"};
static struct cp_device devices[2] = {{.name = NAME, .mode = CP_DEVICE_NONSECURE, .lines = &line, .line_cnt = 1},
				      {.name = "SEP0A1B2C3D4E52", .mode = CP_DEVICE_NONSECURE}};

static void on_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx, (void)p;
}

static void on_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx, (void)p, (void)why;
	gone++;
}

static const struct cp_call_ops call_ops = {.registered = on_registered, .gone = on_gone, .caps = on_registered};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	for (int i = 0; i < 2; i++)
		if (strcmp(name, devices[i].name) == 0)
			return &devices[i];
	return NULL;
}

static void no_alarm(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx, (void)id, (void)subject, (void)text;
}

static uint64_t clock_ms; /* 0: the system's */

static uint64_t now_ms(void *ctx)
{
	(void)ctx;
	return clock_ms != 0 ? clock_ms : tp_ms();
}

static void start(unsigned loops, struct cp_net_opts net)
{
	const struct cp_sccp_opts opts = {.base = base, .find_device = find_device, .alarm = no_alarm, .call = &call_ops,
					  .keepalive_s = 30, .grace_s = 45, .now_ms = now_ms, .date_template = "D/M/Y", .server_name = "cm1"};
	struct cp_fronts_opts f = {.base = base, .loops = loops, .net = net};

	gone = 0;
	if (cp_sccp_create(&opts, &sccp) != 0)
		abort();
	f.sccp = sccp;
	if (cp_fronts_create(&f, &fronts) != 0 || cp_fronts_listen(fronts, &any, NULL, &port) != 0)
		abort();
}

static void stop(void)
{
	cp_fronts_destroy(fronts);
	cp_sccp_destroy(sccp);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static struct cp_net_stats now(void)
{
	struct cp_net_stats st;

	cp_fronts_stats(fronts, &st);
	return st;
}

/* --- limits hold for all loops together, and no loop alone has all the connections --- */

static void test_limits(void)
{
	int fds[12];

	start(4, (struct cp_net_opts){.max_conns = 10, .max_preauth = 100, .max_source = 100, .handshake_ms = 60000});
	for (int i = 0; i < 12; i++)
		fds[i] = tp_connect(port, 1);
	TP_PUMP(base, now().accepted + now().refused_full == 12, 3000);
	CU_ASSERT(now().conns == 10 && now().refused_full == 2);
	for (int i = 0; i < 12; i++)
		close(fds[i]);
	TP_PUMP(base, now().conns == 0, 3000);
	CU_ASSERT_EQUAL(now().conns, 0);
	fds[0] = tp_connect(port, 1);
	TP_PUMP(base, now().conns == 1, 3000);
	CU_ASSERT_EQUAL(now().conns, 1); /* there is room again */
	close(fds[0]);
	stop();
	start(4, (struct cp_net_opts){.max_conns = 100, .max_preauth = 6, .max_source = 100, .handshake_ms = 60000});
	for (int i = 0; i < 12; i++)
		fds[i] = tp_connect(port, 1);
	TP_PUMP(base, now().pauses > 0 && now().preauth == 6, 3000);
	CU_ASSERT(now().accepted == 6 && now().preauth == 6);
	for (int i = 0; i < 12; i++) /* each that goes makes room for one that waits in the kernel */
		close(fds[i]);
	TP_PUMP(base, now().accepted == 12 && now().conns == 0, 5000);
	CU_ASSERT(now().accepted == 12 && now().conns == 0);
	stop();
}

static void say(int fd, uint32_t id, const void *body, size_t len)
{
	uint8_t b[256];
	struct cp_sccp_w w = {b, sizeof(b), 0, false};

	cp_w_u32(&w, (uint32_t)(4 + len));
	cp_w_u32(&w, 0);
	cp_w_u32(&w, id);
	cp_w_bytes(&w, body, len);
	if (write(fd, b, w.len) != (ssize_t)w.len)
		abort();
}

/* Strangers who come, say something and go, while call control reads nothing: no more of them than there are places. */
static void test_gone_strangers(void)
{
	start(2, (struct cp_net_opts){.max_conns = 100, .max_preauth = 4, .max_source = 100, .handshake_ms = 400});
	for (int i = 0; i < 12; i++) {
		int fd = tp_connect(port, 1);

		say(fd, CP_SCCP_KEEPALIVE, "", 0);
		close(fd);
	}
	for (int i = 0; i < 60000 && now().closed[CP_CLOSE_PEER] < 4; i++)
		usleep(1000);
	usleep(200000); /* ticks */
	CU_ASSERT(now().accepted == 4 && now().conns == 0);
	TP_PUMP(base, now().accepted == 12 && now().conns == 0, 5000);
	CU_ASSERT(now().accepted == 12 && now().conns == 0);
	stop();
}

static void say_register_as(int fd, const char *name)
{
	uint8_t body[124] = {0};

	memcpy(body, name, strlen(name));
	body[40] = 17;
	body[43] = 0x85;
	say(fd, CP_SCCP_REGISTER, body, sizeof(body));
}

static void say_register(int fd)
{
	say_register_as(fd, NAME);
}

#define QUESTIONS 20000

/* Whole frames of that id in what has come; the rest stays. */
static unsigned count(int fd, uint32_t id)
{
	static uint8_t buf[65536];
	static size_t have;
	unsigned n = 0;
	ssize_t got = read(fd, buf + have, sizeof(buf) - have);
	size_t at = 0;

	have += got > 0 ? (size_t)got : 0;
	while (have - at >= 12) {
		struct cp_sccp_r r = {buf + at, 12, false};
		size_t len = 8 + cp_r_u32(&r);

		cp_r_skip(&r, 4);
		if (have - at < len)
			break;
		n += cp_r_u32(&r) == id;
		at += len;
	}
	memmove(buf, buf + at, have - at);
	have -= at;
	return n;
}

/* A registered phone's socket, and all that it was told at first is read. */
static int registered(void)
{
	int fd = tp_connect(port, 1);

	say_register(fd);
	TP_PUMP(base, count(fd, CP_SCCP_CAPABILITIES_REQ) == 1, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_sccp_find(sccp, NAME));
	return fd;
}

/* So many answers to keep-alives, while call control reads nothing. */
static unsigned acks(int fd, unsigned want, int ms)
{
	unsigned n = 0;

	if (ms >= 1000) /* they must come, however slow the machine */
		ms = 60000;
	for (int i = 0; i < ms && n < want; i++) {
		n += count(fd, CP_SCCP_KEEPALIVE_ACK);
		usleep(1000);
	}
	return n;
}

static unsigned tapped[2];

static void on_tapped(void *ctx, const struct cp_sccp_tapped *m)
{
	(void)ctx;
	CU_ASSERT_STRING_EQUAL(m->device, NAME);
	tapped[m->sent] += m->len >= 12 && m->msg[8] == 0 && m->msg[9] == m->sent; /* 0x0000, 0x0100 */
}

static void no_gone(void *ctx, const void *conn)
{
	(void)ctx, (void)conn;
}

/* A registered phone's keep-alives need nobody but its loop; a stranger's, those behind another message, and with a body, do. */
static void test_keep_alives(void)
{
	static const struct cp_sccp_tap_ops tap = {on_tapped, no_gone};
	int fd, stranger;

	start(2, (struct cp_net_opts){.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000});
	fd = registered();
	for (int i = 0; i < 3; i++) {
		TP_RUN(base, 5); /* call control lives */
		usleep(ALONE_US);
		say(fd, CP_SCCP_KEEPALIVE, "", 0);
		CU_ASSERT_EQUAL(acks(fd, 1, 3000), 1);
	}
	say(fd, CP_SCCP_KEEPALIVE, "", 0); /* so soon again: that is call control's */
	CU_ASSERT_EQUAL(acks(fd, 1, 50), 0);
	TP_PUMP(base, count(fd, CP_SCCP_KEEPALIVE_ACK) == 1, 3000);
	stranger = tp_connect(port, 1);
	say(stranger, CP_SCCP_KEEPALIVE, "", 0);
	say(fd, CP_SCCP_KEEPALIVE, "body", 4);
	say(fd, CP_SCCP_TIME_DATE_REQ, "", 0);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	CU_ASSERT(acks(stranger, 1, 100) == 0 && acks(fd, 1, 100) == 0);
	TP_PUMP(base, count(stranger, CP_SCCP_KEEPALIVE_ACK) == 1, 3000);
	CU_ASSERT_EQUAL(acks(fd, 2, 3000), 2);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->malformed, 0);
	/* While somebody captures. */
	tapped[0] = tapped[1] = 0;
	cp_sccp_set_tap(sccp, &tap, NULL);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	CU_ASSERT_EQUAL(acks(fd, 1, 100), 0);
	TP_PUMP(base, tapped[1] == 1, 3000);
	CU_ASSERT(tapped[0] == 1 && tapped[1] == 1 && acks(fd, 1, 3000) == 1);
	cp_sccp_set_tap(sccp, NULL, NULL);
	TP_RUN(base, 5);
	usleep(ALONE_US);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	CU_ASSERT_EQUAL(acks(fd, 1, 3000), 1);
	/* It has unregistered. */
	say(fd, CP_SCCP_UNREGISTER, "\0\0\0", 4);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	TP_PUMP(base, gone == 1, 3000);
	CU_ASSERT_EQUAL(acks(fd, 1, 100), 0);
	close(fd);
	close(stranger);
	stop();
}

/* Call control stands still: phones are not told that all is well. It goes on, and they are. */
static void test_stall(void)
{
	int fd;

	start(1, (struct cp_net_opts){.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000});
	fd = registered();
	usleep(3200000);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	CU_ASSERT_EQUAL(acks(fd, 1, 100), 0);
	TP_PUMP(base, count(fd, CP_SCCP_KEEPALIVE_ACK) == 1, 3000);
	TP_RUN(base, 1100);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	CU_ASSERT_EQUAL(acks(fd, 1, 3000), 1);
	close(fd);
	stop();
}

struct flood {
	pthread_t thread;
	int fd;
	atomic_uint sent, answered;
	atomic_bool over;
};

static void *flood_main(void *arg)
{
	static uint8_t many[120 * 12];
	struct flood *f = arg;
	uint8_t got[4096];
	ssize_t n;

	for (unsigned i = 0; i < sizeof(many); i += 12)
		many[i] = 4;
	for (size_t at = 0; !atomic_load(&f->over); at = n > 0 ? (at + (size_t)n) % sizeof(many) : at) {
		n = send(f->fd, many + at, sizeof(many) - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0)
			atomic_fetch_add(&f->sent, (unsigned)n);
		while ((n = recv(f->fd, got, sizeof(got), MSG_DONTWAIT)) > 0)
			atomic_fetch_add(&f->answered, (unsigned)n);
		if (n == 0)
			break;
	}
	return NULL;
}

/* Keep-alives without an end: most go to call control, which has room for so many; strangers are served, and the loop can be stopped. */
static void test_flood_of_keep_alives(void)
{
	struct flood f = {.fd = -1};
	unsigned before, quiet = 0, last;
	int fd;

	start(1, (struct cp_net_opts){.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000});
	f.fd = registered();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&f.thread, NULL, flood_main, &f), 0);
	/* Call control reads nothing: the phone has to wait. */
	for (last = UINT_MAX; quiet < 300; usleep(1000)) {
		before = atomic_load(&f.answered);
		quiet = before == last ? quiet + 1 : 0;
		last = before;
	}
	CU_ASSERT(last < 12 * 600); /* a few in each second of it */
	TP_PUMP(base, atomic_load(&f.answered) > last + 12 * 1000, 10000);
	CU_ASSERT(atomic_load(&f.answered) > last + 12 * 1000);
	fd = tp_connect(port, 1);
	say(fd, CP_SCCP_KEEPALIVE, "", 0);
	TP_PUMP(base, count(fd, CP_SCCP_KEEPALIVE_ACK) == 1, 10000);
	close(fd);
	stop(); /* comes back */
	atomic_store(&f.over, true);
	pthread_join(f.thread, NULL);
	CU_ASSERT_EQUAL(gone, 1);
	close(f.fd);
}

/* One says nothing but keep-alives, and stays; the other one nothing at all, and goes. */
static void test_kept_alive(void)
{
	int fd, silent;

	clock_ms = 1000000;
	start(2, (struct cp_net_opts){.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000});
	fd = registered();
	silent = tp_connect(port, 1);
	say_register_as(silent, devices[1].name);
	TP_PUMP(base, cp_sccp_find(sccp, devices[1].name) != NULL, 3000);
	for (int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(gone, i > 2);
		TP_RUN(base, 5);
		usleep(ALONE_US);
		clock_ms += 30000;
		say(fd, CP_SCCP_KEEPALIVE, "", 0);
		CU_ASSERT_EQUAL(acks(fd, 1, 3000), 1);
		cp_sccp_tick(sccp);
	}
	CU_ASSERT_PTR_NOT_NULL(cp_sccp_find(sccp, NAME));
	CU_ASSERT(cp_sccp_find(sccp, devices[1].name) == NULL && cp_sccp_stats(sccp)->timeouts == 1);
	close(fd);
	close(silent);
	stop();
	clock_ms = 0;
}

/* A phone that says more than call control reads has to wait, loses nothing, and nothing overtakes. */
static void test_flood_of_one(void)
{
	const uint8_t ask[12] = {4, 0, 0, 0, 0, 0, 0, 0, CP_SCCP_TIME_DATE_REQ};
	unsigned sent = 0, answered = 0;
	int fd;

	start(2, (struct cp_net_opts){.max_conns = 10, .max_preauth = 5, .handshake_ms = 60000, .out_max = 1 << 20});
	fd = tp_connect(port, 1);
	say_register(fd);
	TP_PUMP(base, count(fd, CP_SCCP_REGISTER_ACK) == 1, 3000);
	CU_ASSERT_PTR_NOT_NULL(cp_sccp_find(sccp, NAME));
	/* Call control does not read at all: bytes pile up here, and what the loops hold of them has a bound. */
	for (int idle = 0; idle < 200 && sent < QUESTIONS;) {
		if (write(fd, ask, sizeof(ask)) == sizeof(ask)) {
			sent++;
		} else {
			idle++;
			usleep(1000);
		}
	}
	CU_ASSERT(sent > 1000);
	CU_ASSERT(now().frames < 3000); /* 16 KiB of 12 octets, and what came before it was held */
	event_base_loop(base, EVLOOP_ONCE);
	for (int i = 0; i < 3000 && answered == 0; i++) {
		usleep(1000);
		answered += count(fd, CP_SCCP_TIME_DATE);
	}
	usleep(100000);
	answered += count(fd, CP_SCCP_TIME_DATE);
	CU_ASSERT(answered > 0 && answered <= 128); /* then it is the others' turn */
	TP_PUMP(base, (answered += count(fd, CP_SCCP_TIME_DATE)) >= sent, 20000);
	CU_ASSERT_EQUAL(answered, sent);
	CU_ASSERT(gone == 0 && now().conns == 1);
	close(fd);
	TP_PUMP(base, gone == 1 && now().conns == 0, 3000);
	CU_ASSERT_EQUAL(gone, 1);
	stop();
}

/* The end: last words are sent, sessions end, whoever is connected. */
static void test_end(void)
{
	unsigned resets = 0;
	int fd, strangers[20];
	char c;

	start(3, (struct cp_net_opts){.max_conns = 100, .max_preauth = 50, .handshake_ms = 60000});
	fd = tp_connect(port, 1);
	for (int i = 0; i < 20; i++) {
		strangers[i] = tp_connect(port, 1);
		if (i % 2 == 0)
			say(strangers[i], CP_SCCP_KEEPALIVE, "", 0);
	}
	say_register(fd);
	TP_PUMP(base, cp_sccp_find(sccp, NAME) != NULL, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_sccp_find(sccp, NAME));
	cp_phone_reset(cp_sccp_find(sccp, NAME), CP_SCCP_RESET_RESTART);
	stop();
	CU_ASSERT_EQUAL(gone, 1);
	TP_PUMP(base, (resets += count(fd, CP_SCCP_RESET)) > 0, 1000);
	CU_ASSERT_EQUAL(resets, 1);
	for (int i = 0; i < 20; i++) {
		while (read(strangers[i], &c, 1) > 0) /* its answers */
			;
		close(strangers[i]);
	}
	close(fd);
	/* none was ever started, or none can be */
	cp_fronts_destroy(NULL);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	base = cp_net_base();
	return base == NULL;
}

static int teardown(void)
{
	event_base_free(base);
	return 0;
}

static CU_TestInfo tests[] = {
	{"one room for several loops", test_room},
	{"letters come, in order, and the reader is told", test_letters},
	{"letters that are urgent leave turns to the others", test_letters_turns},
	{"the known have their turn before strangers", test_turns},
	{"known while it waits", test_known_while_active},
	{"a connection that is held", test_hold},
	{"strangers have their share", test_share_of_strangers},
	{"limits are those of all loops together", test_limits},
	{"who has gone keeps his place until he is read", test_gone_strangers},
	{"keep-alives are answered where they come in", test_keep_alives},
	{"not while call control stands still", test_stall},
	{"keep-alives without an end", test_flood_of_keep_alives},
	{"a phone that says nothing else", test_kept_alive},
	{"who says too much has to wait, and loses nothing", test_flood_of_one},
	{"the end of it", test_end},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("front", tests, setup, teardown)
