/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "enrol/capfop.h"
#include "log.h"
#include "store/phonecfg.h"
#include "why.h"

/* A session's modes are the record's. */
_Static_assert((int)CP_CAPF_BY_STRING == (int)CP_CAPF_STRING && (int)CP_CAPF_BY_NULL == (int)CP_CAPF_NULL &&
		       (int)CP_CAPF_BY_LSC == (int)CP_CAPF_LSC && (int)CP_CAPF_BY_MIC == (int)CP_CAPF_MIC &&
		       (int)CP_CAPF_BY_NOBODY == (int)CP_CAPF_NONE,
	       "store/phonecfg.h");

static const char *const op_names[] = {"none", "install", "delete", "troubleshoot"};
static const char *const op_texts[] = {"No Pending Operation", "Install/Upgrade", "Delete", "Troubleshoot"};

const char *cp_capf_op_name(unsigned op)
{
	return op < 4 ? op_names[op] : "unknown";
}

int cp_capf_op_parse(const char *name, uint8_t *ret)
{
	for (uint8_t i = 1; i < 4; i++)
		if (strcmp(op_names[i], name) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

int cp_capf_key_parse(const char *name, uint8_t *ret_key, uint8_t *ret_curve, uint16_t *ret_bits)
{
	static const struct {
		const char *name;
		uint8_t key, curve;
		uint16_t bits;
	} keys[] = {
		{"rsa-512", CP_CAPF_RSA, 0, 512},   {"rsa-1024", CP_CAPF_RSA, 0, 1024}, {"rsa-2048", CP_CAPF_RSA, 0, 2048},
		{"rsa-3072", CP_CAPF_RSA, 0, 3072}, {"rsa-4096", CP_CAPF_RSA, 0, 4096}, {"ec-p256", CP_CAPF_EC, CP_CAPF_P256, 0},
		{"ec-p384", CP_CAPF_EC, CP_CAPF_P384, 0}, {"ec-p521", CP_CAPF_EC, CP_CAPF_P521, 0},
	};

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].name, name) == 0) {
			*ret_key = keys[i].key;
			*ret_curve = keys[i].curve;
			*ret_bits = keys[i].bits;
			return 0;
		}
	return -EINVAL;
}

int cp_capf_string_check(const char *string, char *why, size_t size)
{
	size_t n = strlen(string);

	if (strspn(string, "0123456789") != n)
		return cfg_no(why, size, -EINVAL,
			      "Authentication String contains one or more invalid characters.Valid characters for Authentication String are numbers.");
	if (n < CP_CAPF_DIGITS_MIN || n > CP_CAPF_DIGITS_MAX)
		return cfg_no(why, size, -EINVAL, "CAPF Authentication String length should be between 4 and 10.");
	return 0;
}

int cp_capf_string_make(char *ret)
{
	for (unsigned i = 0; i < CP_CAPF_DIGITS;) {
		uint8_t b;

		if (RAND_priv_bytes(&b, 1) != 1)
			return -EIO;
		if (b < 250) /* each digit as likely as any other */
			ret[i++] = (char)('0' + b % 10);
	}
	ret[CP_CAPF_DIGITS] = '\0';
	return 0;
}

