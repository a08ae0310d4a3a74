/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TFTP's state machine under a clock and a network of our own: what goes out after what came in, datagram by datagram
 * (RFC 1350, 2347, 2348, 2349, 7440; RFC 1123 section 4.2.3.1), the limits, and names that must not get out of the tree.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "fake_files.h"
#include "log.h"
#include "provision/tftp.h"
#include "provision/tftpd.h"
#include "suite.h"

#define MAX_OUT 4096

static struct cp_tftpd *d;
static struct cp_sources *sources;
static uint64_t now;

struct sent {
	union cp_sa to;
	void *port; /* NULL: the service's */
	size_t len;
	uint8_t data[70000];
};
static struct sent *out;
static unsigned out_n;
static unsigned ports_open, ports_made;
static bool no_ports;

struct fake_port {
	struct cp_tftp_xfer *x;
	unsigned id;
};
static struct fake_port *last_port;

static void *io_open(void *ctx, const union cp_sa *local, const union cp_sa *peer, struct cp_tftp_xfer *x)
{
	struct fake_port *p;

	(void)ctx;
	(void)local;
	(void)peer;
	if (no_ports)
		return NULL;
	p = calloc(1, sizeof(*p));
	p->x = x;
	p->id = ++ports_made;
	ports_open++;
	last_port = p;
	return p;
}

static void io_close(void *ctx, void *port)
{
	(void)ctx;
	ports_open--;
	if (last_port == port)
		last_port = NULL;
	free(port);
}

static struct sent *put(const union cp_sa *to, void *port)
{
	struct sent *s = &out[out_n++ % MAX_OUT];

	s->to = *to;
	s->port = port;
	s->len = 0;
	return s;
}

static void io_send(void *ctx, void *port, const union cp_sa *to, const struct cp_tftp_out *o, unsigned n)
{
	(void)ctx;
	for (unsigned i = 0; i < n; i++) {
		struct sent *s = put(to, port);

		memcpy(s->data, o[i].hdr, o[i].hdr_len);
		memcpy(s->data + o[i].hdr_len, o[i].data, o[i].len);
		s->len = o[i].hdr_len + o[i].len;
	}
}

static void io_answer(void *ctx, const union cp_sa *local, const union cp_sa *to, const uint8_t *data, size_t len)
{
	struct sent *s = put(to, NULL);

	(void)ctx;
	(void)local;
	memcpy(s->data, data, len);
	s->len = len;
}

static void fini(void)
{
	cp_tftpd_destroy(d);
	cp_sources_destroy(sources);
	d = NULL;
	sources = NULL;
	CU_ASSERT_EQUAL(ports_open, 0);
	CU_ASSERT_EQUAL(ff_living, 0);
}

static void init(uint32_t max, uint32_t max_each)
{
	struct cp_tftpd_opts o = {
		.source = ff_source(),
		.io = {io_open, io_close, io_send, io_answer, NULL},
		.blksize_max = 1428, .windowsize_max = 16, .timeout_ms = 1000, .retries = 5, .min_rate = 1024, .max = max,
	};
	static const uint8_t key[16] = {1, 2, 3};

	now = 1000000;
	sources = cp_sources_create(max, max_each, key);
	o.sources = sources;
	d = cp_tftpd_create(&o, now);
	out_n = 0;
	ff_gets = ff_fetched = ff_late_n = 0;
	no_ports = false;
}

static union cp_sa client(uint8_t host, uint16_t port)
{
	union cp_sa sa;

	memset(&sa, 0, sizeof(sa));
	sa.in.sin_family = AF_INET;
	sa.in.sin_port = htons(port);
	sa.in.sin_addr.s_addr = htonl(0x0a000000u + host);
	return sa;
}

static const union cp_sa here = {.in = {.sin_family = AF_INET}};

/* A request from words, NUL behind each: RRQ("s100", "octet", "blksize", "1000"). */
#define RRQ(from, ...) request(from, 1, (const char *const[]){__VA_ARGS__, NULL})
static void request(union cp_sa from, uint8_t op, const char *const *words)
{
	uint8_t b[600] = {0, op};
	size_t n = 2;

	for (; *words != NULL; words++) {
		memcpy(b + n, *words, strlen(*words) + 1);
		n += strlen(*words) + 1;
	}
	cp_tftpd_request(d, now, &from, &here, b, n);
}

