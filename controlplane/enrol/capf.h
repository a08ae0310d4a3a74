/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CAPF service: phones come over TLS for the certificate operation that an operator set for them (wire-formats 4; 004b:CAPF-*).
 * One session per connection and one per device at a time: a second client of the same name is refused, and the first does not notice.
 * A phone that vanished without a word is noticed within CP_CAPF_DEAD_S, before it comes back 30 seconds later.
 *
 * What is known of a phone's LSC is a record before the phone is told anything: "offered" before it goes out, "held" when the phone
 * said so. In between nobody can know; evidence decides then: it shows the certificate (at registration, or here) and holds it, or it
 * asks again and gets a new one. The old one stays "superseded", neither refused nor forgotten, until another is known to be held;
 * then it is revoked, for the phone has overwritten it.
 *
 * The event loop never waits: certificates are asked for and come later; what is sealed, and files, are for threads, CP_CAPF_JOBS at once,
 * the rest waits its turn.
 */
#ifndef CP_ENROL_CAPF_H
#define CP_ENROL_CAPF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "enrol/capfop.h"
#include "enrol/lscs.h"

#define CP_CAPF_DEAD_S 24
#define CP_CAPF_JOBS   6 /* threads at once; the signer takes eight calls */

struct cp_alarms;
struct cp_batch;
struct cp_capf;
struct cp_net;
struct cp_offload;
struct cp_scepc;
struct cp_store;
struct cp_tls;
struct event_base;

/** rc 0 and the certificate's DER, valid during the call; else why not, with a line in 'why'. */
typedef void cp_capf_issued_fn(void *ctx, int rc, const uint8_t *der, size_t len, const char *why);

struct cp_capf_env {
	struct event_base *base; /* for the tick each second; NULL: the caller calls cp_capf_tick() */
	struct cp_store *store;
	struct cp_offload *offload;
	struct cp_lscs *lscs;
	struct cp_alarms *alarms; /* may be NULL */
	const char *files;        /* folder for what phones show, made when needed; NULL: nothing is kept */
	/* On the loop, does not wait. 0: done() is called from the loop, later, never from inside. -EAGAIN: it is asked again when another one
	 * is done, or within a second; else why not. 'key' is valid during the call. */
	int (*issue)(void *ctx, const char *device, const struct pki_spki *key, cp_capf_issued_fn *done, void *done_ctx);
	/* A third party's CA issues (CFG_ISSUER_*): the request for a phone's key; OPENSSL_malloc'ed. On a thread. */
	uint8_t issuer;
	int (*request)(void *ctx, const char *device, EVP_PKEY *pub, uint8_t **ret, size_t *ret_len, char *why, size_t size);
	/* May who issued this have done so? 'more' (may be NULL) is the CA where it is known by its hash. On the loop. 0, -EACCES with 'why'. */
	int (*vouched)(void *ctx, X509 *cert, STACK_OF(X509) *more, char *why, size_t size);
	struct cp_scepc *scep; /* CFG_ISSUER_SCEP */
	uint32_t poll_s, give_up_h;
	/* On a thread, may block. 0 or why not. */
	int (*unseal)(void *ctx, const struct cp_buf *sealed, const char *aad, char ret[CP_CAPF_STRING_MAX + 1]);
	/* On the loop. */
	void (*trust)(void *ctx, struct cp_capf_trust *ret); /* whom to believe, but for what is refused; borrowed */
	bool (*old_phone)(void *ctx, const struct cp_device *dev); /* may be NULL */
	/* Synced: this is the LSC that the phone holds; len 0: it has none any more. May be NULL. */
	void (*holds)(void *ctx, const char *device, const uint8_t *der, size_t len);
	int64_t (*now_us)(void *ctx);  /* wall clock; NULL: the system's */
	uint64_t (*now_ms)(void *ctx); /* monotonic; NULL: the system's */
	void *ctx;
};

/** 0, -ENOMEM. */
int cp_capf_create(const struct cp_capf_env *env, struct cp_capf **ret);
/** After the nets it listens on and cp_offload_destroy() and cp_store_close(). NULL is allowed. */
void cp_capf_destroy(struct cp_capf *capf);
/** As cp_net_listen(). */
int cp_capf_listen(struct cp_capf *capf, struct cp_net *net, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port);

/** The phone showed this certificate where it was verified: it holds it. */
void cp_capf_seen(struct cp_capf *capf, const char *device, X509 *cert);
/** A session of this device is under way. */
bool cp_capf_busy(const struct cp_capf *capf, const char *device);

/**
 * A certificate that a third party's CA made: for the request of the device that it names and whose key it has. Checked, and into the
 * batch. 0; -EALREADY: this very one is there; -EACCES, -ENOENT with 'why'. 'device' gets the name.
 */
int cp_capf_take(struct cp_capf *capf, struct cp_batch *b, X509 *cert, STACK_OF(X509) *more, char device[16], char *why, size_t size);

struct cp_capf_stats {
	uint64_t sessions, malformed;
	uint64_t outcome[CP_CAPF_OUT_MAX];
	uint64_t issued;
	uint32_t conns, devices, jobs, waiting; /* now */
};
void cp_capf_stats(const struct cp_capf *capf, struct cp_capf_stats *ret);
json_t *cp_capf_show_stats(const struct cp_capf *capf);

/** Time of sessions; each hour operations whose deadline has passed fail, and those of devices that are gone, and certificates that expired long ago,
 * are forgotten. */
void cp_capf_tick(struct cp_capf *capf);

#endif
