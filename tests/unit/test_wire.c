/* SPDX-License-Identifier: BSD-3-Clause */
/* pki/wire.h: nothing is read or written outside the buffer, and an error stays. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "wire.h"

static const uint8_t sample[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0xff};

static void test_reads_big_endian(void)
{
	struct pki_rd rd = pki_rd_init(sample, sizeof(sample));

	CU_ASSERT_EQUAL(pki_rd_u8(&rd), 0x01);
	CU_ASSERT_EQUAL(pki_rd_u16(&rd), 0x0203);
	CU_ASSERT_EQUAL(pki_rd_u32(&rd), 0x04050607);
	CU_ASSERT_EQUAL(pki_rd_u64(&rd), 0x08090a0b0c0d0e0f);
	CU_ASSERT_FALSE(pki_rd_done(&rd));
	CU_ASSERT_EQUAL(pki_rd_u8(&rd), 0xff);
	CU_ASSERT_TRUE(pki_rd_done(&rd));
}

/* Each read at each length of an exact-size buffer: right, or bad for good. */
static void test_error_is_sticky(void)
{
	for (size_t len = 0; len <= sizeof(sample); len++) {
		uint8_t *exact = malloc(len > 0 ? len : 1);

		memcpy(exact, sample, len);
		for (unsigned n = 1; n <= 8; n++) {
			struct pki_rd rd = pki_rd_init(exact, len);
			size_t whole = len / n;

			for (size_t i = 0; i < whole; i++)
				CU_ASSERT_EQUAL(pki_rd_uint(&rd, n) & 0xff,
				                sample[(i + 1) * n - 1]);
			CU_ASSERT_FALSE(rd.bad);
			CU_ASSERT_EQUAL(pki_rd_uint(&rd, n), 0);
			CU_ASSERT_TRUE(rd.bad);
			CU_ASSERT_PTR_NULL(pki_rd_bytes(&rd, 0));
			CU_ASSERT_FALSE(pki_rd_done(&rd));
		}
		free(exact);
	}
}

static void test_lengths_do_not_wrap(void)
{
	struct pki_rd rd = pki_rd_init(sample, 4);
	volatile size_t huge = SIZE_MAX; /* not to be seen through by the compiler's own check */
	uint8_t buf[4];
	struct pki_wr wr = pki_wr_init(buf, sizeof(buf));

	pki_rd_u8(&rd);
	CU_ASSERT_PTR_NULL(pki_rd_bytes(&rd, huge));
	CU_ASSERT_TRUE(rd.bad);
	pki_wr_u8(&wr, 1);
	pki_wr_bytes(&wr, sample, huge);
	CU_ASSERT_TRUE(wr.bad);
	CU_ASSERT_EQUAL(wr.len, 1);
}

static void test_empty(void)
{
	struct pki_rd rd = pki_rd_init(NULL, 0);

	CU_ASSERT_PTR_NOT_NULL(pki_rd_bytes(&rd, 0));
	CU_ASSERT_TRUE(pki_rd_done(&rd));
	CU_ASSERT_EQUAL(pki_rd_u8(&rd), 0);
	CU_ASSERT_TRUE(rd.bad);
}

static void test_writes_within_room(void)
{
	for (size_t room = 0; room <= 16; room++) {
		uint8_t *exact = malloc(room > 0 ? room : 1);
		struct pki_wr wr = pki_wr_init(exact, room);

		pki_wr_u8(&wr, 0x01);
		pki_wr_u16(&wr, 0x0203);
		pki_wr_u32(&wr, 0x04050607);
		pki_wr_u64(&wr, 0x08090a0b0c0d0e0f);
		pki_wr_u8(&wr, 0xff);
		CU_ASSERT_EQUAL(wr.bad, room < 16);
		CU_ASSERT(wr.len <= room);
		CU_ASSERT_EQUAL(memcmp(exact, sample, wr.len), 0);
		if (wr.bad) {
			size_t len = wr.len;

			pki_wr_bytes(&wr, sample, 0);
			CU_ASSERT_EQUAL(wr.len, len);
		}
		free(exact);
	}
}

static CU_TestInfo tests[] = {
	{"reads big-endian", test_reads_big_endian},
	{"an error is sticky, at every length", test_error_is_sticky},
	{"lengths do not wrap", test_lengths_do_not_wrap},
	{"an empty buffer", test_empty},
	{"writes stay within the room", test_writes_within_room},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("wire", tests, NULL, NULL)