static void ack(union cp_sa from, unsigned block)
{
	uint8_t b[4] = {0, 4, (uint8_t)(block >> 8), (uint8_t)block};

	if (last_port != NULL)
		cp_tftpd_packet(d, now, last_port->x, &from, b, 4);
}

static struct sent *last(void)
{
	return &out[(out_n - 1) % MAX_OUT];
}

static unsigned op_of(const struct sent *s)
{
	return s->data[1];
}

static unsigned block_of(const struct sent *s)
{
	return (unsigned)(s->data[2] << 8 | s->data[3]);
}

static void pass(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 16) {
		now += 16;
		cp_tftpd_tick(d, now);
	}
}

static uint64_t ends(enum cp_tftp_end why)
{
	return cp_tftpd_stats(d)->ends[why];
}

static bool is_file(const struct sent *s, size_t at, size_t len)
{
	if (op_of(s) != 3 || s->len != len + 4)
		return false;
	for (size_t i = 0; i < len; i++)
		if (s->data[4 + i] != ff_byte(at + i))
			return false;
	return true;
}

/* 004a: TFTP rows; every length around a block: how many blocks, and that the last is short */
static void test_sizes(void)
{
	static const size_t sizes[] = {0, 1, 511, 512, 513, 1023, 1024, 1025, 10240};
	char name[16];

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t left = sizes[i], at = 0;
		unsigned block = 1;

		init(10, 10);
		snprintf(name, sizeof(name), "s%zu", sizes[i]);
		RRQ(client(1, 1000), name, "OcTeT");
		for (;;) {
			size_t n = left < 512 ? left : 512;

			CU_ASSERT_EQUAL(out_n, block);
			CU_ASSERT_EQUAL(block_of(last()), block);
			CU_ASSERT_TRUE(is_file(last(), at, n));
			CU_ASSERT_EQUAL(ff_fetched, 0);
			ack(client(1, 1000), block++);
			at += n;
			left -= n;
			if (n < 512)
				break;
		}
		CU_ASSERT_EQUAL(ff_fetched, 1);
		CU_ASSERT_EQUAL(strcmp(ff_last_fetched.name, name), 0);
		CU_ASSERT_EQUAL(ff_last_fetched.via, CP_VIA_TFTP);
		CU_ASSERT_EQUAL(ff_last_fetched.from.ip[3], 1);
		CU_ASSERT_EQUAL(ports_open, 0);
		CU_ASSERT_EQUAL(ends(CP_TFTP_DONE), 1);
		CU_ASSERT_EQUAL(cp_tftpd_stats(d)->bytes, sizes[i]);
		CU_ASSERT_EQUAL(cp_tftpd_tick(d, now), -1);
		fini();
	}
}

static void check_oack(const char *want, size_t want_len)
{
	CU_ASSERT_EQUAL(op_of(last()), 6);
	CU_ASSERT_EQUAL(last()->len, want_len + 2);
	CU_ASSERT_EQUAL(memcmp(last()->data + 2, want, want_len), 0);
}
#define OACK(text) check_oack(text, sizeof(text))

