/* SPDX-License-Identifier: BSD-3-Clause */
/* What ike.c (states and events), ikebegin.c (who is begun with), ikeload.c (what charon is told) and ikeshow.c (commands) share. */
#ifndef CP_IKEINT_H
#define CP_IKEINT_H

#include "ike.h"
#include "ikeconf.h"
#include "viciclient.h"

#define IKE_ERROR_MAX 200
#define IKE_RETRY_MS  5000 /* the second attempt; each further one after twice as long */
#define IKE_FRESH_MS  2000 /* begun so lately: charon may not list it yet */
#define IKE_SLOW_MS   1000 /* who has not answered by then does not hold up the others */
#define IKE_MANY      100  /* gateways: what happens to one of them leads to a list of all less often */

struct cp_admin_req;
struct load_job;

enum ike_state {
	IKE_DOWN,
	IKE_CONNECTING,
	IKE_NO_CHILD, /* authenticated, but nothing that ESP could use */
	IKE_UP,
};

struct ike { /* one gateway's */
	struct ike *next; /* of the same hash */
	struct cp_ikes *ikes;
	struct cp_gateway rec; /* copy, without endpoints and numbers */
	enum ike_state state;
	bool loaded;      /* charon has it as it is now */
	bool wanted;      /* to be loaded */
	bool loading;
	bool anew;        /* its SAs are of what the record said before: to be ended once it is loaded */
	bool stopped;     /* by an operator */
	bool alarmed;
	bool asking;      /* charon was told to begin, and has not said yes yet */
	bool beginning;   /* counts for cp_ikes' 'beginning' */
	int64_t since_us; /* wall clock: in this state */
	uint64_t down_ms; /* monotonic: not up since, 0: up */
	uint64_t next_ms; /* not begun again before */
	uint64_t begun_ms; /* begun last */
	unsigned tries;   /* since it was up */
	char error[IKE_ERROR_MAX]; /* last one since it was up; "" none */
	uint64_t error_ms;
	char error_sa[24];         /* charon's number of the attempt that it was of */
	json_t *sa;       /* as charon told last, or NULL */
	unsigned sweep;   /* in which it told so */
	bool missed;      /* it was not in the last list */
	bool ended;       /* charon said that its SA ended */
	uint64_t ups, rekeys, child_rekeys;
};

struct waiter { /* somebody who waits for 'ike up' */
	struct waiter *next;
	struct cp_admin_req *req;
	char name[CP_NAME_MAX];
	uint64_t until_ms;
	json_t *up; /* its answer, once it has one; NULL: 'why' */
	char why[IKE_ERROR_MAX];
};

struct shower {
	struct shower *next;
	struct cp_admin_req *req;
};

#define IKE_HASH 4096

struct cp_ikes {
	struct cp_ikes_env env;
	struct cp_vici *vici;
	struct ike *by_name[IKE_HASH];
	unsigned cnt, loading; /* gateways; of them being loaded, */
	unsigned opening;      /* of these: their keys are being opened */
	unsigned load_cursor;  /* of by_name: who is loaded next */
	unsigned beginning;    /* begun with, and as far as we know neither up nor refused */
	unsigned cursor;       /* of by_name: who is begun with next, */
	bool more;             /* since there was no room for all */
	struct event *ev_tick, *ev_sweep;
	unsigned sweep;
	uint64_t sweep_ms; /* when the next one is due */
	bool sweeping, sweep_again, swept; /* swept: whole since charon was found, so that who is not there is down */
	bool judged; /* SAs that stood when we began are of what their records say, or are being ended */
	bool have_identity, identity_busy; /* certificates are with charon */
	unsigned epoch;        /* of loading everything: what was begun before does not count */
	X509 *own;
	struct waiter *waiters;
	struct shower *showers;
	bool stopping, lost; /* lost: alarm ike-daemon stands */
	char version[64];
	uint32_t pid;          /* charon's, known last; 0: not known */
};

struct ike *ike_find(struct cp_ikes *ikes, const char *name);
void ike_each(struct cp_ikes *ikes, void (*fn)(void *ctx, struct ike *ike), void *ctx);
/* ikeload.c */
void ike_load_all(struct cp_ikes *ikes);
void ike_load_some(struct cp_ikes *ikes); /* what is wanted, as many at once as may be */
void ike_ask_identity(struct cp_ikes *ikes); /* our certificate, their trust; what is loaded waits for it */
void ike_unload(struct cp_ikes *ikes, const char *name);
/* ike.c */
void ike_sweep_soon(struct cp_ikes *ikes, unsigned ms);
void ike_failed(struct ike *ike, const char *sa, const char *why);
void ike_set_state(struct ike *ike, enum ike_state state);
int ike_end(struct ike *ike);
/* ikebegin.c */
int ike_begin(struct ike *ike);
void ike_begin_some(struct cp_ikes *ikes); /* who is loaded, wanted and due, as many at once as may be */
void ike_begin_next(struct cp_ikes *ikes); /* one was begun with, and that is over */
void ike_not_beginning(struct ike *ike);   /* it does not count for those that are begun with at once any more */
/* ikeshow.c */
void ike_waiters(struct cp_ikes *ikes, bool all);
void ike_shown(struct cp_ikes *ikes);
const char *ike_state_name(const struct ike *ike);

#endif
