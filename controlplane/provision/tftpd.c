/* SPDX-License-Identifier: BSD-3-Clause */
#include "tftpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "log.h"

#define SLOT_MS   16
#define SLOTS     1024 /* 16 s; what is later is looked at again then */
#define FILE_MS   30000 /* the longest wait for a file that must be made */
#define WAIT_MAX_MS 60000

struct cp_tftp_xfer {
	LIST_ENTRY(cp_tftp_xfer) peer_link; /* by the client's address and port */
	LIST_ENTRY(cp_tftp_xfer) slot_link;
	union cp_sa peer, local;
	void *port;           /* NULL while the file is waited for */
	struct cp_wait *wait;
	struct cp_file *file;
	uint8_t *ascii;       /* its netascii form, of 'len' bytes; NULL: octet */
	const uint8_t *data;
	size_t len;
	struct cp_tftp_rrq opt; /* as agreed */
	uint64_t base, sent, total; /* blocks acknowledged, sent, in all; 64 bits, however often 16 wrap */
	uint64_t deadline_ms, slot, start_ms, slow_ms;
	uint32_t wait_ms;     /* of the running timer */
	uint8_t tries;        /* retransmissions since there was progress */
	bool oack;            /* the options' answer has not been acknowledged */
	bool confirmed;       /* the client answered at our port */
	uint8_t unconfirmed;  /* datagrams sent before that */
	struct cp_file_ask ask;
};

LIST_HEAD(xfer_list, cp_tftp_xfer);

struct cp_tftpd {
	struct cp_tftpd_opts o;
	struct cp_inbox *inbox;
	struct xfer_list slots[SLOTS];
	uint64_t slot; /* the next to be looked at, in SLOT_MS of the clock */
	struct xfer_list *peers;
	uint32_t peers_mask;
	struct xfer_list spare; /* ended ones, kept for the next */
	unsigned spare_n;
	size_t ascii; /* bytes of the netascii forms of all */
	struct cp_tftpd_stats stats;
};

#define COUNT_N(d, field, n)                                                                                                 \
	atomic_store_explicit(&(d)->stats.field,                                                                             \
			      atomic_load_explicit(&(d)->stats.field, memory_order_relaxed) + (uint64_t)(n),                 \
			      memory_order_relaxed)
#define COUNT(d, field) COUNT_N(d, field, 1)

const char *cp_tftp_end_name(enum cp_tftp_end end)
{
	static const char *const names[] = {
		"done", "not_found", "bad_name", "denied", "write", "mode", "malformed", "too_large", "failed", "busy",
		"limit_total", "limit_source", "unproven_source", "no_port", "timeout", "slow", "client_error", "stopped",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == CP_TFTP_END_MAX, "a name for each");

	return names[end];
}

void cp_sa_addr(const union cp_sa *sa, struct cfg_addr *ret)
{
	*ret = (struct cfg_addr){0};
	if (sa->sa.sa_family == AF_INET) {
		ret->family = 4;
		ret->plen = 32;
		ret->port = ntohs(sa->in.sin_port);
		memcpy(ret->ip, &sa->in.sin_addr, 4);
		return;
	}
	ret->port = ntohs(sa->in6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&sa->in6.sin6_addr)) {
		ret->family = 4;
		ret->plen = 32;
		memcpy(ret->ip, sa->in6.sin6_addr.s6_addr + 12, 4);
	} else {
		ret->family = 6;
		ret->plen = 128;
		memcpy(ret->ip, &sa->in6.sin6_addr, 16);
	}
}