static void test_options(void)
{
	union cp_sa c = client(1, 1000);

	init(10, 10);
	RRQ(c, "s5000", "octet", "BLKSIZE", "1000", "tsize", "0", "timeout", "7", "WindowSize", "2", "junk", "1");
	OACK("blksize\0001000\0timeout\0007\0tsize\0005000\0windowsize\0002");
	ack(c, 1); /* not what is waited for */
	CU_ASSERT_EQUAL(out_n, 1);
	ack(c, 0);
	CU_ASSERT_EQUAL(out_n, 3); /* a window */
	CU_ASSERT_TRUE(is_file(&out[1], 0, 1000));
	CU_ASSERT_TRUE(is_file(&out[2], 1000, 1000));
	ack(c, 2);
	ack(c, 4);
	CU_ASSERT_EQUAL(out_n, 7);
	CU_ASSERT_TRUE(is_file(&out[5], 4000, 1000));
	CU_ASSERT_TRUE(is_file(&out[6], 5000, 0));
	ack(c, 6);
	CU_ASSERT_EQUAL(ff_fetched, 1);
	/* lowered, or left out where the value is none */
	RRQ(c, "s1", "octet", "blksize", "65464", "windowsize", "64");
	OACK("blksize\0001428\0windowsize\00016");
	RRQ(client(1, 1001), "s1", "octet", "blksize", "7", "windowsize", "0", "timeout", "0", "timeout", "x", "tsize", "0");
	OACK("tsize\0001");
	RRQ(client(1, 1002), "s1", "octet", "blksize", "8", "blksize", "100", "timeout", "255");
	OACK("blksize\0008");
	RRQ(client(1, 1003), "s1", "octet", "blksize", "-5", "nothing", "at all");
	CU_ASSERT_TRUE(is_file(last(), 0, 1)); /* no option: no OACK */
	RRQ(client(1, 1005), "s0", "octet", "tsize", "0"); /* curl takes a size of 0 for an error */
	CU_ASSERT_TRUE(is_file(last(), 0, 0));
	RRQ(client(1, 1004), "s1", "octet", "blksize"); /* a name without value */
	CU_ASSERT_TRUE(is_file(last(), 0, 1));
	fini();
}

static void test_netascii(void)
{
	static uint8_t plain[3000], ascii[6000], got[8000];
	union cp_sa c = client(1, 1000);
	struct cp_file *f = NULL;
	size_t n = 0, want = 0;

	CU_ASSERT_EQUAL_FATAL(ff_make("t3000", &f), 0);
	memcpy(plain, f->data, 3000);
	cp_file_put(f);
	for (size_t i = 0; i < 3000; i++) {
		if (plain[i] == '\n' || plain[i] == '\r')
			ascii[want++] = '\r';
		ascii[want++] = plain[i] == '\r' ? '\0' : plain[i];
	}
	init(10, 10);
	RRQ(c, "t3000", "netascii", "tsize", "0");
	CU_ASSERT_EQUAL((size_t)atoi((char *)last()->data + 8), want); /* of what is sent */
	ack(c, 0);
	for (unsigned b = 1; last_port != NULL && b < 20; b++) {
		memcpy(got + n, last()->data + 4, last()->len - 4);
		n += last()->len - 4;
		ack(c, b);
	}
	CU_ASSERT_EQUAL(n, want);
	CU_ASSERT_EQUAL(memcmp(got, ascii, want), 0);
	CU_ASSERT_EQUAL(ff_fetched, 1);
	fini();
}

/* Each netascii transfer has a copy of its own: together they are no more than what is given to them. */
static void test_netascii_memory(void)
{
	unsigned served = 0;

	init(1000, 1000);
	for (unsigned i = 0; i < 200; i++) { /* of some 1.1 MB each */
		RRQ(client((uint8_t)(1 + i % 250), (uint16_t)(1000 + i)), "t1000000", "netascii", "blksize", "1000");
		served += last()->len > 2 && last()->data[1] == 6 && out_n == served + 1;
	}
	CU_ASSERT(served >= 40 && served < 64);
	CU_ASSERT_EQUAL(out_n, served); /* the others hear nothing, and ask again */
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->ends[CP_TFTP_END_BUSY], 200 - served);
	pass(200000); /* those who did not answer are over, and gave it back */
	out_n = 0;
	RRQ(client(251, 999), "t1000000", "netascii", "blksize", "1000");
	CU_ASSERT_EQUAL(out_n, 1);
	fini();
}

/* The sorcerer's apprentice (RFC 1123 section 4.2.3.1): an ACK that comes twice sends nothing twice. */
static void test_duplicate_acks(void)
{
	union cp_sa c = client(1, 1000);

	init(10, 10);
	RRQ(c, "s5000", "octet");
	for (unsigned b = 1; b <= 9; b++) {
		ack(c, b);
		CU_ASSERT_EQUAL(out_n, b + 1);
		for (unsigned k = 0; k < 3; k++) {
			ack(c, b);
			ack(c, b - 1);
			ack(c, b + 7);
		}
		CU_ASSERT_EQUAL(out_n, b + 1);
	}
	pass(1040); /* the timer alone */
	CU_ASSERT_EQUAL(out_n, 11);
	CU_ASSERT_EQUAL(block_of(last()), 10);
	ack(c, 10);
	CU_ASSERT_EQUAL(ff_fetched, 1);
	fini();
}

