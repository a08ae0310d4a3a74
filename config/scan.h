/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A first pass over a YAML file, before libcyaml loads it: it finds on which line each key stands,
 * so that every later error can say so, and refuses what libcyaml would let pass or answer with no
 * position: a key given twice, a second document, aliases, nesting without end, what is not YAML at
 * all.
 */
#ifndef CFG_SCAN_H
#define CFG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cfg_scan_item {
	char *path;    /* "dataplane.ports[0].device" */
	unsigned line; /* from 1 */
};

struct cfg_scan {
	struct cfg_scan_item *item; /* sorted by path */
	size_t n;
	bool empty; /* no document, or one without content */
};

/** 0, -EINVAL (one line in err, "line N: ..."), -ENOMEM. cfg_scan_fini() in every case. */
int cfg_scan_init(struct cfg_scan *scan, const uint8_t *data, size_t len, char *err,
                  size_t err_size);

/** The line of 'path', else of the nearest mapping around it, else 0. */
unsigned cfg_scan_line(const struct cfg_scan *scan, const char *path);

/** True if the file has this very key. */
bool cfg_scan_has(const struct cfg_scan *scan, const char *path);

void cfg_scan_fini(struct cfg_scan *scan);

#endif
