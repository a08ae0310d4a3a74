/* SPDX-License-Identifier: BSD-3-Clause */
/* Where IKE's SAs come from, as configured: the kernel's XFRM or the socket in its place. Made by main.c, on the controlplane's event loop. */
#ifndef CP_IKE_SASOURCE_H
#define CP_IKE_SASOURCE_H

#include <jansson.h>

struct cfg;
struct cp_alarms;
struct cp_gws;
struct cp_sas;
struct cp_sasource;
struct event_base;

struct cp_sasource_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_alarms *alarms;
	struct cp_sas *sas;
	struct cp_gws *gws;
};

/** NULL: no memory. Nothing is opened yet. */
struct cp_sasource *cp_sasource_create(const struct cp_sasource_env *env);
void cp_sasource_destroy(struct cp_sasource *s);

/**
 * The channel to the dataplane is up, and what is in it known: from the first time on charon is listened to. What cannot be opened
 * raises the alarm ike-source-down and is tried again each 5 s.
 */
void cp_sasource_up(struct cp_sasource *s);

/** A gateway's record came or changed. */
void cp_sasource_gateway_changed(struct cp_sasource *s);

/**
 * VICI is another charon's now. The socket's feed sees that for itself; the kernel keeps the SAs of one that crashed, and says nothing of it.
 */
void cp_sasource_another(struct cp_sasource *s);

/** For 'show ike'. */
json_t *cp_sasource_show(const struct cp_sasource *s);

#endif