/* RFC 7440 section 4: an ACK from inside the window goes on behind it. */
static void test_window(void)
{
	union cp_sa c = client(1, 1000);

	init(10, 10);
	RRQ(c, "s51200", "octet", "windowsize", "8");
	ack(c, 0);
	CU_ASSERT_EQUAL(out_n, 9);
	ack(c, 3); /* 4 was lost */
	CU_ASSERT_EQUAL(out_n, 17);
	CU_ASSERT_EQUAL(block_of(&out[9]), 4);
	CU_ASSERT_EQUAL(block_of(&out[16]), 11);
	ack(c, 3);
	ack(c, 2);
	CU_ASSERT_EQUAL(out_n, 17);
	ack(c, 11);
	CU_ASSERT_EQUAL(out_n, 25);
	pass(1040);
	CU_ASSERT_EQUAL(out_n, 33); /* the whole window */
	CU_ASSERT_EQUAL(block_of(&out[25]), 12);
	fini();
}

static void test_wrap(void)
{
	union cp_sa c = client(1, 1000);
	unsigned b = 0;
	size_t at = 0;

	init(10, 10);
	RRQ(c, "s600000", "octet", "blksize", "8"); /* 75,001 blocks */
	ack(c, 0);
	while (last_port != NULL && b < 80000) {
		b++;
		if (block_of(last()) != (uint16_t)b || !is_file(last(), at, at + 8 <= 600000 ? 8 : 0))
			break;
		at += 8;
		ack(c, (uint16_t)b);
	}
	CU_ASSERT_EQUAL(b, 75001);
	CU_ASSERT_EQUAL(ff_fetched, 1);
	fini();
}

static void test_retransmission(void)
{
	static const unsigned waits[] = {1000, 2000, 4000, 8000, 16000};
	union cp_sa c = client(1, 1000);
	uint64_t at = 0;

	init(10, 10);
	RRQ(c, "s5000", "octet");
	ack(c, 1);
	out_n = 0;
	at = now;
	for (unsigned i = 0; i < 5; i++) {
		while (out_n == i && now < at + 70000)
			pass(16);
		CU_ASSERT_TRUE(now - at >= waits[i] && now - at < waits[i] + 64);
		CU_ASSERT_EQUAL(block_of(last()), 2);
		at = now;
	}
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->retransmissions, 5);
	pass(33000);
	CU_ASSERT_EQUAL(out_n, 5);
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_TIMEOUT), 1);
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 0);
	/* "timeout" is where it starts from; progress starts it again, however far off the timer was */
	out_n = 0;
	RRQ(c, "s5000", "octet", "timeout", "3");
	ack(c, 0);
	pass(2960);
	CU_ASSERT_EQUAL(out_n, 2);
	pass(64);
	CU_ASSERT_EQUAL(out_n, 3);
	pass(5900); /* in the doubled wait */
	ack(c, 1);
	CU_ASSERT_EQUAL(out_n, 4);
	pass(2960);
	CU_ASSERT_EQUAL(out_n, 4);
	pass(64);
	CU_ASSERT_EQUAL(out_n, 5);
	fini();
}

static unsigned sent_to(union cp_sa to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < out_n; i++)
		n += out[i].to.in.sin_addr.s_addr == to.in.sin_addr.s_addr && op_of(&out[i]) != 5;
	return n;
}

