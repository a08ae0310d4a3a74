/* SPDX-License-Identifier: BSD-3-Clause */
/* The section "ike": where charon is configured, and where its SAs come from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"
#include "values.h"

static const char *const sources[] = {"kernel", "socket", NULL};

static char *do_path(struct cfg_ctx *c, const char *key, const char *v, const char *dflt)
{
	char *path = cfg_text(c, v, dflt);

	if (path != NULL && (path[0] != '/' || strlen(path) > 107))
		cfg_bad(c, key, "must be an absolute path of at most 107 bytes");
	return path;
}

void cfg_do_ike(struct cfg_ctx *c, struct cfg *cfg, const struct raw_ike *r)
{
	char socket[128];

	WORD(ike, enable, 0, cfg_truth);
	WORD(ike, source, CFG_IKE_KERNEL, sources);
	snprintf(socket, sizeof(socket), "%s/xfrm.sock", cfg->paths.run != NULL ? cfg->paths.run : "");
	cfg->ike.vici = do_path(c, "ike.vici", r->vici, "/run/charon.vici");
	cfg->ike.socket = do_path(c, "ike.socket", r->socket, socket);
}

void cfg_free_ike(struct cfg *cfg)
{
	free(cfg->ike.vici);
	free(cfg->ike.socket);
}
