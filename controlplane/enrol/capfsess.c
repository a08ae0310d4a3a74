/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "enrol/capfsess.h"

enum state {
	WAIT_AUTH,    /* for AUTH_RESPONSE */
	WAIT_ORDER,   /* for the owner */
	WAIT_KEY,     /* for KEYGEN_RESPONSE */
	WAIT_ISSUE,   /* for the owner */
	WAIT_STORED,  /* for STORE_CERT_RESPONSE */
	WAIT_FETCHED,
	WAIT_DELETED,
	WAIT_RECORD, /* for the owner, then the end */
	ENDED
};

struct cp_capf_sess {
	struct cp_capf_owner owner;
	enum state state;
	uint32_t id;
	uint64_t deadline_ms;
	unsigned progress;
	char device[16]; /* upper case */
	uint8_t version;
	bool found, authenticated, offered, gone;
	uint8_t *auth; /* the AUTH_RESPONSE, kept until there is an order */
	size_t auth_len;
	struct cp_capf_order order;
	enum cp_capf_outcome outcome;
	char detail[160];
	X509 *proof, *fetched;
	enum cp_capf_proof proof_kind;
	uint8_t fetched_kind;
	uint8_t reason; /* of END_SESSION */
};

const char *cp_capf_outcome_text(enum cp_capf_outcome out)
{
	static const char *const text[CP_CAPF_OUT_MAX] = {
		[CP_CAPF_OUT_DONE] = "successful",
		[CP_CAPF_OUT_NOTHING] = "no operation is pending",
		[CP_CAPF_OUT_UNKNOWN_DEVICE] = "no such device",
		[CP_CAPF_OUT_WRONG_STRING] = "the authentication string is wrong",
		[CP_CAPF_OUT_LOCKED] = "wrong authentication strings came too often",
		[CP_CAPF_OUT_NO_CERTIFICATE] = "the phone has neither LSC nor MIC",
		[CP_CAPF_OUT_CERTIFICATE] = "the phone's certificate is not believed",
		[CP_CAPF_OUT_NOT_ALLOWED] = "the device's authentication mode allows no operation",
		[CP_CAPF_OUT_VERSION] = "the phone speaks another version of the protocol",
		[CP_CAPF_OUT_PROTOCOL] = "the phone broke the protocol",
		[CP_CAPF_OUT_NO_KEY] = "the phone could not make a key",
		[CP_CAPF_OUT_KEY] = "the phone's key is not what was asked for",
		[CP_CAPF_OUT_ISSUE] = "the certificate could not be issued",
		[CP_CAPF_OUT_PHONE] = "the phone could not do it",
		[CP_CAPF_OUT_TIMEOUT] = "the phone did not answer in time",
		[CP_CAPF_OUT_GONE] = "the connection ended",
		[CP_CAPF_OUT_BUSY] = "another session of this device is under way",
		[CP_CAPF_OUT_STORE] = "the outcome could not be written down",
		[CP_CAPF_OUT_AWAITING] = "its certificate is asked for at the external CA",
		[CP_CAPF_OUT_CA] = "the external CA refused",
		[CP_CAPF_OUT_OLD_KEY] = "the phone has no key for the certificate that came",
	};

	return (unsigned)out < CP_CAPF_OUT_MAX ? text[out] : "unknown";
}

