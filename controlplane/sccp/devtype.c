/* SPDX-License-Identifier: BSD-3-Clause */
#include "devtype.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "store/records.h"


#define PHONE  (CP_DT_TLS | CP_DT_SRTP | CP_DT_TRUSTED | CP_DT_ICON | CP_DT_BRIDGE)
#define OLD    (CP_DT_TLS | CP_DT_SRTP | CP_DT_TRUSTED | CP_DT_ICON | CP_DT_OLD_SRTP | CP_DT_BRIDGE)
#define LATER  (PHONE | CP_DT_TONE)
#define SIMPLE CP_DT_TRUSTED

/* Types that encrypt over SCCP: 001:P1-142; later ones and the numbers: wire formats 6.3. 7912 and older ones: 001:P1-143. */
static const struct cp_devtype types[] = {
	{"7902", 0, SIMPLE},     {"7905", 0, SIMPLE},     {"7910", 0, SIMPLE},     {"7912", 0, SIMPLE},     {"7920", 0, SIMPLE},
	{"7935", 0, SIMPLE},     {"7936", 0, SIMPLE},     {"7937", 0x1af, SIMPLE}, {"7940", 0, OLD},        {"7960", 0, OLD},
	{"7906", 0, PHONE},      {"7911", 0x133, PHONE},  {"7921", 0, PHONE},      {"7925", 0, PHONE},      {"7926", 0, PHONE},
	{"7931", 0, PHONE},      {"7941", 0x73, PHONE},   {"7942", 0x1b2, LATER},  {"7945", 0x1b3, LATER},  {"7961", 0x7542, PHONE},
	{"7962", 0x194, LATER},  {"7965", 0x1b4, LATER},  {"7970", 0x7536, PHONE}, {"7971", 0x77, PHONE},   {"7975", 0x1b5, LATER},
	{"6901", 0, SIMPLE},     {"6911", 0, SIMPLE},     {"6921", 0x1ef, PHONE},  {"6941", 0x1f0, PHONE},  {"6945", 0x234, PHONE},
	{"6961", 0, PHONE},      {"7811", 0, LATER},      {"7821", 0, LATER},      {"7841", 0, LATER},      {"7861", 0, LATER},
	{"8811", 0, LATER},      {"8841", 0, LATER},      {"8845", 0, LATER},      {"8851", 0, LATER},      {"8861", 0, LATER},
	{"8865", 0, LATER},      {"8941", 0, LATER},      {"8945", 0x249, LATER},  {"8961", 0, LATER},      {"9951", 0, LATER},
	{"9971", 0, LATER},      {"3905", 0, SIMPLE},     {"7832", 0, LATER},      {"7985", 0, SIMPLE},     {"8821", 0, LATER},
	{"8831", 0, LATER},      {"8832", 0, LATER},
};
/*
 * Voice gateways that speak MGCP: the vendor's routers with voice ports, analogue gateways and blades. All are trusted, as the
 * vendor's devices are (000:P0-12, P0-15).
 */
static const char *const gateways[] = {
	"26xx", "2691", "28xx", "29xx", "3640", "3660", "37xx", "38xx", "39xx", "43xx", "44xx", "VG200", "VG202", "VG204", "VG224", "VG248",
	"VG310", "VG320", "VG350", "WS-SVC-CMM", "WS-X6608", "WS-X6624", "IAD24xx", "1751", "1760", "ICS7750",
};
static const struct cp_devtype gateway_type = {"gateway", 0, CP_DT_TLS | CP_DT_SRTP | CP_DT_TRUSTED};
static const struct cp_devtype generic = {"phone", 0, PHONE};
static const struct cp_devtype unknown = {"unknown", 0, 0};

/* The first run of exactly four digits. */
static const char *number_in(const char *model)
{
	while (*model != '\0') {
		size_t n = strspn(model, "0123456789");

		if (n == 4)
			return model;
		model += n;
		while (*model != '\0' && !isdigit((unsigned char)*model))
			model++;
	}
	return NULL;
}

const struct cp_devtype *cp_devtype_find(const char *model, uint32_t type)
{
	const char *number = number_in(model);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (number != NULL && strncmp(types[i].model, number, 4) == 0)
			return &types[i];
		if (model[0] == '\0' && type != 0 && types[i].type == type)
			return &types[i];
	}
	return model[0] == '\0' ? &generic : &unknown;
}

bool cp_devtype_known(const struct cp_devtype *t)
{
	return t != &unknown && t != &generic;
}

const struct cp_devtype *cp_devtype_at(unsigned i)
{
	return i < sizeof(types) / sizeof(types[0]) ? &types[i] : NULL;
}

bool cp_devtype_mode_ok(const struct cp_devtype *t, int mode)
{
	if (mode == (int)CP_DEVICE_NONSECURE)
		return true;
	return (t->flags & CP_DT_TLS) != 0 && (mode != (int)CP_DEVICE_ENCRYPTED || (t->flags & CP_DT_AUTH_ONLY) == 0);
}

/* "28xx" stands for 2801, 2811, ...; what stands behind a name, as in VG224-ICC or WS-X6608-T1, does not matter. */
static bool gateway_is(const char *text, const char *name)
{
	for (; *name != '\0'; name++, text++)
		if (*name == 'x' ? !isdigit((unsigned char)*text) : toupper((unsigned char)*text) != *name)
			return false;
	return !isalnum((unsigned char)*text) || (isalpha((unsigned char)*text) && !isdigit((unsigned char)text[1]));
}

const struct cp_devtype *cp_devtype_gateway(const char *type)
{
	if (type[0] == '\0')
		return &gateway_type;
	if (strncasecmp(type, "Cisco ", 6) == 0)
		type += 6;
	for (size_t i = 0; i < sizeof(gateways) / sizeof(gateways[0]); i++)
		if (gateway_is(type, gateways[i]))
			return &gateway_type;
	return &unknown;
}

const char *cp_devtype_trust_text(const struct cp_devtype *t)
{
	return (t->flags & CP_DT_TRUSTED) != 0 ? "Device Is Trusted" : "Device Is Not Trusted";
}
