/* SPDX-License-Identifier: BSD-3-Clause */
/* show ike: charon's view joined with what is configured; ike up, ike down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "clock.h"
#include "gateway/sasource.h"
#include "ikeint.h"
#include "log.h"

#define UP_MS 30000 /* 'ike up' waits so long */

const char *ike_state_name(const struct ike *ike)
{
	static const char *const names[] = {"down", "connecting", "no-child", "up"};

	return ike->state == IKE_DOWN && ike->stopped ? "stopped" : names[ike->state];
}

/* --- show --- */

static void put_str(json_t *o, const char *name, const json_t *from, const char *member)
{
	const char *text = cp_vici_get(from, member);

	if (text[0] != '\0')
		json_object_set_new(o, name, json_string(text));
}

static void put_int(json_t *o, const char *name, const json_t *from, const char *member)
{
	const char *text = cp_vici_get(from, member);

	if (text[0] >= '0' && text[0] <= '9')
		json_object_set_new(o, name, json_integer((json_int_t)strtoull(text, NULL, 10)));
}

/* "AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519": what was negotiated, in charon's words. */
static void put_algorithm(json_t *o, const json_t *sa)
{
	static const char *const parts[][2] = {{"encr-alg", "encr-keysize"}, {"integ-alg", "integ-keysize"}, {"prf-alg", NULL}, {"dh-group", NULL}};
	char text[200] = "";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *alg = cp_vici_get(sa, parts[i][0]), *bits = parts[i][1] != NULL ? cp_vici_get(sa, parts[i][1]) : "";
		int n = alg[0] == '\0' ? 0 : snprintf(text + at, sizeof(text) - at, "%s%s%s%s", at > 0 ? "/" : "", alg, bits[0] != '\0' ? "-" : "", bits);

		if (n < 0 || (size_t)n >= sizeof(text) - at)
			break;
		at += (size_t)n;
	}
	if (at > 0)
		json_object_set_new(o, "algorithm", json_string(text));
}

/* What the dataplane has of one of a child's SAs: {} if it has none such. */
static json_t *show_sa(const struct cp_ikes *ikes, uint8_t dir, const char *spi, const struct cfg_addr *remote)
{
	const struct cp_sa_ref ref = {.dir = dir, .spi = (uint32_t)strtoul(spi, NULL, 16), .remote = *remote};
	struct cp_sa_live live;

	if (ikes->env.sas == NULL || cp_sas_ike_live(ikes->env.sas, &ref, &live) < 0)
		return json_object();
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "state", live.dead ? "dead" : live.held ? "held" : live.asserted ? "live" : "waiting", "packets",
			 (json_int_t)live.pkts, "bytes", (json_int_t)live.bytes, "sequence", (json_int_t)live.seq, "auth_failed",
			 (json_int_t)live.auth_failed, "replayed", (json_int_t)live.replayed);
}

static json_t *show_child(const struct cp_ikes *ikes, const json_t *c, const struct cfg_addr *remote)
{
	json_t *o = json_object(), *ts;

	put_str(o, "state", c, "state");
	put_str(o, "mode", c, "mode");
	json_object_set_new(o, "in_udp", json_boolean(strcmp(cp_vici_get(c, "encap"), "yes") == 0));
	json_object_set_new(o, "esn", json_boolean(strcmp(cp_vici_get(c, "esn"), "1") == 0));
	if (cp_vici_get(c, "spi-in")[0] != '\0') {
		json_object_set_new(o, "spi_in", json_sprintf("0x%s", cp_vici_get(c, "spi-in")));
		json_object_set_new(o, "spi_out", json_sprintf("0x%s", cp_vici_get(c, "spi-out")));
		json_object_set_new(o, "in", show_sa(ikes, DP_DIR_RECV, cp_vici_get(c, "spi-in"), remote));
		json_object_set_new(o, "out", show_sa(ikes, DP_DIR_SEND, cp_vici_get(c, "spi-out"), remote));
	}
	put_algorithm(o, c);
	put_int(o, "rekey_in_s", c, "rekey-time");
	put_int(o, "ends_in_s", c, "life-time");
	ts = json_object_get(c, "local-ts");
	json_object_set(o, "local_ts", ts != NULL ? ts : json_null());
	ts = json_object_get(c, "remote-ts");
	json_object_set(o, "remote_ts", ts != NULL ? ts : json_null());
	return o;
}

