/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-phonesim --load: many phones in one process; they register, stay, and leave. */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "phone.h"

struct sim_load_opts {
	unsigned int phones;
	double rate;               /* starts per second */
	unsigned int parallel;     /* at most so many between connect and RegisterAck */
	double hold_s;             /* after the last one registered or failed */
	const char *first;         /* name of the first phone, SEP + 12 hex digits */
	const char *cert_dir;      /* DIR/SEP....pem, or NULL */
	const char *ca;            /* PEM with CA key and certificate: phone certificates made at start, or NULL */
	struct sim_addr source_first, source_last; /* len 0: any */
	const char *report;
	double calls_s;                    /* above 0: when all have settled they call each other for so long, instead of hold_s */
	double calls_rate;                 /* a second; 0: as many as calls_parallel allows */
	unsigned int calls_parallel;
	unsigned long long number;         /* of the first phone */
};

/** 0: all phones registered and stayed registered; 1: not so; 2: options or files. */
int sim_load_run(struct sim_phone_opts *opts, const struct sim_load_opts *load);

#endif
