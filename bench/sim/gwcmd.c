/* SPDX-License-Identifier: BSD-3-Clause */
/* A gateway executes the call agent's commands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "gw_priv.h"

static int answer(char *out, size_t room, unsigned int code, uint32_t txid, const char *comment)
{
	return snprintf(out, room, "%u %u %s\r\n", code, txid, comment);
}

static const char *comment(unsigned int code)
{
	switch (code) {
	case 200:
		return "OK";
	case 250:
		return "connection deleted";
	case 400:
		return "transient error";
	case 401:
		return "phone is off hook";
	case 403:
		return "no resources";
	case 500:
		return "unknown endpoint";
	case 503:
		return "wildcard too complex";
	case 504:
		return "unknown command";
	case 505:
		return "unsupported remote descriptor";
	case 509:
		return "error in remote descriptor";
	case 510:
		return "protocol error";
	case 512:
		return "cannot detect an event";
	case 513:
		return "cannot generate a signal";
	case 515:
		return "unknown connection";
	case 516:
		return "unknown call";
	case 517:
		return "unsupported mode";
	case 521:
		return "another agent's";
	case 528:
		return "incompatible version";
	case 534:
		return "no common codec";
	case 535:
		return "unsupported packetisation";
	case 540:
		return "too many connections";
	default:
		return "error";
	}
}

static int fail(char *out, size_t room, unsigned int code, uint32_t txid)
{
	return answer(out, room, code, txid, comment(code));
}

static bool idle(const struct sim_ep *ep)
{
	for (size_t i = 0; i < ep->conn_max; i++)
		if (ep->conns[i].used)
			return false;
	return true;
}

/* Which endpoints a name means: one; with "*" as its last term all, with "$" any that is free (RFC 3435 s2.1.2). */
static size_t endpoints(struct sim_gw *g, const char *full, struct sim_ep **list, bool *ret_any)
{
	const char *at = strrchr(full, '@');
	size_t len = at != NULL ? (size_t)(at - full) : strlen(full), n = 0;
	char wild;

	*ret_any = false;
	if (at != NULL && strcasecmp(at + 1, g->name) != 0)
		return 0;
	wild = len > 0 && (len == 1 || full[len - 2] == '/') && (full[len - 1] == '$' || full[len - 1] == '*') ? full[len - 1] : 0;
	*ret_any = wild == '$';
	for (size_t i = 0; i < g->opts->endpoint_cnt; i++) {
		struct sim_ep *ep = &g->eps[i];

		if (wild == 0 ? strlen(ep->name) != len || strncasecmp(ep->name, full, len) != 0 : strncasecmp(ep->name, full, len - 1) != 0)
			continue;
		if (wild == '$' && (n > 0 || ep->offhook || !idle(ep)))
			continue;
		list[n++] = ep;
	}
	return n;
}

/* N: of RQNT, CRCX, MDCX: whom the endpoint notifies from now on (RFC 3435 s2.1.4). */
static void notified(struct sim_ep *ep, const struct sim_mgcp_msg *m)
{
	const char *entity = sim_mgcp_param(m, "N");

	if (entity == NULL)
		return;
	snprintf(ep->entity, sizeof(ep->entity), "%.63s", entity);
	if (sim_gw_entity(entity, &ep->notified) < 0)
		ep->notified.len = 0; /* nothing is looked up here */
}

/* X:, R:, S: of any command. 200 or what is wrong with them. */
static unsigned int request(struct sim_ep *ep, const struct sim_mgcp_msg *m)
{
	const char *x = sim_mgcp_param(m, "X"), *r = sim_mgcp_param(m, "R"), *s = sim_mgcp_param(m, "S");

	notified(ep, m);
	if (x == NULL)
		return 200;
	if (strlen(x) == 0 || strlen(x) > 32 || strspn(x, "0123456789abcdefABCDEF") != strlen(x))
		return 510;
	if ((sim_mgcp_listed(s, "L/rg") || sim_mgcp_listed(s, "rg")) && ep->offhook)
		return 401; /* a phone that is off hook does not ring */
	sim_ep_request(ep, x, r, s, sim_mgcp_param(m, "Q"), sim_mgcp_param(m, "D"));
	return 200;
}

static int append_sdp(struct sim_gconn *c, char *out, size_t room, int n)
{
	int more;

	if (n < 0 || (size_t)n + 2 >= room)
		return -ENOSPC;
	memcpy(out + n, "\r\n", 3);
	more = sim_sdp_build(&c->local, c->session, out + n + 2, room - (size_t)n - 2);
	return more < 0 ? more : n + 2 + more;
}

