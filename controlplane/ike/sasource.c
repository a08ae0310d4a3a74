/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike/sasource.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "config.h"
#include "ike/xfrmdb.h"
#include "ike/xfrmk.h"
#include "ike/xfrms.h"
#include "log.h"

#define AGAIN_S 5

struct cp_sasource {
	struct cp_sasource_env env;
	struct cp_xfrmdb *db;
	struct cp_xfrms *socket; /* this, */
	struct cp_xfrmk *kernel; /* or this */
	struct event *ev_again;
};

static void on_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard)
{
	struct cp_sasource *s = ctx;

	if (s->socket != NULL)
		cp_xfrms_expire(s->socket, sa, hard);
	if (s->kernel != NULL)
		cp_xfrmk_expire(s->kernel, sa, hard);
}

static void on_settled(void *ctx)
{
	struct cp_sasource *s = ctx;

	if (s->socket != NULL) /* the kernel has answered charon before we hear of it */
		cp_xfrms_settled(s->socket);
}

/* The kernel's own charon reads the kernel alone, which takes this message from nobody: there IKE itself must tell. */
static void on_mapping(void *ctx, const struct cp_xfrm_sa *sa, const struct cfg_addr *from)
{
	struct cp_sasource *s = ctx;

	if (s->socket != NULL)
		cp_xfrms_mapping(s->socket, sa, from);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_sasource_up(arg);
}

struct cp_sasource *cp_sasource_create(const struct cp_sasource_env *env)
{
	struct cp_sasource *s = calloc(1, sizeof(*s));
	struct cp_xfrmdb_env db = {.base = env->base, .cfg = env->cfg, .sas = env->sas, .gws = env->gws, .expire = on_expire, .mapping = on_mapping, .settled = on_settled, .ctx = s,
				   .shared = env->cfg->ike.source == CFG_IKE_KERNEL};

	if (s == NULL)
		return NULL;
	s->env = *env;
	s->ev_again = evtimer_new(env->base, on_again, s);
	s->db = cp_xfrmdb_create(&db);
	if (s->db == NULL || s->ev_again == NULL) {
		cp_sasource_destroy(s);
		return NULL;
	}
	return s;
}

void cp_sasource_destroy(struct cp_sasource *s)
{
	if (s == NULL)
		return;
	cp_xfrms_destroy(s->socket);
	cp_xfrmk_destroy(s->kernel);
	cp_xfrmdb_destroy(s->db);
	if (s->ev_again != NULL)
		event_free(s->ev_again);
	free(s);
}

void cp_sasource_up(struct cp_sasource *s)
{
	const struct cfg_ike *c = &s->env.cfg->ike;
	struct timeval tv = {AGAIN_S, 0};
	int rc = 0;

	if (c->source == CFG_IKE_SOCKET && s->socket == NULL) {
		rc = cp_xfrms_create(s->env.base, c->socket, &s->socket);
		if (rc == 0)
			cp_xfrms_set_db(s->socket, s->db);
	}
	if (c->source == CFG_IKE_KERNEL && s->kernel == NULL)
		rc = cp_xfrmk_create(s->env.base, s->db, &s->kernel);
	if (rc < 0) {
		cp_alarm_raise(s->env.alarms, "ike-source-down", CP_ALARM_MAJOR, "ike", "%s: %s: charon's SAs are not seen",
			       c->source == CFG_IKE_SOCKET ? c->socket : "NETLINK_XFRM", strerror(-rc));
		event_add(s->ev_again, &tv);
	} else {
		cp_alarm_clear(s->env.alarms, "ike-source-down", "ike");
	}
}

void cp_sasource_gateway_changed(struct cp_sasource *s)
{
	cp_xfrmdb_gateway_changed(s->db);
}

void cp_sasource_another(struct cp_sasource *s)
{
	if (s->kernel != NULL)
		cp_xfrmdb_another(s->db);
}

json_t *cp_sasource_show(const struct cp_sasource *s)
{
	return s->socket != NULL ? cp_xfrms_show(s->socket) : s->kernel != NULL ? cp_xfrmk_show(s->kernel) : json_object();
}
