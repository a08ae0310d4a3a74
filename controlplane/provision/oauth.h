/* SPDX-License-Identifier: BSD-3-Clause */
/* The issuer of phones' tokens as configured (provision.oauth), its keys read again whenever their file changes. */
#ifndef CP_PROVISION_OAUTH_H
#define CP_PROVISION_OAUTH_H

#include <jansson.h>
#include <stddef.h>

struct cfg_oauth;
struct cp_oauth;
struct event_base;

/** Reads the keys now and looks every 2 s whether the file is another. Keys that cannot be read leave the old ones in use, and are
 * logged. 'cfg' stays until destroy. -ENOMEM. Event loop. */
int cp_oauth_create(struct event_base *base, const struct cfg_oauth *cfg, struct cp_oauth **ret_oauth);
void cp_oauth_destroy(struct cp_oauth *oauth); /* NULL is allowed */

/** As cp_http_opts.token_check. Any thread. */
int cp_oauth_check(void *oauth, const char *token, size_t len, const char *device, const char **ret_why);
json_t *cp_oauth_show(struct cp_oauth *oauth);

#endif
