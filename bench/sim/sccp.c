/* SPDX-License-Identifier: BSD-3-Clause */
#include "sccp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- reading: past the end everything is zero, and 'over' remembers it --- */

struct rd {
	const uint8_t *p;
	size_t len, off;
	bool over;
};

static uint32_t u32(struct rd *r)
{
	const uint8_t *p = r->p + r->off;

	if (r->len - r->off < 4) {
		r->off = r->len;
		r->over = true;
		return 0;
	}
	r->off += 4;
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void skip(struct rd *r, size_t n)
{
	if (r->len - r->off < n) {
		r->off = r->len;
		r->over = true;
		return;
	}
	r->off += n;
}

static void octets(struct rd *r, uint8_t *dst, size_t n)
{
	memset(dst, 0, n);
	if (r->len - r->off < n) {
		r->off = r->len;
		r->over = true;
		return;
	}
	memcpy(dst, r->p + r->off, n);
	r->off += n;
}

static void field(struct rd *r, char *dst, size_t room, size_t n)
{
	size_t left = r->len - r->off;

	sim_copy_field(dst, room, r->p + r->off, n < left ? n : left);
	skip(r, n);
}

/* A string that ends with a zero octet, or with the frame. */
static void dynamic(struct rd *r, char *dst, size_t room)
{
	size_t left = r->len - r->off, n = 0;

	while (n < left && r->p[r->off + n] != 0)
		n++;
	if (dst != NULL)
		sim_copy_field(dst, room, r->p + r->off, n);
	if (n == left)
		r->over = true;
	r->off += n < left ? n + 1 : n;
}

static void address(struct rd *r, bool wide, struct sim_addr *ret)
{
	uint8_t ip[16];
	uint32_t type = 0, port;

	if (wide) {
		type = u32(r);
		octets(r, ip, 16);
	} else {
		octets(r, ip, 4);
	}
	port = u32(r);
	sim_addr_set(ret, ip, type == 1 ? 10 /* AF_INET6 */ : 2 /* AF_INET */, (uint16_t)port);
	if (port > 65535)
		r->over = true;
}

static void encryption(struct rd *r, struct sim_sccp_msg *m)
{
	uint32_t alg = u32(r), lens = u32(r), mki;
	uint32_t key_len = lens & 0xFFFF, salt_len = lens >> 16;
	uint8_t salt[16];

	octets(r, m->key.key, 16);
	octets(r, salt, 16);
	memcpy(m->key.salt, salt, sizeof(m->key.salt));
	mki = u32(r);
	u32(r); /* key derivation rate */
	m->key.alg = SIM_SRTP_NONE;
	if (alg == 0)
		return;
	if ((alg != SIM_SRTP_AES128_SHA1_32 && alg != SIM_SRTP_AES128_SHA1_80 && alg != SIM_SRTP_AES128_GCM) ||
	    key_len != 16 || salt_len != sim_srtp_salt_len((enum sim_srtp_alg)alg) || mki != 0) {
		m->key_unknown = true;
		return;
	}
	m->key.alg = (enum sim_srtp_alg)alg;
}

static int open_receive(struct rd *r, struct sim_sccp_msg *m)
{
	m->conference = u32(r);
	m->party = u32(r);
	m->packet_ms = u32(r);
	m->codec = u32(r);
	skip(r, 8); /* echo cancellation, codec parameters */
	if (r->over)
		return -EBADMSG;
	m->callref = u32(r);
	encryption(r, m);
	skip(r, 8);
	m->rfc2833 = u32(r);
	return 0;
}

static int start_media(struct rd *r, struct sim_sccp_msg *m)
{
	m->conference = u32(r);
	m->party = u32(r);
	address(r, m->version >= 17, &m->remote);
	m->packet_ms = u32(r);
	m->codec = u32(r);
	skip(r, 16); /* precedence, silence suppression, frames per packet, codec parameters */
	if (r->over)
		return -EBADMSG;
	m->callref = u32(r);
	encryption(r, m);
	skip(r, 8);
	m->rfc2833 = u32(r);
	return 0;
}

static int call_info(struct rd *r, struct sim_sccp_msg *m)
{
	field(r, m->calling_name, sizeof(m->calling_name), 40);
	field(r, m->calling, sizeof(m->calling), 24);
	field(r, m->called_name, sizeof(m->called_name), 40);
	field(r, m->called, sizeof(m->called), 24);
	m->line = u32(r);
	m->callref = u32(r);
	m->type = u32(r);
	if (r->over)
		return -EBADMSG;
	skip(r, 372 - 140);
	skip(r, 4);
	m->security = u32(r);
	return 0;
}

static int call_info_dynamic(struct rd *r, struct sim_sccp_msg *m)
{
	m->line = u32(r);
	m->callref = u32(r);
	m->type = u32(r);
	skip(r, 12);
	m->security = u32(r);
	skip(r, 4);
	if (r->over)
		return -EBADMSG;
	/* Whether an alternate calling number follows cannot be told: only the first string is certain. */
	dynamic(r, m->calling, sizeof(m->calling));
	return 0;
}

static int button_template(struct rd *r, struct sim_sccp_msg *m)
{
	uint32_t count;

	skip(r, 4);
	count = u32(r);
	skip(r, 4);
	if (r->over)
		return -EBADMSG;
	for (uint32_t i = 0; i < count && r->len - r->off >= 2; i++, r->off += 2)
		m->line_cnt += r->p[r->off + 1] == 9;
	return 0;
}

static int register_ack(struct rd *r, struct sim_sccp_msg *m)
{
	m->keepalive_s = u32(r);
	skip(r, 8);
	m->secondary_s = u32(r);
	if (r->over)
		return -EBADMSG;
	m->protocol = u32(r) & 0xFF;
	return 0;
}

long sim_sccp_frame_len(const uint8_t *data, size_t len)
{
	struct rd r = {.p = data, .len = len};
	uint32_t n;

	if (len < 4)
		return 0;
	n = u32(&r);
	return n < 4 || n > SIM_SCCP_FRAME_MAX - 8 ? -EBADMSG : (long)n + 8;
}

int sim_sccp_parse(const uint8_t *frame, size_t len, struct sim_sccp_msg *m)
{
	struct rd r = {.p = frame, .len = len};
	bool need = false; /* every field read below must be there */

	memset(m, 0, sizeof(*m));
	if (len < SIM_SCCP_HDR || sim_sccp_frame_len(frame, len) != (long)len)
		return -EBADMSG;
	skip(&r, 4);
	m->version = u32(&r);
	m->id = u32(&r);
	switch (m->id) {
	case SIM_REGISTER_ACK:
		return register_ack(&r, m);
	case SIM_REGISTER_REJECT:
		field(&r, m->text, sizeof(m->text), 32);
		return 0;
	case SIM_RESET:
	case SIM_UNREGISTER_ACK:
		m->state = u32(&r);
		need = m->id == SIM_RESET;
		break;
	case SIM_START_TONE:
		m->state = u32(&r);
		skip(&r, 4);
		m->line = u32(&r);
		m->callref = u32(&r);
		return 0;
	case SIM_STOP_TONE:
		m->line = u32(&r);
		m->callref = u32(&r);
		return 0;
	case SIM_SET_RINGER:
		m->state = u32(&r);
		need = true;
		break;
	case SIM_SET_LAMP:
		skip(&r, 4);
		m->line = u32(&r);
		m->state = u32(&r);
		need = true;
		break;
	case SIM_SET_SPEAKER:
		m->state = u32(&r);
		need = true;
		break;
	case SIM_CALL_STATE:
		m->state = u32(&r);
		m->line = u32(&r);
		m->callref = u32(&r);
		need = true;
		break;
	case SIM_SELECT_SOFTKEYS:
		m->line = u32(&r);
		m->callref = u32(&r);
		m->state = u32(&r);
		need = true;
		break;
	case SIM_PROMPT:
		skip(&r, 4);
		field(&r, m->text, sizeof(m->text), 32);
		m->line = u32(&r);
		m->callref = u32(&r);
		return 0;
	case SIM_PROMPT_DYN:
		skip(&r, 4);
		m->line = u32(&r);
		m->callref = u32(&r);
		need = r.over;
		dynamic(&r, m->text, sizeof(m->text));
		break;
	case SIM_NOTIFY:
		skip(&r, 8);
		field(&r, m->text, sizeof(m->text), 32);
		return 0;
	case SIM_NOTIFY_DYN:
		skip(&r, 8);
		need = r.over;
		dynamic(&r, m->text, sizeof(m->text));
		break;
	case SIM_DIALED_NUMBER:
		field(&r, m->text, sizeof(m->text), m->version >= 18 ? 25 : 24);
		m->line = u32(&r);
		m->callref = u32(&r);
		need = true;
		break;
	case SIM_CALL_INFO:
		return call_info(&r, m);
	case SIM_CALL_INFO_DYN:
		return call_info_dynamic(&r, m);
	case SIM_BUTTON_TEMPLATE:
		return button_template(&r, m);
	case SIM_LINE_STAT:
		m->line = u32(&r);
		field(&r, m->text, sizeof(m->text), 24);
		need = true;
		break;
	case SIM_LINE_STAT_DYN:
		m->line = u32(&r);
		skip(&r, 4);
		need = r.over;
		dynamic(&r, m->text, sizeof(m->text));
		break;
	case SIM_ORC:
		return open_receive(&r, m);
	case SIM_SMT:
		return start_media(&r, m);
	case SIM_CRC:
	case SIM_STOP_MT:
		m->conference = u32(&r);
		m->party = u32(&r);
		m->callref = u32(&r);
		return 0;
	case SIM_PORT_REQ:
	case SIM_PORT_CLOSE:
		m->conference = u32(&r);
		m->callref = u32(&r);
		m->party = u32(&r);
		return 0;
	case SIM_STATS_REQ:
		field(&r, m->text, sizeof(m->text), m->version >= 18 ? 28 : 24);
		m->callref = u32(&r);
		need = r.over;
		m->mode = u32(&r);
		break;
	default:
		return 0;
	}
	return need && r.over ? -EBADMSG : 0;
}

static const struct {
	uint32_t id;
	const char *name;
} names[] = {
	{SIM_REGISTER_ACK, "RegisterAck"}, {SIM_START_TONE, "StartTone"}, {SIM_STOP_TONE, "StopTone"},
	{SIM_SET_RINGER, "SetRinger"}, {SIM_SET_LAMP, "SetLamp"}, {SIM_SET_SPEAKER, "SetSpeaker"},
	{SIM_SMT, "StartMediaTransmission"}, {SIM_STOP_MT, "StopMediaTransmission"},
	{SIM_CALL_INFO, "CallInfo"}, {SIM_FORWARD_STAT, "ForwardStat"}, {SIM_SPEEDDIAL_STAT, "SpeedDialStat"},
	{SIM_LINE_STAT, "LineStat"}, {SIM_CONFIG_STAT, "ConfigStat"}, {SIM_TIME_DATE, "TimeDate"},
	{SIM_BUTTON_TEMPLATE, "ButtonTemplate"}, {SIM_VERSION, "Version"}, {SIM_CAPS_REQ, "CapabilitiesReq"},
	{SIM_REGISTER_REJECT, "RegisterReject"}, {SIM_SERVER_RES, "ServerRes"}, {SIM_RESET, "Reset"},
	{SIM_KEEPALIVE_ACK, "KeepAliveAck"}, {SIM_ORC, "OpenReceiveChannel"}, {SIM_CRC, "CloseReceiveChannel"},
	{SIM_STATS_REQ, "ConnectionStatisticsReq"}, {SIM_SOFTKEY_TEMPLATE, "SoftKeyTemplate"},
	{SIM_SOFTKEY_SET, "SoftKeySet"}, {SIM_SELECT_SOFTKEYS, "SelectSoftKeys"}, {SIM_CALL_STATE, "CallState"},
	{SIM_PROMPT, "DisplayPrompt"}, {SIM_CLEAR_PROMPT, "ClearPrompt"},
	{SIM_ACTIVATE_PLANE, "ActivateCallPlane"}, {SIM_DEACTIVATE_PLANE, "DeactivateCallPlane"},
	{SIM_UNREGISTER_ACK, "UnregisterAck"}, {SIM_DIALED_NUMBER, "DialedNumber"},
	{SIM_NOTIFY, "DisplayPriorityNotify"}, {SIM_CLEAR_NOTIFY, "ClearPriorityNotify"},
	{SIM_NOTIFY_DYN, "DisplayPriorityNotify"}, {SIM_PROMPT_DYN, "DisplayPrompt"},
	{SIM_LINE_STAT_DYN, "LineStat"}, {SIM_CALL_INFO_DYN, "CallInfo"}, {SIM_PORT_REQ, "PortReq"},
	{SIM_PORT_CLOSE, "PortClose"},
};

const char *sim_sccp_name(uint32_t id)
{
	static char other[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].id == id)
			return names[i].name;
	}
	snprintf(other, sizeof(other), "0x%04X", id);
	return other;
}

