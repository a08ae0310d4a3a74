/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/show.h"

#include "net/net.h"
#include "net/tls.h"

static void set(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

json_t *cp_net_show(const struct cp_net *net)
{
	return cp_net_show_stats(cp_net_stats(net));
}

json_t *cp_net_show_stats(const struct cp_net_stats *n)
{
	static const char *const closes[CP_CLOSE_MAX] = {"peer", "local", "timeout", "tls", "bad-frame", "slow", "stop"};
	json_t *o = json_object(), *tls = json_object(), *closed = json_object();

	for (int i = 1; i < CP_TLS_FAIL_MAX; i++)
		set(tls, cp_tls_fail_name((enum cp_tls_fail)i), n->tls_failed[i]);
	for (int i = 0; i < CP_CLOSE_MAX; i++)
		set(closed, closes[i], n->closed[i]);
	set(o, "accepted", n->accepted);
	set(o, "refused_full", n->refused_full);
	set(o, "refused_source", n->refused_source);
	set(o, "accept_errors", n->accept_errors);
	set(o, "pauses", n->pauses);
	set(o, "handshakes", n->handshakes);
	set(o, "clear_on_tls", n->not_tls);
	set(o, "tls_on_clear", n->tls_on_clear);
	set(o, "frames", n->frames);
	set(o, "connections", n->conns);
	set(o, "preauth", n->preauth);
	json_object_set_new(o, "tls_failed", tls);
	json_object_set_new(o, "closed", closed);
	return o;
}
