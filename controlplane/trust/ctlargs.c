/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlargs.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "x509.h"

#define FILE_B64_MAX (2 * 76800)

int cp_ctlargs_known(const json_t *args, const char *const *names, char *why, size_t size)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)args, key, v) {
		unsigned i = 0;

		while (names[i] != NULL && strcmp(names[i], key) != 0)
			i++;
		if (names[i] == NULL) {
			snprintf(why, size, "there is no member %.60s here", key);
			return -EINVAL;
		}
	}
	return 0;
}

static X509 *cert_arg(const json_t *v)
{
	BIO *bio = json_is_string(v) && json_string_length(v) <= 65536 ?
			   BIO_new_mem_buf(json_string_value(v), (int)json_string_length(v)) : NULL;
	X509 *c = bio != NULL ? PEM_read_bio_X509(bio, NULL, pki_no_password, NULL) : NULL;

	BIO_free(bio);
	return c;
}

int cp_ctlargs_class(const json_t *v, enum pki_tl_class *ret)
{
	if (v == NULL) {
		*ret = PKI_CLASS_MODERN;
		return 0;
	}
	return json_is_string(v) ? pki_tl_class_parse(json_string_value(v), ret) : -EINVAL;
}

int cp_ctlargs_b64(const json_t *v, struct cp_buf *ret)
{
	int rc;

	if (json_string_length(v) == 0)
		return -EINVAL;
	rc = pki_base64_decode(json_string_value(v), json_string_length(v), FILE_B64_MAX / 4 * 3, &ret->data, &ret->len);
	return rc == 0 || rc == -ENOMEM ? rc : -EINVAL;
}

static int strings(const json_t *args, const char *name, const char **ret, unsigned *cnt, char *why, size_t size)
{
	const json_t *list = json_object_get(args, name);
	json_t *v;
	size_t i;

	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > CP_CTL_ADD_MAX) {
		snprintf(why, size, "%s is not a list of at most %d", name, CP_CTL_ADD_MAX);
		return -EINVAL;
	}
	json_array_foreach(list, i, v) {
		if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) >= CP_LIST_HOST_MAX) {
			snprintf(why, size, "%s holds what is no name", name);
			return -EINVAL;
		}
		ret[(*cnt)++] = json_string_value(v);
	}
	return 0;
}

void cp_ctlargs_drop(struct cp_ctl_change *c) /* the certificates that cp_ctlargs_change() made */
{
	for (unsigned i = 0; i < c->token_cnt; i++)
		X509_free(c->token[i]);
	for (unsigned i = 0; i < c->tftp_cnt; i++)
		X509_free(c->tftp[i].cert);
	X509_free(c->signer_cert);
}

int cp_ctlargs_change(const json_t *args, struct cp_ctl_change *c, int64_t *strand, char *why, size_t size)
{
	static const char *const names[] = {"mode", "tokenless", "add_tokens", "del_tokens", "add_tftp", "del_tftp",
					    "signer", "signer_cert", "strand", "recreate", NULL};
	const json_t *v, *list;
	json_t *item;
	size_t i;
	int rc = cp_ctlargs_known(args, names, why, size);

	*strand = -1;
	if (rc == 0 && (v = json_object_get(args, "mode")) != NULL) {
		const char *m = json_string_value(v);

		c->set_mode = true;
		if (m != NULL && (strcmp(m, "mixed") == 0 || strcmp(m, "mixed-mode") == 0)) {
			c->mode = CP_CLUSTER_MIXED;
		} else if (m != NULL && (strcmp(m, "nonsecure") == 0 || strcmp(m, "non-secure-mode") == 0)) {
			c->mode = CP_CLUSTER_NONSECURE;
		} else {
			snprintf(why, size, "mode is mixed or nonsecure");
			rc = -EINVAL;
		}
	}
	c->tokenless = json_is_true(json_object_get(args, "tokenless"));
	c->recreate = json_is_true(json_object_get(args, "recreate"));
	list = json_object_get(args, "add_tokens");
	if (rc == 0 && list != NULL && (!json_is_array(list) || json_array_size(list) > CP_CTL_ADD_MAX)) {
		snprintf(why, size, "add_tokens is not a list of at most %d certificates", CP_CTL_ADD_MAX);
		rc = -EINVAL;
	}
	json_array_foreach(list, i, item) {
		X509 *x = rc == 0 ? cert_arg(item) : NULL;

		if (x == NULL && rc == 0) {
			snprintf(why, size, "No Valid Server Certificate found.: a token is given by its certificate in PEM");
			rc = -EINVAL;
		}
		if (x != NULL)
			c->token[c->token_cnt++] = x;
	}
	list = json_object_get(args, "add_tftp");
	if (rc == 0 && list != NULL && (!json_is_array(list) || json_array_size(list) > CP_CTL_ADD_MAX)) {
		snprintf(why, size, "add_tftp is not a list of at most %d servers", CP_CTL_ADD_MAX);
		rc = -EINVAL;
	}
	json_array_foreach(list, i, item) {
		struct cp_ctl_tftp_add *a = &c->tftp[c->tftp_cnt];

		if (rc < 0)
			break;
		a->host = json_string_value(json_object_get(item, "host"));
		a->address = json_string_value(json_object_get(item, "address"));
		a->cert = cert_arg(json_object_get(item, "cert"));
		c->tftp_cnt++;
	}
	if (rc == 0)
		rc = strings(args, "del_tokens", c->del_token, &c->del_token_cnt, why, size);
	if (rc == 0)
		rc = strings(args, "del_tftp", c->del_tftp, &c->del_tftp_cnt, why, size);
	v = json_object_get(args, "signer");
	if (rc == 0 && v != NULL && (c->signer = json_string_value(v)) == NULL) {
		snprintf(why, size, "signer is no name");
		rc = -EINVAL;
	}
	v = json_object_get(args, "signer_cert");
	if (rc == 0 && v != NULL && (c->signer_cert = cert_arg(v)) == NULL) {
		snprintf(why, size, "No Certificate in Security Token.: signer_cert is no certificate in PEM");
		rc = -EINVAL;
	}
	v = json_object_get(args, "strand");
	if (rc == 0 && v != NULL) {
		if (!json_is_integer(v) || json_integer_value(v) < 0) {
			snprintf(why, size, "strand is no number of phones");
			rc = -EINVAL;
		}
		*strand = json_integer_value(v);
	}
	return rc;
}