/* --- writing: no builder can exceed SIM_SCCP_OUT_MAX --- */

struct wr {
	uint8_t *p;
	size_t off;
};

static void put32(struct wr *w, uint32_t v)
{
	uint8_t *p = w->p + w->off;

	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
	w->off += 4;
}

/* A fixed field: text, then zeros; the last octet stays zero where the text is too long. */
static void put_field(struct wr *w, const char *text, size_t n)
{
	size_t len = strnlen(text, n - 1);

	memset(w->p + w->off, 0, n);
	memcpy(w->p + w->off, text, len);
	w->off += n;
}

static void put_octets(struct wr *w, const uint8_t *data, size_t n, size_t room)
{
	memset(w->p + w->off, 0, room);
	memcpy(w->p + w->off, data, n);
	w->off += room;
}

static void put_address(struct wr *w, bool wide, const struct sim_addr *a)
{
	static const uint8_t none[16];
	bool v6 = sim_addr_ip_len(a) == 16;

	if (wide) {
		put32(w, v6);
		put_octets(w, sim_addr_ip(a), sim_addr_ip_len(a), 16);
	} else {
		put_octets(w, v6 ? none : sim_addr_ip(a), 4, 4);
	}
}

static struct wr begin(uint8_t *out, uint32_t version, uint32_t id)
{
	struct wr w = {.p = out, .off = 4};