/* A forged source gets six datagrams, however it is asked for, until it is left alone or proves itself. */
static void test_unproven(void)
{
	union cp_sa victim = client(9, 1000);

	init(100, 16);
	RRQ(victim, "s5000", "octet", "blksize", "1428");
	for (unsigned i = 0; i < 80; i++) {
		RRQ(victim, "s5000", "octet", "blksize", "1428"); /* again and again */
		pass(1600);
	}
	CU_ASSERT_EQUAL(sent_to(victim), 6);
	CU_ASSERT_TRUE(cp_tftpd_stats(d)->duplicates > 0);
	fini();

	init(100, 16);
	for (uint16_t port = 1; port < 2000; port++) { /* from each of its ports */
		RRQ(client(9, port), "s5000", "octet");
		pass(32);
	}
	CU_ASSERT_EQUAL(sent_to(victim), 6);
	CU_ASSERT_TRUE(ends(CP_TFTP_END_UNPROVEN) > 0);
	/* somebody there answers: then it is no forgery */
	pass(200000);
	RRQ(victim, "s5000", "octet");
	ack(victim, 1);
	for (uint16_t port = 1; port <= 10; port++)
		RRQ(client(9, port), "s5000", "octet");
	CU_ASSERT_EQUAL(sent_to(victim), 6 + 2 + 10);
	fini();

	init(100, 16);
	RRQ(victim, "s5000", "octet", "timeout", "60", "windowsize", "16"); /* does not make it last */
	pass(40000);
	CU_ASSERT_EQUAL(sent_to(victim), 6);
	pass(25000);
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 0);
	/* error answers are few too */
	out_n = 0;
	for (uint16_t port = 1; port <= 1000; port++)
		RRQ(client(9, port), "none", "octet");
	CU_ASSERT_EQUAL(out_n, CP_SOURCE_ERRORS);
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->errors_held, 1000 - CP_SOURCE_ERRORS);
	fini();
}

static void test_limits(void)
{
	init(20, 8);
	for (unsigned host = 1; host <= 4; host++) { /* proven first, so that only the limits say no */
		RRQ(client((uint8_t)host, 1), "s1", "octet");
		ack(client((uint8_t)host, 1), 1);
	}
	out_n = 0;
	for (uint16_t port = 1; port <= 10; port++)
		RRQ(client(1, port), "s5000", "octet");
	CU_ASSERT_EQUAL(out_n, 8); /* the others get no answer at all */
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_SOURCE), 2);
	for (unsigned host = 2; host <= 4; host++)
		for (uint16_t port = 1; port <= 8; port++)
			RRQ(client((uint8_t)host, port), "s5000", "octet");
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 20);
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_TOTAL), 12);
	CU_ASSERT_EQUAL(cp_sources_open(sources), 20);
	pass(70000);
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 0);
	CU_ASSERT_EQUAL(cp_sources_open(sources), 0);
	RRQ(client(4, 9), "s5000", "octet");
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 1);
	no_ports = true;
	RRQ(client(4, 10), "s5000", "octet");
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_PORT), 1);
	fini();
}

static void check_error(unsigned code, const char *text)
{
	CU_ASSERT_EQUAL(op_of(last()), 5);
	CU_ASSERT_EQUAL(block_of(last()), code);
	CU_ASSERT_STRING_EQUAL((char *)last()->data + 4, text);
	CU_ASSERT_EQUAL(last()->len, strlen(text) + 5);
}

static void test_errors(void)
{
	union cp_sa c = client(1, 1000), stranger = client(2, 1000);
	static const uint8_t err[] = {0, 5, 0, 0, 'n', 'o', 0}, odd[] = {0, 9, 1, 2}, data[] = {0, 3, 0, 1, 'x'};
	unsigned n;

	init(10, 10);
	RRQ(c, "none", "octet");
	check_error(1, "file not found");
	RRQ(c, "err/13", "octet"); /* -EACCES: not for this asker, who is told no more */
	check_error(1, "file not found");
	RRQ(c, "err/1", "octet");
	check_error(2, "access violation");
	RRQ(c, "err/5", "octet");
	check_error(0, "temporarily unavailable, try again");
	n = out_n;
	RRQ(c, "err/11", "octet"); /* too many wait: it asks again by itself */
	CU_ASSERT_EQUAL(out_n, n);
	request(c, 2, (const char *const[]){"s1", "octet", NULL});
	check_error(2, "access violation: files are only read here");
	RRQ(c, "s1", "mail");
	check_error(4, "mode is neither octet nor netascii");
	RRQ(c, "s1");
	check_error(4, "malformed request");
	cp_tftpd_request(d, now, &c, &here, odd, sizeof(odd));
	check_error(4, "illegal operation");
	n = out_n;
	cp_tftpd_request(d, now, &c, &here, err, sizeof(err)); /* never answered */
	cp_tftpd_request(d, now, &c, &here, data, sizeof(data));
	CU_ASSERT_EQUAL(out_n, n);
	/* a port serves one client: strangers are told so and change nothing */
	RRQ(c, "s5000", "octet");
	n = out_n;
	ack(stranger, 1);
	check_error(5, "unknown transfer id");
	CU_ASSERT_EQUAL(last()->to.in.sin_addr.s_addr, stranger.in.sin_addr.s_addr);
	CU_ASSERT_EQUAL(last()->port, last_port);
	cp_tftpd_packet(d, now, last_port->x, &stranger, err, sizeof(err));
	CU_ASSERT_EQUAL(out_n, n + 1);
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->strangers, 2);
	ack(client(1, 1001), 1); /* the same host from another port is one too */
	check_error(5, "unknown transfer id");
	ack(c, 1);
	CU_ASSERT_EQUAL(block_of(last()), 2);
	/* its own ERROR ends it, and is not acknowledged */
	n = out_n;
	cp_tftpd_packet(d, now, last_port->x, &c, err, sizeof(err));
	CU_ASSERT_EQUAL(out_n, n);
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_CLIENT), 1);
	CU_ASSERT_EQUAL(ports_open, 0);
	RRQ(c, "s5000", "octet");
	cp_tftpd_packet(d, now, last_port->x, &c, data, sizeof(data));
	check_error(4, "illegal operation");
	CU_ASSERT_EQUAL(ports_open, 0);
	CU_ASSERT_EQUAL(ff_fetched, 0);
	fini();
}

