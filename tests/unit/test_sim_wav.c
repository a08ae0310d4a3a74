/* SPDX-License-Identifier: BSD-3-Clause */
/* bench/sim/wav.c, record.c, cmp.c: files read and written, G.711, the comparison that scripts trust. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "cmp.h"
#include "record.h"
#include "suite.h"
#include "util.h"
#include "wav.h"

#define FRAME 160

static char dir[] = "/tmp/sim-wav-XXXXXX";

static int setup(void)
{
	return mkdtemp(dir) == NULL;
}

static int teardown(void)
{
	return rmdir(dir);
}

static const char *path(const char *name)
{
	static char text[2][64], *t;
	static int turn;

	t = text[turn++ % 2];
	snprintf(t, sizeof(text[0]), "%s/%s", dir, name);
	return t;
}

/* ITU-T G.711 tables: well known points of both laws. */
static void test_g711_points(void)
{
	CU_ASSERT_EQUAL(sim_ulaw_of(0), 0xFF);
	CU_ASSERT_EQUAL(sim_ulaw_of(32767), 0x80);
	CU_ASSERT_EQUAL(sim_ulaw_of(-32768), 0x00);
	CU_ASSERT_EQUAL(sim_ulaw_to(0x00), -32124);
	CU_ASSERT_EQUAL(sim_ulaw_to(0x80), 32124);
	CU_ASSERT_EQUAL(sim_alaw_of(0), 0xD5);
	CU_ASSERT_EQUAL(sim_alaw_of(32767), 0xAA);
	CU_ASSERT_EQUAL(sim_alaw_of(-32768), 0x2A);
	CU_ASSERT_EQUAL(sim_alaw_to(0xD5), 8);
	CU_ASSERT_EQUAL(sim_alaw_to(0xAA), 32256);
	CU_ASSERT_EQUAL(sim_alaw_to(0x2A), -32256);
}

static void test_g711_codes_survive(void)
{
	for (int i = 0; i < 256; i++) {
		CU_ASSERT_EQUAL(sim_alaw_of(sim_alaw_to((uint8_t)i)), i);
		if (i != 0x7F) /* minus zero becomes zero */
			CU_ASSERT_EQUAL(sim_ulaw_of(sim_ulaw_to((uint8_t)i)), i);
	}
}

