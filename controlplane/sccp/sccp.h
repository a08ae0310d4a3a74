/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SCCP service of one shard: registered phones, who may register and how, keep-alives. A
 * connection is a session (session.h) fed with whole frames; front.h joins it to net/.
 * What it needs from elsewhere comes as callbacks, time included, so that tests can set all of it.
 * One thread.
 *
 * Who may register, and the alarm if not. The source documents require the alarms; where they do
 * not say whether the registration is refused, it is, except the last:
 * - sccp-unknown-device: not in the store
 * - sccp-cert-name: TLS, the certificate names another device or none (004c:TR-02)
 * - sccp-cert-untrusted: TLS, no chain to the trust list; the handshake fails
 * - sccp-cert-expired: TLS, certificate outside its validity; the handshake fails
 * - sccp-cert-missing, sccp-cert-invalid: TLS, none or not acceptable; the handshake fails
 * - sccp-cert-revoked: TLS, an LSC that was deleted or revoked
 * - sccp-mic-only: TLS, a manufacturer's certificate where only LSCs of our CAPF are let in
 * - sccp-clear-registration: authenticated or encrypted device on the clear port (004c:TR-01)
 * - sccp-tls-weak: encrypted device with a suite that does not encrypt (004c:TR-03)
 * - sccp-tls-incompatible: TLS, no version or cipher in common; the handshake fails (004c:TR-03)
 * - sccp-tls-nonsecure: non-secure device over TLS, its own certificate: accepted as non-secure (004c:TR-01)
 * - phone-tftp-not-authorized, phone-file-auth: what the phone itself says in an Alarm message (004c:TR-04, TR-05)
 * - sccp-duplicate: another one of this name is registered, and has just shown that it is there
 *
 * The subject of an alarm is a device name only if such a device exists, else the address it came
 * from: strangers cannot make up subjects, and alarms stand for at most 64 addresses at a time. A
 * later good registration clears the device's alarms. Texts end with what to do.
 *
 * Storms: registrations are given out at register_rate, as many at once; who asks for a token (RegisterTokenReq) beyond that is told
 * when to come, who does not is refused with the time in the text. Only devices that are in the store take a place. Alarm sccp-storm.
 *
 * Limits: lines are the only buttons (no speed dials or services); soft keys are new
 * call, end call, answer, hold, resume, transfer and forwarding of all calls; text goes out as UTF-8 to every phone; suites are the two AES_CM ones
 * (no layout for AES-256 is known, and no phone is known to take AES-128-GCM); a phone's firmware
 * is never upgraded.
 */
#ifndef CP_SCCP_SCCP_H
#define CP_SCCP_SCCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/x509.h>

#include "net/net.h"
#include "phone.h"
#include "store/records.h"

struct event_base;
struct cp_sccp;

enum cp_sccp_refusal {
	CP_SCCP_REF_UNKNOWN,
	CP_SCCP_REF_CERT_NAME,
	CP_SCCP_REF_CERT_UNTRUSTED,
	CP_SCCP_REF_CERT_EXPIRED,
	CP_SCCP_REF_CERT_MISSING,
	CP_SCCP_REF_CERT_INVALID,
	CP_SCCP_REF_CERT_REVOKED,
	CP_SCCP_REF_CLEAR,
	CP_SCCP_REF_WEAK,
	CP_SCCP_REF_MIC,
	CP_SCCP_REF_INCOMPATIBLE,
	CP_SCCP_REF_DUPLICATE,
	CP_SCCP_REF_NONSECURE_TLS, /* alarm only, as are these, which a phone raises itself */
	CP_SCCP_REF_PHONE_TFTP,
	CP_SCCP_REF_PHONE_FILE,
	CP_SCCP_REF_MAX
};

/** Alarm identifier, as in the table above. */
const char *cp_sccp_refusal_id(enum cp_sccp_refusal why);
/** What to do about it, and what the phone is told (RegisterReject; "" where the handshake fails before). */
const char *cp_sccp_refusal_remedy(enum cp_sccp_refusal why);
const char *cp_sccp_refusal_text(enum cp_sccp_refusal why);

enum { CP_SCCP_RESET_RESET = 1, CP_SCCP_RESET_RESTART = 2 }; /* of the Reset message */

