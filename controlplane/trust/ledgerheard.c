/* SPDX-License-Identifier: BSD-3-Clause */
/* What is heard of phones, and how much of it is believed: see ledger.h. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "certder.h"
#include "ledgerint.h"
#include "log.h"
#include "world.h"

static struct entry *heard(struct cp_ledger *l, const char *device)
{
	struct entry *e = cp_ledger_any(l, device);

	if (e == NULL || e->holding == NULL)
		return NULL; /* no device of the store */
	if (!e->heard || e->removed) {
		l->heard += !e->heard;
		e->heard = true;
		e->removed = false;
		cp_ledger_rehold(l, e, true);
	}
	e->rec.seen_us = cp_ledger_clock(l);
	if (e->rec.seen_us - e->seen_written_us >= CP_LEDGER_SEEN_US)
		cp_ledger_dirty(l, e);
	return e;
}

/* Written, and counted, as what it is now. */
static void changed(struct cp_ledger *l, struct entry *e)
{
	cp_ledger_dirty(l, e);
	if (cp_ledger_rehold(l, e, true) < 0)
		cfg_log_limited(CFG_LOG_ERR, "ledger-no-memory", "device=%s", e->rec.device);
}

static bool refused_before(const struct cp_ledger *l, const struct kept *const held[OF_KINDS], const struct kept *k)
{
	for (unsigned i = 0; i < JUDGED; i++)
		if (l->refused[i].of == k && l->refused[i].held[OF_CTL] == held[OF_CTL] && l->refused[i].held[OF_ITL] == held[OF_ITL])
			return true;
	return false;
}

/*
 * Would a phone of the class that holds these take the list? What of it needs no more than the lists
 * themselves is answered without asking what is served, which takes longer: twenty thousand phones that boot are asked about one by one.
 */
static bool takes(struct cp_ledger *l, uint8_t cls, const struct kept *const held[OF_KINDS], int of, struct kept *k)
{
	static const uint8_t none[CP_TM_ID];
	static const struct cp_tm_world nobody = {.no_tvs = true};
	struct cp_tm_phone p = {.ctl = held[OF_CTL] != NULL ? &held[OF_CTL]->list : NULL,
				.itl = held[OF_ITL] != NULL ? &held[OF_ITL]->list : NULL};
	enum pki_tl_kind kind = of == OF_CTL ? PKI_TL_CTL : PKI_TL_ITL;
	struct cp_tm_world *w;
	bool yes = false;

	if (cp_tm_takes(&nobody, &p, kind, k->signer))
		return true;
	if (refused_before(l, held, k))
		return false;
	w = malloc(sizeof(*w));
	if (w != NULL && l->env.world != NULL && l->env.world(l->env.ctx, (enum pki_tl_class)cls, w) == 0) {
		const struct cp_tm_signed *s = of == OF_CTL ? &w->ctl : &w->itl;

		/* a list without certificates does not hold its signer's */
		if (memcmp(k->signer, none, sizeof(none)) == 0 && s->served && cp_tm_list_same(&s->list, &k->list))
			memcpy(k->signer, s->signer, sizeof(none));
		yes = cp_tm_takes(w, &p, kind, k->signer);
		if (!yes && w->no_tvs) { /* else it depends on more than these lists */
			l->refused[l->refused_next].of = k;
			l->refused[l->refused_next].held[OF_CTL] = held[OF_CTL];
			l->refused[l->refused_next].held[OF_ITL] = held[OF_ITL];
			l->refused_next = (l->refused_next + 1) % JUDGED;
		}
	}
	free(w);
	return yes;
}

/* --- lists and claims of an entry --- */

static void put_ref(struct kept **at, struct kept *k)
{
	if (k != NULL)
		k->refs++;
	if (*at != NULL)
		(*at)->refs--;
	*at = k;
}

static void set_list(struct entry *e, int of, struct kept *k, enum cp_ledger_how how)
{
	struct cp_ledger_rec *r = &e->rec;
	bool ctl = of == OF_CTL;

	put_ref(&e->list[of], k);
	memcpy(ctl ? r->ctl : r->itl, k->sha, 32);
	*(ctl ? &r->has_ctl : &r->has_itl) = true;
	*(ctl ? &r->ctl_how : &r->itl_how) = (uint8_t)how;
	*(ctl ? &r->ctl_us : &r->itl_us) = r->seen_us;
	r->blank = false;
}

static void claim_set(struct entry *e, unsigned i, int of, struct kept *k)
{
	struct cp_ledger_claim *c = &e->rec.claim[i];

	put_ref(&e->claim[i][of], k);
	*(of == OF_CTL ? &c->has_ctl : &c->has_itl) = k != NULL;
	if (k != NULL)
		memcpy(of == OF_CTL ? c->ctl : c->itl, k->sha, 32);
	else
		memset(of == OF_CTL ? c->ctl : c->itl, 0, 32);
}

