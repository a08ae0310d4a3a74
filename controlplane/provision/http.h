/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP services: clear (6970), TLS (6972), and TLS that demands a bearer token of the devices whose profile says so
 * (6971; what is asked there as X.sgn is answered with X, for TLS is what vouches for it). provision.threads threads, each with
 * a libevent base and SO_REUSEPORT listeners of its own; a connection never leaves its thread.
 *
 * What strangers can hold: a connection that says nothing costs a descriptor and less than 1 KiB (and TLS's own). A header must be
 * there CP_HTTP_HEADER_S after its first byte or after the connection was made, an answer must be read at
 * provision.min_rate (who stops half-way is cut off too, however fast he was), the next request must begin within
 * provision.idle_s.
 */
#ifndef CP_PROVISION_HTTP_H
#define CP_PROVISION_HTTP_H

#include <jansson.h>

#include "files.h"

#define CP_HTTP_HEADER_S 10 /* TLS handshake and a request's header */
#define CP_HTTP_STALL_S  10 /* an answer that begins may stall for so long; who reads faster than min_rate earns up to three times it */

struct cfg_provision;
struct cp_http;
struct cp_tls;

enum cp_http_port { CP_HTTP_CLEAR, CP_HTTP_TLS, CP_HTTP_TOKEN, CP_HTTP_PORTS };

struct cp_http_opts {
	const struct cfg_provision *cfg; /* not kept */
	struct cp_file_source source;
	struct cp_tls *tls;       /* of https_port; outlives the servers, as the next; NULL: that port is not served */
	struct cp_tls *token_tls; /* of token_port */
	/** Does the token prove that its bearer is 'device'? 0; -EACCES with a reason in *ret_why (static). Any thread. NULL: none does. */
	int (*token_check)(void *ctx, const char *token, size_t len, const char *device, const char **ret_why);
	void *token_ctx;
	uint32_t header_ms, stall_ms; /* in place of the two above; 0: these hold. For tests, which cannot wait */
};

/** Listen and start. 0, or a negative errno of socket and thread. */
int cp_http_create(const struct cp_http_opts *opts, struct cp_http **ret_http);
/** Closes connections, ends threads. NULL is allowed. */
void cp_http_destroy(struct cp_http *http);

/** 0: not served. */
uint16_t cp_http_port(const struct cp_http *http, enum cp_http_port which);
/** Counters, for "show provision": a new object. */
json_t *cp_http_show(const struct cp_http *http);

/** The device that a file's name belongs to: "SEP" and 12 digits at its start or behind CTL or ITL. False: none. */
bool cp_http_device(const char *name, char ret_device[16]);

#endif
