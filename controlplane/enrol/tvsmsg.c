/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "enrol/tvsmsg.h"
#include "wire.h"

#define PROTOCOL 0x57
#define VERSION  1

/* Order of writing: a query's answer has its status before the certificate. */
static const uint8_t order[] = {CP_TVS_DEVICE, CP_TVS_STATUS, CP_TVS_CERT,  CP_TVS_SUBJECT,
				CP_TVS_ISSUER, CP_TVS_SERIAL, CP_TVS_ROLES, CP_TVS_TTL};

static uint32_t needed(unsigned type)
{
	switch (type) {
	case CP_TVS_VERIFY_REQUEST: return CP_TVS_BIT(CP_TVS_CERT);
	case CP_TVS_QUERY_REQUEST: return CP_TVS_BIT(CP_TVS_ISSUER) | CP_TVS_BIT(CP_TVS_SERIAL);
	default: return CP_TVS_BIT(CP_TVS_STATUS);
	}
}

int cp_tvs_frame(const uint8_t *buf, size_t len)
{
	struct pki_rd rd = pki_rd_init(buf, len);
	size_t whole;

	if ((len > 0 && buf[0] != PROTOCOL) || (len > 1 && buf[1] != VERSION))
		return -EPROTO;
	if (len < CP_TVS_HDR_LEN)
		return 0;
	pki_rd_bytes(&rd, 8);
	whole = CP_TVS_HDR_LEN + (size_t)pki_rd_u16(&rd);
	return whole > CP_TVS_MSG_MAX ? -EMSGSIZE : (int)whole;
}

/* A name and its NUL. */
static const char *name_of(const uint8_t *p, size_t len, struct pki_rd *rd)
{
	if (len < 2 || len > CP_TVS_DN_MAX || memchr(p, 0, len) != p + len - 1) {
		rd->bad = true;
		return NULL;
	}
	return (const char *)p;
}

static bool element(struct cp_tvs_msg *m, unsigned tag, const uint8_t *p, size_t len, struct pki_rd *rd)
{
	struct pki_rd in = pki_rd_init(p, len);

	switch (tag) {
	case CP_TVS_DEVICE:
		rd->bad |= len < 2 || len > CP_TVS_NAME_MAX || p[0] != 1 || !pki_printable(p + 1, len - 1);
		if (!rd->bad)
			memcpy(m->device, p + 1, len - 1);
		break;
	case CP_TVS_CERT:
		rd->bad |= len == 0;
		m->cert = p;
		m->cert_len = len;
		break;
	case CP_TVS_SUBJECT: m->subject = name_of(p, len, rd); break;
	case CP_TVS_ISSUER: m->issuer = name_of(p, len, rd); break;
	case CP_TVS_SERIAL:
		rd->bad |= len == 0 || len > CP_TVS_SERIAL_MAX;
		m->serial = p;
		m->serial_len = len;
		break;
	case CP_TVS_STATUS:
		m->status = pki_rd_u8(&in);
		rd->bad |= !pki_rd_done(&in);
		break;
	case CP_TVS_ROLES:
		rd->bad |= len > CP_TVS_ROLES_MAX;
		if (!rd->bad && len > 0)
			memcpy(m->roles, p, len);
		m->role_cnt = (unsigned)len;
		break;
	case CP_TVS_TTL:
		m->ttl_s = pki_rd_u32(&in);
		rd->bad |= !pki_rd_done(&in);
		break;
	default: return false;
	}
	return true;
}