static void claim_drop(struct entry *e, unsigned i)
{
	unsigned last = --e->rec.claim_cnt;

	put_ref(&e->claim[i][OF_CTL], NULL);
	put_ref(&e->claim[i][OF_ITL], NULL);
	memmove(&e->rec.claim[i], &e->rec.claim[i + 1], (last - i) * sizeof(e->rec.claim[0]));
	memmove(&e->claim[i], &e->claim[i + 1], (last - i) * sizeof(e->claim[0]));
	memset(&e->claim[last], 0, sizeof(e->claim[0]));
	if (last == 0) {
		free(e->rec.claim);
		e->rec.claim = NULL;
	}
}

static void claims_gone(struct entry *e)
{
	while (e->rec.claim_cnt > 0)
		claim_drop(e, e->rec.claim_cnt - 1);
	e->rec.doubt = 0;
	e->rec.vague = false;
}

void cp_ledger_lists_gone(struct entry *e)
{
	claims_gone(e);
	put_ref(&e->list[OF_CTL], NULL);
	put_ref(&e->list[OF_ITL], NULL);
	e->rec.has_ctl = e->rec.has_itl = false;
	memset(e->rec.ctl, 0, sizeof(e->rec.ctl));
	memset(e->rec.itl, 0, sizeof(e->rec.itl));
}

/* Which list of this kind it holds is known now: what was claimed of it is idle. True: something was. */
static bool settled(struct entry *e, int of)
{
	uint8_t bit = of == OF_CTL ? CP_LEDGER_DOUBT_CTL : CP_LEDGER_DOUBT_ITL;
	bool was = e->rec.doubt & bit;

	e->rec.doubt &= (uint8_t)~bit;
	for (unsigned i = e->rec.claim_cnt; i-- > 0;) {
		was = was || e->claim[i][of] != NULL;
		claim_set(e, i, of, NULL);
		if (!e->rec.claim[i].has_ctl && !e->rec.claim[i].has_itl)
			claim_drop(e, i);
	}
	if (e->rec.claim_cnt == 0) {
		was = was || e->rec.vague;
		e->rec.vague = false;
	}
	return was;
}

static bool same_place(const struct cfg_addr *a, const struct cfg_addr *b)
{
	return a->family == b->family && (a->family == 0 || memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0);
}

/* The last one of there. */
static int claim_at(const struct entry *e, const struct cfg_addr *from)
{
	int last = -1;

	for (unsigned i = 0; i < e->rec.claim_cnt; i++)
		if (same_place(&e->rec.claim[i].from, from) && (last < 0 || e->rec.claim[i].us >= e->rec.claim[last].us))
			last = (int)i;
	return last;
}

/* Without it a hypothesis is lost, unless another says the same: then it is not known any more what the phone may hold. */
static void claim_evict(struct entry *e)
{
	unsigned old = 0;
	bool again = false;

	for (unsigned i = 1; i < e->rec.claim_cnt; i++)
		if (e->rec.claim[i].us < e->rec.claim[old].us)
			old = i;
	for (unsigned i = 0; i < e->rec.claim_cnt; i++)
		again = again || (i != old && memcmp(e->claim[i], e->claim[old], sizeof(e->claim[0])) == 0);
	e->rec.vague = e->rec.vague || !again;
	claim_drop(e, old);
}

/*
 * True: it says something new. Who fetched there before and would take this one too has now this one; who would not has the one
 * or, if those were two, the other.
 */
static bool claim_add(struct cp_ledger *l, struct entry *e, int of, struct kept *k, const struct cfg_addr *from)
{
	struct cp_ledger_claim *grown;
	int i = claim_at(e, from);

	if (i >= 0) {
		const struct kept *held[OF_KINDS] = {e->claim[i][OF_CTL] != NULL ? e->claim[i][OF_CTL] : e->list[OF_CTL],
						     e->claim[i][OF_ITL] != NULL ? e->claim[i][OF_ITL] : e->list[OF_ITL]};

		e->rec.claim[i].us = e->rec.seen_us;
		if (e->claim[i][of] == k)
			return false;
		if (e->claim[i][of] == NULL || takes(l, e->cls, held, of, k)) {
			claim_set(e, (unsigned)i, of, k);
			return true;
		}
	}
	if (e->rec.claim_cnt == 0 && e->list[of] == k)
		return false; /* it has it anyway, and nothing else is said */
	if (e->rec.claim_cnt == CP_LEDGER_CLAIMS)
		claim_evict(e);
	grown = realloc(e->rec.claim, (e->rec.claim_cnt + 1) * sizeof(*grown));
	if (grown == NULL)
		return false;
	e->rec.claim = grown;
	grown[e->rec.claim_cnt] = (struct cp_ledger_claim){.from = *from, .us = e->rec.seen_us};
	grown[e->rec.claim_cnt].from.port = 0;
	claim_set(e, e->rec.claim_cnt++, of, k);
	return true;
}

