/* SPDX-License-Identifier: BSD-3-Clause */
#include "certder.h"

#include <errno.h>
#include <time.h>

#include "der.h"
#include "x509.h"

#define VERSION    0xa0 /* [0] EXPLICIT */
#define EXTENSIONS 0xa3

static unsigned two(struct pki_rd *rd)
{
	unsigned a = pki_rd_u8(rd) - '0', b = pki_rd_u8(rd) - '0';

	rd->bad |= a > 9 || b > 9;
	return rd->bad ? 0 : a * 10 + b;
}

/* UTCTime to 2049, GeneralizedTime from 2050 on, both to the second and in UTC (RFC 5280 4.1.2.5). */
static int64_t time_of(struct pki_rd *rd)
{
	bool utc = rd->left > 0 && rd->p[0] == PKI_DER_UTC_TIME;
	struct pki_rd in = pki_der_next(rd, utc ? PKI_DER_UTC_TIME : PKI_DER_GEN_TIME);
	unsigned y = two(&in), mon, day, h, min, s;
	struct tm tm;

	y = utc ? y + (y < 50 ? 2000 : 1900) : y * 100 + two(&in);
	mon = two(&in);
	day = two(&in);
	h = two(&in);
	min = two(&in);
	s = two(&in);
	if (pki_rd_u8(&in) != 'Z' || !pki_rd_done(&in) || mon < 1 || mon > 12 || day < 1 || day > 31 || h > 23 || min > 59 || s > 59) {
		rd->bad = true;
		return 0;
	}
	tm = (struct tm){.tm_year = (int)y - 1900, .tm_mon = (int)mon - 1, .tm_mday = (int)day, .tm_hour = (int)h, .tm_min = (int)min,
			 .tm_sec = (int)s};
	return (int64_t)timegm(&tm);
}

int pki_certder_parse(const uint8_t *der, size_t len, struct pki_certder *ret)
{
	struct pki_rd rd = pki_rd_init(der, len), cert, tbs, version, number, validity, serial;
	struct pki_certder c;
	const uint8_t *from;

	if (len == 0 || len > PKI_DER_MAX)
		return -EBADMSG;
	cert = pki_der_next(&rd, PKI_DER_SEQUENCE);
	tbs = pki_der_next(&cert, PKI_DER_SEQUENCE);
	(void)pki_der_next(&cert, PKI_DER_SEQUENCE); /* algorithm */
	(void)pki_der_next(&cert, PKI_DER_BIT_STRING);
	version = pki_der_next(&tbs, VERSION);
	number = pki_der_next(&version, PKI_DER_INTEGER);
	serial = pki_der_positive(&tbs);
	(void)pki_der_next(&tbs, PKI_DER_SEQUENCE); /* algorithm */
	(void)pki_der_next(&tbs, PKI_DER_SEQUENCE); /* issuer */
	validity = pki_der_next(&tbs, PKI_DER_SEQUENCE);
	(void)time_of(&validity);
	c.not_after = time_of(&validity);
	(void)pki_der_next(&tbs, PKI_DER_SEQUENCE); /* subject */
	from = tbs.p;
	(void)pki_der_next(&tbs, PKI_DER_SEQUENCE);
	c.spki = from;
	c.spki_len = tbs.bad ? 0 : (size_t)(tbs.p - from);
	if (tbs.left > 0)
		(void)pki_der_next(&tbs, EXTENSIONS);
	c.serial = serial.p;
	c.serial_len = serial.left;
	if (!pki_rd_done(&rd) || !pki_rd_done(&cert) || !pki_rd_done(&tbs) || !pki_rd_done(&version) || !pki_der_is(&number, "\2", 1) ||
	    !pki_rd_done(&validity))
		return -EBADMSG;
	*ret = c;
	return 0;
}
