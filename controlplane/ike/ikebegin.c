/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is begun with, and when: as many at once as charon gets through. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ikeint.h"
#include "log.h"

#define RETRY_MAX  120000
#define BEGIN_MAX  64 /* gateways that are begun with at once: charon is through with them before anybody repeats a request */

struct begun {
	struct cp_ikes *ikes;
	char name[CP_NAME_MAX];
};

void ike_not_beginning(struct ike *ike)
{
	ike->ikes->beginning -= ike->beginning;
	ike->beginning = false;
}

/* With "timeout" -1 the answer says only that it was begun. */
static void began(void *ctx, int rc, const json_t *answer)
{
	struct begun *b = ctx;
	struct ike *ike = ike_find(b->ikes, b->name);

	if (ike != NULL) {
		ike->asking = false;
		ike->begun_ms = cp_mono_ms();
	}
	if (rc == 0 && strcmp(cp_vici_get(answer, "success"), "yes") != 0) {
		cfg_log_limited(CFG_LOG_WARN, "ike-not-begun", "gateway=%s reason=%s", b->name, cfg_q(cp_vici_get(answer, "errmsg")));
		if (ike != NULL)
			ike_not_beginning(ike);
	}
	free(b);
}

int ike_begin(struct ike *ike)
{
	struct cp_ikes *ikes = ike->ikes;
	uint64_t wait = (uint64_t)IKE_RETRY_MS << (ike->tries < 5 ? ike->tries : 5);
	struct begun *b = malloc(sizeof(*b));
	uint8_t some = 0;
	int rc;

	if (b == NULL)
		return -ENOMEM;
	b->ikes = ikes;
	memcpy(b->name, ike->rec.name, sizeof(b->name));
	(void)RAND_bytes(&some, 1); /* a thousand that went together need not come together */
	wait = wait < RETRY_MAX ? wait : RETRY_MAX;
	ike->begun_ms = cp_mono_ms();
	ike->next_ms = ike->begun_ms + wait + wait * some / 1024;
	ike->tries++;
	ikes->beginning += !ike->beginning;
	ike->beginning = true;
	rc = cp_vici_send(ikes->vici, cp_ike_plain("initiate", "child", ike->rec.name, "ike", ike->rec.name, "timeout", "-1", NULL), began, b);
	ike->asking = rc == 0;
	if (rc < 0)
		free(b);
	if (rc == 0 && ike->state == IKE_DOWN)
		ike_set_state(ike, IKE_CONNECTING);
	if (rc < 0)
		ike_not_beginning(ike);
	ike_sweep_soon(ikes, ikes->cnt < IKE_MANY ? 1000 : IKE_FRESH_MS);
	return rc;
}

static bool due(const struct ike *ike, uint64_t now)
{
	return ike->loaded && !ike->stopped && ike->state != IKE_UP && ike->state != IKE_CONNECTING && now >= ike->next_ms &&
	       (ike->rec.ike.flags & (CP_IKE_WAIT | CP_IKE_TRAP)) == 0;
}

/* From where the last turn ended, so that those who never answer have no precedence. */
void ike_begin_some(struct cp_ikes *ikes)
{
	uint64_t now = cp_mono_ms();

	if (!ikes->swept || ikes->stopping || !cp_vici_up(ikes->vici))
		return;
	ikes->more = false;
	for (unsigned i = 0; i < IKE_HASH && !ikes->more; i++) {
		unsigned at = (ikes->cursor + i) % IKE_HASH;

		for (struct ike *ike = ikes->by_name[at]; ike != NULL && !ikes->more; ike = ike->next) {
			if (!due(ike, now))
				continue;
			ikes->more = ikes->beginning >= BEGIN_MAX;
			if (ikes->more)
				ikes->cursor = at;
			else
				ike_begin(ike);
		}
	}
}

void ike_begin_next(struct cp_ikes *ikes)
{
	if (ikes->more && ikes->beginning < BEGIN_MAX)
		ike_begin_some(ikes);
}