/* --- hearing --- */

/* The phone itself fetched it, or says that it has it. */
static void learn(struct cp_ledger *l, struct entry *e, int of, struct kept *k, enum cp_ledger_how how, const struct cfg_addr *from)
{
	uint8_t bit = of == OF_CTL ? CP_LEDGER_DOUBT_CTL : CP_LEDGER_DOUBT_ITL;
	bool new;

	if (e->list[of] == k) { /* it has it already: when, is enough in memory */
		*(of == OF_CTL ? &e->rec.ctl_us : &e->rec.itl_us) = e->rec.seen_us;
		if (settled(e, of))
			changed(l, e);
		return;
	}
	/* What it holds and cannot be read any more says less than what it fetches. */
	if (how != CP_LEDGER_FETCHED || (e->rec.has_ctl && e->list[OF_CTL] == NULL) || (e->rec.has_itl && e->list[OF_ITL] == NULL) ||
	    takes(l, e->cls, (const struct kept *const *)e->list, of, k)) {
		set_list(e, of, k, how);
		settled(e, of);
		changed(l, e);
		return;
	}
	new = claim_add(l, e, of, k, from);
	if (!(e->rec.doubt & bit))
		cfg_log_limited(CFG_LOG_WARN, "list-doubted", "phone=%s list=%s reason=\"what it is known to hold would refuse it\"",
				e->rec.device, of == OF_CTL ? "CTL" : "ITL");
	if (new || !(e->rec.doubt & bit)) {
		e->rec.doubt |= bit;
		changed(l, e);
	}
}

void cp_ledger_list_sha(struct cp_ledger *l, const char *device, enum pki_tl_kind kind, const uint8_t sha[32],
			const uint8_t *file, size_t len, enum cp_ledger_how how)
{
	struct entry *e = kind == PKI_TL_CTL || kind == PKI_TL_ITL ? heard(l, device) : NULL;
	struct kept *k = e != NULL ? cp_ledger_kept(l, sha, kind, file, len, e->rec.seen_us) : NULL;

	if (k != NULL)
		learn(l, e, kind == PKI_TL_CTL ? OF_CTL : OF_ITL, k, how, &(struct cfg_addr){0});
}

void cp_ledger_list(struct cp_ledger *l, const char *device, enum pki_tl_kind kind, const uint8_t *file, size_t len,
		    enum cp_ledger_how how)
{
	uint8_t sha[32];

	SHA256(file, len, sha);
	cp_ledger_list_sha(l, device, kind, sha, file, len, how);
}

void cp_ledger_claim(struct cp_ledger *l, const char *device, enum pki_tl_kind kind, const uint8_t sha[32], const uint8_t *file,
		     size_t len, const struct cfg_addr *from)
{
	struct entry *e = kind == PKI_TL_CTL || kind == PKI_TL_ITL ? heard(l, device) : NULL;
	struct kept *k = e != NULL ? cp_ledger_kept(l, sha, kind, file, len, e->rec.seen_us) : NULL;

	if (k != NULL && claim_add(l, e, kind == PKI_TL_CTL ? OF_CTL : OF_ITL, k, from))
		changed(l, e);
}

