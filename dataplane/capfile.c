/* SPDX-License-Identifier: BSD-3-Clause */
#include "capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "privdir.h"

#define BUF_BYTES 65536 /* a packet with its block is smaller */
#define TAIL      56    /* bytes kept free for the statistics at the end */
#define APP       "ravelin-dataplane"

enum { BLOCK_SHB = 0x0a0d0d0a, BLOCK_IDB = 1, BLOCK_ISB = 5, BLOCK_EPB = 6 };
enum { OPT_END = 0, OPT_COMMENT = 1, SHB_USERAPPL = 4, IF_TSRESOL = 9, EPB_FLAGS = 2, ISB_IFRECV = 4, ISB_IFDROP = 5 };

struct dp_capfile {
	int fd;
	int rc;           /* first error */
	uint64_t max;
	uint64_t written; /* bytes of whole blocks in the file */
	uint64_t pkts;    /* packets in file and buffer */
	uint32_t n;       /* bytes in buf: whole blocks */
	uint8_t buf[BUF_BYTES];
};

bool dp_capfile_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < sizeof(((struct dp_capture *)0)->name) && name[0] != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* --- blocks, in host order as the format wants --- */

struct block {
	uint8_t *at;
	uint32_t n;
};

static void put(struct block *b, const void *data, uint32_t len)
{
	if (len > 0)
		memcpy(b->at + b->n, data, len);
	b->n += len;
	while (b->n % 4 != 0)
		b->at[b->n++] = 0;
}

static void put16(struct block *b, uint16_t v)
{
	memcpy(b->at + b->n, &v, 2);
	b->n += 2;
}

static void put32(struct block *b, uint32_t v)
{
	put(b, &v, 4);
}

static void option(struct block *b, uint16_t code, const void *data, uint16_t len)
{
	put16(b, code);
	put16(b, len);
	put(b, data, len);
}

static struct block begin(struct dp_capfile *f, uint32_t type)
{
	struct block b = {.at = f->buf + f->n};

	put32(&b, type);
	put32(&b, 0); /* end() knows */
	return b;
}

static void end(struct dp_capfile *f, struct block *b)
{
	uint32_t n = b->n + 4;

	put32(b, n);
	memcpy(b->at + 4, &n, 4);
	f->n += n;
}

static void time_of(struct block *b, uint64_t ns)
{
	put32(b, (uint32_t)(ns >> 32));
	put32(b, (uint32_t)ns);
}

static void head(struct dp_capfile *f, const struct dp_capfile_opts *o)
{
	struct block b = begin(f, BLOCK_SHB);
	uint8_t resol = 9; /* 10^-9 s */

	put32(&b, 0x1a2b3c4d);
	put16(&b, 1);
	put16(&b, 0);
	put32(&b, UINT32_MAX); /* length of the section: not said */
	put32(&b, UINT32_MAX);
	if (o->comment != NULL)
		option(&b, OPT_COMMENT, o->comment, (uint16_t)strnlen(o->comment, 512));
	option(&b, SHB_USERAPPL, APP, sizeof(APP) - 1);
	option(&b, OPT_END, NULL, 0);
	end(f, &b);
	b = begin(f, BLOCK_IDB);
	put16(&b, o->link_type);
	put16(&b, 0);
	put32(&b, o->snap_len);
	option(&b, IF_TSRESOL, &resol, 1);
	option(&b, OPT_END, NULL, 0);
	end(f, &b);
}

/* --- the file --- */