static int create(struct sim_ep *ep, bool any, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	const char *call = sim_mgcp_param(m, "C"), *mode = sim_mgcp_param(m, "M");
	struct sim_gconn *c;
	struct sim_sdp remote;
	unsigned int code;
	int n;

	if (call == NULL || mode == NULL || strlen(call) == 0 || strlen(call) > 32 ||
	    strspn(call, "0123456789abcdefABCDEF") != strlen(call))
		return fail(out, room, 510, m->txid);
	if (m->sdp != NULL && m->sdp[0] != '\0' && sim_sdp_parse(m->sdp, &remote) < 0)
		return fail(out, room, 509, m->txid);
	c = sim_gconn_add(ep, call);
	if (c == NULL)
		return fail(out, room, ep->conns[ep->conn_max - 1].used ? 540 : 403, m->txid);
	code = sim_gconn_apply(c, mode, m->sdp != NULL && m->sdp[0] != '\0' ? &remote : NULL);
	OPENSSL_cleanse(&remote, sizeof(remote));
	if (code == 200)
		code = request(ep, m);
	if (code != 200) {
		sim_gconn_drop(c);
		return fail(out, room, code, m->txid);
	}
	n = snprintf(out, room, "200 %u OK\r\nI: %s\r\n", m->txid, c->id);
	if (any)
		n += snprintf(out + n, room - (size_t)n, "Z: %s@%s\r\n", ep->name, ep->gw->name);
	return append_sdp(c, out, room, n);
}

/* The connection that I: and C: name. NULL: *ret_code says why. */
static struct sim_gconn *find(struct sim_ep *ep, const struct sim_mgcp_msg *m, unsigned int *ret_code)
{
	const char *id = sim_mgcp_param(m, "I"), *call = sim_mgcp_param(m, "C");

	*ret_code = id == NULL ? 510 : 515;
	for (size_t i = 0; id != NULL && i < ep->conn_max; i++) {
		struct sim_gconn *c = &ep->conns[i];

		if (!c->used || strcasecmp(c->id, id) != 0)
			continue;
		if (call == NULL || strcasecmp(c->call_id, call) == 0)
			return c;
		*ret_code = 516;
	}
	return NULL;
}

static int modify(struct sim_ep *ep, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	const char *mode = sim_mgcp_param(m, "M");
	struct sim_sdp remote;
	struct sim_gconn *c;
	unsigned int code;
	int n;

	c = find(ep, m, &code);
	if (c == NULL || sim_mgcp_param(m, "C") == NULL)
		return fail(out, room, c == NULL ? code : 510, m->txid);
	if (m->sdp != NULL && m->sdp[0] != '\0' && sim_sdp_parse(m->sdp, &remote) < 0)
		return fail(out, room, 509, m->txid);
	code = sim_gconn_apply(c, mode != NULL ? mode : c->mode,
			      m->sdp != NULL && m->sdp[0] != '\0' ? &remote : NULL);
	OPENSSL_cleanse(&remote, sizeof(remote));
	if (code == 200)
		code = request(ep, m);
	if (code != 200)
		return fail(out, room, code, m->txid);
	n = answer(out, room, 200, m->txid, "OK");
	return m->sdp != NULL && m->sdp[0] != '\0' ? append_sdp(c, out, room, n) : n;
}

static int delete(struct sim_ep **eps, size_t ep_cnt, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	const char *id = sim_mgcp_param(m, "I"), *call = sim_mgcp_param(m, "C");
	char stats[160] = "";
	struct sim_gconn *c;
	unsigned int code;

	if (id != NULL) {
		if (ep_cnt != 1)
			return fail(out, room, 503, m->txid);
		c = find(eps[0], m, &code);
		if (c == NULL)
			return fail(out, room, code, m->txid);
		sim_gconn_del(c, stats, sizeof(stats));
		request(eps[0], m);
		return snprintf(out, room, "250 %u connection deleted\r\nP: %s\r\n", m->txid, stats);
	}
	for (size_t i = 0; i < ep_cnt; i++) {
		for (size_t k = 0; k < eps[i]->conn_max; k++) {
			c = &eps[i]->conns[k];
			if (c->used && (call == NULL || strcasecmp(c->call_id, call) == 0))
				sim_gconn_del(c, NULL, 0);
		}
		request(eps[i], m);
	}
	return fail(out, room, 250, m->txid);
}