	put32(&w, version);
	put32(&w, id);
	return w;
}

static size_t end(struct wr *w)
{
	size_t len = w->off;

	w->off = 0;
	put32(w, (uint32_t)(len - 8));
	return len;
}

size_t sim_sccp_register(uint8_t *out, const struct sim_sccp_register *reg)
{
	struct wr w = begin(out, 0, SIM_REGISTER);
	/* The bits that real phones send, by generation: UTF-8, dynamic messages, RFC 2833 and so on. */
	uint8_t ver[4] = {reg->protocol, 0, 0, 0}, mac[12] = {0};
	static const uint8_t zero[16];

	if (reg->protocol >= 17)
		memcpy(ver + 1, "\x00\x72\x85", 3);
	else if (reg->protocol >= 15)
		memcpy(ver + 1, "\x20\x70\x85", 3);
	else if (reg->protocol >= 11)
		memcpy(ver + 1, "\x00\x60\x85", 3);
	if (reg->mac_ascii)
		memcpy(mac, reg->name + 3, strnlen(reg->name + 3, 12));
	else if (sim_hex(reg->name + 3, mac, 6) < 0)
		memset(mac, 0, sizeof(mac));
	put_field(&w, reg->name, 16);
	put32(&w, 0);
	put32(&w, reg->instance);
	put_address(&w, false, &reg->ip);
	put32(&w, reg->device_type);
	put32(&w, reg->max_streams);
	put32(&w, reg->active_streams);
	put_octets(&w, ver, 4, 4);
	put32(&w, reg->load != NULL); /* conferences: at most, active */
	put32(&w, 0);
	put_octets(&w, mac, 12, 12);
	put32(&w, reg->load != NULL ? 3 : 0); /* scope */
	if (reg->load != NULL) {
		bool v6 = sim_addr_ip_len(&reg->ip) == 16;

		put32(&w, reg->line_max);
		put_octets(&w, v6 ? sim_addr_ip(&reg->ip) : zero, 16, 16);
		put32(&w, 0);
		put_field(&w, reg->load, 32);
	}
	return end(&w);
}

