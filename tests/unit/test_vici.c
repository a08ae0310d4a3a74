/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VICI: the encoding against the bytes that charon's own documentation shows (README.md of its vici plugin, "Message format"),
 * malformed messages cut at every length, and the client against a peer that answers, refuses, is silent, goes and comes back.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "ike/vici.h"
#include "ike/viciclient.h"

/* key1 = value1, section1 { sub-section { key2 = value2 }, list1 = [ item1, item2 ] } */
static const uint8_t documented[] = {
	3, 4, 'k', 'e', 'y', '1', 0, 6, 'v', 'a', 'l', 'u', 'e', '1',
	1, 8, 's', 'e', 'c', 't', 'i', 'o', 'n', '1',
	1, 11, 's', 'u', 'b', '-', 's', 'e', 'c', 't', 'i', 'o', 'n',
	3, 4, 'k', 'e', 'y', '2', 0, 6, 'v', 'a', 'l', 'u', 'e', '2',
	2,
	4, 5, 'l', 'i', 's', 't', '1', 5, 0, 5, 'i', 't', 'e', 'm', '1', 5, 0, 5, 'i', 't', 'e', 'm', '2', 6,
	2,
};

static struct cp_vici_msg *documented_msg(const char *cmd)
{
	struct cp_vici_msg *msg = cp_vici_msg_create(CP_VICI_CMD_REQUEST, cmd, 256);

	cp_vici_str(msg, "key1", "value1");
	cp_vici_section(msg, "section1");
	cp_vici_section(msg, "sub-section");
	cp_vici_str(msg, "key2", "value2");
	cp_vici_section_end(msg);
	cp_vici_words(msg, "list1", "item1,item2");
	cp_vici_section_end(msg);
	return msg;
}

static void test_documented(void)
{
	struct cp_vici_msg *msg = documented_msg("load");
	static const uint8_t head[] = {0, 0, 0, 6 + sizeof(documented), CP_VICI_CMD_REQUEST, 4, 'l', 'o', 'a', 'd'};
	char name[CP_VICI_NAME_MAX];
	enum cp_vici_type type;
	const uint8_t *body;
	json_t *o = NULL, *want;
	size_t len;

	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), 0);
	CU_ASSERT_EQUAL(msg->wr.len, sizeof(head) + sizeof(documented));
	CU_ASSERT(memcmp(msg->wr.buf, head, sizeof(head)) == 0);
	CU_ASSERT(memcmp(msg->wr.buf + sizeof(head), documented, sizeof(documented)) == 0);
	CU_ASSERT_EQUAL(cp_vici_packet(msg->wr.buf + 4, msg->wr.len - 4, &type, name, &body, &len), 0);
	CU_ASSERT_EQUAL(type, CP_VICI_CMD_REQUEST);
	CU_ASSERT_STRING_EQUAL(name, "load");
	CU_ASSERT_EQUAL(cp_vici_parse(body, len, &o), 0);
	want = json_pack("{s:s, s:{s:{s:s}, s:[s,s]}}", "key1", "value1", "section1", "sub-section", "key2", "value2", "list1", "item1", "item2");
	CU_ASSERT(json_equal(o, want));
	CU_ASSERT_STRING_EQUAL(cp_vici_get(o, "key1"), "value1");
	CU_ASSERT_STRING_EQUAL(cp_vici_get(o, "section1"), "");
	json_decref(o);
	json_decref(want);
	cp_vici_msg_destroy(msg);
}

/* Only where an element ends at the top may a message end. */
static void test_cut(void)
{
	json_t *o;

	for (size_t n = 0; n <= sizeof(documented); n++) {
		uint8_t *copy = malloc(n > 0 ? n : 1); /* so that a byte too far is seen */
		int rc;

		memcpy(copy, documented, n);
		rc = cp_vici_parse(copy, n, &o);
		CU_ASSERT_EQUAL(rc, n == 0 || n == 14 || n == sizeof(documented) ? 0 : -EBADMSG);
		if (rc == 0)
			json_decref(o);
		free(copy);
	}
}