int cp_tvs_parse(const uint8_t *buf, size_t len, struct cp_tvs_msg *ret)
{
	struct pki_rd rd = pki_rd_init(buf, len);
	struct cp_tvs_msg m = {0};

	if (len > CP_TVS_MSG_MAX)
		return -EBADMSG;
	if (cp_tvs_frame(buf, len) == -EPROTO)
		return -EPROTO;
	pki_rd_bytes(&rd, 2);
	m.type = pki_rd_u8(&rd);
	pki_rd_u8(&rd);
	m.id = pki_rd_u32(&rd);
	if (pki_rd_u16(&rd) != rd.left || m.type < CP_TVS_VERIFY_REQUEST || m.type > CP_TVS_QUERY_RESPONSE)
		return -EBADMSG;
	while (!rd.bad && rd.left > 0) {
		unsigned tag = pki_rd_u8(&rd);
		size_t n = pki_rd_u16(&rd);
		const uint8_t *p = pki_rd_bytes(&rd, n);

		if (p == NULL)
			return -EBADMSG;
		if (tag < 32 && (m.have & CP_TVS_BIT(tag)) != 0)
			return -EBADMSG;
		if (!element(&m, tag, p, n, &rd))
			m.skipped++;
		else
			m.have |= CP_TVS_BIT(tag);
	}
	if (rd.bad || (m.have & needed(m.type)) != needed(m.type))
		return -EBADMSG;
	*ret = m;
	return 0;
}

static void put(struct pki_wr *wr, unsigned tag, const void *p, size_t len)
{
	pki_wr_u8(wr, (uint8_t)tag);
	pki_wr_uint(wr, len, 2);
	pki_wr_bytes(wr, p, len);
	wr->bad |= len > UINT16_MAX;
}

static void put_element(struct pki_wr *wr, const struct cp_tvs_msg *m, unsigned tag)
{
	size_t n;

	switch (tag) {
	case CP_TVS_DEVICE:
		n = strnlen(m->device, sizeof(m->device));
		pki_wr_u8(wr, (uint8_t)tag);
		pki_wr_uint(wr, n + 1, 2);
		pki_wr_u8(wr, 1);
		pki_wr_bytes(wr, m->device, n);
		break;
	case CP_TVS_CERT: put(wr, tag, m->cert, m->cert_len); break;
	case CP_TVS_SUBJECT: put(wr, tag, m->subject, strlen(m->subject) + 1); break;
	case CP_TVS_ISSUER: put(wr, tag, m->issuer, strlen(m->issuer) + 1); break;
	case CP_TVS_SERIAL: put(wr, tag, m->serial, m->serial_len); break;
	case CP_TVS_STATUS: put(wr, tag, &m->status, 1); break;
	case CP_TVS_ROLES: put(wr, tag, m->roles, m->role_cnt); break;
	default: /* CP_TVS_TTL */
		pki_wr_u8(wr, (uint8_t)tag);
		pki_wr_uint(wr, 4, 2);
		pki_wr_u32(wr, m->ttl_s);
	}
}

int cp_tvs_build(const struct cp_tvs_msg *msg, uint8_t *out, size_t room)
{
	struct pki_wr wr = pki_wr_init(out, room < CP_TVS_MSG_MAX ? room : CP_TVS_MSG_MAX), len;
	uint32_t left = msg->have;

	if (msg->role_cnt > CP_TVS_ROLES_MAX || (msg->have & needed(msg->type)) != needed(msg->type))
		return -EINVAL;
	pki_wr_u8(&wr, PROTOCOL);
	pki_wr_u8(&wr, VERSION);
	pki_wr_u8(&wr, msg->type);
	pki_wr_u8(&wr, 0);
	pki_wr_u32(&wr, msg->id);
	pki_wr_u16(&wr, 0);
	for (size_t i = 0; i < sizeof(order); i++) {
		if ((msg->have & CP_TVS_BIT(order[i])) != 0)
			put_element(&wr, msg, order[i]);
		left &= ~CP_TVS_BIT(order[i]);
	}
	if (left != 0)
		return -EINVAL;
	if (wr.bad)
		return -EMSGSIZE;
	len = pki_wr_init(out + 8, 2);
	pki_wr_uint(&len, wr.len - CP_TVS_HDR_LEN, 2);
	return (int)wr.len;
}