size_t sim_sccp_words(uint8_t *out, uint32_t version, uint32_t id, const uint32_t *words, size_t n)
{
	struct wr w = begin(out, version, id);

	for (size_t i = 0; i < n; i++)
		put32(&w, words[i]);
	return end(&w);
}

size_t sim_sccp_empty(uint8_t *out, uint32_t version, uint32_t id)
{
	return sim_sccp_words(out, version, id, NULL, 0);
}

size_t sim_sccp_caps(uint8_t *out, uint32_t version, const uint32_t (*caps)[2], size_t n)
{
	struct wr w = begin(out, version, SIM_CAPS_RES);

	n = n > 18 ? 18 : n;
	put32(&w, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put32(&w, caps[i][0]);
		put32(&w, caps[i][1]);
		put32(&w, 0);
		put32(&w, 0);
	}
	return end(&w);
}

size_t sim_sccp_enbloc(uint8_t *out, uint32_t version, const char *number, uint32_t line)
{
	struct wr w = begin(out, version, SIM_ENBLOC);

	put_field(&w, number, version >= 18 ? 25 : 24);
	put32(&w, line);
	while (w.off % 4 != 0)
		w.p[w.off++] = 0;
	return end(&w);
}

size_t sim_sccp_orc_ack(uint8_t *out, uint32_t version, uint32_t status, const struct sim_addr *local,
			uint32_t party, uint32_t callref)
{
	struct wr w = begin(out, version, SIM_ORC_ACK);

	put32(&w, status);
	put_address(&w, version >= 17, local);
	put32(&w, sim_addr_port(local));
	put32(&w, party);
	put32(&w, callref);
	return end(&w);
}