bool cp_sa_same(const union cp_sa *a, const union cp_sa *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

/* Which of the lists of clients. Long lists are bounded by max_source, whoever chooses the ports. */
static struct xfer_list *peer_list(struct cp_tftpd *d, const union cp_sa *peer)
{
	uint32_t h;

	if (peer->sa.sa_family == AF_INET) {
		h = peer->in.sin_addr.s_addr ^ (uint32_t)peer->in.sin_port * 0x10001u;
	} else {
		uint32_t w[4];

		memcpy(w, &peer->in6.sin6_addr, 16);
		h = w[0] ^ w[1] ^ w[2] * 31u ^ w[3] ^ (uint32_t)peer->in6.sin6_port * 0x10001u;
	}
	h *= 0x9e3779b1u;
	return &d->peers[(h >> 8) & d->peers_mask];
}

struct cp_tftpd *cp_tftpd_create(const struct cp_tftpd_opts *opts, uint64_t now_ms)
{
	struct cp_tftpd *d = calloc(1, sizeof(*d));
	uint32_t n = 256;

	if (d == NULL)
		return NULL;
	d->o = *opts;
	if (d->o.windowsize_max > CP_TFTP_WINDOW_MAX)
		d->o.windowsize_max = CP_TFTP_WINDOW_MAX;
	while (n < opts->max && n < (1u << 20))
		n *= 2;
	d->inbox = cp_inbox_create();
	d->peers = calloc(n, sizeof(*d->peers));
	if (d->peers == NULL || d->inbox == NULL) {
		cp_inbox_close(d->inbox);
		free(d->peers);
		free(d);
		return NULL;
	}
	d->peers_mask = n - 1;
	d->slot = now_ms / SLOT_MS;
	return d;
}

const struct cp_tftpd_stats *cp_tftpd_stats(const struct cp_tftpd *d)
{
	return &d->stats;
}

int cp_tftpd_fd(const struct cp_tftpd *d)
{
	return cp_inbox_fd(d->inbox);
}

/* --- transfers --- */

/* Put it where tick() finds it at its deadline, or before: then it is put again. It is on no list of slots. */
static void arm(struct cp_tftpd *d, struct cp_tftp_xfer *x)
{
	uint64_t slot = x->deadline_ms / SLOT_MS + 1; /* never early */

	if (slot < d->slot)
		slot = d->slot;
	if (slot >= d->slot + SLOTS)
		slot = d->slot + SLOTS - 1;
	x->slot = slot;
	LIST_INSERT_HEAD(&d->slots[slot % SLOTS], x, slot_link);
}

static void rearm(struct cp_tftpd *d, struct cp_tftp_xfer *x)
{
	LIST_REMOVE(x, slot_link);
	arm(d, x);
}

static struct cp_tftp_xfer *xfer_new(struct cp_tftpd *d)
{
	struct cp_tftp_xfer *x = LIST_FIRST(&d->spare);

	if (x != NULL) {
		LIST_REMOVE(x, slot_link);
		d->spare_n--;
		memset(x, 0, sizeof(*x));
		return x;
	}
	return calloc(1, sizeof(*x));
}

static void refusal(const struct cp_tftp_xfer *x, enum cp_tftp_end why)
{
	char a[64];

	cfg_log_limited(CFG_LOG_NOTICE, "tftp-ended", "from=%s name=%s reason=%s blocks=%llu of=%llu",
			cfg_addr_print(&x->ask.from, a, sizeof(a)), cfg_q(x->ask.name), cp_tftp_end_name(why),
			(unsigned long long)x->base, (unsigned long long)x->total);
}

static void xfer_end(struct cp_tftpd *d, struct cp_tftp_xfer *x, enum cp_tftp_end why)
{
	if (why == CP_TFTP_DONE)
		d->o.source.fetched(d->o.source.ctx, &x->ask, x->file);
	else if (why != CP_TFTP_END_NOT_FOUND && why != CP_TFTP_END_STOP)
		refusal(x, why);
	COUNT(d, ends[why]);
	if (x->wait != NULL)
		cp_inbox_cancel(x->wait);
	if (x->port != NULL)
		d->o.io.close(d->o.io.ctx, x->port);
	cp_file_put(x->file);
	if (x->ascii != NULL)
		d->ascii -= x->len;
	free(x->ascii);
	cp_source_leave(d->o.sources, &x->ask.from);
	LIST_REMOVE(x, peer_link);
	LIST_REMOVE(x, slot_link);
	COUNT_N(d, active, -1);
	if (d->spare_n < 256) {
		d->spare_n++;
		LIST_INSERT_HEAD(&d->spare, x, slot_link);
	} else {
		free(x);
	}
}

void cp_tftpd_destroy(struct cp_tftpd *d)
{
	struct cp_tftp_xfer *x;

	if (d == NULL)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		while ((x = LIST_FIRST(&d->slots[i])) != NULL)
			xfer_end(d, x, CP_TFTP_END_STOP);
	while ((x = LIST_FIRST(&d->spare)) != NULL) {
		LIST_REMOVE(x, slot_link);
		free(x);
	}
	cp_inbox_close(d->inbox);
	free(d->peers);
	free(d);
}

/* ERROR from the service's port: to a request that became no transfer. */
static void answer_error(struct cp_tftpd *d, uint64_t now_ms, const union cp_sa *from, const union cp_sa *local,
			 enum cp_tftp_code code, const char *text)
{
	uint8_t msg[4 + CP_TFTP_TEXT_MAX];
	struct cfg_addr a;

	cp_sa_addr(from, &a);
	if (!cp_source_error_ok(d->o.sources, &a, now_ms)) {
		COUNT(d, errors_held);
		return;
	}
	d->o.io.answer(d->o.io.ctx, local, from, msg, cp_tftp_error_build(code, text, msg));
}

static void xfer_error(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, enum cp_tftp_end why)
{
	enum cp_tftp_code code = CP_TFTP_UNDEFINED;
	const char *text = "temporarily unavailable, try again";

	switch (why) {
	case CP_TFTP_END_NOT_FOUND:
		code = CP_TFTP_NOT_FOUND;
		text = "file not found";
		break;
	case CP_TFTP_END_DENIED:
		code = CP_TFTP_ACCESS;
		text = "access violation";
		break;
	case CP_TFTP_END_TOO_LARGE:
		text = "too large for netascii, use octet";
		break;
	default:
		break;
	}
	answer_error(d, now_ms, &x->peer, &x->local, code, text);
	xfer_end(d, x, why);
}

/* May one more datagram go to this client? */
static bool may_send(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x)
{
	if (x->confirmed)
		return true;
	if (x->unconfirmed >= CP_SOURCE_UNPROVEN || !cp_source_send_ok(d->o.sources, &x->ask.from, now_ms))
		return false;
	x->unconfirmed++;
	return true;
}

/* The options' answer, or the window behind the last acknowledged block. False: nothing may be sent. */
static bool send_window(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x)
{
	struct cp_tftp_out out[CP_TFTP_WINDOW_MAX];
	uint8_t oack[CP_TFTP_OACK_MAX];
	unsigned n = 0;

	if (x->oack) {
		if (!may_send(d, now_ms, x))
			return false;
		out[0] = (struct cp_tftp_out){.data = oack, .len = (uint32_t)cp_tftp_oack_build(&x->opt, x->len, oack)};
		d->o.io.send(d->o.io.ctx, x->port, &x->peer, out, 1);
		COUNT(d, packets);
		return true;
	}
	for (uint64_t b = x->base; n < x->opt.windowsize && b < x->total; b++, n++) {
		size_t at = (size_t)b * x->opt.blksize, left = x->len - at;

		if (!may_send(d, now_ms, x))
			break;
		out[n].data = x->data + at;
		out[n].len = left < x->opt.blksize ? (uint32_t)left : x->opt.blksize;
		out[n].hdr_len = 4;
		cp_tftp_data_build((uint16_t)(b + 1), out[n].hdr);
	}
	if (n == 0)
		return false;
	d->o.io.send(d->o.io.ctx, x->port, &x->peer, out, n);
	COUNT_N(d, packets, n);
	if (x->base + n > x->sent)
		x->sent = x->base + n;
	return true;
}

static void restart_timer(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x)
{
	/* Before the client has answered, its "timeout" does not hold a place here for long. */
	x->wait_ms = x->opt.has_timeout && x->confirmed ? x->opt.timeout_s * 1000 : d->o.timeout_ms;
	x->tries = 0;
	x->deadline_ms = now_ms + x->wait_ms;
	if (x->slot > x->deadline_ms / SLOT_MS + 1)
		rearm(d, x); /* else it is looked at before, and put again: not with each ACK */
}

/* The file is here: agree on options and send the first datagram. */
static void begin(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, struct cp_file *file)
{
	struct cp_tftp_rrq *opt = &x->opt;
	uint32_t most;

	x->file = file;
	x->data = file->data;
	x->len = file->len;
	if (opt->netascii && (memchr(x->data, '\n', x->len) != NULL || memchr(x->data, '\r', x->len) != NULL)) {
		if (x->len > CP_TFTP_ASCII_MAX) {
			xfer_error(d, now_ms, x, CP_TFTP_END_TOO_LARGE);
			return;
		}
		x->len = cp_tftp_netascii(file->data, file->len, NULL);
		if (d->ascii + x->len > CP_TFTP_ASCII_ALL) { /* a copy each: strangers could ask for all memory there is */
			xfer_end(d, x, CP_TFTP_END_BUSY);
			return;
		}
		x->ascii = malloc(x->len);
		if (x->ascii == NULL) {
			xfer_error(d, now_ms, x, CP_TFTP_END_FAILED);
			return;
		}
		d->ascii += x->len;
		cp_tftp_netascii(file->data, file->len, x->ascii);
		x->data = x->ascii;
	}
	if (opt->blksize > d->o.blksize_max && opt->has_blksize)
		opt->blksize = d->o.blksize_max;
	most = CP_TFTP_WINDOW_BYTES / opt->blksize;
	if (most > d->o.windowsize_max)
		most = d->o.windowsize_max;
	if (opt->windowsize > most)
		opt->windowsize = most > 0 ? most : 1;
	if (opt->timeout_s > CP_TFTP_ACK_TIMEOUT_MAX_S)
		opt->has_timeout = false;
	if (x->len == 0)
		opt->has_tsize = false; /* curl takes a size of 0 for an error; an option may be left out */
	x->oack = opt->has_blksize || opt->has_timeout || opt->has_tsize || opt->has_windowsize;
	x->total = x->len / opt->blksize + 1;
	x->slow_ms = d->o.min_rate > 0 ? 60000 + (uint64_t)x->len * 1000 / d->o.min_rate : UINT64_MAX;
	x->port = d->o.io.open(d->o.io.ctx, &x->local, &x->peer, x);
	if (x->port == NULL) {
		xfer_end(d, x, CP_TFTP_END_PORT);
		return;
	}
	if (!send_window(d, now_ms, x)) {
		xfer_end(d, x, CP_TFTP_END_UNPROVEN);
		return;
	}
	x->start_ms = now_ms;
	restart_timer(d, now_ms, x);
}

static void have_file(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, int rc, struct cp_file *file)
{
	switch (rc) {
	case 0:
		begin(d, now_ms, x, file);
		break;
	case -EINPROGRESS:
		break;
	case -ENOENT:
	case -EACCES:
		xfer_error(d, now_ms, x, CP_TFTP_END_NOT_FOUND);
		break;
	case -EPERM:
		xfer_error(d, now_ms, x, CP_TFTP_END_DENIED);
		break;
	case -EAGAIN:
		xfer_end(d, x, CP_TFTP_END_BUSY); /* it asks again */
		break;
	default:
		xfer_error(d, now_ms, x, CP_TFTP_END_FAILED);
		break;
	}
}

struct files_ctx {
	struct cp_tftpd *d;
	uint64_t now_ms;
};

static void file_came(void *ctx, void *owner, int rc, struct cp_file *file)
{
	struct files_ctx *f = ctx;
	struct cp_tftp_xfer *x = owner;

	x->wait = NULL;
	have_file(f->d, f->now_ms, x, rc == -EINPROGRESS ? -EIO : rc, file);
}

void cp_tftpd_files(struct cp_tftpd *d, uint64_t now_ms)
{
	struct files_ctx f = {d, now_ms};

	cp_inbox_drain(d->inbox, file_came, &f);
}

/* --- the service's port --- */

static void refuse(struct cp_tftpd *d, uint64_t now_ms, const union cp_sa *from, const union cp_sa *local,
		   enum cp_tftp_end why, enum cp_tftp_code code, const char *text)
{
	struct cfg_addr a;
	char b[64];

	COUNT(d, ends[why]);
	cp_sa_addr(from, &a);
	cfg_log_limited(CFG_LOG_NOTICE, "tftp-refused", "from=%s reason=%s", cfg_addr_print(&a, b, sizeof(b)),
			cp_tftp_end_name(why));
	if (text != NULL)
		answer_error(d, now_ms, from, local, code, text);
}

/* The client repeated its request because our first answer is late or lost: the timer repeats that. */
static bool is_duplicate(struct cp_tftpd *d, const union cp_sa *from, const struct cp_tftp_rrq *r)
{
	struct cp_tftp_xfer *x;

	LIST_FOREACH(x, peer_list(d, from), peer_link)
		if (!x->confirmed && cp_sa_same(&x->peer, from) && strcmp(x->ask.name, r->name) == 0)
			return true;
	return false;
}

static void read_request(struct cp_tftpd *d, uint64_t now_ms, const union cp_sa *from, const union cp_sa *local,
			 const struct cp_tftp_rrq *r)
{
	struct cp_file *file = NULL;
	struct cp_tftp_xfer *x;
	struct cfg_addr a;
	int rc;

	if (is_duplicate(d, from, r)) {
		COUNT(d, duplicates);
		return;
	}
	if (!cp_file_name_ok(r->name)) {
		char b[64];

		COUNT(d, ends[CP_TFTP_END_BAD_NAME]);
		cp_sa_addr(from, &a);
		cfg_log_limited(CFG_LOG_NOTICE, "tftp-refused", "from=%s reason=bad_name name=%s",
				cfg_addr_print(&a, b, sizeof(b)), cfg_q(r->name));
		answer_error(d, now_ms, from, local, CP_TFTP_NOT_FOUND, "file not found");
		return;
	}
	cp_sa_addr(from, &a);
	rc = cp_source_enter(d->o.sources, &a, now_ms);
	if (rc < 0) {
		refuse(d, now_ms, from, local, rc == -EMFILE ? CP_TFTP_END_SOURCE : CP_TFTP_END_TOTAL, 0, NULL);
		return;
	}
	x = xfer_new(d);
	if (x == NULL) {
		cp_source_leave(d->o.sources, &a);
		refuse(d, now_ms, from, local, CP_TFTP_END_TOTAL, 0, NULL);
		return;
	}
	x->peer = *from;
	x->local = *local;
	x->opt = *r;
	x->ask.via = CP_VIA_TFTP;
	x->ask.from = a;
	memcpy(x->ask.name, r->name, sizeof(x->ask.name));
	x->start_ms = now_ms;
	x->deadline_ms = now_ms + FILE_MS;
	LIST_INSERT_HEAD(peer_list(d, from), x, peer_link);
	COUNT_N(d, active, 1);
	arm(d, x);
	rc = cp_inbox_ask(d->inbox, &d->o.source, &x->ask, x, &file, &x->wait);
	have_file(d, now_ms, x, rc, file);
}

void cp_tftpd_request(struct cp_tftpd *d, uint64_t now_ms, const union cp_sa *from, const union cp_sa *local,
		      const uint8_t *data, size_t len)
{
	struct cp_tftp_rrq r;
	int rc;

	COUNT(d, requests);
	switch (cp_tftp_op(data, len)) {
	case CP_TFTP_RRQ:
		rc = cp_tftp_rrq_parse(data, len, &r);
		if (rc == 0)
			read_request(d, now_ms, from, local, &r);
		else if (rc == -ENOTSUP)
			refuse(d, now_ms, from, local, CP_TFTP_END_MODE, CP_TFTP_ILLEGAL, "mode is neither octet nor netascii");
		else
			refuse(d, now_ms, from, local, CP_TFTP_END_MALFORMED, CP_TFTP_ILLEGAL, "malformed request");
		break;
	case CP_TFTP_WRQ:
		refuse(d, now_ms, from, local, CP_TFTP_END_WRITE, CP_TFTP_ACCESS, "access violation: files are only read here");
		break;
	case CP_TFTP_ERROR: /* is never answered */
	case CP_TFTP_DATA:
	case CP_TFTP_ACK:
	case CP_TFTP_OACK: /* nor are these: they belong to another port, and to nobody who waits here */
		refuse(d, now_ms, from, local, CP_TFTP_END_MALFORMED, 0, NULL);
		break;
	default:
		refuse(d, now_ms, from, local, CP_TFTP_END_MALFORMED, CP_TFTP_ILLEGAL, "illegal operation");
		break;
	}
}

/* --- a transfer's port --- */

static void stranger(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, const union cp_sa *from,
		     const uint8_t *data, size_t len)
{
	uint8_t msg[4 + CP_TFTP_TEXT_MAX];
	struct cp_tftp_out out = {.data = msg};
	struct cfg_addr a;

	COUNT(d, strangers);
	if (cp_tftp_op(data, len) == CP_TFTP_ERROR)
		return;
	cp_sa_addr(from, &a);
	if (!cp_source_error_ok(d->o.sources, &a, now_ms)) {
		COUNT(d, errors_held);
		return;
	}
	out.len = (uint32_t)cp_tftp_error_build(CP_TFTP_UNKNOWN_TID, "unknown transfer id", msg);
	d->o.io.send(d->o.io.ctx, x->port, from, &out, 1);
}

static void on_ack(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, uint16_t block)
{
	uint64_t ahead, was; /* blocks; bytes */

	if (x->oack) {
		if (block != 0)
			return;
		x->oack = false;
	} else {
		ahead = (uint16_t)(block - (uint16_t)x->base);
		if (ahead == 0 || ahead > x->sent - x->base)
			return; /* again, old, or of what was never sent */
		was = x->base * x->opt.blksize;
		x->base += ahead; /* from inside a window: what lies behind it goes out again */
		COUNT_N(d, bytes, (x->base == x->total ? x->len : x->base * x->opt.blksize) - was);
	}
	if (!x->confirmed) {
		x->confirmed = true;
		cp_source_proven(d->o.sources, &x->ask.from, now_ms);
	}
	if (x->base == x->total) {
		xfer_end(d, x, CP_TFTP_DONE);
		return;
	}
	if (now_ms - x->start_ms > x->slow_ms) {
		xfer_end(d, x, CP_TFTP_END_SLOW);
		return;
	}
	send_window(d, now_ms, x);
	restart_timer(d, now_ms, x);
}

void cp_tftpd_packet(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x, const union cp_sa *from,
		     const uint8_t *data, size_t len)
{
	int op = cp_tftp_op(data, len), block;
	uint8_t msg[4 + CP_TFTP_TEXT_MAX];
	struct cp_tftp_out out = {.data = msg};

	if (!cp_sa_same(from, &x->peer)) {
		stranger(d, now_ms, x, from, data, len);
		return;
	}
	block = cp_tftp_ack_parse(data, len);
	if (block >= 0) {
		on_ack(d, now_ms, x, (uint16_t)block);
	} else if (op == CP_TFTP_ERROR) {
		xfer_end(d, x, CP_TFTP_END_CLIENT);
	} else {
		/* Neither ACK nor ERROR: it speaks something else, and will not get any further. */
		if (cp_source_error_ok(d->o.sources, &x->ask.from, now_ms)) {
			out.len = (uint32_t)cp_tftp_error_build(CP_TFTP_ILLEGAL, "illegal operation", msg);
			d->o.io.send(d->o.io.ctx, x->port, from, &out, 1);
		}
		xfer_end(d, x, CP_TFTP_END_MALFORMED);
	}
}

/* --- the timer --- */

static void due(struct cp_tftpd *d, uint64_t now_ms, struct cp_tftp_xfer *x)
{
	if (x->port == NULL) { /* the file did not come */
		xfer_error(d, now_ms, x, CP_TFTP_END_FAILED);
		return;
	}
	if (now_ms - x->start_ms > x->slow_ms) {
		xfer_end(d, x, CP_TFTP_END_SLOW);
		return;
	}
	if (x->tries >= d->o.retries) {
		xfer_end(d, x, CP_TFTP_END_TIMEOUT);
		return;
	}
	if (!send_window(d, now_ms, x)) {
		xfer_end(d, x, x->unconfirmed >= CP_SOURCE_UNPROVEN ? CP_TFTP_END_TIMEOUT : CP_TFTP_END_UNPROVEN);
		return;
	}
	COUNT(d, retransmissions);
	x->tries++;
	x->wait_ms = x->wait_ms * 2 < WAIT_MAX_MS ? x->wait_ms * 2 : WAIT_MAX_MS;
	x->deadline_ms = now_ms + x->wait_ms;
	rearm(d, x);
}

static void take_all(struct xfer_list *to, struct xfer_list *from)
{
	LIST_FIRST(to) = LIST_FIRST(from);
	if (LIST_FIRST(to) != NULL)
		LIST_FIRST(to)->slot_link.le_prev = &LIST_FIRST(to);
	LIST_INIT(from);
}

int cp_tftpd_tick(struct cp_tftpd *d, uint64_t now_ms)
{
	uint64_t upto = now_ms / SLOT_MS;
	struct cp_tftp_xfer *x;

	if (upto >= d->slot + SLOTS) /* nobody came by for long: each slot once */
		d->slot = upto - SLOTS + 1;
	while (d->slot <= upto && d->stats.active > 0) {
		struct xfer_list now = LIST_HEAD_INITIALIZER(now);

		take_all(&now, &d->slots[d->slot++ % SLOTS]);
		while ((x = LIST_FIRST(&now)) != NULL) {
			if (x->deadline_ms > now_ms)
				rearm(d, x);
			else
				due(d, now_ms, x);
		}
	}
	if (d->stats.active > 0)
		return SLOT_MS;
	d->slot = upto + 1;
	return -1;
}
