/* SPDX-License-Identifier: BSD-3-Clause */
/* What a process that holds keys does first: nothing of its memory goes into a core dump. */
#ifndef CFG_NODUMP_H
#define CFG_NODUMP_H

/**
 * No core file (RLIMIT_CORE 0, hard), no core and no ptrace by others of our user (not dumpable), and an empty coredump_filter: a core
 * that root forces all the same (gcore) holds registers and no memory, as gdb and the kernel honour the filter. Whoever is root
 * and ignores it can read any process's memory; against that nothing here helps. Children inherit the filter. Call it before
 * keys are there. 0, or the first error; the rest is done all the same.
 */
int cfg_no_dump(void);

#endif
