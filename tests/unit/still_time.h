/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock that only the test moves. Until time_still() it is the machine's; from then on it stands for that thread, for libc's callers as for
 * libevent's timers, until time_pass(). So a timer of a minute costs nothing, none runs out because the machine is busy, and what
 * happens does not depend on how fast it is. Other threads (the store's) keep the machine's clock. Loops must not block: EVLOOP_NONBLOCK.
 */
#ifndef TESTS_STILL_TIME_H
#define TESTS_STILL_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local bool still;
static int64_t still_ns[2]; /* CLOCK_REALTIME, CLOCK_MONOTONIC */

static inline int64_t machine_ns(clockid_t clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, clock, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static inline void time_still(void)
{
	if (still)
		return;
	still_ns[0] = machine_ns(CLOCK_REALTIME);
	still_ns[1] = machine_ns(CLOCK_MONOTONIC);
	still = true;
}

static inline void time_pass(unsigned ms)
{
	still_ns[0] += ms * INT64_C(1000000);
	still_ns[1] += ms * INT64_C(1000000);
}

/* To a whole second of both clocks: what is counted in seconds is then the same wherever it begins. */
static inline void time_even(void)
{
	time_still();
	for (unsigned i = 0; i < 2; i++)
		still_ns[i] += INT64_C(1000000000) - still_ns[i] % INT64_C(1000000000);
}

/* The program's own come before libc's. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int64_t ns;

	if (!still || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	ns = still_ns[clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? 0 : 1]; /* this thread's alone */
	*ts = (struct timespec){ns / 1000000000, ns % 1000000000};
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

/* The machine's own pace, for what another thread does. */
static inline void machine_waits(unsigned us)
{
	struct timespec ts = {0, us * 1000};

	nanosleep(&ts, NULL);
}

#endif
