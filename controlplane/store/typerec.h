/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device types of other vendors, installed as packages (000:P0-28): what one is called, and which security its package switches on. A
 * package that switches nothing on gives its type none (000:P0-29, R-11). No package makes a type trusted: that follows from who
 * made it (000:P0-12). In family profile under "devtype/NAME"; encoding and errors as records.h.
 */
#ifndef CP_STORE_TYPEREC_H
#define CP_STORE_TYPEREC_H

#include "records.h"
#include "sccp/devtype.h"

struct cp_change;
struct cp_store;

struct cp_typerec {
	char name[CP_TEXT_MAX];   /* as a device's record says it as its model; letters, digits, blanks and . _ - */
	char vendor[CP_TEXT_MAX], description[CP_TEXT_MAX];
	bool authentication;      /* signalling over TLS with a certificate */
	bool encryption;          /* of the signalling; needs authentication */
	bool media;               /* SRTP; needs encryption */
	bool icon, tone, bridge;  /* as enum cp_devtype_flags */
	uint32_t sccp_type;       /* of its Register; 0: none */
	int64_t changed_us;
	struct cp_buf unknown;
};

int cp_typerec_build(const struct cp_typerec *t, struct cp_buf *ret);
int cp_typerec_parse(const uint8_t *data, size_t len, struct cp_typerec *ret);
void cp_typerec_free(struct cp_typerec *t);
/** -EINVAL names the rule: it must not stand for a type that is known already, nor switch on what needs something else. */
int cp_typerec_check(const struct cp_typerec *t, char *why, size_t why_size);

bool cp_typerec_name_ok(const char *name);
/** Its key in the store, below CP_STORE_KEY_MAX bytes. The case of a name does not matter. */
void cp_typerec_key(char key[CP_TEXT_MAX + 16], const char *name);

int cp_typerec_put(struct cp_change *c, const struct cp_typerec *t, bool replace, char *why, size_t why_size);
/** -EPROTO: a device has this type. */
int cp_typerec_del(struct cp_store *store, struct cp_change *c, const char *name, char *why, size_t why_size);

/** What an installed package makes of its type. */
struct cp_devtype cp_typerec_devtype(const struct cp_typerec *t);
/** cp_devtype_find() where the types that were installed count, too. By value: nothing to keep or to free. */
struct cp_devtype cp_store_devtype(const struct cp_store *store, const char *model, uint32_t type);

#endif