/* Files that must be made first; requests repeated meanwhile; servers that end meanwhile. */
static void test_late(void)
{
	union cp_sa c = client(1, 1000);

	init(10, 10);
	RRQ(c, "late/s100", "octet");
	RRQ(c, "late/s100", "octet");
	CU_ASSERT_EQUAL(ff_gets, 1);
	CU_ASSERT_EQUAL(out_n, 0);
	ff_deliver();
	CU_ASSERT_EQUAL(out_n, 0); /* not on the thread that brings it */
	cp_tftpd_files(d, now);
	CU_ASSERT_EQUAL(out_n, 1);
	CU_ASSERT_TRUE(is_file(last(), 0, 100));
	ack(c, 1);
	CU_ASSERT_EQUAL(ff_fetched, 1);
	RRQ(c, "late/none", "octet");
	ff_deliver();
	cp_tftpd_files(d, now);
	check_error(1, "file not found");
	RRQ(c, "late/s100", "octet"); /* does not come */
	pass(31000);
	check_error(0, "temporarily unavailable, try again");
	CU_ASSERT_EQUAL(cp_tftpd_stats(d)->active, 0);
	ff_deliver(); /* comes after all */
	cp_tftpd_files(d, now);
	CU_ASSERT_EQUAL(ff_living, 0);
	RRQ(c, "late/s100", "octet");
	RRQ(client(1, 1001), "late/s200", "octet");
	ff_late_n--; /* one is answered before the end, one after */
	ff_deliver();
	fini();
	ff_late[1].fn(ff_late[1].ctx, -EIO, NULL);
}

static void test_slow(void)
{
	union cp_sa c = client(1, 1000);
	unsigned b = 0;

	init(10, 10);
	RRQ(c, "s20480", "octet"); /* 20 s at min_rate, and a minute */
	while (last_port != NULL && b < 100) {
		pass(1600);
		ack(c, ++b);
	}
	CU_ASSERT_EQUAL(ff_fetched, 1); /* 41 blocks in 66 s */
	b = 0;
	RRQ(c, "s20480", "octet");
	while (last_port != NULL && b < 100) {
		pass(6992); /* the timer runs out before each ACK */
		ack(c, ++b);
	}
	CU_ASSERT_TRUE(b < 15);
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_SLOW), 1);
	fini();
}