/* Where charon has the gateway now, which behind a NAT may be another address and port than its record's; that unless charon says. */
static void peer_of(const json_t *sa, struct cfg_addr *remote)
{
	const char *host = cp_vici_get(sa, "remote-host");
	struct cfg_addr is;

	if (cfg_addr_parse(host, &is) < 0 || is.family == 0)
		return;
	*remote = is;
	remote->port = (uint16_t)strtoul(cp_vici_get(sa, "remote-port"), NULL, 10);
}

static json_t *show_one(const struct ike *ike)
{
	const struct cp_gw_ike *k = &ike->rec.ike;
	json_t *o = json_object(), *children = json_array(), *c;
	struct cfg_addr local, remote;
	char text[80], utc[CP_UTC_LEN];
	const char *name;

	cp_ike_ends(&ike->rec, &ike->ikes->env.agent, &local, &remote);
	json_object_set_new(o, "gateway", json_string(ike->rec.name));
	json_object_set_new(o, "state", json_string(ike_state_name(ike)));
	json_object_set_new(o, "since", json_string(cp_utc(ike->since_us / 1000000, utc)));
	json_object_set_new(o, "version", json_integer(k->version));
	json_object_set_new(o, "auth", json_string((k->flags & CP_IKE_CERT) != 0 ? "certificate" : "psk"));
	json_object_set_new(o, "begin", json_string((k->flags & CP_IKE_WAIT) != 0 ? "wait" : (k->flags & CP_IKE_TRAP) != 0 ? "trap" : "now"));
	json_object_set_new(o, "local", json_string(cfg_addr_print(&local, text, sizeof(text))));
	json_object_set_new(o, "remote", json_string(cfg_addr_print(&remote, text, sizeof(text))));
	json_object_set_new(o, "loaded", json_boolean(ike->loaded));
	json_object_set_new(o, "ups", json_integer((json_int_t)ike->ups));
	json_object_set_new(o, "rekeys", json_integer((json_int_t)ike->rekeys));
	json_object_set_new(o, "child_rekeys", json_integer((json_int_t)ike->child_rekeys));
	if (ike->error[0] != '\0')
		json_object_set_new(o, "error", json_string(ike->error));
	if (ike->sa != NULL) {
		put_str(o, "local_id", ike->sa, "local-id");
		put_str(o, "remote_id", ike->sa, "remote-id");
		put_str(o, "ike_sa", ike->sa, "uniqueid");
		put_algorithm(o, ike->sa);
		json_object_set_new(o, "initiator", json_boolean(strcmp(cp_vici_get(ike->sa, "initiator"), "yes") == 0));
		put_int(o, "up_s", ike->sa, "established");
		put_int(o, "rekey_in_s", ike->sa, "rekey-time");
		put_int(o, "reauth_in_s", ike->sa, "reauth-time");
		peer_of(ike->sa, &remote);
		json_object_set_new(o, "peer", json_string(cfg_addr_print(&remote, text, sizeof(text))));
		remote.port = 0;
		json_object_foreach(json_object_get(ike->sa, "child-sas"), name, c)
			json_array_append_new(children, show_child(ike->ikes, c, &remote));
	}
	json_object_set_new(o, "children", children);
	return o;
}

static void append(void *ctx, struct ike *ike)
{
	json_array_append_new(ctx, show_one(ike));
}

void ike_shown(struct cp_ikes *ikes)
{
	while (ikes->showers != NULL) {
		struct shower *s = ikes->showers;
		json_t *list = json_array();

		ikes->showers = s->next;
		ike_each(ikes, append, list);
		cp_admin_reply(s->req, list);
		free(s);
	}
}

static bool off(struct cp_admin_req *req, const struct cp_ikes *ikes)
{
	if (ikes == NULL)
		cp_admin_fail(req, "unavailable", "ike.enable is false: there is no charon");
	return ikes == NULL;
}

static void show_ike(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {NULL};
	struct cp_ikes *ikes = ctx;
	struct shower *s;

	if (cp_admin_arg_known(req, args, known) < 0 || off(req, ikes))
		return;
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	*s = (struct shower){ikes->showers, req};
	ikes->showers = s;
	if (cp_vici_up(ikes->vici) && !ikes->stopping)
		ike_sweep_soon(ikes, 0); /* as it is now */
	else
		ike_shown(ikes);
}