struct cp_sccp_opts {
	struct event_base
		*base; /* for the tick each second; NULL: the caller calls cp_sccp_tick() */
	/* Borrowed record or NULL; the name is any string of up to 16 bytes. */
	const struct cp_device *(*find_device)(void *ctx, const char *name);
	/* Its mode as effective; NULL: as its record says. */
	enum cp_device_mode (*device_mode)(void *ctx, const struct cp_device *dev);
	/* The device name that a certificate proves: pki_name_device(). 0, or negative: none. */
	int (*cert_name)(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX]);
	/* It was deleted or revoked. May be NULL: none was. */
	bool (*cert_revoked)(void *ctx, X509 *cert);
	/* It is an LSC of our CAPF. NULL: a MIC is as good. */
	bool (*cert_lsc)(void *ctx, X509 *cert);
	/*
	 * Make a record for an unknown device of this type. 0: cp_sccp_auto_added() will be called; -EACCES: phones do not register by
	 * themselves here; others with a reason in 'why'. NULL: never.
	 */
	int (*auto_add)(void *ctx, const char *name, uint32_t type, char *why, size_t why_size);
	/* Raise alarm 'id' (fixed string); text NULL: clear it. 'text' has no outside bytes but
	 * quoted ones. */
	void (*alarm)(void *ctx, const char *id, const char *subject, const char *text);
	/* A phone registered from this address and showed this certificate (NULL: none, or clear), or is
	 * no longer registered from there. In pairs. May be NULL. */
	void (*seen)(void *ctx, const char *device, const struct cfg_addr *addr, X509 *cert, bool here);
	void *ctx; /* of all above */
	const struct cp_call_ops *call;
	void *call_ctx;
	uint16_t reset_rate;       /* phones told to reset or restart in a second; 0: 20 */
	uint16_t keepalive_s;
	uint16_t grace_s;          /* a phone silent for keepalive_s and so much longer is gone */
	uint32_t register_rate;    /* registrations a second; 0: no limit */
	bool refuse_duplicates;    /* a second registration of a name is refused while the first is there; false: it ends the first */
	const char *date_template; /* "D/M/Y"; kept by the caller, as is the next */
	const char *server_name;   /* shown to phones that ask */
	bool no_alt_calling; /* leave the alternate calling number out of dynamic CallInfo: sources
	                        differ */
	/*
	 * A phone waits to be told to reset (CP_SCCP_RESET_*), or does not any more (0): told, or gone. To be kept, so that a process after this
	 * one goes on with it, which asks for what was left when a phone registers, once for each. Both may be NULL.
	 */
	void (*reset_keep)(void *ctx, const char *name, uint8_t type, unsigned per_second);
	bool (*reset_left)(void *ctx, const char *name, uint8_t *ret_type, unsigned *ret_per_second);
	void *reset_ctx;
	uint64_t (*now_ms)(void *ctx); /* monotonic; NULL: the system's */
	int64_t (*wall_ms)(void *ctx); /* Unix time; NULL: the system's */
	void *now_ctx;
};

struct cp_sccp_stats {
	uint64_t registers, refused[CP_SCCP_REF_MAX], replaced, unregisters, timeouts;
	uint64_t unknown_ids; /* messages with an id that is not known here: ignored */
	uint64_t early;       /* messages that only a registered phone may send: ignored */
	uint64_t malformed;   /* bodies too short or with impossible values: ignored */
	uint64_t phone_alarms, stats_reports;
	uint64_t tokens, held_back; /* token requests granted; registrations and token requests told to come later */
	uint64_t auto_added, probes; /* records made for unknown phones; first ones asked whether they are there */
	uint64_t resets, restarts; /* told to phones */
	uint32_t registered[3]; /* now, by enum cp_phone_sec */
};

int cp_sccp_create(const struct cp_sccp_opts *opts, struct cp_sccp **ret_sccp);
/** Phones are reported gone (CP_GONE_REMOVED). Destroy the fronts that feed it first. NULL is
 * allowed. */
void cp_sccp_destroy(struct cp_sccp *sccp);

/** The registered phone of that name, or NULL. */
struct cp_phone *cp_sccp_find(const struct cp_sccp *sccp, const char *name);

/**
 * The record of 'name' was written or deleted. A phone that could no longer register so is told to reset and closed; else it is told
 * to restart, or to reset where a restart is not enough (resets.h), as the rate allows, and comes back with the new record.
 */
void cp_sccp_device_changed(struct cp_sccp *sccp, const char *name);

/** For how many milliseconds 'name' has been registered; -1: it is not. */
int64_t cp_sccp_registered_ms(const struct cp_sccp *sccp, const char *name);

/**
 * What modes count has changed, with the cluster's: phones that could no longer register as they did are told to reset and closed. How
 * many.
 */
unsigned cp_sccp_mode_changed(struct cp_sccp *sccp);

/** Certificates of 'name' were revoked: a phone that registered with one is closed. True: it was. */
bool cp_sccp_certs_changed(struct cp_sccp *sccp, const char *name);

/** The name of each registered phone whose record 'fits' (NULL: of all of them). */
void cp_sccp_each(const struct cp_sccp *sccp, bool (*fits)(void *ctx, const struct cp_device *dev), void *ctx,
		  void (*fn)(void *fn_ctx, const char *name), void *fn_ctx);

/**
 * Tell these phones to reset (type CP_SCCP_RESET_*), at most per_second of them each second (0: as configured), behind those that wait
 * already. What opts.reset_keep() would be told is in the store already. Returns how many are registered. A phone that leaves while it waits
 * is not told.
 */
unsigned cp_sccp_reset(struct cp_sccp *sccp, uint8_t type, const char (*names)[CP_DEVICE_NAME_MAX], size_t cnt, unsigned per_second);
/** Phones that wait to be told. */
unsigned cp_sccp_resets_waiting(const struct cp_sccp *sccp);

/** The record that auto_add() was asked for is synced (0), or could not be. */
void cp_sccp_auto_added(struct cp_sccp *sccp, const char *name, int rc);

/** Drop phones whose keep-alives stopped. */
void cp_sccp_tick(struct cp_sccp *sccp);

const struct cp_sccp_stats *cp_sccp_stats(const struct cp_sccp *sccp);

/** Admin command show.registrations: a new array with an object per registered phone. */
json_t *cp_sccp_show_registrations(const struct cp_sccp *sccp);

/** Counters of the service and, if not NULL, of its connections: a new object. */
json_t *cp_sccp_show_counters(const struct cp_sccp *sccp, const struct cp_net_stats *net);

#endif