/* Requests cut at every length, in memory of exactly that size. */
static void test_truncation(void)
{
	static const char full[] = "\0\1late/s100\0octet\0blksize\0001000\0tsize\0000\0timeout\0003\0windowsize\0004";
	union cp_sa c = client(1, 1000);

	init(1000, 1000);
	for (size_t n = 0; n <= sizeof(full); n++) {
		uint8_t *b = malloc(n > 0 ? n : 1);
		struct cp_tftp_rrq r;
		int rc;

		memcpy(b, full, n);
		rc = cp_tftp_rrq_parse(b, n, &r);
		CU_ASSERT_EQUAL(rc, n < 18 ? -EBADMSG : 0); /* from the mode's NUL on it is a request */
		if (rc == 0) {
			CU_ASSERT_EQUAL(r.has_blksize, n >= 31);
			CU_ASSERT_EQUAL(r.has_windowsize, n >= sizeof(full));
		}
		cp_tftpd_request(d, now, &c, &here, b, n);
		free(b);
	}
	for (size_t n = 0; n < 4; n++) {
		uint8_t *b = calloc(1, n > 0 ? n : 1);

		if (n > 1)
			b[1] = 4;
		CU_ASSERT_EQUAL(cp_tftp_ack_parse(b, n), -EBADMSG);
		free(b);
	}
	fini();
	ff_deliver();
	CU_ASSERT_EQUAL(ff_living, 0);
}

/* 10,000 names that must not be asked for: none reaches the files (ff_get() aborts on one). */
static void test_traversal(void)
{
	static const char *const parts[] = {"..", ".", "", "...", "a", "etc", "passwd", "%2e%2e", "..%2f", "\\..", "..\\", "~", "$HOME",
					    "\xc0\xae\xc0\xae", "\xe2\x80\xa5", " ", "..;", "C:", "s1", "SEP001122334455.cnf.xml", "*"};
	const unsigned np = sizeof(parts) / sizeof(parts[0]);
	unsigned good = 0, tried = 0, seed = 1;
	char name[400];

	init(100, 100);
	for (; tried < 10000; tried++) {
		unsigned n;

		name[0] = '\0';
		seed = seed * 1103515245u + 12345u;
		n = (seed >> 16) % 6 + 1;
		for (unsigned i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			strcat(name, parts[(seed >> 16) % np]);
			if (i + 1 < n || (seed >> 12 & 7) == 0)
				strcat(name, (seed >> 9 & 3) == 0 ? "\\" : "/");
		}
		if (cp_file_name_ok(name)) {
			good++;
			CU_ASSERT_PTR_NULL(strstr(name, "/../"));
			CU_ASSERT_PTR_NULL(strstr(name, "//"));
			CU_ASSERT_TRUE(name[0] != '/' && strncmp(name, "../", 3) != 0 && strcmp(name, "..") != 0);
			CU_ASSERT_TRUE(strlen(name) < 3 || strcmp(name + strlen(name) - 3, "/..") != 0);
			CU_ASSERT_PTR_NULL(strchr(name, '\\'));
		}
		if (name[0] != '\0')
			RRQ(client((uint8_t)tried, (uint16_t)tried), name, "octet");
		pass(16);
	}
	CU_ASSERT_TRUE(good > 50 && good < 3000);
	CU_ASSERT_TRUE(ends(CP_TFTP_END_BAD_NAME) > 6000);
	CU_ASSERT_EQUAL(ends(CP_TFTP_END_BAD_NAME) + ends(CP_TFTP_END_MALFORMED) + ff_gets + cp_tftpd_stats(d)->duplicates,
			cp_tftpd_stats(d)->requests);
	memset(name, 'a', 300);
	name[128] = '\0';
	CU_ASSERT_TRUE(cp_file_name_ok(name));
	name[128] = 'a';
	name[129] = '\0';
	CU_ASSERT_FALSE(cp_file_name_ok(name));
	RRQ(client(1, 1), name, "octet"); /* not cut to something else */
	check_error(1, "file not found");
	fini();
}