void cp_ledger_here(struct cp_ledger *l, const char *device, const struct cfg_addr *from)
{
	struct entry *e = cp_ledger_entry(l, device) != NULL ? heard(l, device) : NULL; /* that it is there says nothing of lists */
	struct kept *k[CP_LEDGER_CLAIMS][OF_KINDS];
	unsigned n = 0;

	for (unsigned i = 0; e != NULL && i < e->rec.claim_cnt; i++) { /* in the order of the fetches */
		const struct cp_ledger_claim *c = &e->rec.claim[i];

		if (!same_place(&c->from, from) || e->rec.seen_us - c->us > CP_LEDGER_PROOF_US)
			continue;
		for (int of = OF_CTL; of < OF_KINDS; of++) {
			k[n][of] = e->claim[i][of];
			if (k[n][of] != NULL)
				k[n][of]->refs++; /* claims go while this goes on */
		}
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		for (int of = OF_CTL; of < OF_KINDS; of++) /* a phone asks for its CTL first, too */
			if (k[i][of] != NULL) {
				learn(l, e, of, k[i][of], CP_LEDGER_FETCHED, from);
				k[i][of]->refs--;
			}
}

/* What was said last of each kind. */
static void believe(struct entry *e, unsigned i, enum cp_ledger_how how)
{
	struct kept *k[OF_KINDS] = {e->claim[i][OF_CTL], e->claim[i][OF_ITL]};

	for (int of = OF_CTL; of < OF_KINDS; of++)
		if (k[of] != NULL) {
			set_list(e, of, k[of], how);
			settled(e, of);
		}
}

int cp_ledger_confirm(struct cp_ledger *l, const char *device)
{
	struct entry *e = cp_ledger_entry(l, device);
	unsigned last = 0;

	if (e == NULL || e->rec.claim_cnt == 0)
		return -ENOENT;
	heard(l, device);
	for (unsigned i = 1; i < e->rec.claim_cnt; i++)
		if (e->rec.claim[i].us > e->rec.claim[last].us)
			last = i;
	believe(e, last, CP_LEDGER_IMPORTED);
	claims_gone(e);
	changed(l, e);
	return 0;
}

int cp_ledger_forget(struct cp_ledger *l, const char *device)
{
	struct entry *e = heard(l, device);

	if (e == NULL)
		return -ENOENT;
	cp_ledger_lists_gone(e);
	e->rec.blank = true;
	changed(l, e);
	return 0;
}

static bool names_ccm(const struct kept *ctl, const struct kept *itl, const uint8_t id[CP_TM_ID])
{
	const uint32_t roles = cp_tm_role(PKI_TL_CCM) | cp_tm_role(PKI_TL_CCM_TFTP);

	return (ctl != NULL && cp_tm_list_has(&ctl->list, id, roles)) || (itl != NULL && cp_tm_list_has(&itl->list, id, roles));
}

/* It believed this CallManager: lists that do not name it are not what it holds, if a claim's do. */
static void handshake_says(struct cp_ledger *l, struct entry *e, const uint8_t id[CP_TM_ID])
{
	int one = -1;

	if (names_ccm(e->list[OF_CTL], e->list[OF_ITL], id))
		return;
	for (unsigned i = 0; i < e->rec.claim_cnt; i++)
		if (names_ccm(e->claim[i][OF_CTL], e->claim[i][OF_ITL], id))
			one = one == -1 ? (int)i : -2;
	if (one < 0)
		return;
	believe(e, (unsigned)one, CP_LEDGER_HANDSHAKE);
	changed(l, e);
}

void cp_ledger_handshake(struct cp_ledger *l, const char *device, X509 *ours)
{
	struct entry *e = heard(l, device);
	uint8_t id[CP_TM_ID];

	if (e == NULL || ours == NULL || cp_tm_cert_id(ours, id) < 0)
		return;
	e->rec.ccm_us = e->rec.seen_us;
	if (e->rec.claim_cnt > 0)
		handshake_says(l, e, id);
	if (e->rec.has_ccm && memcmp(e->rec.ccm, id, sizeof(id)) == 0)
		return;
	e->rec.has_ccm = true;
	memcpy(e->rec.ccm, id, sizeof(id));
	changed(l, e);
}

void cp_ledger_tvs(struct cp_ledger *l, const char *device)
{
	heard(l, device);
}

/* 'id' is all zero without one. */
static void has_lsc(struct cp_ledger *l, struct entry *e, bool has, const uint8_t id[CP_TM_ID], int64_t expires_s)
{
	struct cp_ledger_rec *r = &e->rec;

	if (r->has_lsc == has && memcmp(r->lsc, id, CP_TM_ID) == 0)
		return;
	r->has_lsc = has;
	memcpy(r->lsc, id, CP_TM_ID);
	r->lsc_us = r->seen_us;
	r->lsc_expires_us = expires_s > 0 ? expires_s * 1000000 : 0;
	changed(l, e);
}

void cp_ledger_lsc(struct cp_ledger *l, const char *device, X509 *cert, enum cp_ledger_how how)
{
	struct entry *e = heard(l, device);
	uint8_t id[CP_TM_ID] = {0};
	struct tm tm;

	(void)how;
	if (e == NULL || (cert != NULL && cp_tm_cert_id(cert, id) < 0))
		return;
	has_lsc(l, e, cert != NULL, id, cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0);
}

void cp_ledger_lsc_der(struct cp_ledger *l, const char *device, const uint8_t *der, size_t len, enum cp_ledger_how how)
{
	struct entry *e = heard(l, device);
	struct pki_certder d = {0};
	uint8_t id[CP_TM_ID] = {0};

	(void)how;
	if (e == NULL || (len > 0 && (pki_certder_parse(der, len, &d) < 0 || SHA256(der, len, id) == NULL)))
		return;
	has_lsc(l, e, len > 0, id, d.not_after);
}
