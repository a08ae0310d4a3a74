/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SCCP service of one shard: registered phones, who may register and how, keep-alives. A
 * connection is a session (session.h) fed with whole frames; cp_sccp_listen() joins it to net/.
 * What it needs from elsewhere comes as callbacks, time included, so that tests can set all of it.
 * One thread.
 *
 * Who may register, and the alarm if not. The source documents require the alarms; where they do
 * not say whether the registration is refused, it is, except the last:
 * - sccp-unknown-device: not in the store
 * - sccp-cert-name: TLS, the certificate names another device or none
 * - sccp-cert-untrusted: TLS, no chain to the trust list; the handshake fails
 * - sccp-cert-expired: TLS, certificate outside its validity; the handshake fails
 * - sccp-cert-missing, sccp-cert-invalid: TLS, none or not acceptable; the handshake fails
 * - sccp-cert-revoked: TLS, an LSC that was deleted or revoked
 * - sccp-clear-registration: authenticated or encrypted device on the clear port
 * - sccp-tls-weak: encrypted device with a suite that does not encrypt
 * - sccp-tls-nonsecure: non-secure device over TLS, its own certificate: accepted as non-secure
 *
 * The subject of an alarm is a device name only if such a device exists, else the address it came
 * from: strangers cannot make up subjects, and alarms stand for at most 64 addresses at a time. A
 * later good registration clears the device's alarms.
 *
 * Limits: lines are the only buttons (no speed dials, forwarding or services); soft keys are new
 * call, end call, answer, hold, resume and transfer; text goes out as UTF-8 to every phone; suites are the two AES_CM ones
 * (no layout for AES-256 is known, and no phone is known to take AES-128-GCM); a phone's firmware
 * is never upgraded; a token request is always granted.
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
	CP_SCCP_REF_NONSECURE_TLS, /* alarm only */
	CP_SCCP_REF_MAX
};

/** Alarm identifier, as in the table above. */
const char *cp_sccp_refusal_id(enum cp_sccp_refusal why);

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
	/* Raise alarm 'id' (fixed string); text NULL: clear it. 'text' has no outside bytes but
	 * quoted ones. */
	void (*alarm)(void *ctx, const char *id, const char *subject, const char *text);
	/* A phone registered from this address and showed this certificate (NULL: none, or clear), or is
	 * no longer registered from there. In pairs. May be NULL. */
	void (*seen)(void *ctx, const char *device, const struct cfg_addr *addr, X509 *cert, bool here);
	void *ctx; /* of all above */
	const struct cp_call_ops *call;
	void *call_ctx;
	uint16_t keepalive_s;      /* a phone silent for 2.5 of these is gone */
	const char *date_template; /* "D/M/Y"; kept by the caller, as is the next */
	const char *server_name;   /* shown to phones that ask */
	bool no_alt_calling; /* leave the alternate calling number out of dynamic CallInfo: sources
	                        differ */
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
	uint32_t registered[3]; /* now, by enum cp_phone_sec */
};

int cp_sccp_create(const struct cp_sccp_opts *opts, struct cp_sccp **ret_sccp);
/** Phones are reported gone (CP_GONE_REMOVED). Destroy the net that feeds it first. NULL is
 * allowed. */
void cp_sccp_destroy(struct cp_sccp *sccp);

/** Listen with this service behind it; as cp_net_listen(). tls NULL: clear. */
int cp_sccp_listen(struct cp_sccp *sccp, struct cp_net *net, const struct cfg_addr *addr,
                   struct cp_tls *tls, uint16_t *ret_port);

/** The registered phone of that name, or NULL. */
struct cp_phone *cp_sccp_find(const struct cp_sccp *sccp, const char *name);

/**
 * The record of 'name' was written or deleted. A phone that could no longer register so is closed;
 * else it is told to restart, and comes back with the new record.
 */
void cp_sccp_device_changed(struct cp_sccp *sccp, const char *name);

/** For how many milliseconds 'name' has been registered; -1: it is not. */
int64_t cp_sccp_registered_ms(const struct cp_sccp *sccp, const char *name);

/** Certificates of 'name' were revoked: a phone that registered with one is closed. True: it was. */
bool cp_sccp_certs_changed(struct cp_sccp *sccp, const char *name);

/** Drop phones whose keep-alives stopped. */
void cp_sccp_tick(struct cp_sccp *sccp);

const struct cp_sccp_stats *cp_sccp_stats(const struct cp_sccp *sccp);

/** Admin command show.registrations: a new array with an object per registered phone. */
json_t *cp_sccp_show_registrations(const struct cp_sccp *sccp);

/** Counters of the service and, if not NULL, of its net: a new object. */
json_t *cp_sccp_show_counters(const struct cp_sccp *sccp, const struct cp_net *net);

#endif
