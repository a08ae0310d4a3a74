/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures of a phone's signalling, as an operator starts them: capture.signalling; capture.stop and show.captures (capture.h) know them
 * too. Every message of the device, both ways, after decryption, as pcapng (record.h), encrypted to an administrator's certificate before
 * it is written (seal.h). Source documents: mode Batch (004c:PC-05) of one device (PC-12), off unless the configuration switches it on
 * (PC-02, PC-03).
 *
 * A capture is of a device's name: it goes on when the phone leaves and when it comes back, and begins with the first message in which a
 * connection says that name. Until it has registered, or its certificate names the device, anyone may say so: then only registrations,
 * tokens and alarms and their answers are taken, and CP_SIGCAP_CLAIM bytes of them in all. It ends after its time (PC-09), at its size (PC-08), by capture.stop, when a file cannot be written, and with
 * the controlplane. What is captured is in memory until a part of it is written: after CP_SIGCAP_PART bytes or CP_SIGCAP_PART_S seconds;
 * each part is a file under a key of its own, and parts that are decrypted and put one behind the other are one pcapng file.
 *
 * Permission: capture.signalling allow; keys, and asked for, for media keys, which are zeros else. The audit has its start before it
 * begins, its end, and who was refused. While one runs alarm capture-signalling stands.
 */
#ifndef CP_SIGCAP_SIGCAP_H
#define CP_SIGCAP_SIGCAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CP_SIGCAP_MAX    8           /* at once */
#define CP_SIGCAP_PAST   32          /* ended ones that are still shown */
#define CP_SIGCAP_PART   (1u << 20)
#define CP_SIGCAP_PART_S 20
#define CP_SIGCAP_CLAIM  (1u << 16) /* bytes of those who have not proven that they are the device */

struct cfg;
struct cp_admin;
struct cp_admin_req;
struct cp_alarms;
struct cp_offload;
struct cp_sccp;
struct cp_sigcaps;
struct cp_store;
struct event_base;

struct cp_sigcaps_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_offload *offload;
	struct cp_sccp *sccp;
	uint32_t (*next_id)(void *ctx); /* of a capture */
	void *ctx;
};

/** NULL: no memory. */
struct cp_sigcaps *cp_sigcaps_create(const struct cp_sigcaps_env *env);
/** All end, what they have is written: before sccp, offload and store go. NULL is allowed, as for destroy, which comes after the store's end. */
void cp_sigcaps_stop(struct cp_sigcaps *c);
void cp_sigcaps_destroy(struct cp_sigcaps *c);

/** Register capture.signalling. 0 or negative errno. */
int cp_sigcaps_commands(struct cp_sigcaps *c, struct cp_admin *admin);

/** Answers capture.stop when its last part is written. False: no capture of signalling of that number runs, nothing was answered. */
bool cp_sigcaps_end(struct cp_sigcaps *c, struct cp_admin_req *req, uint32_t id);

/** Append those that are known to an array. */
void cp_sigcaps_show(const struct cp_sigcaps *c, json_t *list);

#endif
