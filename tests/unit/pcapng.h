/* SPDX-License-Identifier: BSD-3-Clause */
/* A reader of pcapng files that believes nothing, for suites: checks every block, gives the packets. */
#ifndef TESTS_PCAPNG_H
#define TESTS_PCAPNG_H

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PCAPNG_PKTS 1024

struct pcapng_pkt {
	uint64_t ns;
	uint32_t len, orig_len, flags;
	uint8_t data[2048];
};

static struct pcapng {
	size_t size;
	uint16_t link;
	uint32_t snap;
	bool ended; /* a statistics block */
	uint64_t recv, drop;
	unsigned int n;
	struct pcapng_pkt pkt[PCAPNG_PKTS];
} pcapng;

static inline uint32_t png32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void pcapng_options(const uint8_t *p, const uint8_t *end, uint32_t type, struct pcapng_pkt *pkt)
{
	while (p < end) {
		uint16_t code = (uint16_t)png32(p), len = (uint16_t)(png32(p) >> 16);

		CU_ASSERT_TRUE_FATAL(p + 4 + ((len + 3u) & ~3u) <= end);
		if (code == 0) {
			CU_ASSERT_EQUAL(len, 0);
			CU_ASSERT_PTR_EQUAL(p + 4, end);
			return;
		}
		if (type == 6 && code == 2)
			pkt->flags = png32(p + 4);
		if (type == 1 && code == 9)
			CU_ASSERT_EQUAL(p[4], 9);
		if (type == 5 && code == 4)
			memcpy(&pcapng.recv, p + 4, 8);
		if (type == 5 && code == 5)
			memcpy(&pcapng.drop, p + 4, 8);
		p += 4 + ((len + 3u) & ~3u);
	}
	CU_ASSERT_PTR_EQUAL(p, end);
}

/* Whole blocks from the first byte to the last. */
static inline void pcapng_read(const char *path)
{
	static uint8_t buf[4 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t size = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	unsigned int at = 0, blocks = 0;
	struct stat st;

	CU_ASSERT_TRUE_FATAL(size >= 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	close(fd);
	memset(&pcapng, 0, sizeof(pcapng));
	pcapng.size = (size_t)size;
	while (at < (size_t)size) {
		const uint8_t *b = buf + at;
		uint32_t type = png32(b), len = png32(b + 4);

		CU_ASSERT_TRUE_FATAL(len >= 12 && len % 4 == 0 && at + len <= (size_t)size);
		CU_ASSERT_EQUAL(png32(b + len - 4), len);
		CU_ASSERT_FALSE(pcapng.ended);
		if (blocks == 0) {
			CU_ASSERT_EQUAL(type, 0x0a0d0d0a);
			CU_ASSERT_EQUAL(png32(b + 8), 0x1a2b3c4d);
			CU_ASSERT_EQUAL(png32(b + 12), 1);
			pcapng_options(b + 24, b + len - 4, type, NULL);
		} else if (blocks == 1) {
			CU_ASSERT_EQUAL(type, 1);
			pcapng.link = (uint16_t)png32(b + 8);
			pcapng.snap = png32(b + 12);
			pcapng_options(b + 16, b + len - 4, type, NULL);
		} else if (type == 6) {
			struct pcapng_pkt *p = &pcapng.pkt[pcapng.n % PCAPNG_PKTS];

			p->ns = (uint64_t)png32(b + 12) << 32 | png32(b + 16);
			p->len = png32(b + 20);
			p->orig_len = png32(b + 24);
			CU_ASSERT_TRUE_FATAL(p->len <= sizeof(p->data) && 28 + p->len <= len);
			memcpy(p->data, b + 28, p->len);
			pcapng_options(b + 28 + ((p->len + 3) & ~3u), b + len - 4, type, p);
			pcapng.n++;
		} else {
			CU_ASSERT_EQUAL(type, 5);
			pcapng_options(b + 20, b + len - 4, type, NULL);
			pcapng.ended = true;
		}
		blocks++;
		at += len;
	}
	CU_ASSERT_TRUE(blocks >= 2);
}

#endif