static uint8_t *random_frames(size_t frames)
{
	uint8_t *p = malloc(frames * FRAME);
	uint32_t x = 12345;

	for (size_t i = 0; i < frames * FRAME; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

static void test_saved_file_reads_back(void)
{
	uint8_t *data = random_frames(3), *got, *file;
	static const uint32_t missing[][2] = {{1, 1}};
	const char *why;
	struct sim_wav w;
	size_t len, file_len;

	CU_ASSERT_EQUAL(sim_wav_save(path("a.wav"), SIM_PT_ULAW, data, 3 * FRAME, missing, 1), 0);
	CU_ASSERT_EQUAL_FATAL(sim_wav_load(path("a.wav"), SIM_PT_ULAW, &got, &len, &why), 0);
	CU_ASSERT_EQUAL(len, 3 * FRAME);
	CU_ASSERT_EQUAL(memcmp(got, data, len), 0);
	free(got);
	file = sim_read_file(path("a.wav"), 1 << 20, &file_len);
	CU_ASSERT_EQUAL(sim_wav_parse(file, file_len, &w, &why), 0);
	CU_ASSERT_EQUAL(w.format, SIM_WAV_ULAW);
	CU_ASSERT_EQUAL(w.missing_len, 8);
	/* The size in the RIFF header is the file's. */
	CU_ASSERT_EQUAL((size_t)(file[4] | file[5] << 8 | file[6] << 16), file_len - 8);
	for (size_t cut = 0; cut < file_len; cut++) {
		uint8_t *p = malloc(cut > 0 ? cut : 1);

		memcpy(p, file, cut);
		sim_wav_parse(p, cut, &w, &why);
		free(p);
	}
	free(file);
	free(data);
	unlink(path("a.wav"));
}

static void header(uint8_t *h, unsigned int tag, unsigned int channels, unsigned int rate, unsigned int bits)
{
	static const uint8_t head[] = "RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0data\4\0\0\0\1\2\3\4";

	memcpy(h, head, 48);
	h[20] = (uint8_t)tag;
	h[22] = (uint8_t)channels;
	h[24] = (uint8_t)rate;
	h[25] = (uint8_t)(rate >> 8);
	h[34] = (uint8_t)bits;
}

static void test_other_formats_are_refused(void)
{
	static const struct {
		unsigned int tag, channels, rate, bits;
		int rc;
		const char *why;
	} table[] = {
		{1, 1, 8000, 16, 0, NULL},
		{7, 1, 8000, 8, 0, NULL},
		{6, 1, 8000, 8, 0, NULL},
		{1, 2, 8000, 16, -ENOTSUP, "it is not mono"},
		{1, 1, 44100, 16, -ENOTSUP, "its rate is not 8000 Hz"},
		{1, 1, 8000, 8, -ENOTSUP, "its samples are not 16-bit PCM or 8-bit G.711"},
		{3, 1, 8000, 32, -ENOTSUP, "it is neither PCM nor G.711"},
	};
	struct sim_wav w;
	uint8_t h[48];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *why = NULL;

		header(h, table[i].tag, table[i].channels, table[i].rate, table[i].bits);
		CU_ASSERT_EQUAL(sim_wav_parse(h, sizeof(h), &w, &why), table[i].rc);
		if (table[i].why != NULL) {
			CU_ASSERT_STRING_EQUAL(why, table[i].why);
		} else {
			CU_ASSERT_EQUAL(w.len, 4);
		}
	}
	header(h, 1, 1, 8000, 16);
	h[41] = 0xFF; /* data longer than the file: as written to a pipe */
	{
		const char *why;

		CU_ASSERT_EQUAL(sim_wav_parse(h, sizeof(h), &w, &why), 0);
		CU_ASSERT_EQUAL(w.len, 4);
		h[16] = 0xFF; /* but not any other chunk */
		CU_ASSERT_EQUAL(sim_wav_parse(h, sizeof(h), &w, &why), -EBADMSG);
	}
}

/* Received out of order, twice, across the wrap of sequence numbers, with one lost. */
static void test_recording_in_order(void)
{
	static const uint16_t seqs[] = {65534, 65533, 0, 65535, 0, 2, 3};
	struct sim_record *r = sim_record_create();
	uint8_t *data = random_frames(16), *file;
	const char *why;
	struct sim_wav w;
	uint32_t stats[4];
	size_t len;

	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++)
		sim_record_add(r, 7, seqs[i], (uint32_t)seqs[i] * FRAME,
			       data + (size_t)(uint16_t)(seqs[i] - 65533) * FRAME, FRAME, 1000 * i + 1);
	sim_record_stats(r, stats);
	CU_ASSERT_EQUAL(stats[0], 6);
	CU_ASSERT_EQUAL(stats[2], 1);
	CU_ASSERT_EQUAL(sim_record_save(r, path("r.wav"), SIM_PT_ULAW), 0);
	file = sim_read_file(path("r.wav"), 1 << 20, &len);
	CU_ASSERT_EQUAL_FATAL(sim_wav_parse(file, len, &w, &why), 0);
	CU_ASSERT_EQUAL(w.len, 7 * FRAME);
	CU_ASSERT_EQUAL(memcmp(w.data, data, 4 * FRAME), 0);
	CU_ASSERT_EQUAL(w.data[4 * FRAME], 0xFF);
	CU_ASSERT_EQUAL(memcmp(w.data + 5 * FRAME, data + 5 * FRAME, 2 * FRAME), 0);
	CU_ASSERT_EQUAL_FATAL(w.missing_len, 8);
	CU_ASSERT_EQUAL(w.missing[0], 4);
	CU_ASSERT_EQUAL(w.missing[4], 1);
	free(file);
	free(data);
	sim_record_destroy(r);
	unlink(path("r.wav"));
}

static void test_comparison(void)
{
	uint8_t *played = random_frames(100), *rec = malloc(80 * FRAME);
	static const uint8_t gone[] = {10, 0, 0, 0, 2, 0, 0, 0};
	struct sim_wav w = {.format = SIM_WAV_ULAW, .data = rec, .len = 80 * FRAME};
	struct sim_cmp c;

	memcpy(rec, played + 7 * FRAME, 80 * FRAME);
	CU_ASSERT_EQUAL(sim_cmp(played, 100 * FRAME, &w, FRAME, &c), 0);
	CU_ASSERT_EQUAL(c.offset, 7);
	CU_ASSERT_EQUAL(c.matched, 80);
	CU_ASSERT_EQUAL(c.mismatched + c.missing, 0);
	CU_ASSERT_EQUAL(c.tail, 13);
	rec[33 * FRAME + 5] ^= 1; /* one bit in one frame */
	CU_ASSERT_EQUAL(sim_cmp(played, 100 * FRAME, &w, FRAME, &c), 0);
	CU_ASSERT_EQUAL(c.offset, 7);
	CU_ASSERT_EQUAL(c.mismatched, 1);
	CU_ASSERT_EQUAL(c.first_mismatch, 33);
	w.missing = gone;
	w.missing_len = sizeof(gone);
	CU_ASSERT_EQUAL(sim_cmp(played, 100 * FRAME, &w, FRAME, &c), 0);
	CU_ASSERT_EQUAL(c.missing, 2);
	CU_ASSERT_EQUAL(c.matched, 77);
	w.len = 0;
	CU_ASSERT_EQUAL(sim_cmp(played, 100 * FRAME, &w, FRAME, &c), -EINVAL);
	free(played);
	free(rec);
}

static CU_TestInfo tests[] = {
	{"known points of G.711", test_g711_points},
	{"every G.711 code survives decoding and coding", test_g711_codes_survive},
	{"a saved file reads back, cut files do no harm", test_saved_file_reads_back},
	{"other formats are refused with the reason", test_other_formats_are_refused},
	{"a recording is in sequence order", test_recording_in_order},
	{"the comparison sees one wrong bit", test_comparison},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("sim_wav", tests, setup, teardown)