/* Of an IPv6 /64 each address has its share, and all of them together a bounded number of shares. */
static void test_ipv6_sources(void)
{
	static const uint8_t key[16] = {9};
	struct cp_sources *s = cp_sources_create(100000, 3, key);
	struct cfg_addr a = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8}};
	unsigned n = 0;

	for (unsigned host = 0; host < 200; host++) {
		int rc = 0;

		a.ip[15] = (uint8_t)host;
		for (unsigned i = 0; i < 4 && rc == 0; i++) {
			rc = cp_source_enter(s, &a, 1);
			n += rc == 0;
		}
		CU_ASSERT_EQUAL(rc, -EMFILE);
	}
	CU_ASSERT_EQUAL(n, 3 * CP_SOURCE_PREFIX);
	CU_ASSERT_EQUAL(cp_sources_open(s), n);
	a.ip[7] = 1; /* another /64 */
	CU_ASSERT_EQUAL(cp_source_enter(s, &a, 1), 0);
	cp_source_leave(s, &a);
	a.ip[7] = 0;
	for (unsigned host = 0; host < 200; host++) {
		a.ip[15] = (uint8_t)host;
		for (unsigned i = 0; i < 4; i++)
			cp_source_leave(s, &a);
	}
	CU_ASSERT_EQUAL(cp_sources_open(s), 0);
	CU_ASSERT_EQUAL(cp_source_enter(s, &a, 1), 0);
	cp_sources_destroy(s);
}

/* --- with sockets --- */

static int64_t shown(const struct cp_tftp *t, const char *name)
{
	json_t *o = cp_tftp_show(t);
	int64_t v = json_integer_value(json_object_get(o, name));

	json_decref(o);
	return v;
}

/* Many clients that fall silent at once, and a server that ends under many. */
static void test_many_gone(void)
{
	static char any[] = "127.0.0.1";
	struct cfg_provision cfg = {.listen = any, .threads = 2, .max_transfers = 2000, .max_source = 2000, .blksize_max = 1428,
				    .windowsize_max = 16, .timeout_ms = 300, .retries = 1, .min_rate = 0};
	struct cp_file_source source = ff_source();
	struct sockaddr_in sa = {.sin_family = AF_INET}, peer;
	socklen_t len = sizeof(peer);
	struct timeval tv = {5, 0};
	struct cp_tftp *t = NULL;
	uint8_t b[600], a[4] = {0, 4, 0, 1};
	int fd[1400];

	CU_ASSERT_EQUAL_FATAL(cp_tftp_create(&cfg, &source, &t), 0);
	sa.sin_port = htons(cp_tftp_port(t));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 1400; i++) {
			fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
			CU_ASSERT_TRUE_FATAL(fd[i] >= 0);
			setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
			sendto(fd[i], "\0\1s5000\0octet", 14, 0, (struct sockaddr *)&sa, sizeof(sa));
			CU_ASSERT_EQUAL(recvfrom(fd[i], b, sizeof(b), 0, (struct sockaddr *)&peer, &len), 516);
			CU_ASSERT_NOT_EQUAL(peer.sin_port, sa.sin_port);
			if (i == 0 && round == 0) { /* the rest of them are believed */
				sendto(fd[i], a, 4, 0, (struct sockaddr *)&peer, sizeof(peer));
				CU_ASSERT_EQUAL(recv(fd[i], b, sizeof(b), 0), 516);
			}
		}
		for (unsigned i = 0; i < 500 && round == 0 && shown(t, "active") > 0; i++)
			usleep(10000);
		CU_ASSERT_TRUE(round == 1 || shown(t, "active") == 0);
		if (round == 1)
			cp_tftp_destroy(t);
		for (unsigned i = 0; i < 1400; i++)
			close(fd[i]);
	}
	CU_ASSERT_EQUAL(ff_living, 0);
}

static CU_TestInfo tests[] = {
	{"every length around a block", test_sizes},
	{"options: taken, lowered, left out", test_options},
	{"netascii", test_netascii},
	{"netascii: memory of all together", test_netascii_memory},
	{"an ACK that comes twice sends nothing", test_duplicate_acks},
	{"windows, and ACKs from inside one", test_window},
	{"block numbers wrap to 0", test_wrap},
	{"retransmission by the timer, doubling", test_retransmission},
	{"six datagrams to a forged source", test_unproven},
	{"limits of a source and in all", test_limits},
	{"errors, strangers", test_errors},
	{"files that come late", test_late},
	{"slow clients", test_slow},
	{"requests cut at every length", test_truncation},
	{"10,000 names that lead out", test_traversal},
	{"IPv6 sources", test_ipv6_sources},
	{"many clients gone at once", test_many_gone},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096});
	out = calloc(MAX_OUT, sizeof(*out));
	return out == NULL;
}

static int teardown(void)
{
	free(out);
	return 0;
}

SUITE_MAIN("tftp", tests, setup, teardown)