static void test_bad_messages(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x00", 1}, {"\x07", 1}, {"\xff", 1},             /* no such element */
		{"\x02", 1},                                       /* an end without a beginning */
		{"\x06", 1}, {"\x05\x00\x01x", 4},                 /* an item and a list's end outside */
		{"\x01\x00\x02", 3}, {"\x03\x00\x00\x00", 4},      /* no name */
		{"\x04\x01l\x03\x01k\x00\x00\x06", 9},             /* a key inside a list */
		{"\x04\x01l\x01\x01s\x02\x06", 8},                 /* a section inside a list */
		{"\x04\x01l\x04\x01m\x06\x06", 8},                 /* a list inside a list */
		{"\x04\x01l", 3}, {"\x01\x01s", 3},                /* open at the end */
		{"\x03\x01k\xff\xff" "abc", 8},                    /* a length that lies */
	};
	uint8_t deep[3 * (CP_VICI_DEPTH + 1) + CP_VICI_DEPTH + 1], *many;
	json_t *o;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(cp_vici_parse((const uint8_t *)bad[i].bytes, bad[i].len, &o), -EBADMSG);
	for (unsigned depth = CP_VICI_DEPTH; depth <= CP_VICI_DEPTH + 1; depth++) {
		n = 0;
		for (unsigned i = 0; i < depth; i++, n += 3)
			memcpy(deep + n, "\x01\x01s", 3);
		memset(deep + n, 2, depth);
		n += depth;
		CU_ASSERT_EQUAL(cp_vici_parse(deep, n, &o), depth == CP_VICI_DEPTH ? 0 : -EBADMSG);
		if (depth == CP_VICI_DEPTH)
			json_decref(o);
	}
	many = malloc(5 * (CP_VICI_ELEMENTS + 1));
	for (unsigned i = 0; i <= CP_VICI_ELEMENTS; i++)
		memcpy(many + 5 * i, "\x03\x01k\x00\x00", 5);
	CU_ASSERT_EQUAL(cp_vici_parse(many, 5 * CP_VICI_ELEMENTS, &o), 0);
	json_decref(o);
	CU_ASSERT_EQUAL(cp_vici_parse(many, 5 * (CP_VICI_ELEMENTS + 1), &o), -EBADMSG);
	free(many);
	/* what is no text becomes some */
	CU_ASSERT_EQUAL(cp_vici_parse((const uint8_t *)"\x03\x02k\x80\x00\x03" "a\x1b\xff", 9, &o), 0);
	CU_ASSERT_STRING_EQUAL(cp_vici_get(o, "k?"), "a??");
	json_decref(o);
	/* UTF-8 stays */
	CU_ASSERT_EQUAL(cp_vici_parse((const uint8_t *)"\x03\x01k\x00\x02\xc3\xa4", 7, &o), 0);
	CU_ASSERT_STRING_EQUAL(cp_vici_get(o, "k"), "\xc3\xa4");
	json_decref(o);
}

static void test_bad_packets(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		int rc;
	} tab[] = {
		{"", 0, -EBADMSG}, {"\x08", 1, -EBADMSG}, {"\xff", 1, -EBADMSG}, {"\x01", 1, 0}, {"\x02", 1, 0}, {"\x02x", 2, -EBADMSG},
		{"\x05", 1, 0}, {"\x06", 1, 0}, {"\x05x", 2, -EBADMSG}, {"\x07", 1, -EBADMSG}, {"\x07\x00", 2, -EBADMSG},
		{"\x07\x02" "a", 3, -EBADMSG}, {"\x07\x02" "ab", 4, 0}, {"\x07\x02" "a\n", 4, -EBADMSG}, {"\x03\x01" "a", 3, 0},
		{"\x03\x01" "ab", 4, -EBADMSG}, {"\x00\x01" "ab", 4, 0},
	};
	char name[CP_VICI_NAME_MAX];
	enum cp_vici_type type;
	const uint8_t *body;
	size_t len;

	for (size_t i = 0; i < sizeof(tab) / sizeof(tab[0]); i++)
		CU_ASSERT_EQUAL(cp_vici_packet((const uint8_t *)tab[i].bytes, tab[i].len, &type, name, &body, &len), tab[i].rc);
}

static void test_writer(void)
{
	struct cp_vici_msg *msg;
	char big[300];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	CU_ASSERT_PTR_NULL(cp_vici_msg_create(CP_VICI_CMD_REQUEST, big, 10));
	CU_ASSERT_PTR_NULL(cp_vici_msg_create(CP_VICI_CMD_REQUEST, "", 10));
	/* too much for its room */
	msg = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "c", 16);
	for (unsigned i = 0; i < 10; i++)
		cp_vici_str(msg, "k", big);
	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), -EMSGSIZE);
	cp_vici_msg_destroy(msg);
	/* what is longer than its length can say */
	msg = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "c", 70000);
	{
		uint8_t *long_value = calloc(1, 65536);

		cp_vici_bytes(msg, "k", long_value, 65536);
		CU_ASSERT_EQUAL(cp_vici_msg_end(msg), -EMSGSIZE);
		free(long_value);
	}
	cp_vici_msg_destroy(msg);
	msg = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "c", 100);
	cp_vici_section(msg, "s");
	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), -EPROTO);
	cp_vici_section_end(msg);
	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), 0);
	cp_vici_section_end(msg);
	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), -EMSGSIZE);
	cp_vici_msg_destroy(msg);
	msg = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "c", 100);
	cp_vici_list(msg, "l");
	cp_vici_str(msg, "k", "v");
	CU_ASSERT_EQUAL(cp_vici_msg_end(msg), -EMSGSIZE);
	cp_vici_msg_destroy(msg);
}

