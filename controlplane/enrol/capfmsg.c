/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "enrol/capfmsg.h"
#include "wire.h"

#define PROTOCOL   0x55
#define CERT_EXTRA 5 /* what stands before the DER in tag 4: 01, u16 = DER + 2, 00, kind */
#define SHA2_EXTRA 3 /* hash code, u16 */

const char *cp_capf_cmd_name(unsigned cmd)
{
	static const char *const names[] = {
		[CP_CAPF_AUTH_REQUEST] = "AUTH_REQUEST",
		[CP_CAPF_AUTH_RESPONSE] = "AUTH_RESPONSE",
		[CP_CAPF_KEYGEN_REQUEST] = "KEYGEN_REQUEST",
		[CP_CAPF_KEYGEN_RESPONSE] = "KEYGEN_RESPONSE",
		[CP_CAPF_STORE_CERT_REQUEST] = "STORE_CERT_REQUEST",
		[CP_CAPF_STORE_CERT_RESPONSE] = "STORE_CERT_RESPONSE",
		[CP_CAPF_FETCH_CERT_REQUEST] = "FETCH_CERT_REQUEST",
		[CP_CAPF_FETCH_CERT_RESPONSE] = "FETCH_CERT_RESPONSE",
		[CP_CAPF_DELETE_CERT_REQUEST] = "DELETE_CERT_REQUEST",
		[CP_CAPF_DELETE_CERT_RESPONSE] = "DELETE_CERT_RESPONSE",
		[CP_CAPF_END_SESSION] = "END_SESSION",
		[CP_CAPF_REQUEST_IN_PROGRESS] = "REQUEST_IN_PROGRESS",
	};

	return cmd < sizeof(names) / sizeof(names[0]) && names[cmd] != NULL ? names[cmd] : "unknown";
}

int cp_capf_frame(const uint8_t *buf, size_t len, uint32_t *ret_session)
{
	struct pki_rd rd = pki_rd_init(buf, len);
	uint32_t session;
	size_t whole;

	if (ret_session != NULL)
		*ret_session = 0;
	if (len > 0 && buf[0] != PROTOCOL)
		return -EPROTO;
	if (len < CP_CAPF_HDR_LEN)
		return 0;
	pki_rd_bytes(&rd, 2);
	session = pki_rd_u32(&rd);
	whole = CP_CAPF_HDR_LEN + (size_t)pki_rd_u16(&rd);
	if (ret_session != NULL)
		*ret_session = session;
	return whole > CP_CAPF_MSG_MAX ? -EMSGSIZE : (int)whole;
}

static struct cp_capf_bytes bytes_of(struct pki_rd *rd, size_t len)
{
	const uint8_t *p = pki_rd_bytes(rd, len);

	return (struct cp_capf_bytes){.p = p, .len = p != NULL ? len : 0};
}

/* "SEP", 12 hex digits, NUL. Upper or lower case: what it names is looked up as upper case, and signed as it was sent. */
static bool device_ok(const uint8_t *v, size_t len)
{
	if (len != 16 || memcmp(v, "SEP", 3) != 0 || v[15] != 0)
		return false;
	for (unsigned i = 3; i < 15; i++)
		if (!((v[i] >= '0' && v[i] <= '9') || (v[i] >= 'A' && v[i] <= 'F') || (v[i] >= 'a' && v[i] <= 'f')))
			return false;
	return true;
}

/* A string and its NUL. What is not made of digits is no authentication string of ours, but a wrong one and not a broken message. */
static bool password_ok(const uint8_t *v, size_t len)
{
	return len >= 1 && len <= CP_CAPF_STRING_MAX + 1 && memchr(v, 0, len) == v + len - 1;
}

