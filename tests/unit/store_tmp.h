/* SPDX-License-Identifier: BSD-3-Clause */
/* A fresh directory per test, removed behind it; an event loop to wait on. */
#ifndef TESTS_STORE_TMP_H
#define TESTS_STORE_TMP_H

#include <event2/event.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char tmp_dir[64], tmp_store[96];

static inline int tmp_rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void tmp_make(void)
{
	strcpy(tmp_dir, "/tmp/ravelin-test-XXXXXX");
	if (mkdtemp(tmp_dir) == NULL)
		abort();
	snprintf(tmp_store, sizeof(tmp_store), "%s/store", tmp_dir);
}

static inline void tmp_remove(void)
{
	nftw(tmp_dir, tmp_rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Run the loop until *flag, which any thread sets, at most 10 s. */
static inline bool wait_for(struct event_base *base, const volatile int *flag)
{
	for (int i = 0; i < 10000 && !__atomic_load_n(flag, __ATOMIC_ACQUIRE); i++) {
		struct timeval tv = {0, 1000};

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

#endif
