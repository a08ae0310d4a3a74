/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "signer.h"
#include "wire.h"

/* Fields in order: n name, u num, v num2, a b c blobs. */
static const struct {
	const char *name, *request, *reply;
} types[PKI_SIGNER_TYPE_MAX] = {
	[0] = {"unknown", "", ""}, /* only as the reply to what could not be read */
	[PKI_SIGNER_HELLO] = {"hello", "", "n"},
	[PKI_SIGNER_SERVER] = {"server", "n", "abc"},
	[PKI_SIGNER_TRUST] = {"trust", "u", "ua"},
	[PKI_SIGNER_CAS] = {"cas", "", "ab"},
	[PKI_SIGNER_LSC] = {"lsc", "nab", "a"},
	[PKI_SIGNER_TEST_ID] = {"test-id", "nu", "abc"},
	[PKI_SIGNER_SEAL] = {"seal", "ab", "a"},
	[PKI_SIGNER_UNSEAL] = {"unseal", "ab", "a"},
	[PKI_SIGNER_IDENT] = {"ident", "u", "nuvab"},
	[PKI_SIGNER_REGEN] = {"regen", "na", "a"},
	[PKI_SIGNER_CSR] = {"csr", "na", "a"},
	[PKI_SIGNER_IMPORT] = {"import", "na", ""},
	[PKI_SIGNER_RETIRE] = {"retire", "n", ""},
	[PKI_SIGNER_BACKUP] = {"backup", "ua", "uab"},
	[PKI_SIGNER_CRL] = {"crl", "nuva", "ua"},
	[PKI_SIGNER_RA] = {"ra", "nuvabc", "nuvab"},
	[PKI_SIGNER_SIGN] = {"sign", "nuvab", "a"},
};

const char *pki_signer_type_name(unsigned type)
{
	return type < PKI_SIGNER_TYPE_MAX ? types[type].name : types[0].name;
}

static const char *fields(const struct pki_signer_msg *m)
{
	if (m->rc != 0)
		return "n";
	return m->reply ? types[m->type].reply : types[m->type].request;
}

static void read_field(struct pki_rd *rd, char f, struct pki_signer_msg *m)
{
	struct pki_blob *blob = f == 'a' ? &m->a : f == 'b' ? &m->b : &m->c;
	const uint8_t *p;
	size_t n;

	if (f == 'u') {
		m->num = pki_rd_u32(rd);
	} else if (f == 'v') {
		m->num2 = pki_rd_u32(rd);
	} else if (f == 'n') {
		n = pki_rd_u8(rd);
		p = pki_rd_bytes(rd, n);
		if (p == NULL || n >= sizeof(m->name) || !pki_printable(p, n)) {
			rd->bad = true;
			return;
		}
		memcpy(m->name, p, n);
		m->name[n] = '\0';
	} else {
		blob->len = pki_rd_u32(rd);
		blob->p = pki_rd_bytes(rd, blob->len);
	}
}

int pki_signer_parse(const uint8_t *buf, size_t len, struct pki_signer_msg *ret_msg)
{
	struct pki_signer_msg m = {0};
	struct pki_rd rd = pki_rd_init(buf, len);
	uint16_t version = pki_rd_u16(&rd), type = pki_rd_u16(&rd);

	m.seq = pki_rd_u32(&rd);
	m.rc = (int32_t)pki_rd_u32(&rd);
	if (rd.bad || len > PKI_SIGNER_MSG_MAX) {
		*ret_msg = (struct pki_signer_msg){0};
		return -EBADMSG;
	}
	m.reply = (type & PKI_SIGNER_REPLY) != 0;
	m.type = type & (PKI_SIGNER_REPLY - 1);
	if (version != PKI_SIGNER_VERSION || m.type >= PKI_SIGNER_TYPE_MAX ||
	    (m.type == 0 && m.rc >= 0)) {
		*ret_msg = (struct pki_signer_msg){.seq = m.seq};
		return -EOPNOTSUPP;
	}
	if (m.rc > 0 || (m.rc != 0 && !m.reply))
		rd.bad = true;
	for (const char *f = fields(&m); *f != '\0' && !rd.bad; f++)
		read_field(&rd, *f, &m);
	if (!pki_rd_done(&rd)) {
		*ret_msg = (struct pki_signer_msg){.type = m.type, .reply = m.reply, .seq = m.seq};
		return -EBADMSG;
	}
	*ret_msg = m;
	return 0;
}

int pki_signer_build(const struct pki_signer_msg *m, uint8_t *buf, size_t room)
{
	struct pki_wr wr = pki_wr_init(buf, room < PKI_SIGNER_MSG_MAX ? room : PKI_SIGNER_MSG_MAX);
	size_t n = strnlen(m->name, sizeof(m->name));

	if (m->type >= PKI_SIGNER_TYPE_MAX || n >= sizeof(m->name) || m->rc > 0 ||
	    (m->rc != 0 && !m->reply) || (m->type == 0 && m->rc == 0))
		return -EINVAL;
	pki_wr_u16(&wr, PKI_SIGNER_VERSION);
	pki_wr_u16(&wr, (uint16_t)(m->type | (m->reply ? PKI_SIGNER_REPLY : 0)));
	pki_wr_u32(&wr, m->seq);
	pki_wr_u32(&wr, (uint32_t)m->rc);
	for (const char *f = fields(m); *f != '\0'; f++) {
		const struct pki_blob *blob = *f == 'a' ? &m->a : *f == 'b' ? &m->b : &m->c;

		if (*f == 'u') {
			pki_wr_u32(&wr, m->num);
		} else if (*f == 'v') {
			pki_wr_u32(&wr, m->num2);
		} else if (*f == 'n') {
			if (!pki_printable((const uint8_t *)m->name, n))
				return -EINVAL;
			pki_wr_u8(&wr, (uint8_t)n);
			pki_wr_bytes(&wr, m->name, n);
		} else {
			pki_wr_u32(&wr, (uint32_t)blob->len);
			pki_wr_bytes(&wr, blob->p, blob->len);
		}
	}
	return wr.bad ? -EMSGSIZE : (int)wr.len;
}