static void element(struct cp_capf_msg *m, unsigned tag, struct cp_capf_bytes v, struct pki_rd *rd)
{
	struct pki_rd in = pki_rd_init(v.p, v.len);

	switch (tag) {
	case CP_CAPF_REASON: m->reason = pki_rd_u8(&in); break;
	case CP_CAPF_CERT_TYPE: m->cert_type = pki_rd_u8(&in); break;
	case CP_CAPF_TAG_VERSION: m->version = pki_rd_u8(&in); break;
	case CP_CAPF_AUTH_TYPE: m->auth_type = pki_rd_u8(&in); break;
	case CP_CAPF_KEY_TYPE: m->key_type = pki_rd_u8(&in); break;
	case CP_CAPF_CURVE: m->curve = pki_rd_u8(&in); break;
	case CP_CAPF_KEY_SIZE: m->key_bits = pki_rd_u16(&in); break;
	case CP_CAPF_CERT:
		if (pki_rd_u8(&in) != 1 || (size_t)pki_rd_u16(&in) + 3 != v.len || pki_rd_u8(&in) != 0)
			in.bad = true;
		m->cert_kind = pki_rd_u8(&in);
		m->cert = bytes_of(&in, in.left);
		in.bad |= m->cert.len == 0;
		break;
	case CP_CAPF_SHA2_SIGNED_DATA:
		m->sha2_hash = pki_rd_u8(&in);
		m->sha2 = bytes_of(&in, pki_rd_u16(&in));
		break;
	case CP_CAPF_SIGNED_DATA: m->signed_data = bytes_of(&in, v.len); break;
	case CP_CAPF_PUBLIC_KEY: m->public_key = bytes_of(&in, v.len); break;
	case CP_CAPF_SUDI: m->sudi = bytes_of(&in, v.len); break;
	case CP_CAPF_PASSWORD:
		in.bad |= !password_ok(v.p, v.len);
		m->password = bytes_of(&in, v.len);
		m->password.len -= m->password.len > 0;
		break;
	case CP_CAPF_DEVICE:
		in.bad |= !device_ok(v.p, v.len);
		m->device_raw = bytes_of(&in, v.len);
		if (!in.bad)
			memcpy(m->device, v.p, sizeof(m->device));
		break;
	default: return; /* not reached: known() */
	}
	rd->bad |= !pki_rd_done(&in);
}

static bool known(unsigned tag)
{
	return tag < 32 && (CP_CAPF_BIT(tag) &
			    (CP_CAPF_BIT(CP_CAPF_REASON) | CP_CAPF_BIT(CP_CAPF_CERT_TYPE) | CP_CAPF_BIT(CP_CAPF_CERT) |
			     CP_CAPF_BIT(CP_CAPF_SIGNED_DATA) | CP_CAPF_BIT(CP_CAPF_TAG_VERSION) |
			     CP_CAPF_BIT(CP_CAPF_AUTH_TYPE) | CP_CAPF_BIT(CP_CAPF_PUBLIC_KEY) | CP_CAPF_BIT(CP_CAPF_KEY_SIZE) |
			     CP_CAPF_BIT(CP_CAPF_PASSWORD) | CP_CAPF_BIT(CP_CAPF_DEVICE) | CP_CAPF_BIT(CP_CAPF_SUDI) |
			     CP_CAPF_BIT(CP_CAPF_KEY_TYPE) | CP_CAPF_BIT(CP_CAPF_CURVE) |
			     CP_CAPF_BIT(CP_CAPF_SHA2_SIGNED_DATA))) != 0;
}

int cp_capf_parse(const uint8_t *buf, size_t len, struct cp_capf_msg *ret)
{
	struct pki_rd rd = pki_rd_init(buf, len);
	struct cp_capf_msg m = {0};

	if (pki_rd_u8(&rd) != PROTOCOL)
		return len == 0 ? -EBADMSG : -EPROTO;
	m.cmd = pki_rd_u8(&rd);
	m.session = pki_rd_u32(&rd);
	if (pki_rd_u16(&rd) != rd.left || len > CP_CAPF_MSG_MAX)
		rd.bad = true;
	while (!rd.bad && rd.left > 0) {
		unsigned tag = pki_rd_u8(&rd);
		struct cp_capf_bytes v = bytes_of(&rd, pki_rd_u16(&rd));

		if (rd.bad)
			break;
		if (!known(tag)) {
			m.skipped++;
			continue;
		}
		if ((m.have & CP_CAPF_BIT(tag)) != 0)
			return -EBADMSG;
		m.have |= CP_CAPF_BIT(tag);
		element(&m, tag, v, &rd);
	}
	if (rd.bad)
		return -EBADMSG;
	*ret = m;
	return 0;
}

int cp_capf_sudi_parse(struct cp_capf_bytes sudi, struct cp_capf_sudi *ret)
{
	struct pki_rd rd = pki_rd_init(sudi.p, sudi.len);
	struct cp_capf_sudi s = {0};

	while (!rd.bad && rd.left > 0) {
		unsigned tag = pki_rd_u8(&rd);
		struct cp_capf_bytes v = bytes_of(&rd, pki_rd_u16(&rd)), *to;

		to = tag == 0 ? &s.cert : tag == 1 ? &s.sha1 : tag == 3 ? &s.sha512 : NULL;
		if (rd.bad || to == NULL || to->p != NULL || v.len == 0)
			return -EBADMSG;
		*to = v;
	}
	if (rd.bad || s.cert.p == NULL || s.sha512.p == NULL)
		return -EBADMSG;
	*ret = s;
	return 0;
}