int cp_capf_deadline_parse(const char *text, int64_t now_us, int64_t *ret_us, char *why, size_t size)
{
	static const char sep[2][4] = {{':', ':', ':', '\0'}, {'-', '-', ' ', ':'}};
	int v[5] = {0, 0, 0, 0, 0};
	unsigned n = 0, style = strchr(text, '-') != NULL;
	time_t now = (time_t)(now_us / 1000000), t;
	struct tm tm, here;
	const char *p = text;

	for (; n < 5; n++) {
		int digits = 0;

		for (; isdigit((unsigned char)*p) && digits < 4; p++, digits++)
			v[n] = v[n] * 10 + (*p - '0');
		if (digits == 0)
			return cfg_no(why, size, -EINVAL,
				      "Operation Completes By contains one or more invalid characters.Valid characters for Operation Completes By are numbers.");
		if (*p == '\0')
			break;
		if (n == 4 || (*p != sep[style][n] && !(style == 1 && n == 2 && *p == 'T')))
			return cfg_no(why, size, -EINVAL,
				      "Operation Completes By contains one or more invalid characters.Valid characters for Operation Completes By are numbers.");
		p++;
	}
	if (n < 3) /* year, month, day, hour */
		return cfg_no(why, size, -EINVAL, "Operation Completes By is YYYY:MM:DD:HH or \"YYYY-MM-DD HH:MM\".");
	localtime_r(&now, &here);
	if (v[0] < here.tm_year + 1900 || v[0] > 9999)
		return cfg_no(why, size, -EINVAL, "Invalid Year.Please enter a value equal to or greater than the current year.");
	if (v[1] < 1 || v[1] > 12)
		return cfg_no(why, size, -EINVAL, "Invalid Month.Please adjust your entry to continue.");
	if (v[3] > 23 || v[4] > 59)
		return cfg_no(why, size, -EINVAL, "Invalid Time.Please adjust your entry to continue.");
	tm = (struct tm){.tm_year = v[0] - 1900, .tm_mon = v[1] - 1, .tm_mday = v[2], .tm_hour = v[3], .tm_min = v[4], .tm_isdst = -1};
	t = mktime(&tm);
	/* mktime() makes March of 31 February; an hour that the clock skips in spring is one later, on the same day */
	if (v[2] < 1 || t == (time_t)-1 || tm.tm_mon != v[1] - 1 || tm.tm_mday != v[2])
		return cfg_no(why, size, -EINVAL, "Invalid Date.Please adjust your entry to continue.");
	if (v[0] == here.tm_year + 1900 && (v[1] < here.tm_mon + 1 || (v[1] == here.tm_mon + 1 && v[2] < here.tm_mday)))
		return cfg_no(why, size, -EINVAL, "Invalid Date.Please enter a value equal to or greater than the current date.");
	/* "hours": the hour that runs is not over yet, unless minutes were said */
	if (t + (n == 3 ? 3600 : 0) <= now)
		return cfg_no(why, size, -EINVAL, "Invalid Time.Please enter a value equal to or greater than current time (hours).");
	*ret_us = (int64_t)(n == 3 && t <= now ? t + 3599 : t) * 1000000;
	return 0;
}

int cp_capf_op_set(struct cp_capf_oprec *rec, const struct cp_capf_set *s, int64_t now_us, char *why, size_t size)
{
	const char *key = s->key != NULL && s->key[0] != '\0' ? s->key : "rsa-2048";
	bool secure = s->mode != CP_DEVICE_NONSECURE;
	uint8_t kind, curve;
	uint16_t bits;

	if (s->op == CP_CAPF_OP_NONE || s->op > CP_CAPF_OP_FETCH)
		return cfg_no(why, size, -EINVAL, "an operation is install, delete or troubleshoot");
	if (s->foreign)
		return cfg_no(why, size, -EINVAL, "%s is another vendor's model: it has no CAPF; its certificate is uploaded to CallManager-trust",
			      s->device);
	if (s->by == CP_CAPF_NONE || s->by > CP_CAPF_MIC)
		return cfg_no(why, size, -EINVAL, "%s has no CAPF authentication: give --auth string, null, lsc or mic, or a profile that has one",
			      s->device);
	if (s->by == CP_CAPF_STRING && secure)
		return cfg_no(why, size, -EINVAL,
			      "%s is %s: such a phone does not ask its user for a string; use --auth null, lsc or mic, or make it nonsecure first",
			      s->device, cp_device_mode_name(s->mode));
	if (s->by == CP_CAPF_STRING && !s->has_string)
		return cfg_no(why, size, -EINVAL, "authentication by string needs --string or --generate");
	if (s->by != CP_CAPF_STRING && s->has_string)
		return cfg_no(why, size, -EINVAL, "a string is for --auth string");
	if (cp_capf_key_parse(key, &kind, &curve, &bits) < 0)
		return cfg_no(why, size, -EINVAL, "key %s is not rsa-512, rsa-1024, rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384 or ec-p521",
			      cfg_q(key));
	if (kind == CP_CAPF_RSA && s->backup_bits != 0)
		return cfg_no(why, size, -EINVAL, "a backup is for an EC key");
	if (s->backup_bits != 0 && s->backup_bits != 512 && s->backup_bits != 1024 && s->backup_bits != 2048 && s->backup_bits != 3072 &&
	    s->backup_bits != 4096)
		return cfg_no(why, size, -EINVAL, "no phone makes an RSA key of %u bits", s->backup_bits);
	if (((kind == CP_CAPF_RSA && bits < 2048) || (s->backup_bits != 0 && s->backup_bits < 2048)) && !s->old_keys)
		return cfg_no(why, size, -EINVAL, "RSA keys below 2048 bits are for old phones and have to be enabled: enrol.old_keys");
	if (s->op == CP_CAPF_OP_DELETE && !s->has_lsc && !s->force) /* 004b:CAPF-17 */
		return cfg_no(why, size, -EINVAL, "no LSC of %s is on record: there is nothing to delete; --force asks the phone all the same",
			      s->device);
	if (s->op == CP_CAPF_OP_DELETE && secure && !s->has_mic && !s->force) /* 004b:CAPF-26 */
		return cfg_no(why, size, -EINVAL,
			      "%s is %s and has shown no MIC: without its LSC it could not register; make it nonsecure first, or say --force",
			      s->device, cp_device_mode_name(s->mode));
	if (s->deadline_us <= now_us)
		return cfg_no(why, size, -EINVAL, "the operation would be over before it begins");
	snprintf(rec->device, sizeof(rec->device), "%s", s->device);
	rec->op = s->op;
	rec->by = s->by;
	rec->status = CP_CAPF_ST_PENDING;
	rec->id = s->id;
	rec->wave = s->wave;
	snprintf(rec->key, sizeof(rec->key), "%s", key);
	rec->backup_bits = s->backup_bits;
	rec->use_backup = false;
	rec->attempts = 0;
	rec->wrong = 0; /* of the string that was */
	rec->locked_us = 0;
	rec->deadline_us = s->deadline_us;
	rec->set_us = now_us;
	rec->last_us = rec->ended_us = 0;
	rec->tried = false;
	rec->outcome = 0;
	rec->detail[0] = '\0';
	if (rec->string.data != NULL) {
		OPENSSL_cleanse(rec->string.data, rec->string.len);
		free(rec->string.data);
		rec->string = (struct cp_buf){0};
	}
	return 0;
}

