/* SPDX-License-Identifier: BSD-3-Clause */
/* What a phone does with what it is served: see model.h. Nothing here reads a file, a clock or a store. */
#include "model.h"

#include <stdio.h>
#include <string.h>

#define SAST     (1u << PKI_TL_SAST)
#define CCM      (1u << PKI_TL_CCM)
#define CCM_TFTP (1u << PKI_TL_CCM_TFTP)
#define TFTP     (1u << PKI_TL_TFTP)
#define CAPF     (1u << PKI_TL_CAPF)
#define TVS      (1u << PKI_TL_TVS)

#define LIST_SIGNERS (SAST | CCM_TFTP) /* of an ITL, by a list that is an ITL or by TVS */
#define FILE_SIGNERS (CCM_TFTP | TFTP)

static const char *const ident_names[CP_TM_IDENTS] = {
	[CP_TM_CALLMANAGER] = "CallManager", [CP_TM_TVS] = "TVS",     [CP_TM_TFTP] = "TFTP",
	[CP_TM_CAPF] = "CAPF",		     [CP_TM_CAPF_TLS] = "CAPF-TLS", [CP_TM_SAST1] = "SAST1",
	[CP_TM_SAST2] = "SAST2",	     [CP_TM_ITLRECOVERY] = "ITLRecovery", [CP_TM_TFTP_EC] = "TFTP-EC",
};

const char *cp_tm_ident_name(unsigned ident)
{
	return ident < CP_TM_IDENTS ? ident_names[ident] : "?";
}

/* What each is good for, as TVS says it. */
static const uint32_t ident_roles[CP_TM_IDENTS] = {
	[CP_TM_CALLMANAGER] = CCM | SAST, /* a tokenless CTL is signed with it */
	[CP_TM_TVS] = 0,
	[CP_TM_TFTP] = TFTP | SAST,
	[CP_TM_CAPF] = CAPF,
	[CP_TM_CAPF_TLS] = CAPF,
	[CP_TM_SAST1] = SAST,
	[CP_TM_SAST2] = SAST,
	[CP_TM_ITLRECOVERY] = SAST,
	[CP_TM_TFTP_EC] = TFTP,
};

const char *cp_tm_with_name(unsigned with)
{
	static const char *const names[CP_TM_WITHS] = {"auto", "TFTP", "TFTP.prev", "ITLRecovery"};

	return with < CP_TM_WITHS ? names[with] : "?";
}

const char *cp_tm_why_name(unsigned bit)
{
	static const char *const names[CP_TM_WHYS] = {
		"cannot take the new CTL", "cannot take the new ITL", "does not know the signer of its configuration",
		"does not believe the CallManager", "does not believe CAPF",
	};

	return bit < CP_TM_WHYS ? names[bit] : "?";
}

static bool id_equal(const uint8_t a[CP_TM_ID], const uint8_t b[CP_TM_ID])
{
	return memcmp(a, b, CP_TM_ID) == 0;
}

bool cp_tm_list_has(const struct cp_tm_list *list, const uint8_t id[CP_TM_ID], uint32_t roles)
{
	for (unsigned i = 0; list != NULL && i < list->cnt; i++)
		if ((cp_tm_role(list->e[i].role) & roles) != 0 && id_equal(list->e[i].id, id))
			return true;
	return false;
}

static bool list_role(const struct cp_tm_list *list, uint32_t roles)
{
	for (unsigned i = 0; list != NULL && i < list->cnt; i++)
		if ((cp_tm_role(list->e[i].role) & roles) != 0)
			return true;
	return false;
}

bool cp_tm_list_anchors(const struct cp_tm_list *list)
{
	return list_role(list, LIST_SIGNERS | TFTP);
}

/* Multisets: every entry occurs as often in both. */
static unsigned occurs(const struct cp_tm_list *list, const struct cp_tm_entry *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->cnt; i++)
		n += list->e[i].role == e->role && id_equal(list->e[i].id, e->id);
	return n;
}

bool cp_tm_list_equal(const struct cp_tm_list *a, const struct cp_tm_list *b)
{
	if (a == b)
		return true;
	if (a == NULL || b == NULL || a->cnt != b->cnt)
		return false;
	for (unsigned i = 0; i < a->cnt; i++)
		if (occurs(a, &a->e[i]) != occurs(b, &a->e[i]))
			return false;
	return true;
}

bool cp_tm_list_same(const struct cp_tm_list *a, const struct cp_tm_list *b)
{
	static const uint8_t none[CP_TM_ID];

	return a == b || (a != NULL && b != NULL && id_equal(a->file, b->file) && !id_equal(a->file, none));
}

