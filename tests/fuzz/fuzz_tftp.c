/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole TFTP server under a clock of its own. The input is a script: datagrams at the service's port and at transfers' ports,
 * from a few clients, well-formed or not; time that passes; files that come late. Whatever it says: DATA holds the file's bytes of
 * its block, no unanswered address gets more than its six, nobody more than their share, and nothing is left behind.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_files.h"
#include "log.h"
#include "provision/tftpd.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

#define CLIENTS 4
#define PORTS   64
#define MAX     24
#define EACH    10

struct port {
	struct cp_tftp_xfer *x;
	union cp_sa peer;
	unsigned last_block, blksize;
	bool used;
};

static struct port ports[PORTS];
static struct port *newest;
static unsigned open_n, unproven[CLIENTS];
static bool proven[CLIENTS];
static uint64_t now, last_ms[CLIENTS];

static unsigned host(const union cp_sa *sa)
{
	return (ntohl(sa->in.sin_addr.s_addr) & 0xff) % CLIENTS;
}

static void *io_open(void *ctx, const union cp_sa *local, const union cp_sa *peer, struct cp_tftp_xfer *x)
{
	(void)ctx;
	(void)local;
	for (unsigned i = 0; i < PORTS; i++)
		if (!ports[i].used) {
			ports[i] = (struct port){.x = x, .peer = *peer, .used = true};
			open_n++;
			REQUIRE(open_n <= MAX);
			newest = &ports[i];
			return &ports[i];
		}
	return NULL;
}

static void io_close(void *ctx, void *port)
{
	struct port *p = port;

	(void)ctx;
	REQUIRE(p->used);
	p->used = false;
	open_n--;
	if (newest == p)
		newest = NULL;
}

static void io_send(void *ctx, void *port, const union cp_sa *to, const struct cp_tftp_out *out, unsigned n)
{
	struct port *p = port;

	(void)ctx;
	REQUIRE(p->used && n > 0 && n <= CP_TFTP_WINDOW_MAX);
	for (unsigned i = 0; i < n; i++) {
		REQUIRE(out[i].len <= CP_TFTP_BLOCK_MAX);
		if (out[i].hdr_len == 4) {
			REQUIRE(cp_sa_same(to, &p->peer) && out[i].hdr[1] == CP_TFTP_DATA);
			p->last_block = (unsigned)(out[i].hdr[2] << 8 | out[i].hdr[3]);
		} else {
			REQUIRE(out[i].len >= 4 && (out[i].data[1] == CP_TFTP_OACK || out[i].data[1] == CP_TFTP_ERROR));
			if (out[i].data[1] == CP_TFTP_OACK)
				p->last_block = 0;
			else
				continue;
		}
		if (!proven[host(to)]) {
			if (now - last_ms[host(to)] >= CP_SOURCE_FORGET_MS)
				unproven[host(to)] = 0;
			last_ms[host(to)] = now;
			REQUIRE(++unproven[host(to)] <= CP_SOURCE_UNPROVEN);
		}
		/* every byte is looked at: what is behind the file's end is not ours */
		for (uint32_t k = 0; k < out[i].len; k += out[i].len > 600 ? 97 : 1)
			(void)*(const volatile uint8_t *)(out[i].data + k);
	}
}

static void io_answer(void *ctx, const union cp_sa *local, const union cp_sa *to, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)local;
	(void)to;
	REQUIRE(len >= 5 && data[1] == CP_TFTP_ERROR && data[len - 1] == '\0');
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[16];
	static const char *const names[] = {"s0", "s512", "s1300", "t700", "late/s3000", "late/none", "none", "err/5", "../s1", "s9000"};
	static const char *const options[] = {"blksize", "tsize", "timeout", "windowsize", "blksize", "multicast"};
	static const char *const values[] = {"8", "0", "1", "16", "65464", "99999999999", "", "512"};
	const union cp_sa local = {.in = {.sin_family = AF_INET}};
	static struct cp_sources *sources; /* one for all runs: between them it forgets by time */
	struct cp_tftpd_opts o = {.source = ff_source(), .io = {io_open, io_close, io_send, io_answer, NULL},
				  .blksize_max = 1428, .windowsize_max = 16, .timeout_ms = 1000, .retries = 5,
				  .min_rate = 1024, .max = MAX};
	struct cp_tftpd *d;
	const uint8_t *end = data + size;

	if (sources == NULL)
		sources = cp_sources_create(MAX, EACH, key);
	o.sources = sources;
	now += 1000000;
	memset(proven, 0, sizeof(proven));
	memset(unproven, 0, sizeof(unproven));
	memset(last_ms, 0, sizeof(last_ms));
	newest = NULL;
	ff_late_n = 0;
	d = cp_tftpd_create(&o, now);
	REQUIRE(d != NULL && sources != NULL);
	while (end - data >= 3) {
		uint8_t op = data[0], who = data[1], arg = data[2];
		union cp_sa from = {.in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1000 + who / CLIENTS)),
					   .sin_addr.s_addr = htonl(0x0a000000u + who % CLIENTS)}};
		struct port *p = &ports[arg % PORTS];
		uint8_t msg[600] = {0, 1};
		size_t n = 2;

		data += 3;
		switch (op % 8) {
		case 0: /* any datagram at the service's port, of its exact size */
		case 1: { /* the same at a transfer's */
			size_t len = arg < (size_t)(end - data) ? arg : (size_t)(end - data);
			uint8_t *copy = malloc(len > 0 ? len : 1);

			memcpy(copy, data, len);
			data += len;
			if (op % 8 == 0) {
				cp_tftpd_request(d, now, &from, &local, copy, len);
			} else if (newest != NULL) {
				if (cp_sa_same(&from, &newest->peer))
					proven[host(&from)] = true; /* it may be the right ACK */
				cp_tftpd_packet(d, now, newest->x, &from, copy, len);
			}
			free(copy);
			break;
		}
		case 2:
			for (unsigned i = 0; i < arg % 32; i++) {
				now += 16 + (who & 15) * 100u;
				cp_tftpd_tick(d, now);
			}
			break;
		case 3:
			ff_deliver();
			cp_tftpd_files(d, now);
			break;
		case 4: /* the ACK that is waited for, or near it */
			if (!p->used && newest != NULL)
				p = newest;
			if (!p->used)
				break;
			n = p->last_block + (who >= 240 ? who : 0);
			msg[1] = 4;
			msg[2] = (uint8_t)(n >> 8);
			msg[3] = (uint8_t)n;
			proven[host(&p->peer)] = true;
			cp_tftpd_packet(d, now, p->x, &p->peer, msg, 4);
			break;
		default: /* a request in order */
			n += (size_t)sprintf((char *)msg + n, "%s", names[arg % 10]) + 1;
			n += (size_t)sprintf((char *)msg + n, "%s", op & 64 ? "netascii" : "octet") + 1;
			for (unsigned i = 0; i < 3 && (op >> 3 & 3) > i && end - data >= 1; i++, data++) {
				n += (size_t)sprintf((char *)msg + n, "%s", options[*data % 6]) + 1;
				n += (size_t)sprintf((char *)msg + n, "%s", values[*data / 8 % 8]) + 1;
			}
			cp_tftpd_request(d, now, &from, &local, msg, n);
			break;
		}
		REQUIRE(cp_sources_open(sources) == cp_tftpd_stats(d)->active && cp_sources_open(sources) <= MAX);
	}
	cp_tftpd_destroy(d);
	REQUIRE(open_n == 0 && cp_sources_open(sources) == 0);
	ff_deliver(); /* answers that come after the end */
	REQUIRE(ff_living == 0);
	return 0;
}
