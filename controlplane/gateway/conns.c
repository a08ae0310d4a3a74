/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections that a gateway has, beside those that calls know (RFC 3435 s2.3.10): a list of them, and what is done with those that nobody knows. */
#include <string.h>

#include "gwint.h"
#include "log.h"

/* It names its call, without which it could not be deleted (s2.3.8). */
static void whose(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_DLCX};
	struct dp_mgcp_param p;

	(void)ctx;
	for (const char *nl; text != NULL && cmd.call_id[0] == '\0' && (nl = strchr(text, '\n')) != NULL; text = nl + 1)
		if (dp_mgcp_param_line(text, (size_t)(nl - text), &p) == 0 && p.id == DP_MGCP_P_C && dp_mgcp_id_valid(&p.value))
			dp_mgcp_str_copy(cmd.call_id, sizeof(cmd.call_id), &p.value);
	if (cmd.call_id[0] == '\0') {
		cfg_log_limited(CFG_LOG_WARN, "strange-connection-stays", "gateway=%s endpoint=%s connection=%s result=%u code=%u", gw->rec.name,
				tag->endpoint, tag->conn_id, done->result, done->code);
		return;
	}
	memcpy(cmd.endpoint, tag->endpoint, sizeof(cmd.endpoint));
	memcpy(cmd.conn_id, tag->conn_id, sizeof(cmd.conn_id));
	cfg_log_limited(CFG_LOG_NOTICE, "strange-connection-deleted", "gateway=%s endpoint=%s call=%s connection=%s", gw->rec.name, tag->endpoint,
			cmd.call_id, tag->conn_id);
	cp_gw_cmd(gw, &cmd, tag, NULL, NULL);
}

void conns_strange(struct cp_gw *gw, const char *endpoint, const char (*id)[DP_MGCP_ID_MAX], uint32_t which)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_AUCX, .params = "F: C\n"};
	struct cp_gw_tag tag = {0};

	memcpy(ask.endpoint, endpoint, sizeof(ask.endpoint));
	for (unsigned i = 0; i < CP_GW_CONNS; i++) {
		if ((which >> i & 1) == 0)
			continue;
		memcpy(ask.conn_id, id[i], sizeof(ask.conn_id));
		cp_gw_ask(gw, &ask, &tag, whose, NULL);
	}
}

int conns_listed(const char *text, char (*ret)[DP_MGCP_ID_MAX], unsigned max)
{
	unsigned n = 0;
	int found = -1;

	for (const char *nl; text != NULL && (nl = strchr(text, '\n')) != NULL; text = nl + 1) {
		struct dp_mgcp_param p;

		if (dp_mgcp_param_line(text, (size_t)(nl - text), &p) < 0 || p.id != DP_MGCP_P_I)
			continue;
		while (p.value.len > 0) {
			struct dp_mgcp_str id = p.value;
			const char *comma = memchr(id.s, ',', id.len);

			id.len = comma != NULL ? (uint16_t)(comma - id.s) : id.len;
			p.value.s += id.len + (comma != NULL);
			p.value.len = (uint16_t)(p.value.len - id.len - (comma != NULL));
			for (; id.len > 0 && (*id.s == ' ' || *id.s == '\t'); id.len--)
				id.s++;
			while (id.len > 0 && (id.s[id.len - 1] == ' ' || id.s[id.len - 1] == '\t'))
				id.len--;
			if (n == max || !dp_mgcp_id_valid(&id))
				return -1;
			dp_mgcp_str_copy(ret[n++], DP_MGCP_ID_MAX, &id);
		}
		found = (int)n;
	}
	return found;
}