/* --- building --- */

static void put(struct pki_wr *wr, unsigned tag, size_t len)
{
	pki_wr_u8(wr, (uint8_t)tag);
	pki_wr_uint(wr, len, 2);
	wr->bad |= len > UINT16_MAX;
}

static void put_uint(struct pki_wr *wr, unsigned tag, uint64_t v, unsigned n)
{
	put(wr, tag, n);
	pki_wr_uint(wr, v, n);
}

static void put_bytes(struct pki_wr *wr, unsigned tag, struct cp_capf_bytes v)
{
	put(wr, tag, v.len);
	pki_wr_bytes(wr, v.p, v.len);
}

static void put_element(struct pki_wr *wr, const struct cp_capf_msg *m, unsigned tag)
{
	switch (tag) {
	case CP_CAPF_REASON: put_uint(wr, tag, m->reason, 1); break;
	case CP_CAPF_CERT_TYPE: put_uint(wr, tag, m->cert_type, 1); break;
	case CP_CAPF_TAG_VERSION: put_uint(wr, tag, m->version, 1); break;
	case CP_CAPF_AUTH_TYPE: put_uint(wr, tag, m->auth_type, 1); break;
	case CP_CAPF_KEY_TYPE: put_uint(wr, tag, m->key_type, 1); break;
	case CP_CAPF_CURVE: put_uint(wr, tag, m->curve, 1); break;
	case CP_CAPF_KEY_SIZE: put_uint(wr, tag, m->key_bits, 2); break;
	case CP_CAPF_CERT:
		put(wr, tag, CERT_EXTRA + m->cert.len);
		pki_wr_u8(wr, 1);
		pki_wr_uint(wr, m->cert.len + 2, 2);
		pki_wr_u8(wr, 0);
		pki_wr_u8(wr, m->cert_kind);
		pki_wr_bytes(wr, m->cert.p, m->cert.len);
		break;
	case CP_CAPF_SHA2_SIGNED_DATA:
		put(wr, tag, SHA2_EXTRA + m->sha2.len);
		pki_wr_u8(wr, m->sha2_hash);
		pki_wr_uint(wr, m->sha2.len, 2);
		pki_wr_bytes(wr, m->sha2.p, m->sha2.len);
		break;
	case CP_CAPF_SIGNED_DATA: put_bytes(wr, tag, m->signed_data); break;
	case CP_CAPF_PUBLIC_KEY: put_bytes(wr, tag, m->public_key); break;
	case CP_CAPF_SUDI: put_bytes(wr, tag, m->sudi); break;
	case CP_CAPF_PASSWORD:
		put(wr, tag, m->password.len + 1);
		pki_wr_bytes(wr, m->password.p, m->password.len);
		pki_wr_u8(wr, 0);
		break;
	case CP_CAPF_DEVICE:
		put(wr, tag, sizeof(m->device));
		pki_wr_bytes(wr, m->device, sizeof(m->device));
		break;
	default: wr->bad = true;
	}
}

int cp_capf_build(const struct cp_capf_msg *msg, uint8_t *out, size_t room)
{
	struct pki_wr wr = pki_wr_init(out, room < CP_CAPF_MSG_MAX ? room : CP_CAPF_MSG_MAX);
	struct pki_wr len;

	for (unsigned tag = 0; tag < 32; tag++)
		if ((msg->have & CP_CAPF_BIT(tag)) != 0 && !known(tag))
			return -EINVAL;
	if (((msg->have & CP_CAPF_BIT(CP_CAPF_DEVICE)) != 0 &&
	     !device_ok((const uint8_t *)msg->device, sizeof(msg->device))) ||
	    ((msg->have & CP_CAPF_BIT(CP_CAPF_CERT)) != 0 && msg->cert.len == 0) ||
	    ((msg->have & CP_CAPF_BIT(CP_CAPF_PASSWORD)) != 0 && msg->password.len > CP_CAPF_STRING_MAX))
		return -EINVAL;
	pki_wr_u8(&wr, PROTOCOL);
	pki_wr_u8(&wr, msg->cmd);
	pki_wr_u32(&wr, msg->session);
	pki_wr_u16(&wr, 0);
	for (unsigned tag = 0; tag < 32; tag++)
		if ((msg->have & CP_CAPF_BIT(tag)) != 0)
			put_element(&wr, msg, tag);
	if (wr.bad)
		return -EMSGSIZE;
	len = pki_wr_init(out + 6, 2);
	pki_wr_uint(&len, wr.len - CP_CAPF_HDR_LEN, 2);
	return (int)wr.len;
}