const char *cp_capf_outcome_remedy(enum cp_capf_outcome out)
{
	static const char *const text[CP_CAPF_OUT_MAX] = {
		[CP_CAPF_OUT_NOTHING] = "set an operation, then reset the phone",
		[CP_CAPF_OUT_UNKNOWN_DEVICE] = "add the device, or look where a phone of that name comes from",
		[CP_CAPF_OUT_WRONG_STRING] = "read the string from the device's report and type it on the phone again",
		[CP_CAPF_OUT_LOCKED] = "wait ten minutes, or 'ravelinctl capf unlock', or set the operation again with a new string",
		[CP_CAPF_OUT_NO_CERTIFICATE] = "use an authentication string, or null string in a closed network",
		[CP_CAPF_OUT_CERTIFICATE] = "for a MIC upload its manufacturer's CA to CAPF-trust; else use an authentication string",
		[CP_CAPF_OUT_NOT_ALLOWED] = "set an authentication mode in the device's profile",
		[CP_CAPF_OUT_VERSION] = "ask for an RSA key; else the phone needs other firmware",
		[CP_CAPF_OUT_PROTOCOL] = "reset the phone; if it stays, look at its firmware",
		[CP_CAPF_OUT_NO_KEY] = "ask for a smaller key, or for RSA",
		[CP_CAPF_OUT_KEY] = "look at the device's key type and size, and at the phone's firmware",
		[CP_CAPF_OUT_ISSUE] = "look at the signer's log and at alarms",
		[CP_CAPF_OUT_PHONE] = "look at the phone's status messages, then reset it",
		[CP_CAPF_OUT_TIMEOUT] = "reset the phone; a key may take half an hour on an old one",
		[CP_CAPF_OUT_GONE] = "the phone tries again by itself: three times, 30 seconds apart",
		[CP_CAPF_OUT_BUSY] = "look whether two phones have this name; a phone that vanished is noticed within half a minute",
		[CP_CAPF_OUT_STORE] = "look at the store's alarms; the phone tries again",
		[CP_CAPF_OUT_AWAITING] = "let the CA issue (batch: capf requests, capf certificates); once the certificate is there, reset the phone",
		[CP_CAPF_OUT_CA] = "mend what the CA says, then reset the phone: it makes a new key",
		[CP_CAPF_OUT_OLD_KEY] = "reset the phone: it is asked for a new key",
	};

	return (unsigned)out < CP_CAPF_OUT_MAX && text[out] != NULL ? text[out] : "";
}

static void wait_for(struct cp_capf_sess *s, enum state state, unsigned seconds)
{
	s->state = state;
	s->deadline_ms = s->owner.now_ms(s->owner.ctx) + (uint64_t)seconds * 1000;
}

static void send_msg(struct cp_capf_sess *s, struct cp_capf_msg *m)
{
	uint8_t buf[CP_CAPF_MSG_MAX];
	int n;

	m->session = s->id;
	n = s->gone ? -ENOTCONN : cp_capf_build(m, buf, sizeof(buf));
	if (n > 0)
		s->owner.send(s->owner.ctx, buf, (size_t)n);
}

/* The last word, if somebody still listens. */
static void finish(struct cp_capf_sess *s)
{
	struct cp_capf_msg m = {.cmd = CP_CAPF_END_SESSION, .have = CP_CAPF_BIT(CP_CAPF_REASON), .reason = s->reason};

	send_msg(s, &m);
	s->state = ENDED;
	OPENSSL_cleanse(&s->order, sizeof(s->order));
	s->owner.close(s->owner.ctx); /* may destroy us */
}

static void __attribute__((format(printf, 4, 5)))
end(struct cp_capf_sess *s, enum cp_capf_outcome outcome, unsigned reason, const char *fmt, ...)
{
	struct cp_capf_end e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->detail, sizeof(s->detail), fmt, ap);
	va_end(ap);
	s->outcome = outcome;
	s->reason = (uint8_t)reason;
	if (!s->found) {
		finish(s);
		return;
	}
	wait_for(s, WAIT_RECORD, CP_CAPF_OWNER_S);
	e = (struct cp_capf_end){
		.outcome = outcome,
		.op = s->order.op,
		.device = s->device,
		.detail = s->detail,
		.authenticated = s->authenticated,
		.offered = s->offered,
		.proof = s->proof,
		.proof_kind = s->proof_kind,
		.fetched = s->fetched,
		.fetched_kind = s->fetched_kind,
	};
	s->owner.record(s->owner.ctx, s, &e);
}

void cp_capf_sess_recorded(struct cp_capf_sess *s, int rc)
{
	if (s->state != WAIT_RECORD)
		return;
	/* Never told as done what may be gone after the next power cut. */
	if (rc != 0 && s->reason != CP_CAPF_FAILED)
		s->reason = CP_CAPF_FAILED;
	finish(s);
}

