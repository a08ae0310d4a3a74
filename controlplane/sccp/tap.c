/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

#include <string.h>

#include "session.h"

void cp_sccp_set_tap(struct cp_sccp *s, const struct cp_sccp_tap_ops *ops, void *ctx)
{
	s->tap = ops;
	s->tap_ctx = ctx;
	atomic_store(&s->tapped, ops != NULL); /* from now on links pass KeepAlive messages on */
}

/* Until it is registered it is who it says it is. */
static const char *device_of(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_register reg;

	if (p->name[0] != '\0')
		return p->name;
	if ((f->id == CP_SCCP_REGISTER && cp_sccp_parse_register(f, &reg) == 0) ||
	    (f->id == CP_SCCP_TOKEN_REQ && cp_sccp_parse_token(f, &reg) == 0))
		memcpy(p->claim, reg.name, sizeof(p->claim));
	return p->claim;
}

static bool proven(const struct cp_phone *p, const char *device)
{
	char name[CP_DEVICE_NAME_MAX] = "";

	if (p->name[0] != '\0')
		return true;
	return p->peer.cert != NULL && p->sccp->o.cert_name(p->peer.cert, name) == 0 && strcmp(name, device) == 0;
}

static void tell(struct cp_phone *p, const char *device, bool sent, const uint8_t *msg, const uint8_t *keyed, size_t len)
{
	const struct cp_sccp_tapped m = {.device = device, .conn = p, .phone = &p->peer.addr, .local = &p->peer.local, .tls = p->peer.tls,
					 .sent = sent, .proven = proven(p, device), .msg = msg, .keyed = keyed, .len = len};

	p->sccp->tap->message(p->sccp->tap_ctx, &m);
}

void cp_session_tap_in(struct cp_phone *p, const struct cp_sccp_frame *f, const uint8_t *msg, size_t len)
{
	const char *device;

	if (p->sccp->tap == NULL)
		return;
	device = device_of(p, f);
	/* Of who only says that he is it: why he is refused, or accepted, and nothing else. */
	if (f->id == CP_SCCP_REGISTER || f->id == CP_SCCP_TOKEN_REQ || f->id == CP_SCCP_ALARM || f->id == CP_SCCP_XML_ALARM || proven(p, device))
		tell(p, device, false, msg, NULL, len);
}

void cp_session_tap_out(struct cp_phone *p, const uint8_t *msg, const uint8_t *keyed, size_t len)
{
	if (p->sccp->tap != NULL)
		tell(p, p->name[0] != '\0' ? p->name : p->claim, true, msg, keyed, len);
}

void cp_session_tap_gone(struct cp_phone *p)
{
	if (p->sccp->tap != NULL)
		p->sccp->tap->gone(p->sccp->tap_ctx, p);
}
