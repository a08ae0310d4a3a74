/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the CAPF service share: its sessions (capf.c), how a phone's key becomes a certificate (capfissue.c), and what a
 * session's end makes of the records (capfend.c). Event
 * loop's thread, but for what a job's work may touch.
 */
#ifndef CP_ENROL_CAPF_PRIV_H
#define CP_ENROL_CAPF_PRIV_H

#include <sys/queue.h>

#include "enrol/capf.h"
#include "spki.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store/tab.h"

struct cp_conn;
struct event;

struct cp_capf_client { /* a connection, its session, and what is under way for them */
	TAILQ_ENTRY(cp_capf_client) link;
	struct cp_capf *capf;
	struct cp_conn *conn; /* NULL: gone */
	struct cp_capf_sess *sess;
	char device[CP_DEVICE_NAME_MAX]; /* whose slot it has; "": none */
	char from[64];
	uint64_t op_id;
	bool asks;                      /* a CA is asked for its certificate, and it waits */
	char serial[CP_LSC_SERIAL_MAX]; /* of what was offered */
	unsigned holds;                 /* jobs and batches that will call back */
	bool ended;
};

enum cp_capf_what { CP_CAPF_UNSEAL, CP_CAPF_ISSUE, CP_CAPF_KEEP };

struct cp_capf_job {
	STAILQ_ENTRY(cp_capf_job) link;
	struct cp_capf_client *c;
	enum cp_capf_what what;
	int rc;
	char device[CP_DEVICE_NAME_MAX];
	char why[160];
	/* CP_CAPF_UNSEAL */
	struct cp_buf sealed;
	char aad[64], string[CP_CAPF_STRING_MAX + 1];
	struct cp_capf_order order;
	/* CP_CAPF_ISSUE: the phone's key, then the certificate, both in DER; or the request for it, where another issues */
	struct cp_buf spki, cert;
	uint8_t *csr;
	size_t csr_len;
	/* CP_CAPF_KEEP: what it showed, and what it authenticated with */
	X509 *shown[2];
	uint8_t kind[2];
	struct cp_batch *batch; /* submitted behind it */
};

struct cp_capf {
	struct cp_capf_env env;
	TAILQ_HEAD(, cp_capf_client) clients;
	struct cp_tab slots; /* device -> client */
	STAILQ_HEAD(, cp_capf_job) waiting; /* for a thread */
	STAILQ_HEAD(, cp_capf_job) asking;  /* for env.issue() to take them */
	unsigned jobs, asked, waits; /* on threads, by env.issue(), for either */
	struct event *tick;
	uint32_t next_id;
	uint64_t swept_ms;
	int64_t look_us; /* when requests are looked through again */
	struct cp_tab scep_now; /* devices whose certificate is asked for by SCEP now; obj: none */
	struct cp_capf_stats stats;
};

int64_t cp_capf_now_us(const struct cp_capf *f); /* wall clock */

/** A job for this client; NULL: no memory. cp_capf_job_start(), for a thread, owns it. */
struct cp_capf_job *cp_capf_job_new(struct cp_capf_client *c, enum cp_capf_what what, const char *device);
void cp_capf_job_start(struct cp_capf_job *j);
/** One that was not started. */
void cp_capf_job_free(struct cp_capf_job *j);

/** Audit: what happened to whose certificate. 'serial' and 'text' may be NULL. */
void cp_capf_audit(struct cp_batch *b, const char *event, const char *device, const char *who, const char *serial, const char *text);

/* capfissue.c */

/** struct cp_capf_owner's issue(). */
void cp_capf_issue(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *key);
/** Ask for what waits in 'asking'. */
void cp_capf_ask(struct cp_capf *f);
/** Offer what another CA issued: its record goes with 'b', which is taken over, then cp_capf_sess_issued(). */
void cp_capf_offer(struct cp_capf_client *c, const char *device, X509 *cert, struct cp_batch *b);

/* capfreq.c: a third party's CA */

/** Into 'order': is the certificate of the key that it made before there, or asked for? */
void cp_capf_req_order(struct cp_capf *f, const struct cp_capf_oprec *rec, struct cp_capf_order *order);
/** A job of CP_CAPF_ISSUE is done: the request is made. Write it down, then ask, or wait for who does. */
void cp_capf_requested(struct cp_capf_job *j);
/** That job, on its thread. */
void cp_capf_request_work(struct cp_capf_job *j);
/** Offer what is ready. */
void cp_capf_req_offer(struct cp_capf_client *c, const char *device);
/** Each second: what has to be asked again, at most a few. */
void cp_capf_req_tick(struct cp_capf *f);

/* capfend.c */

/** struct cp_capf_owner's record(). */
void cp_capf_record(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *end);
#endif
