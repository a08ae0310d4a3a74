/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a type of device can do, and whether it is trusted. It follows from the type alone and no operator can say otherwise
 * (000:P0-14, P0-15). Types are the vendor's own, which are trusted (000:P0-12); what is not in the table is a third party's
 * device of which nothing is known. Pure functions.
 */
#ifndef CP_DEVTYPE_H
#define CP_DEVTYPE_H

#include <stdbool.h>
#include <stdint.h>

enum cp_devtype_flags {
	CP_DT_TLS = 1 << 0,     /* its device security mode can be other than non-secure (000:P0-32) */
	CP_DT_SRTP = 1 << 1,    /* media encryption over SCCP (001:P1-142) */
	CP_DT_TRUSTED = 1 << 2,
	CP_DT_ICON = 1 << 3,    /* shows the call's security status (001:P1-113, 000:P0-11) */
	CP_DT_TONE = 1 << 4,    /* plays the secure tone (000:P0-13) */
	CP_DT_BRIDGE = 1 << 5,  /* built-in bridge: others can barge into its calls */
	CP_DT_AUTH_ONLY = 1 << 7, /* TLS, but nothing that encrypts */
	CP_DT_OLD_SRTP = 1 << 6, /* 7940, 7960: no bridge while encrypted, no wideband when encrypted (001:P1-128, P1-130) */
};

struct cp_devtype {
	const char *model; /* the number in its name */
	uint32_t type;     /* of SCCP's Register; 0: none is known */
	uint8_t flags;     /* CP_DT_* */
};

/**
 * By the model that the record names ("7961", "CP-7961G-GE", "Cisco 7961": the first number of four digits counts), or if it
 * names none, by the number that the phone said when it registered (0: none). Never NULL: a type without any flag is
 * returned for what is not known; a record without a model and a phone without a known number get the vendor's generic phone,
 * as older releases did (000:K0-1).
 */
const struct cp_devtype *cp_devtype_find(const char *model, uint32_t type);

/** One of the vendor's own, by name: not the generic phone, nor what is not known. */
bool cp_devtype_known(const struct cp_devtype *t);
/** The vendor's types, from 0 on; NULL behind the last. */
const struct cp_devtype *cp_devtype_at(unsigned i);
/** Can the type be in this mode (enum cp_device_mode)? Nonsecure all can; the rest needs TLS (000:P0-32, 004b:SEC-10). */
bool cp_devtype_mode_ok(const struct cp_devtype *t, int mode);
/**
 * A gateway's type by its name ("VG224", "Cisco 2811"); "" is the vendor's, as older releases took every gateway to be. What is not
 * known is not trusted (000:P0-15, P0-16). Never NULL.
 */
const struct cp_devtype *cp_devtype_gateway(const char *type);

/** "Device Is Trusted" or "Device Is Not Trusted" (000:P0-17). */
const char *cp_devtype_trust_text(const struct cp_devtype *t);

#endif