int dp_capfile_open(const struct dp_capfile_opts *o, struct dp_capfile **ret)
{
	struct dp_capfile *f;
	int dir, rc;

	if (!dp_capfile_name_ok(o->name) || o->max_bytes < DP_CAPFILE_MIN)
		return -EINVAL;
	dir = cfg_privdir_open(o->dir);
	if (dir < 0)
		return dir;
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		close(dir);
		return -ENOMEM;
	}
	f->max = o->max_bytes;
	f->fd = openat(dir, o->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	rc = f->fd < 0 ? -errno : 0;
	if (rc == 0) {
		head(f, o);
		rc = dp_capfile_flush(f);
		if (rc < 0) { /* nothing in it: nobody misses it */
			(void)unlinkat(dir, o->name, 0);
			close(f->fd);
		}
	}
	close(dir);
	if (rc < 0) {
		free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

/* After an error: the blocks that are in the file as a whole stay, half of one is taken back. */
static void take_back(struct dp_capfile *f, uint32_t done)
{
	uint32_t at = 0, len, type;

	while (at < f->n) {
		memcpy(&type, f->buf + at, 4);
		memcpy(&len, f->buf + at + 4, 4);
		if (at + len > done)
			break;
		at += len;
	}
	f->written += at;
	for (uint32_t k = at; k < f->n; k += len) {
		memcpy(&type, f->buf + k, 4);
		memcpy(&len, f->buf + k + 4, 4);
		if (type == BLOCK_EPB)
			f->pkts--;
	}
	if (ftruncate(f->fd, (off_t)f->written) < 0) /* what is cut off stays cut off: readers say so */
		f->rc = -errno;
}

int dp_capfile_flush(struct dp_capfile *f)
{
	uint32_t done = 0;

	while (f->rc == 0 && done < f->n) {
		ssize_t n = write(f->fd, f->buf + done, f->n - done);

		if (n > 0)
			done += (uint32_t)n;
		else if (n < 0 && errno != EINTR) /* over the process's limit of a file is no room, too */
			f->rc = errno == EFBIG ? -ENOSPC : -errno;
		else if (n == 0)
			f->rc = -ENOSPC;
	}
	if (f->rc == 0)
		f->written += done;
	else if (f->n > 0)
		take_back(f, done);
	explicit_bzero(f->buf, f->n); /* perhaps speech */
	f->n = 0;
	return f->rc;
}

int dp_capfile_packet(struct dp_capfile *f, uint64_t time_ns, enum dp_dir dir, const uint8_t *data, uint32_t len,
		      uint32_t orig_len)
{
	uint32_t need = 28 + ((len + 3) & ~3u) + 8 + 4 + 4, flags = dir == DP_DIR_RECV ? 1 : 2;
	struct block b;

	if (f->rc < 0)
		return f->rc;
	if (need > BUF_BYTES || f->written + f->n + need + TAIL > f->max)
		return -EFBIG;
	if (f->n + need > BUF_BYTES && dp_capfile_flush(f) < 0)
		return f->rc;
	b = begin(f, BLOCK_EPB);
	put32(&b, 0); /* the interface */
	time_of(&b, time_ns);
	put32(&b, len);
	put32(&b, orig_len);
	put(&b, data, len);
	option(&b, EPB_FLAGS, &flags, 4);
	option(&b, OPT_END, NULL, 0);
	end(f, &b);
	f->pkts++;
	return 0;
}

uint64_t dp_capfile_pkts(const struct dp_capfile *f)
{
	return f->pkts;
}

uint64_t dp_capfile_bytes(const struct dp_capfile *f)
{
	return f->written + f->n;
}

int dp_capfile_close(struct dp_capfile *f, uint64_t time_ns, uint64_t lost, uint64_t *ret_pkts, uint64_t *ret_bytes)
{
	uint64_t recv;
	struct block b;
	int rc;

	if (f == NULL)
		return 0;
	if (f->rc == 0 && (f->n + TAIL <= BUF_BYTES || dp_capfile_flush(f) == 0)) {
		recv = f->pkts + lost;
		b = begin(f, BLOCK_ISB);
		put32(&b, 0);
		time_of(&b, time_ns);
		option(&b, ISB_IFRECV, &recv, 8);
		option(&b, ISB_IFDROP, &lost, 8);
		option(&b, OPT_END, NULL, 0);
		end(f, &b);
		(void)dp_capfile_flush(f);
	}
	rc = f->rc;
	if (fdatasync(f->fd) < 0 && errno != EINVAL && rc == 0)
		rc = -errno;
	if (close(f->fd) < 0 && rc == 0)
		rc = -errno;
	*ret_pkts = f->pkts;
	*ret_bytes = f->written;
	explicit_bzero(f->buf, sizeof(f->buf));
	free(f);
	return rc;
}