/* --- the client and a peer on one loop --- */

struct peer {
	struct event_base *base;
	struct evconnlistener *listener;
	struct bufferevent *bev;
	struct sockaddr_un addr;
	unsigned connections, registered, requests;
	char last[CP_VICI_NAME_MAX]; /* its last request */
	const char *reply;   /* raw packet instead of the answer; "": none */
	size_t reply_len;
	/* of the client */
	unsigned ups, downs, events, answers;
	int last_rc, rc[4]; /* of the first answers */
	char said[64], event[64];
	struct cp_vici *vici;
};

static void peer_raw(struct peer *p, const void *data, size_t len)
{
	uint8_t head[4] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	bufferevent_write(p->bev, head, 4);
	bufferevent_write(p->bev, data, len);
}

static void peer_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct peer *p = arg;

	while (evbuffer_get_length(in) >= 4) {
		uint8_t head[4], data[1024];
		char name[CP_VICI_NAME_MAX];
		enum cp_vici_type type;
		const uint8_t *body;
		size_t len, body_len;

		evbuffer_copyout(in, head, 4);
		len = (size_t)head[2] << 8 | head[3];
		if (evbuffer_get_length(in) < 4 + len || len > sizeof(data))
			return;
		evbuffer_drain(in, 4);
		evbuffer_remove(in, data, len);
		CU_ASSERT_EQUAL_FATAL(cp_vici_packet(data, len, &type, name, &body, &body_len), 0);
		if (type == CP_VICI_EVENT_REGISTER) {
			p->registered++;
			peer_raw(p, strcmp(name, "unheard-of") == 0 ? "\x06" : "\x05", 1);
			continue;
		}
		CU_ASSERT_EQUAL(type, CP_VICI_CMD_REQUEST);
		p->requests++;
		snprintf(p->last, sizeof(p->last), "%s", name);
		if (p->reply != NULL) {
			if (p->reply_len > 0)
				bufferevent_write(bev, p->reply, p->reply_len);
		} else if (strcmp(name, "unheard-of") == 0) {
			peer_raw(p, "\x02", 1);
		} else {
			/* an event that belongs to it goes before: charon streams its lists so */
			peer_raw(p, "\x07\x07list-sa\x03\x01k\x00\x01v", 15);
			peer_raw(p, "\x01\x03\x07success\x00\x03yes", 15);
		}
	}
}

static void peer_event(struct bufferevent *bev, short what, void *arg)
{
	struct peer *p = arg;

	(void)what;
	bufferevent_free(bev);
	if (p->bev == bev)
		p->bev = NULL;
}