static int audit_endpoint(struct sim_ep **eps, size_t ep_cnt, bool wild, const struct sim_mgcp_msg *m, char *out,
			  size_t room)
{
	const char *f = sim_mgcp_param(m, "F");
	struct sim_ep *ep = eps[0];
	size_t n = (size_t)answer(out, room, 200, m->txid, "OK");

	for (size_t i = 0; wild && i < ep_cnt && n < room; i++)
		n += (size_t)snprintf(out + n, room - n, "Z: %s@%s\r\n", eps[i]->name, ep->gw->name);
	if (wild || f == NULL)
		return n < room ? (int)n : -ENOSPC;
	if (sim_mgcp_listed(f, "A"))
		n += (size_t)snprintf(out + n, room - n, "A: a:PCMU;PCMA, p:10-60, e:off, s:off, v:L;D;G;SRTP, "
				      "m:sendonly;recvonly;sendrecv;inactive%s\r\n", ep->mixes ? ";confrnce" : "");
	if (sim_mgcp_listed(f, "N"))
		n += (size_t)snprintf(out + n, room - n, "N: %s\r\n", ep->entity[0] != '\0' ? ep->entity : sim_addr_str(&ep->gw->agent));
	if (sim_mgcp_listed(f, "X"))
		n += (size_t)snprintf(out + n, room - n, "X: %s\r\n",
				      ep->request_id[0] != '\0' ? ep->request_id : "0");
	if (sim_mgcp_listed(f, "R"))
		n += (size_t)snprintf(out + n, room - n, "R: %s\r\n", ep->events);
	if (sim_mgcp_listed(f, "S"))
		n += (size_t)snprintf(out + n, room - n, "S: %s\r\n", ep->signals);
	if (sim_mgcp_listed(f, "ES"))
		n += (size_t)snprintf(out + n, room - n, "ES: %s\r\n", ep->offhook ? "L/hd" : "L/hu");
	for (size_t i = 0, k = 0; sim_mgcp_listed(f, "I") && i < ep->conn_max; i++) {
		if (ep->conns[i].used)
			n += (size_t)snprintf(out + n, room - n, "%s%s", k++ == 0 ? "I: " : ", ", ep->conns[i].id);
		if (i + 1 == ep->conn_max)
			n += (size_t)snprintf(out + n, room - n, k == 0 ? "I: \r\n" : "\r\n");
	}
	return n < room ? (int)n : -ENOSPC;
}

static int audit_connection(struct sim_ep *ep, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	const char *f = sim_mgcp_param(m, "F");
	struct sim_gconn *c;
	unsigned int code;
	uint32_t s[7];
	int n;

	c = find(ep, m, &code);
	if (c == NULL)
		return fail(out, room, code, m->txid);
	n = answer(out, room, 200, m->txid, "OK");
	if (f != NULL && sim_mgcp_listed(f, "C"))
		n += snprintf(out + n, room - (size_t)n, "C: %s\r\n", c->call_id);
	if (f != NULL && sim_mgcp_listed(f, "M"))
		n += snprintf(out + n, room - (size_t)n, "M: %s\r\n", c->mode);
	if (f != NULL && sim_mgcp_listed(f, "P")) {
		sim_media_stats(c->media, s);
		n += snprintf(out + n, room - (size_t)n, "P: PS=%u, OS=%u, PR=%u, OR=%u, PL=%u, JI=%u, LA=0\r\n",
			      s[0], s[1], s[2], s[3], s[4], s[5]);
	}
	return f != NULL && sim_mgcp_listed(f, "LC") ? append_sdp(c, out, room, n) : n;
}

static int execute(struct sim_gw *g, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	struct sim_ep *eps[SIM_GW_ENDPOINTS] = {NULL};
	bool any, wild;
	size_t n = endpoints(g, m->endpoint, eps, &any);
	unsigned int code = 200;

	if (g->fail_times > 0 && strcmp(m->verb, g->fail_verb) == 0) {
		g->fail_times--;
		g->failed_on_purpose++;
		return fail(out, room, g->fail_code, m->txid);
	}
	if (strcmp(m->version, "0.1") != 0 && strcmp(m->version, "1.0") != 0)
		return fail(out, room, 528, m->txid);
	if (n == 0)
		return fail(out, room, any ? 410 : 500, m->txid);
	wild = strchr(m->endpoint, '*') != NULL;
	if (strcmp(m->verb, "DLCX") == 0)
		return delete(eps, n, m, out, room);
	if (strcmp(m->verb, "AUEP") == 0)
		return audit_endpoint(eps, n, wild, m, out, room);
	if (strcmp(m->verb, "EPCF") == 0)
		return fail(out, room, sim_mgcp_param(m, "B") != NULL ? 200 : 510, m->txid);
	if (strcmp(m->verb, "RQNT") == 0) {
		if (sim_mgcp_param(m, "X") == NULL)
			return fail(out, room, 510, m->txid);
		for (size_t i = 0; i < n && code == 200; i++)
			code = request(eps[i], m);
		return fail(out, room, code, m->txid);
	}
	if (wild)
		return fail(out, room, 503, m->txid);
	if (strcmp(m->verb, "CRCX") == 0)
		return create(eps[0], any, m, out, room);
	if (strcmp(m->verb, "MDCX") == 0)
		return modify(eps[0], m, out, room);
	if (strcmp(m->verb, "AUCX") == 0)
		return audit_connection(eps[0], m, out, room);
	return fail(out, room, 504, m->txid);
}

int sim_gw_execute(struct sim_gw *g, const struct sim_mgcp_msg *m, char *out, size_t room)
{
	int n = execute(g, m, out, room);

	return n < 0 ? answer(out, room, 533, m->txid, "response too big") : n;
}