struct cp_capf_sess *cp_capf_sess_create(const struct cp_capf_owner *owner, uint32_t id)
{
	struct cp_capf_sess *s = calloc(1, sizeof(*s));
	struct cp_capf_msg m = {
		.cmd = CP_CAPF_AUTH_REQUEST,
		.have = CP_CAPF_BIT(CP_CAPF_TAG_VERSION) | CP_CAPF_BIT(CP_CAPF_AUTH_TYPE),
		.version = CP_CAPF_VERSION,
	};

	if (s == NULL)
		return NULL;
	s->owner = *owner;
	s->id = id;
	wait_for(s, WAIT_AUTH, CP_CAPF_AUTH_S);
	send_msg(s, &m);
	return s;
}

static void forget_auth(struct cp_capf_sess *s)
{
	if (s->auth != NULL)
		OPENSSL_clear_free(s->auth, s->auth_len); /* it may hold the string */
	s->auth = NULL;
}

void cp_capf_sess_destroy(struct cp_capf_sess *s)
{
	if (s == NULL)
		return;
	forget_auth(s);
	OPENSSL_cleanse(&s->order, sizeof(s->order));
	X509_free(s->proof);
	X509_free(s->fetched);
	free(s);
}

/* --- who is it --- */

static void got_auth(struct cp_capf_sess *s, const struct cp_capf_msg *m, const uint8_t *msg, size_t len)
{
	if (m->version > CP_CAPF_VERSION || m->version == 0) {
		end(s, CP_CAPF_OUT_VERSION, CP_CAPF_FAILED, "version %u", m->version);
		return;
	}
	if ((m->have & CP_CAPF_BIT(CP_CAPF_DEVICE)) == 0) {
		end(s, CP_CAPF_OUT_PROTOCOL, CP_CAPF_FAILED, "it does not say who it is");
		return;
	}
	s->version = m->version;
	for (unsigned i = 0; i < sizeof(s->device); i++)
		s->device[i] = (char)toupper((unsigned char)m->device[i]);
	s->auth = OPENSSL_malloc(len);
	if (s->auth == NULL) {
		end(s, CP_CAPF_OUT_ISSUE, CP_CAPF_FAILED, "no memory");
		return;
	}
	memcpy(s->auth, msg, len);
	s->auth_len = len;
	wait_for(s, WAIT_ORDER, CP_CAPF_OWNER_S);
	s->owner.order(s->owner.ctx, s, s->device);
}

/* 0: it is who it says, by the order's mode. Else how it ends, with s->detail. */
static enum cp_capf_outcome authenticate(struct cp_capf_sess *s, const struct cp_capf_msg *m)
{
	struct cp_capf_trust trust = {0};
	int rc;

	switch (s->order.by) {
	case CP_CAPF_BY_NULL: return CP_CAPF_OUT_DONE;
	case CP_CAPF_BY_STRING:
		if (s->order.locked)
			return CP_CAPF_OUT_LOCKED;
		if (s->order.string[0] == '\0' || !cp_capf_string_ok(m, s->order.string))
			return CP_CAPF_OUT_WRONG_STRING;
		return CP_CAPF_OUT_DONE;
	case CP_CAPF_BY_LSC:
	case CP_CAPF_BY_MIC:
		s->owner.trust(s->owner.ctx, &trust);
		trust.old_phones = s->order.old_phone;
		rc = cp_capf_proof_check(m, &trust, s->owner.now(s->owner.ctx), &s->proof, &s->proof_kind, s->detail,
					 sizeof(s->detail));
		return rc == 0 ? CP_CAPF_OUT_DONE : rc == -ENODATA ? CP_CAPF_OUT_NO_CERTIFICATE : CP_CAPF_OUT_CERTIFICATE;
	default: return CP_CAPF_OUT_NOT_ALLOWED;
	}
}