static void peer_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct peer *p = arg;

	(void)l;
	(void)sa;
	(void)len;
	p->connections++;
	if (p->bev != NULL)
		bufferevent_free(p->bev);
	p->bev = bufferevent_socket_new(p->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(p->bev, peer_read, NULL, peer_event, p);
	bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

static void peer_listen(struct peer *p)
{
	unlink(p->addr.sun_path);
	p->listener = evconnlistener_new_bind(p->base, peer_accept, p, LEV_OPT_CLOSE_ON_FREE, 4, (struct sockaddr *)&p->addr, sizeof(p->addr));
	CU_ASSERT_PTR_NOT_NULL_FATAL(p->listener);
}

static void peer_close(struct peer *p)
{
	if (p->listener != NULL)
		evconnlistener_free(p->listener);
	p->listener = NULL;
	if (p->bev != NULL)
		bufferevent_free(p->bev);
	p->bev = NULL;
	unlink(p->addr.sun_path);
}

static void on_up(void *ctx)
{
	((struct peer *)ctx)->ups++;
}

static void on_down(void *ctx, const char *why)
{
	CU_ASSERT(why[0] != '\0');
	((struct peer *)ctx)->downs++;
}

static void on_ev(void *ctx, const char *name, const json_t *msg)
{
	struct peer *p = ctx;

	p->events++;
	snprintf(p->event, sizeof(p->event), "%s %s", name, cp_vici_get(msg, "k"));
}

static const char *const events[] = {"list-sa", "unheard-of", "ike-updown", NULL};
static const struct cp_vici_ops ops = {events, on_up, on_down, on_ev};

static void on_answer(void *ctx, int rc, const json_t *answer)
{
	struct peer *p = ctx;

	if (p->answers < 4)
		p->rc[p->answers] = rc;
	p->answers++;
	p->last_rc = rc;
	snprintf(p->said, sizeof(p->said), "%s", answer != NULL ? cp_vici_get(answer, "success") : "-");
}

/* Turns the loop until a count is 'want'; false after 5 s. */
static bool until(struct peer *p, const unsigned *count, unsigned want)
{
	for (unsigned i = 0; i < 5000 && *count < want; i++) {
		event_base_loop(p->base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	return *count == want;
}

static int ask(struct peer *p, const char *cmd)
{
	return cp_vici_send(p->vici, cp_vici_msg_create(CP_VICI_CMD_REQUEST, cmd, 0), on_answer, p);
}

static void begin(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	p->base = event_base_new();
	p->addr.sun_family = AF_UNIX;
	snprintf(p->addr.sun_path, sizeof(p->addr.sun_path), "/tmp/ravelin-vici-%d", (int)getpid());
}

static void end(struct peer *p)
{
	cp_vici_destroy(p->vici);
	peer_close(p);
	event_base_loop(p->base, EVLOOP_NONBLOCK);
	event_base_free(p->base);
}

static void test_client(void)
{
	struct peer p;

	begin(&p);
	p.vici = cp_vici_create(p.base, p.addr.sun_path, &ops, &p);
	CU_ASSERT(until(&p, &p.downs, 1)); /* nobody is there */
	CU_ASSERT_EQUAL(ask(&p, "version"), -ENOTCONN);
	CU_ASSERT_EQUAL(p.answers, 0);
	peer_listen(&p);
	CU_ASSERT(until(&p, &p.ups, 1));
	CU_ASSERT_EQUAL(p.registered, 3);
	CU_ASSERT(cp_vici_up(p.vici));
	CU_ASSERT_EQUAL(ask(&p, "version"), 0);
	CU_ASSERT_EQUAL(ask(&p, "unheard-of"), 0);
	CU_ASSERT_EQUAL(ask(&p, "stats"), 0);
	CU_ASSERT(until(&p, &p.answers, 3));
	CU_ASSERT(p.rc[0] == 0 && p.rc[1] == -ENOTSUP && p.rc[2] == 0);
	CU_ASSERT_STRING_EQUAL(p.said, "yes");
	CU_ASSERT_STRING_EQUAL(p.event, "list-sa v");
	CU_ASSERT_EQUAL(p.events, 2);
	CU_ASSERT_STRING_EQUAL(p.last, "stats");
	/* it goes with requests under way: each is told, and they are not sent again */
	p.reply = "";
	CU_ASSERT_EQUAL(ask(&p, "one"), 0);
	CU_ASSERT_EQUAL(ask(&p, "two"), 0);
	CU_ASSERT(until(&p, &p.requests, 5));
	peer_close(&p);
	CU_ASSERT(until(&p, &p.answers, 5));
	CU_ASSERT_EQUAL(p.last_rc, -ENOTCONN);
	CU_ASSERT_FALSE(cp_vici_up(p.vici));
	p.reply = NULL;
	peer_listen(&p);
	CU_ASSERT(until(&p, &p.ups, 2));
	CU_ASSERT_EQUAL(p.registered, 6);
	CU_ASSERT_EQUAL(p.requests, 5);
	end(&p);
}

/* Many at once: as many as the window under way, the others as answers come, each with its own. */
static void test_client_window(void)
{
	struct peer p;

	begin(&p);
	peer_listen(&p);
	p.vici = cp_vici_create(p.base, p.addr.sun_path, &ops, &p);
	CU_ASSERT(until(&p, &p.ups, 1));
	p.reply = "";
	for (unsigned i = 0; i < 2 * CP_VICI_WINDOW; i++)
		CU_ASSERT_EQUAL(ask(&p, i == 1 ? "unheard-of" : "stats"), 0);
	CU_ASSERT(until(&p, &p.requests, CP_VICI_WINDOW));
	for (unsigned i = 0; i < 20; i++) {
		event_base_loop(p.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(p.requests, CP_VICI_WINDOW);
	CU_ASSERT_EQUAL(p.answers, 0);
	peer_raw(&p, "\x01\x03\x07success\x00\x03yes", 15);
	peer_raw(&p, "\x02", 1);
	CU_ASSERT(until(&p, &p.answers, 2));
	CU_ASSERT(p.rc[0] == 0 && p.rc[1] == -ENOTSUP);
	CU_ASSERT(until(&p, &p.requests, CP_VICI_WINDOW + 2));
	/* all of them are told when it goes, sent or not */
	peer_close(&p);
	CU_ASSERT(until(&p, &p.answers, 2 * CP_VICI_WINDOW));
	CU_ASSERT_EQUAL(p.last_rc, -ENOTCONN);
	end(&p);
}

/* Whatever it sends instead of an answer: the connection ends, whoever asked is told, and another one is made. */
static void test_client_hostile(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x00\x00\x00\x00", 4},             /* nothing */
		{"\x00\x08\x00\x01", 4},             /* longer than any */
		{"\xff\xff\xff\xff", 4},
		{"\x00\x00\x00\x01\x08", 5},         /* no such type */
		{"\x00\x00\x00\x01\x05", 5},         /* a confirmation of nothing */
		{"\x00\x00\x00\x03\x00\x01x", 7},    /* a request of its own */
		{"\x00\x00\x00\x01\x01\x00\x00\x00\x01\x01", 10}, /* two answers to one request */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct peer p;

		begin(&p);
		peer_listen(&p);
		p.vici = cp_vici_create(p.base, p.addr.sun_path, &ops, &p);
		CU_ASSERT(until(&p, &p.ups, 1));
		p.reply = bad[i].bytes;
		p.reply_len = bad[i].len;
		CU_ASSERT_EQUAL(ask(&p, "version"), 0);
		CU_ASSERT(until(&p, &p.downs, 1));
		CU_ASSERT_EQUAL(p.answers, 1);
		p.reply = NULL;
		CU_ASSERT(until(&p, &p.ups, 2));
		end(&p);
	}
}

/* A malformed answer is the asker's; a malformed event is dropped: neither ends anything. */
static void test_client_malformed(void)
{
	struct peer p;

	begin(&p);
	peer_listen(&p);
	p.vici = cp_vici_create(p.base, p.addr.sun_path, &ops, &p);
	CU_ASSERT(until(&p, &p.ups, 1));
	p.reply = "\x00\x00\x00\x04\x07\x01x\x02\x00\x00\x00\x02\x01\x02";
	p.reply_len = 14;
	CU_ASSERT_EQUAL(ask(&p, "version"), 0);
	CU_ASSERT(until(&p, &p.answers, 1));
	CU_ASSERT_EQUAL(p.last_rc, -EBADMSG);
	CU_ASSERT_EQUAL(p.events, 0);
	CU_ASSERT_EQUAL(p.downs, 0);
	p.reply = NULL;
	CU_ASSERT_EQUAL(ask(&p, "version"), 0);
	CU_ASSERT(until(&p, &p.answers, 2));
	CU_ASSERT_EQUAL(p.last_rc, 0);
	end(&p);
}

static void test_client_queue(void)
{
	unsigned taken = 0;
	struct peer p;

	begin(&p);
	peer_listen(&p);
	p.vici = cp_vici_create(p.base, p.addr.sun_path, &ops, &p);
	CU_ASSERT(until(&p, &p.ups, 1));
	p.reply = "";
	while (taken <= CP_VICI_QUEUE && ask(&p, "version") == 0)
		taken++;
	CU_ASSERT_EQUAL(taken, CP_VICI_QUEUE);
	CU_ASSERT_EQUAL(ask(&p, "version"), -EAGAIN);
	CU_ASSERT_EQUAL(p.answers, 0);
	end(&p);
	CU_ASSERT(p.answers == CP_VICI_QUEUE && p.last_rc == -ENOTCONN);
}

static CU_TestInfo tests[] = {
	{"the documented example, both ways", test_documented},
	{"a message cut at every length", test_cut},
	{"malformed messages", test_bad_messages},
	{"malformed packets", test_bad_packets},
	{"what does not fit is not sent", test_writer},
	{"client: greets, asks, comes back", test_client},
	{"client: a peer that breaks the rules", test_client_hostile},
	{"client: many requests at once", test_client_window},
	{"client: malformed answers and events", test_client_malformed},
	{"client: a full queue", test_client_queue},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("vici", tests, NULL, NULL)
