/* SPDX-License-Identifier: BSD-3-Clause */
/* Benches of whole daemons: a directory of their own, processes, what they used, and the admin socket. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_place {
	char bin[PATH_MAX / 2]; /* where ravelin-bench is */
	char dir[64];           /* made for this bench; run/ has the sockets */
};

extern volatile sig_atomic_t bench_stopped; /* SIGINT or SIGTERM came */

/** Make the directory, take the signals over. 0, or -1 after a message. 'name': of the bench. */
int bench_place_make(struct bench_place *p, const char *name);
/** Give the signals back; remove the directory, or, with logs that somebody should read, say where it is. */
void bench_place_end(struct bench_place *p, const char *name, bool keep);

/** In the build tree each program is in its own folder, installed they are side by side. Returns ret. */
char *bench_program(const struct bench_place *p, const char *built, char *ret, size_t size);

/** Start a program that dies with us, its output appended to the file 'log' of the directory. cpu -1: any. -1: not started. */
pid_t bench_spawn(const struct bench_place *p, const char *log, char *const argv[], int cpu);

/** Exit status within 'limit' seconds, -1: killed, or had to be. *pid becomes 0. */
int bench_reap(pid_t *pid, double limit);
/** SIGTERM, and wait; *pid may be 0 or below. */
void bench_end(pid_t *pid);

/** Raise what a process may have open, ours and those that we start, to 'want' files, or as far as it goes: how many it may have. */
unsigned long bench_files(unsigned long want);

/** The last line of the file 'log' of the directory, "" if there is none. */
void bench_last_words(const struct bench_place *p, const char *log, char *ret, size_t size);

/** User and system time in seconds, of a process and, with 'children', of those it has waited for. */
double bench_cpu_of(pid_t pid, bool children);
double bench_resident(pid_t pid); /* bytes */

/** Write DIR/ravelin.yaml: 'fmt' and where state (DIR/state) and sockets (DIR/run) are. 0 or -1. */
int bench_configure(const struct bench_place *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A signer and a controlplane on it, once they answer. -1: they do not within 20 s, or a signal came; what was started is in *ret_*. */
int bench_appliance(const struct bench_place *p, pid_t *ret_signer, pid_t *ret_cp);

uint16_t bench_free_port(int type); /* SOCK_STREAM or SOCK_DGRAM, of 127.0.0.1; 0: none */
void bench_rest(double s);

/** One request to DIR/run/admin.sock: the answer's result, owned by the caller; NULL: none, or refused. args are taken over. */
json_t *bench_admin(const struct bench_place *p, const char *cmd, json_t *args);

#endif