static void ask_key(struct cp_capf_sess *s)
{
	struct cp_capf_msg m = {.cmd = CP_CAPF_KEYGEN_REQUEST, .key_type = s->order.key};

	if (s->order.key == CP_CAPF_EC) {
		m.have = CP_CAPF_BIT(CP_CAPF_KEY_TYPE) | CP_CAPF_BIT(CP_CAPF_CURVE);
		m.curve = s->order.curve;
	} else {
		m.have = CP_CAPF_BIT(CP_CAPF_KEY_SIZE);
		m.key_bits = s->order.rsa_bits;
		if (s->version >= 3) /* a version-2 phone is sent the size alone */
			m.have |= CP_CAPF_BIT(CP_CAPF_KEY_TYPE);
	}
	wait_for(s, WAIT_KEY, CP_CAPF_KEYGEN_S);
	send_msg(s, &m);
}

void cp_capf_sess_order(struct cp_capf_sess *s, int rc, const struct cp_capf_order *order)
{
	enum cp_capf_outcome who;
	struct cp_capf_msg m;

	if (s->state != WAIT_ORDER)
		return;
	if (rc == -ENOENT) {
		end(s, CP_CAPF_OUT_UNKNOWN_DEVICE, CP_CAPF_UNKNOWN_DEVICE, "%s", s->device);
		return;
	}
	if (rc == -EBUSY) {
		end(s, CP_CAPF_OUT_BUSY, CP_CAPF_FAILED, "%s", s->device);
		return;
	}
	if (rc != 0 || cp_capf_parse(s->auth, s->auth_len, &m) != 0) {
		end(s, CP_CAPF_OUT_ISSUE, CP_CAPF_FAILED, "its record cannot be read now");
		return;
	}
	s->found = true;
	s->order = *order;
	if (s->order.op == CP_CAPF_OP_NONE) { /* who asks for nothing need not prove anything */
		forget_auth(s);
		end(s, CP_CAPF_OUT_NOTHING, CP_CAPF_NOTHING, "%s", "");
		return;
	}
	who = authenticate(s, &m);
	forget_auth(s);
	if (who != CP_CAPF_OUT_DONE) {
		char why[sizeof(s->detail)];

		memcpy(why, s->detail, sizeof(why));
		end(s, who, CP_CAPF_FAILED, "%s", why);
		return;
	}
	s->authenticated = true;
	if (s->owner.known != NULL)
		s->owner.known(s->owner.ctx);
	switch (s->order.op) {
	case CP_CAPF_OP_INSTALL:
		if (s->order.awaiting) {
			end(s, CP_CAPF_OUT_AWAITING, CP_CAPF_NOTHING, "the CA has not issued yet");
		} else if (s->order.ready) {
			wait_for(s, WAIT_ISSUE, CP_CAPF_OWNER_S);
			s->owner.issue(s->owner.ctx, s, s->device, NULL);
		} else if (s->order.key == CP_CAPF_EC && s->version < 3) {
			end(s, CP_CAPF_OUT_VERSION, CP_CAPF_FAILED, "version %u knows no EC keys", s->version);
		} else {
			ask_key(s);
		}
		break;
	case CP_CAPF_OP_DELETE:
		wait_for(s, WAIT_DELETED, CP_CAPF_STORE_S);
		send_msg(s, &(struct cp_capf_msg){.cmd = CP_CAPF_DELETE_CERT_REQUEST});
		break;
	default:
		wait_for(s, WAIT_FETCHED, CP_CAPF_STORE_S);
		send_msg(s, &(struct cp_capf_msg){.cmd = CP_CAPF_FETCH_CERT_REQUEST});
	}
}

/* --- install --- */

/* The key is what was asked for. NULL, or what is wrong with it. */
static const char *key_wrong(const struct cp_capf_order *o, const struct pki_spki *key)
{
	static const int curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};

	if (o->key == CP_CAPF_EC) {
		if (key->nid == NID_rsaEncryption)
			return "it is no EC key";
		if (o->curve >= 3 || key->nid != curves[o->curve])
			return "it is of another curve";
	} else {
		if (key->nid != NID_rsaEncryption)
			return "it is no RSA key";
		if (key->bits < o->rsa_bits)
			return "it is shorter";
	}
	return NULL;
}

