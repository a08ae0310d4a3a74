/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of policies: gathered message by message, then published as one (objs.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipsec/spd.h"
#include "log.h"
#include "node.h"
#include "objs_impl.h"

int dp_objs_spd_set(struct dp_objs *o, const struct dp_spd_set *m, uint32_t *ret_detail)
{
	if (m->pos == 0) {
		free(o->spd_next);
		o->spd_next = calloc(1, sizeof(*o->spd_next));
		if (o->spd_next == NULL)
			return -ENOSPC;
	} else if (o->spd_next == NULL || o->spd_next->n != m->pos) {
		*ret_detail = DP_OBJS_DETAIL(dp_spd_set, pos);
		return -EBADMSG;
	}
	dp_spd_add(o->spd_next, m, o->node->base_port);
	return 0;
}

int dp_objs_spd_commit(struct dp_objs *o, const struct dp_spd_commit *m, uint32_t *ret_detail)
{
	struct dp_spd *next = m->count != 0 ? o->spd_next : NULL;

	if (m->count != (next != NULL ? next->n : 0)) {
		*ret_detail = DP_OBJS_DETAIL(dp_spd_commit, count);
		return -EBADMSG;
	}
	if (next != NULL) {
		if (++o->spd_gen == 0)
			o->spd_gen = 1;
		next->gen = o->spd_gen;
	} else {
		free(o->spd_next);
	}
	o->spd_next = NULL;
	dp_node_publish_spd(o->node, next);
	cfg_log(CFG_LOG_NOTICE, "policies", "count=%u", m->count);
	return 0;
}

void dp_objs_spd_forget(struct dp_objs *o)
{
	free(o->spd_next);
	o->spd_next = NULL;
}
