/* SPDX-License-Identifier: BSD-3-Clause */
/* A change that somebody wants to make: what it does to the phones, and whether he may. */
#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledgerint.h"
#include "log.h"
#include "world.h"

static int ask_step(const struct cp_trust_ask *ask, const struct cp_tm_world *w, struct cp_tm_step *s, char *why, size_t size)
{
	enum cp_tm_ident ident;
	uint8_t to[CP_TM_ID];
	const char *subject = ask->subject != NULL ? ask->subject : "";

	*s = (struct cp_tm_step){.ident = -1};
	if (ask->to != NULL && cp_tm_cert_id(ask->to, to) < 0)
		return -EIO;
	switch (ask->change) {
	case CP_TRUST_REGEN:
	case CP_TRUST_RETIRE:
	case CP_TRUST_RESTORE:
		s->op = ask->change == CP_TRUST_REGEN ? CP_TM_REGEN :
			ask->change == CP_TRUST_RETIRE ? CP_TM_RETIRE : CP_TM_RETURN;
		if (ask->change == CP_TRUST_RESTORE && subject[0] == '\0')
			return 0;
		if (cp_tm_ident_parse(subject, &ident) < 0)
			return -ENOENT; /* phones never meet it */
		s->ident = (int)ident;
		s->has_to = ask->to != NULL;
		if (s->has_to)
			memcpy(s->to, to, sizeof(to));
		return 0;
	case CP_TRUST_MODE:
		s->op = strcmp(subject, "mixed") == 0 ? CP_TM_MIXED : CP_TM_NONSECURE;
		return 0;
	case CP_TRUST_ROLLBACK:
		s->op = strcmp(subject, "off") == 0 ? CP_TM_ROLLBACK_OFF : CP_TM_ROLLBACK_ON;
		return 0;
	case CP_TRUST_SIGNER:
		if (ask->to == NULL)
			break;
		if (strcmp(subject, "itl") == 0) {
			s->op = CP_TM_SIGN_ITL;
			s->with = w->prev[CP_TM_TFTP].have && memcmp(w->prev[CP_TM_TFTP].id, to, CP_TM_ID) == 0 ? CP_TM_WITH_PREV :
				  w->ident[CP_TM_ITLRECOVERY].have && memcmp(w->ident[CP_TM_ITLRECOVERY].id, to, CP_TM_ID) == 0 ?
														  CP_TM_WITH_RECOVERY :
														  CP_TM_WITH_TFTP;
			return 0;
		}
		s->op = CP_TM_SIGN_CTL;
		for (int i = 0; i < CP_TM_IDENTS; i++)
			if (w->ident[i].have && memcmp(w->ident[i].id, to, CP_TM_ID) == 0)
				s->ident = i;
		return s->ident >= 0 ? 0 : -ENOTSUP; /* a token that is elsewhere: CP_TRUST_LIST says all of it */
	case CP_TRUST_REMOVE:
		s->op = CP_TM_REMOVE_CTL;
		if (cp_tm_ident_parse(subject, &ident) < 0)
			return -ENOENT;
		s->ident = (int)ident;
		return 0;
	case CP_TRUST_LIST:
		break;
	}
	snprintf(why, size, "a change that is not known");
	return -EINVAL;
}

/* The list as it is to be, entry for entry. */
static int ask_list(const struct cp_trust_ask *ask, int cls, struct cp_tm_world *w, char *why, size_t size)
{
	bool ctl = ask->subject != NULL && strcmp(ask->subject, "ctl") == 0;
	struct cp_tm_signed *l = ctl ? &w->ctl : &w->itl;
	int rc;

	if (ask->cnt[cls] == 0)
		return 0;
	if (ask->to == NULL) {
		snprintf(why, size, "a list without signer");
		return -EINVAL;
	}
	rc = cp_tm_list_entries(ask->entry[cls], ask->cnt[cls], &l->list);
	if (rc == 0)
		rc = cp_tm_cert_id(ask->to, l->signer);
	if (rc < 0)
		return rc;
	l->served = true;
	if (!ctl)
		return 0;
	w->mixed = ask->mixed;
	return cp_tm_itl(w, why, size); /* which names the CallManager certificate where the CTL does not */
}

static int ask_world(const struct cp_trust_ask *ask, const struct cp_ledger_worlds *from, struct cp_ledger_worlds *to, char *why,
		     size_t size)
{
	int rc = 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		struct cp_tm_step s;

		if (!from->have[cls])
			continue;
		to->w[cls] = from->w[cls];
		to->have[cls] = true;
		if (ask->change == CP_TRUST_LIST) {
			rc = ask_list(ask, cls, &to->w[cls], why, size);
			continue;
		}
		rc = ask_step(ask, &from->w[cls], &s, why, size);
		if (rc == 0)
			rc = cp_tm_apply(&to->w[cls], &s, why, size);
	}
	return rc;
}

int cp_ledger_allow(struct cp_ledger *l, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why,
		    size_t why_size)
{
	struct cp_ledger_worlds *from = calloc(1, sizeof(*from)), *to = calloc(1, sizeof(*to));
	struct cp_ledger_toll t = {0};
	char text[512];
	int rc = from == NULL || to == NULL ? -ENOMEM : cp_ledger_now(l, from);

	if (why_size > 0)
		why[0] = '\0';
	*ret_count = 0;
	if (rc == 0)
		rc = ask_world(ask, from, to, why, why_size);
	if (rc == 0)
		rc = cp_ledger_toll(l, from, to, &t);
	if (rc == -ENOENT) /* nothing that a phone ever sees */
		rc = t.stranded = 0;
	free(from);
	free(to);
	if (rc < 0) {
		if (why_size > 0 && why[0] == '\0')
			snprintf(why, why_size, "what it does to the phones cannot be said: %s",
				 rc == -EAGAIN ? "certificates or lists are not there yet" : strerror(-rc));
		return rc;
	}
	*ret_count = t.stranded;
	if (t.stranded == 0)
		return 0;
	cp_ledger_toll_text(&t, text, sizeof(text));
	if (strand == (int64_t)t.stranded) {
		cfg_log(CFG_LOG_WARN, "phones-stranded", "count=%u allowed=yes reason=%s", t.stranded, cfg_q(text));
		return 0;
	}
	if (strand > 0)
		snprintf(why, why_size, "%s. Not %lld. Ask 'ravelinctl trust plan' for an order that strands nobody", text,
			 (long long)strand);
	else
		snprintf(why, why_size, "%s. Ask 'ravelinctl trust plan' for an order that strands nobody, or give --strand %u", text,
			 t.stranded);
	return -EPERM;
}