static void got_key(struct cp_capf_sess *s, const struct cp_capf_msg *m)
{
	struct cp_capf_bytes pub = m->public_key;
	const char *wrong = NULL;
	uint8_t *canon = NULL;
	struct pki_spki key;
	int rc;

	if ((m->have & CP_CAPF_BIT(CP_CAPF_PUBLIC_KEY)) == 0) {
		end(s, CP_CAPF_OUT_NO_KEY, CP_CAPF_FAILED, "reason %u", m->reason);
		return;
	}
	rc = pki_spki_parse(pub.p, pub.len, &key);
	/* in BER perhaps */
	if (rc == -EBADMSG && pki_spki_canon(pub.p, pub.len, &canon, &pub.len) == 0)
		rc = pki_spki_parse(canon, pub.len, &key);
	if (rc == -ENOTSUP)
		wrong = "it is of another kind";
	else
		wrong = rc < 0 ? "it cannot be read" : key_wrong(&s->order, &key);
	if (wrong != NULL) {
		OPENSSL_free(canon);
		end(s, CP_CAPF_OUT_KEY, CP_CAPF_FAILED, "%s", wrong);
		return;
	}
	wait_for(s, WAIT_ISSUE, CP_CAPF_OWNER_S);
	s->owner.issue(s->owner.ctx, s, s->device, &key); /* may end the session */
	OPENSSL_free(canon);
}

void cp_capf_sess_issued(struct cp_capf_sess *s, int rc, const uint8_t *der, size_t len, const char *why)
{
	struct cp_capf_msg m = {
		.cmd = CP_CAPF_STORE_CERT_REQUEST,
		.have = CP_CAPF_BIT(CP_CAPF_CERT_TYPE) | CP_CAPF_BIT(CP_CAPF_CERT),
		.cert_type = CP_CAPF_IS_LSC,
		.cert_kind = CP_CAPF_IS_LSC,
		.cert = {der, len},
	};

	if (s->state != WAIT_ISSUE)
		return;
	if (rc == -EINPROGRESS) { /* nothing is wrong: the phone goes on as it is, and comes again */
		end(s, CP_CAPF_OUT_AWAITING, CP_CAPF_NOTHING, "%s", why != NULL ? why : "");
		return;
	}
	if (rc != 0) {
		end(s, rc == -EKEYREJECTED ? CP_CAPF_OUT_CA : CP_CAPF_OUT_ISSUE, CP_CAPF_FAILED, "%s", why != NULL ? why : "");
		return;
	}
	s->offered = true;
	wait_for(s, WAIT_STORED, CP_CAPF_STORE_S);
	send_msg(s, &m);
}

/* --- input --- */

static void got_fetched(struct cp_capf_sess *s, const struct cp_capf_msg *m)
{
	const uint8_t *p = m->cert.p;

	if ((m->have & CP_CAPF_BIT(CP_CAPF_CERT)) == 0) {
		end(s, CP_CAPF_OUT_PHONE, CP_CAPF_FAILED, "it has none, reason %u", m->reason);
		return;
	}
	s->fetched = d2i_X509(NULL, &p, (long)m->cert.len);
	s->fetched_kind = m->cert_kind;
	if (s->fetched == NULL)
		end(s, CP_CAPF_OUT_PHONE, CP_CAPF_FAILED, "what it sent is no certificate");
	else
		end(s, CP_CAPF_OUT_DONE, CP_CAPF_NOTHING, "%s", "");
}

static void out_of_turn(struct cp_capf_sess *s, unsigned cmd)
{
	end(s, CP_CAPF_OUT_PROTOCOL, CP_CAPF_FAILED, "%s (%u) out of turn", cp_capf_cmd_name(cmd), cmd);
}

