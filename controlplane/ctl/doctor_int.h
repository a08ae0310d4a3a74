/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of ravelinctl doctor share. Private to doctor*.c. */
#ifndef CP_CTL_DOCTOR_INT_H
#define CP_CTL_DOCTOR_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "doctor.h"

#define DOC_CPU_MAX 1024

enum doc_level { DOC_OK, DOC_WARN, DOC_BAD, DOC_UNKNOWN };

struct doc {
	const struct cfg *cfg;
	const struct cfg_dataplane *dp;
	const struct ctl_doctor_env *env;
	json_t *list;
	bool vm;
	char flags[4096]; /* of the first CPU, blank before and behind each */
};

struct doc_cpus {
	bool has[DOC_CPU_MAX];
	unsigned int n;
};

/** A finding. 'mend' may be NULL. */
void doc_say(struct doc *d, const char *check, enum doc_level level, const char *mend, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/** The first bytes of a file under the root, without the last line's end. False: it cannot be read (errno). */
bool doc_text(const struct doc *d, char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** A file that holds a number. */
bool doc_number(const struct doc *d, int64_t *ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Is there such a file? */
bool doc_there(const struct doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** "0-3,8": the kernel's list of CPUs. */
struct doc_cpus doc_cpulist(const char *p);

/** The workers' CPUs but those in 'without' (NULL: all), as "1,2"; how many. */
unsigned int doc_workers(const struct doc *d, const struct doc_cpus *without, char *buf, size_t size);

/** Has the CPU this flag? */
bool doc_flag(const struct doc *d, const char *name);

/** NUMA node of a CPU; -1: not known. */
int doc_node_of(const struct doc *d, unsigned int cpu);

/* doctor_cpu.c: the CPUs; the first one fills vm and flags. */
void doc_machine(struct doc *d);
void doc_cpus(struct doc *d);

/* doctor_port.c */
void doc_ports(struct doc *d);

#endif