/* The string was for this operation alone. */
static void over(struct cp_capf_oprec *rec, enum cp_capf_status status, int64_t now_us)
{
	rec->status = (uint8_t)status;
	rec->ended_us = now_us;
	if (rec->string.data != NULL) {
		OPENSSL_cleanse(rec->string.data, rec->string.len);
		free(rec->string.data);
		rec->string = (struct cp_buf){0};
	}
}

bool cp_capf_op_cancel(struct cp_capf_oprec *rec, int64_t now_us)
{
	if (rec->status != CP_CAPF_ST_PENDING)
		return false;
	over(rec, CP_CAPF_ST_NONE, now_us);
	rec->op = CP_CAPF_OP_NONE;
	return true;
}

bool cp_capf_op_expire(struct cp_capf_oprec *rec, int64_t now_us)
{
	if (rec->status != CP_CAPF_ST_PENDING || rec->deadline_us == 0 || rec->deadline_us > now_us)
		return false;
	over(rec, CP_CAPF_ST_FAILED, now_us);
	if (!rec->tried)
		snprintf(rec->detail, sizeof(rec->detail), "the phone did not come before the operation had to be complete");
	return true;
}

void cp_capf_op_order(const struct cp_capf_oprec *rec, int64_t now_us, bool old_phone, struct cp_capf_order *ret)
{
	*ret = (struct cp_capf_order){.by = rec->by, .old_phone = old_phone};
	if (rec->status != CP_CAPF_ST_PENDING || (rec->deadline_us != 0 && rec->deadline_us <= now_us))
		return;
	ret->op = rec->op;
	ret->locked = rec->locked_us > now_us;
	if (cp_capf_key_parse(rec->key, &ret->key, &ret->curve, &ret->rsa_bits) < 0) {
		ret->key = CP_CAPF_RSA;
		ret->rsa_bits = 2048;
	}
	if (ret->key == CP_CAPF_EC && rec->use_backup && rec->backup_bits != 0) {
		ret->key = CP_CAPF_RSA;
		ret->rsa_bits = rec->backup_bits;
	}
}

/* What an outcome is for an operation that goes on. */
enum weight {
	NOTHING, /* costs no attempt */
	ATTEMPT,
	FINAL,
};