void cp_capf_sess_input(struct cp_capf_sess *s, const uint8_t *msg, size_t len)
{
	struct cp_capf_msg m;

	if (s->state == WAIT_RECORD || s->state == ENDED)
		return; /* the end is on its way */
	if (cp_capf_parse(msg, len, &m) != 0) {
		end(s, CP_CAPF_OUT_PROTOCOL, CP_CAPF_FAILED, "malformed message of %zu bytes", len);
		return;
	}
	if (m.session != s->id) {
		end(s, CP_CAPF_OUT_PROTOCOL, CP_CAPF_FAILED, "session %u, not %u", m.session, s->id);
		return;
	}
	if (s->state == WAIT_AUTH && m.cmd == CP_CAPF_AUTH_RESPONSE)
		got_auth(s, &m, msg, len);
	else if (s->state == WAIT_KEY && m.cmd == CP_CAPF_REQUEST_IN_PROGRESS && s->progress < CP_CAPF_PROGRESS_MAX)
		s->progress++, wait_for(s, WAIT_KEY, CP_CAPF_KEYGEN_S);
	else if (s->state == WAIT_KEY && m.cmd == CP_CAPF_REQUEST_IN_PROGRESS)
		; /* it gets no more time for it, and is not cut off either */
	else if (s->state == WAIT_KEY && m.cmd == CP_CAPF_KEYGEN_RESPONSE)
		got_key(s, &m);
	else if (s->state == WAIT_STORED && m.cmd == CP_CAPF_STORE_CERT_RESPONSE && m.reason == CP_CAPF_DONE)
		end(s, CP_CAPF_OUT_DONE, CP_CAPF_DONE, "%s", "");
	else if (s->state == WAIT_DELETED && m.cmd == CP_CAPF_DELETE_CERT_RESPONSE && m.reason == CP_CAPF_DONE)
		end(s, CP_CAPF_OUT_DONE, CP_CAPF_DONE, "%s", "");
	else if ((s->state == WAIT_STORED && m.cmd == CP_CAPF_STORE_CERT_RESPONSE) ||
		 (s->state == WAIT_DELETED && m.cmd == CP_CAPF_DELETE_CERT_RESPONSE))
		end(s, s->state == WAIT_STORED && s->order.ready ? CP_CAPF_OUT_OLD_KEY : CP_CAPF_OUT_PHONE, CP_CAPF_FAILED, "reason %u", m.reason);
	else if (s->state == WAIT_FETCHED && m.cmd == CP_CAPF_FETCH_CERT_RESPONSE)
		got_fetched(s, &m);
	else
		out_of_turn(s, m.cmd);
}

void cp_capf_sess_garbage(struct cp_capf_sess *s)
{
	if (s->state != WAIT_RECORD && s->state != ENDED)
		end(s, CP_CAPF_OUT_PROTOCOL, CP_CAPF_FAILED, "no CAPF message");
}

void cp_capf_sess_gone(struct cp_capf_sess *s)
{
	s->gone = true;
	if (s->state != WAIT_RECORD && s->state != ENDED)
		end(s, CP_CAPF_OUT_GONE, CP_CAPF_FAILED, "%s", "");
}

uint64_t cp_capf_sess_deadline(const struct cp_capf_sess *s)
{
	return s->deadline_ms;
}

void cp_capf_sess_tick(struct cp_capf_sess *s)
{
	static const char *const waited[] = {
		[WAIT_AUTH] = "it did not say who it is",	  [WAIT_ORDER] = "the store did not answer",
		[WAIT_KEY] = "it made no key",			  [WAIT_ISSUE] = "the signer did not answer",
		[WAIT_STORED] = "it did not say that it stored it", [WAIT_FETCHED] = "it showed no certificate",
		[WAIT_DELETED] = "it did not say that it deleted it",
	};

	if (s->state == ENDED || s->owner.now_ms(s->owner.ctx) < s->deadline_ms)
		return;
	if (s->state == WAIT_RECORD) { /* the store is sick: told as failed, whatever it was */
		cp_capf_sess_recorded(s, -ETIMEDOUT);
		return;
	}
	end(s, s->state == WAIT_ORDER || s->state == WAIT_ISSUE ? CP_CAPF_OUT_ISSUE : CP_CAPF_OUT_TIMEOUT, CP_CAPF_FAILED, "%s",
	    waited[s->state]);
}
