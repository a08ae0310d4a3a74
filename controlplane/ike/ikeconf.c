/* SPDX-License-Identifier: BSD-3-Clause */
#include "ikeconf.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ikerec.h"

#define CONN_ROOM 4096

void cp_ike_ends(const struct cp_gateway *gw, const struct cfg_addr *agent, struct cfg_addr *ret_local, struct cfg_addr *ret_remote)
{
	*ret_local = gw->ike.local.family != 0 ? gw->ike.local : *agent;
	*ret_remote = gw->ike.remote.family != 0 ? gw->ike.remote : gw->address;
	ret_local->port = ret_remote->port = 0;
}

static void address(struct cp_vici_msg *m, const char *name, const struct cfg_addr *a)
{
	char text[80];

	cp_vici_list(m, name);
	cfg_addr_print(a, text, sizeof(text));
	cp_vici_item(m, text, strlen(text));
	cp_vici_list_end(m);
}

/* As the record has it, or MGCP's one address and port. */
static void selector(struct cp_vici_msg *m, const char *name, const char *said, const struct cfg_addr *mgcp)
{
	struct cfg_addr host = *mgcp;
	char text[96], addr[80];

	host.port = 0;
	if (said[0] != '\0')
		snprintf(text, sizeof(text), "%s", said);
	else
		snprintf(text, sizeof(text), "%s[udp/%u]", cfg_addr_print(&host, addr, sizeof(addr)), mgcp->port);
	if (said[0] == '\0' && mgcp->port == 0)
		snprintf(text, sizeof(text), "%s[udp]", cfg_addr_print(&host, addr, sizeof(addr)));
	cp_vici_list(m, name);
	cp_vici_item(m, text, strlen(text));
	cp_vici_list_end(m);
}

static uint32_t or_default(uint32_t said, uint32_t other)
{
	return said != 0 ? said : other;
}

/* Who each side is. Without an identity it is the address; our own with certificates is the certificate's subject. */
static void side(struct cp_vici_msg *m, const char *name, bool cert, const char *id, const struct cfg_addr *addr, const uint8_t *der, size_t len)
{
	char text[80];

	cp_vici_section(m, name);
	cp_vici_str(m, "auth", cert ? "pubkey" : "psk");
	if (id[0] != '\0')
		cp_vici_str(m, "id", id);
	else if (!cert)
		cp_vici_str(m, "id", cfg_addr_print(addr, text, sizeof(text)));
	if (der != NULL) {
		cp_vici_list(m, "certs");
		cp_vici_item(m, der, len);
		cp_vici_list_end(m);
	}
	cp_vici_section_end(m);
}

static void child(struct cp_vici_msg *m, const struct cp_gateway *gw, const struct cfg_addr *agent)
{
	const struct cp_gw_ike *k = &gw->ike;
	struct cfg_addr ours = *agent;
	char esp[CP_IKE_CHARON_MAX];

	/* Where the gateway speaks to: the dialect's port, or one of two. */
	if (gw->dialect != CP_GW_RFC3435)
		ours.port = gw->dialect == CP_GW_CISCO ? 2427 : 0;

	if (cp_ike_esp(k->esp, k->version, (k->flags & CP_IKE_ESN) != 0, esp, NULL, 0) < 0)
		m->wr.bad = true;
	cp_vici_section(m, "children");
	cp_vici_section(m, gw->name);
	/* Ours, not charon's next one: after its restart the same gateway's SAs and policies meet those that are still there. */
	cp_vici_fmt(m, "reqid", "%u", gw->gw_id + 1);
	cp_vici_words(m, "esp_proposals", esp);
	selector(m, "local_ts", k->local_ts, &ours);
	selector(m, "remote_ts", k->remote_ts, &gw->address);
	cp_vici_str(m, "mode", (k->flags & CP_IKE_TUNNEL) != 0 ? "tunnel" : "transport");
	cp_vici_fmt(m, "rekey_time", "%us", or_default(k->child_s, CP_IKE_CHILD_S));
	/* We begin by ourselves, when there is none yet: charon's own start would make a second one at each change. */
	cp_vici_str(m, "start_action", (k->flags & CP_IKE_TRAP) != 0 ? "trap" : "none");
	cp_vici_str(m, "dpd_action", (k->flags & CP_IKE_WAIT) != 0 ? "clear" : (k->flags & CP_IKE_TRAP) != 0 ? "trap" : "restart");
	cp_vici_str(m, "close_action", "none");
	cp_vici_section_end(m);
	cp_vici_section_end(m);
}