size_t sim_sccp_smt_ack(uint8_t *out, uint32_t version, uint32_t status, const struct sim_addr *local,
			uint32_t conference, uint32_t party, uint32_t callref)
{
	struct wr w = begin(out, version, SIM_SMT_ACK);

	put32(&w, conference);
	put32(&w, party);
	put32(&w, callref);
	put_address(&w, version >= 17, local);
	put32(&w, sim_addr_port(local));
	put32(&w, status);
	return end(&w);
}

size_t sim_sccp_port_res(uint8_t *out, uint32_t version, const struct sim_addr *local, uint32_t conference,
			 uint32_t party, uint32_t callref)
{
	struct wr w = begin(out, version, SIM_PORT_RES);

	put32(&w, conference);
	put32(&w, callref);
	put32(&w, party);
	put_address(&w, version >= 17, local);
	put32(&w, sim_addr_port(local));
	put32(&w, sim_addr_port(local) + 1U);
	if (version >= 19)
		put32(&w, 1);
	return end(&w);
}

size_t sim_sccp_stats(uint8_t *out, uint32_t version, const char *number, uint32_t callref, uint32_t mode,
		      const uint32_t stats[7])
{
	struct wr w = begin(out, version, SIM_STATS_RES);

	put_field(&w, number, version >= 18 ? 28 : 24);
	put32(&w, callref);
	if (version >= 18)
		w.p[w.off++] = (uint8_t)mode; /* one octet: what follows is unaligned */
	else
		put32(&w, mode);
	for (size_t i = 0; i < 7; i++)
		put32(&w, stats[i]);
	if (version >= 18)
		put32(&w, 0); /* no quality text */
	return end(&w);
}