static enum weight weight_of(const struct cp_capf_oprec *rec, const struct cp_capf_end *e)
{
	switch (e->outcome) {
	case CP_CAPF_OUT_NO_KEY:
		return rec->backup_bits != 0 && !rec->use_backup ? ATTEMPT : FINAL;
	case CP_CAPF_OUT_PHONE:
	case CP_CAPF_OUT_KEY:
		return FINAL;
	case CP_CAPF_OUT_VERSION:
		return e->authenticated ? FINAL : NOTHING;
	case CP_CAPF_OUT_OLD_KEY:
		return ATTEMPT;
	case CP_CAPF_OUT_TIMEOUT:
	case CP_CAPF_OUT_GONE:
	case CP_CAPF_OUT_PROTOCOL:
		return e->authenticated ? ATTEMPT : NOTHING; /* who has only its name costs it nothing */
	default:
		return NOTHING; /* ours, or not authenticated */
	}
}

bool cp_capf_op_end(struct cp_capf_oprec *rec, const struct cp_capf_end *e, int64_t now_us, bool *ret_ended)
{
	enum weight w;

	if (ret_ended != NULL)
		*ret_ended = false;
	/* A phone that asks in vain says nothing new, and an operation that was cancelled or set anew meanwhile is not this one. */
	if (e->op == CP_CAPF_OP_NONE || rec->status != CP_CAPF_ST_PENDING || rec->op != e->op)
		return false;
	rec->tried = true;
	rec->last_us = now_us;
	rec->outcome = (uint8_t)e->outcome;
	snprintf(rec->detail, sizeof(rec->detail), "%s", e->detail);
	if (e->proof != NULL)
		rec->shown = e->proof_kind == CP_CAPF_PROOF_LSC ? 1 : 2;
	if (e->authenticated)
		rec->wrong = 0;
	if (e->outcome == CP_CAPF_OUT_DONE) {
		over(rec, CP_CAPF_ST_DONE, now_us);
		if (ret_ended != NULL)
			*ret_ended = true;
		return true;
	}
	if (e->outcome == CP_CAPF_OUT_WRONG_STRING) {
		if (rec->locked_us != 0 && rec->locked_us <= now_us) { /* the lock is over: it begins anew */
			rec->locked_us = 0;
			rec->wrong = 0;
		}
		if (++rec->wrong >= CP_CAPF_WRONG_MAX)
			rec->locked_us = now_us + CP_CAPF_LOCK_US;
	}
	w = weight_of(rec, e);
	if (e->outcome == CP_CAPF_OUT_NO_KEY && w == ATTEMPT)
		rec->use_backup = true;
	if (w == ATTEMPT)
		rec->attempts++;
	if (w == FINAL || rec->attempts >= CP_CAPF_ATTEMPTS) {
		over(rec, CP_CAPF_ST_FAILED, now_us);
		if (ret_ended != NULL)
			*ret_ended = true;
	}
	return true;
}

const char *cp_capf_op_text(const struct cp_capf_oprec *rec, char *buf, size_t size)
{
	if (rec->op == CP_CAPF_OP_NONE || rec->op > CP_CAPF_OP_FETCH || rec->status == CP_CAPF_ST_NONE)
		snprintf(buf, size, "%s", op_texts[0]);
	else if (rec->op == CP_CAPF_OP_DELETE && rec->status == CP_CAPF_ST_DONE)
		snprintf(buf, size, "Delete Success");
	else
		snprintf(buf, size, "%s %s", op_texts[rec->op],
			 rec->status == CP_CAPF_ST_PENDING ? "pending" : rec->status == CP_CAPF_ST_DONE ? "successful" : "failed");
	return buf;
}

const char *cp_capf_op_remedy(const struct cp_capf_oprec *rec)
{
	if (rec->status == CP_CAPF_ST_PENDING && !rec->tried)
		return rec->by == CP_CAPF_STRING ? "reset the phone, then type the string on it" : "reset the phone: it comes by itself";
	if (rec->status == CP_CAPF_ST_FAILED && !rec->tried)
		return "set the operation again, then reset the phone";
	if (rec->status == CP_CAPF_ST_FAILED && rec->outcome == CP_CAPF_OUT_GONE)
		return "the phone broke off too often: look at its network, then set the operation again";
	return rec->tried && rec->status != CP_CAPF_ST_DONE && rec->status != CP_CAPF_ST_NONE ?
		       cp_capf_outcome_remedy((enum cp_capf_outcome)rec->outcome) :
		       "";
}
