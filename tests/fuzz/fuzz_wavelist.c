/* SPDX-License-Identifier: BSD-3-Clause */
/* enrol/wavelist.c: the same devices and errors come out whatever the pieces are; each device is one, is known, and is there once. */
#include <stdlib.h>
#include <string.h>

#include "enrol/wavelist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool known(void *ctx, const char *device)
{
	(void)ctx;
	return device[14] != 'F';
}

static struct cp_wavelist *run(const uint8_t *data, size_t size, size_t piece, int *ret_rc)
{
	struct cp_wavelist *l = cp_wavelist_create(known, NULL);
	int rc = 0;

	if (l == NULL)
		abort();
	for (size_t at = 0; at < size && rc == 0; at += piece)
		rc = cp_wavelist_feed(l, data + at, size - at < piece ? size - at : piece);
	*ret_rc = rc == 0 ? cp_wavelist_end(l) : rc;
	return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char (*names)[CP_DEVICE_NAME_MAX], (*others)[CP_DEVICE_NAME_MAX];
	const struct cp_wavelist_error *errors;
	struct cp_wavelist *a, *b;
	unsigned kept, kept_b;
	unsigned long all, all_b;
	uint32_t n, m;
	int ra, rb;

	a = run(data, size, size > 0 ? size : 1, &ra);
	b = run(data, size, 3, &rb);
	names = cp_wavelist_names(a, &n);
	others = cp_wavelist_names(b, &m);
	if (ra != rb || n != m || (n > 0 && memcmp(names, others, n * sizeof(*names)) != 0))
		abort();
	errors = cp_wavelist_errors(a, &kept, &all);
	(void)cp_wavelist_errors(b, &kept_b, &all_b);
	if (kept != kept_b || all != all_b || kept > all || kept > CP_WAVELIST_ERRORS || (ra < 0) != (cp_wavelist_why(a)[0] != '\0'))
		abort();
	for (unsigned i = 0; i < kept; i++)
		if (errors[i].line == 0 || errors[i].text[0] == '\0' || memchr(errors[i].text, '\0', sizeof(errors[i].text)) == NULL)
			abort();
	for (uint32_t i = 0; i < n; i++) {
		if (!cp_device_name_ok(names[i]) || !known(NULL, names[i]))
			abort();
		for (uint32_t k = 0; k < i && n < 200; k++)
			if (strcmp(names[i], names[k]) == 0)
				abort();
	}
	cp_wavelist_destroy(a);
	cp_wavelist_destroy(b);
	return 0;
}