static void count_one(void *ctx, struct ike *ike)
{
	unsigned *cnt = ctx;

	cnt[ike->state]++;
}

/* In 'status': what can be asked for often, as it is known; 'show ike' asks charon for a list of all first. */
static void status(void *ctx, json_t *o)
{
	struct cp_ikes *ikes = ctx;
	unsigned cnt[IKE_UP + 1] = {0};

	if (ikes == NULL)
		return;
	ike_each(ikes, count_one, cnt);
	json_object_set_new(o, "ike", json_pack("{s:b, s:i, s:i, s:i}", "charon", cp_vici_up(ikes->vici), "gateways", (int)ikes->cnt, "up", (int)cnt[IKE_UP],
						"connecting", (int)(cnt[IKE_CONNECTING] + cnt[IKE_NO_CHILD])));
}

/* --- up and down --- */

/*
 * Who waits is answered when it is up, failed, or gone; 'all': whatever it is. Whoever is answered may ask the next thing at once, which may
 * wait, or end the waiting of others: nobody is answered before the list is whole again.
 */
void ike_waiters(struct cp_ikes *ikes, bool all)
{
	struct waiter *done = NULL, **end = &done;

	for (struct waiter **at = &ikes->waiters; *at != NULL;) {
		struct waiter *w = *at;
		struct ike *ike = ike_find(ikes, w->name);
		bool late = cp_mono_ms() >= w->until_ms;

		if (!all && !late && ike != NULL && ike->state != IKE_UP && ike->error[0] == '\0') {
			at = &w->next;
			continue;
		}
		if (ike != NULL && ike->state == IKE_UP)
			w->up = show_one(ike);
		else
			snprintf(w->why, sizeof(w->why), "%s", ike == NULL ? "the gateway's IKE was deleted" :
				 ike->error[0] != '\0' ? ike->error : all ? "charon is not there" : "no answer yet: show ike");
		*at = w->next;
		w->next = NULL;
		*end = w;
		end = &w->next;
	}
	while (done != NULL) {
		struct waiter *w = done;

		done = w->next;
		if (w->up != NULL)
			cp_admin_reply(w->req, w->up);
		else
			cp_admin_fail(w->req, "failed", "%s", w->why);
		free(w);
	}
}

static struct ike *named(struct cp_ikes *ikes, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", NULL};
	const char *name = NULL;
	struct ike *ike;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0 || off(req, ikes))
		return NULL;
	ike = ike_find(ikes, name);
	if (ike == NULL)
		cp_admin_fail(req, "not-found", "no gateway %s with IKE", cfg_q(name));
	else if (!cp_vici_up(ikes->vici))
		cp_admin_fail(req, "unavailable", "charon is not there");
	else
		return ike;
	return NULL;
}

static void ike_up(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_ikes *ikes = ctx;
	struct ike *ike = named(ikes, req, args);
	struct waiter *w;
	int rc;

	if (ike == NULL)
		return;
	ike->stopped = false;
	if (ike->state == IKE_UP) {
		cp_admin_reply(req, show_one(ike));
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	*w = (struct waiter){.req = req, .until_ms = cp_mono_ms() + UP_MS};
	memcpy(w->name, ike->rec.name, sizeof(w->name));
	ike->error[0] = '\0';
	ike->tries = 0;
	ike->next_ms = 0;
	rc = ike->state == IKE_CONNECTING || !ike->loaded ? 0 : ike_begin(ike); /* if it is being loaded, it follows */
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, NULL);
		free(w);
		return;
	}
	w->next = ikes->waiters; /* beginning may have answered, and freed, who stood there */
	ikes->waiters = w;
}

static void ike_down(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct ike *ike = named(ctx, req, args);
	int rc;

	if (ike == NULL)
		return;
	ike->stopped = true;
	rc = ike_end(ike);
	if (rc < 0)
		cp_admin_fail_rc(req, rc, NULL);
	else
		cp_admin_reply(req, json_pack("{s:s}", "gateway", ike->rec.name));
}

int cp_ikes_commands(struct cp_ikes *ikes, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "show.ike", show_ike, ikes);

	if (rc == 0)
		rc = cp_admin_register(admin, "ike.up", ike_up, ikes);
	if (rc == 0)
		rc = cp_admin_status_add(admin, status, ikes);
	return rc < 0 ? rc : cp_admin_register(admin, "ike.down", ike_down, ikes);
}