uint32_t cp_tm_vouch(const struct cp_tm_world *w, const uint8_t id[CP_TM_ID])
{
	uint32_t roles = 0;

	if (w->ident[CP_TM_TVS].have && id_equal(w->ident[CP_TM_TVS].id, id))
		return 0;
	for (unsigned i = 0; i < CP_TM_IDENTS; i++) {
		if (w->ident[i].have && id_equal(w->ident[i].id, id))
			roles |= ident_roles[i];
		if (w->prev[i].have && id_equal(w->prev[i].id, id))
			roles |= ident_roles[i];
	}
	return roles;
}

/* --- a phone --- */

static bool tvs_confirms(const struct cp_tm_world *w, const struct cp_tm_phone *p, const uint8_t id[CP_TM_ID],
			 uint32_t roles)
{
	const struct cp_tm_cert *tvs = &w->ident[CP_TM_TVS];

	if (w->no_tvs || !tvs->have || (!cp_tm_list_has(p->itl, tvs->id, TVS) && !cp_tm_list_has(p->ctl, tvs->id, TVS)))
		return false;
	return (cp_tm_vouch(w, id) & roles) != 0;
}

bool cp_tm_believes(const struct cp_tm_world *w, const struct cp_tm_phone *p, const uint8_t id[CP_TM_ID], uint32_t roles)
{
	return cp_tm_list_has(p->ctl, id, roles) || cp_tm_list_has(p->itl, id, roles) || tvs_confirms(w, p, id, roles);
}

bool cp_tm_takes(const struct cp_tm_world *w, const struct cp_tm_phone *p, enum pki_tl_kind kind, const uint8_t signer[CP_TM_ID])
{
	if (kind == PKI_TL_CTL)
		return !cp_tm_list_anchors(p->ctl) || cp_tm_list_has(p->ctl, signer, SAST) || tvs_confirms(w, p, signer, SAST);
	return (!cp_tm_list_anchors(p->ctl) && !cp_tm_list_anchors(p->itl)) ||
	       cp_tm_list_has(p->ctl, signer, LIST_SIGNERS | TFTP) || cp_tm_believes(w, p, signer, LIST_SIGNERS);
}

static unsigned lacks(const struct cp_tm_world *w, const struct cp_tm_phone *p)
{
	unsigned why = 0;

	if (w->ctl.served && !cp_tm_list_same(p->ctl, &w->ctl.list))
		why |= CP_TM_NO_CTL;
	if (w->itl.served && !cp_tm_list_same(p->itl, &w->itl.list))
		why |= CP_TM_NO_ITL;
	if ((list_role(p->ctl, FILE_SIGNERS) || list_role(p->itl, FILE_SIGNERS)) &&
	    (!w->ident[CP_TM_TFTP].have || !cp_tm_believes(w, p, w->ident[CP_TM_TFTP].id, FILE_SIGNERS)))
		why |= CP_TM_NO_CONFIG;
	if (w->mixed && p->secure &&
	    (!w->ident[CP_TM_CALLMANAGER].have || !cp_tm_believes(w, p, w->ident[CP_TM_CALLMANAGER].id, CCM | CCM_TFTP)))
		why |= CP_TM_NO_REGISTER;
	/* Without any list it has nothing to check CAPF by. */
	if (w->ident[CP_TM_CAPF_TLS].have && (cp_tm_list_anchors(p->ctl) || cp_tm_list_anchors(p->itl)) &&
	    !cp_tm_believes(w, p, w->ident[CP_TM_CAPF_TLS].id, CAPF) && !cp_tm_believes(w, p, w->ident[CP_TM_CAPF].id, CAPF))
		why |= CP_TM_NO_CAPF;
	return why;
}

unsigned cp_tm_boot(const struct cp_tm_world *w, const struct cp_tm_phone *p, struct cp_tm_phone *ret)
{
	struct cp_tm_phone now = *p;
	unsigned why;

	/* A CTL may bring the ITL within reach, whose TVS certificate may bring a CTL within reach: three rounds settle it. */
	for (int round = 0; round < 3; round++) {
		if (w->ctl.served && (cp_tm_list_same(now.ctl, &w->ctl.list) || cp_tm_takes(w, &now, PKI_TL_CTL, w->ctl.signer)))
			now.ctl = &w->ctl.list;
		if (w->itl.served && (cp_tm_list_same(now.itl, &w->itl.list) || cp_tm_takes(w, &now, PKI_TL_ITL, w->itl.signer)))
			now.itl = &w->itl.list;
	}
	why = lacks(w, &now);
	if (ret != NULL)
		*ret = now;
	return why;
}