struct cp_vici_msg *cp_ike_conn(const struct cp_gateway *gw, const struct cfg_addr *agent, X509 *own)
{
	const struct cp_gw_ike *k = &gw->ike;
	bool cert = (k->flags & CP_IKE_CERT) != 0;
	char proposals[CP_IKE_CHARON_MAX];
	struct cfg_addr local, remote;
	struct cp_vici_msg *m;
	uint8_t *der = NULL;
	int len = 0;

	if (cp_ike_proposals(k->proposals, k->version, proposals, NULL, 0) < 0)
		return NULL;
	if (cert && (own == NULL || (len = i2d_X509(own, &der)) <= 0))
		return NULL;
	m = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "load-conn", CONN_ROOM + (size_t)len);
	if (m != NULL) {
		cp_ike_ends(gw, agent, &local, &remote);
		cp_vici_section(m, gw->name);
		cp_vici_fmt(m, "version", "%u", k->version);
		cp_vici_bool(m, "aggressive", false);
		cp_vici_bool(m, "mobike", false);
		cp_vici_bool(m, "encap", (k->flags & CP_IKE_ENCAP) != 0);
		cp_vici_str(m, "unique", "replace");
		cp_vici_str(m, "keyingtries", "1"); /* when to try again is ours to say */
		cp_vici_str(m, "send_cert", "always"); /* IOS asks for none in IKEv1 */
		cp_vici_fmt(m, "dpd_delay", "%us", or_default(k->dpd_s, CP_IKE_DPD_S));
		cp_vici_fmt(m, "dpd_timeout", "%us", 5 * or_default(k->dpd_s, CP_IKE_DPD_S)); /* IKEv1 only */
		cp_vici_fmt(m, "rekey_time", "%us", or_default(k->rekey_s, CP_IKE_REKEY_S));
		cp_vici_fmt(m, "reauth_time", "%us", k->reauth_s);
		cp_vici_words(m, "proposals", proposals);
		address(m, "local_addrs", &local);
		address(m, "remote_addrs", &remote);
		side(m, "local", cert, k->local_id, &local, der, (size_t)len);
		side(m, "remote", cert, k->remote_id, &remote, NULL, 0);
		child(m, gw, agent);
		cp_vici_section_end(m);
	}
	OPENSSL_free(der);
	return m;
}

struct cp_vici_msg *cp_ike_shared(const struct cp_gateway *gw, const uint8_t *psk, size_t len)
{
	struct cp_vici_msg *m = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "load-shared", 1024 + len);
	struct cfg_addr local, remote, none = {0};
	char text[80];

	if (m == NULL)
		return NULL;
	cp_ike_ends(gw, &none, &local, &remote);
	cfg_addr_print(&remote, text, sizeof(text));
	cp_vici_str(m, "id", gw->name);
	cp_vici_str(m, "type", "IKE");
	cp_vici_bytes(m, "data", psk, len);
	cp_vici_list(m, "owners"); /* not we: every gateway's key would be good for every other one's then */
	cp_vici_item(m, text, strlen(text));
	if (gw->ike.remote_id[0] != '\0')
		cp_vici_item(m, gw->ike.remote_id, strlen(gw->ike.remote_id));
	cp_vici_list_end(m);
	return m;
}

struct cp_vici_msg *cp_ike_key(EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int len = i2d_PrivateKey(key, &der);
	struct cp_vici_msg *m;

	if (len <= 0)
		return NULL;
	m = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "load-key", 64 + (size_t)len);
	if (m != NULL) {
		cp_vici_str(m, "type", EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? "rsa" : "ecdsa");
		cp_vici_bytes(m, "data", der, (size_t)len);
	}
	OPENSSL_clear_free(der, (size_t)len);
	return m;
}

struct cp_vici_msg *cp_ike_cert(X509 *cert, bool ca)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);
	struct cp_vici_msg *m;

	if (len <= 0)
		return NULL;
	m = cp_vici_msg_create(CP_VICI_CMD_REQUEST, "load-cert", 64 + (size_t)len);
	if (m != NULL) {
		cp_vici_str(m, "type", "X509");
		cp_vici_str(m, "flag", ca ? "CA" : "NONE");
		cp_vici_bytes(m, "data", der, (size_t)len);
	}
	OPENSSL_free(der);
	return m;
}

struct cp_vici_msg *cp_ike_plain(const char *cmd, ...)
{
	struct cp_vici_msg *m = cp_vici_msg_create(CP_VICI_CMD_REQUEST, cmd, 1024);
	const char *name;
	va_list ap;

	va_start(ap, cmd);
	while (m != NULL && (name = va_arg(ap, const char *)) != NULL)
		cp_vici_str(m, name, va_arg(ap, const char *));
	va_end(ap);
	return m;
}
