/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "config.h"
#include "raw.h"
#include "scan.h"

#define OPT      CYAML_FLAG_OPTIONAL
#define TEXT_MAX 1024

/* "key:" with nothing behind it is a section left at its defaults; for a scalar it stays an error.
 */
#define SECTION(name)                                                                              \
	CYAML_FIELD_MAPPING_PTR(#name, OPT | CYAML_FLAG_POINTER_NULL, struct raw_cfg, name,        \
	                        name##_fields)
#define TEXT(st, m) CYAML_FIELD_STRING_PTR(#m, OPT, struct st, m, 0, TEXT_MAX)
#define NEED(st, m) CYAML_FIELD_STRING_PTR(#m, CYAML_FLAG_DEFAULT, struct st, m, 1, TEXT_MAX)
#define LIST(st, m, entry, max)                                                                    \
	CYAML_FIELD_SEQUENCE(#m, OPT | CYAML_FLAG_POINTER, struct st, m, entry, 0, max)

static const cyaml_schema_value_t text_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, TEXT_MAX),
};
static const cyaml_schema_field_t paths_fields[] = {
	TEXT(raw_paths, state),
	TEXT(raw_paths, run),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
	TEXT(raw_log, format),
	TEXT(raw_log, level),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t port_fields[] = {
	NEED(raw_port, device),  LIST(raw_port, addresses, &text_entry, 64),
	TEXT(raw_port, gateway), TEXT(raw_port, gateway6),
	TEXT(raw_port, vlan),    TEXT(raw_port, mtu),
	TEXT(raw_port, mac),     TEXT(raw_port, punt),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t port_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_port, port_fields),
};

static const cyaml_schema_field_t dataplane_fields[] = {
	TEXT(raw_dataplane, main_lcore),
	LIST(raw_dataplane, worker_lcores, &text_entry, 128),
	TEXT(raw_dataplane, huge_pages),
	TEXT(raw_dataplane, fragments),
	TEXT(raw_dataplane, memory_mb),
	TEXT(raw_dataplane, max_legs),
	TEXT(raw_dataplane, max_sas),
	TEXT(raw_dataplane, max_gateways),
	TEXT(raw_dataplane, mbufs),
	TEXT(raw_dataplane, ring_desc),
	TEXT(raw_dataplane, punt_pps),
	TEXT(raw_dataplane, file_prefix),
	LIST(raw_dataplane, ports, &port_entry, 32),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t media_addr_fields[] = {
	NEED(raw_media_addr, address),
	TEXT(raw_media_addr, region),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t media_addr_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_media_addr, media_addr_fields),
};

static const cyaml_schema_field_t region_fields[] = {
	NEED(raw_region, name),
	NEED(raw_region, mode),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t region_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_region, region_fields),
};

static const cyaml_schema_field_t media_fields[] = {
	TEXT(raw_media, base_port),   LIST(raw_media, addresses, &media_addr_entry, 64),
	TEXT(raw_media, mode),        TEXT(raw_media, idle_s),
	TEXT(raw_media, plain_latch), TEXT(raw_media, rtcp_mux),
	TEXT(raw_media, dscp),        TEXT(raw_media, ptime_ms),
	TEXT(raw_media, rate_pps),    TEXT(raw_media, source_pps),
	TEXT(raw_media, fallback),    LIST(raw_media, regions, &region_entry, 256),
	TEXT(raw_media, rekey_s),     LIST(raw_media, suites, &text_entry, 16),
	TEXT(raw_media, latch_max),   TEXT(raw_media, window),
	TEXT(raw_media, ssrc_max),    TEXT(raw_media, streams),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sccp_fields[] = {
	TEXT(raw_sccp, listen),          TEXT(raw_sccp, port),
	TEXT(raw_sccp, tls_port),        TEXT(raw_sccp, keepalive_s),
	TEXT(raw_sccp, date_template),   TEXT(raw_sccp, legacy_tls),
	TEXT(raw_sccp, max_connections), TEXT(raw_sccp, max_preauth),
	TEXT(raw_sccp, handshake_s),     TEXT(raw_sccp, reset_rate),
	TEXT(raw_sccp, duplicate),       TEXT(raw_sccp, mic_only),
	TEXT(raw_sccp, register_rate),   TEXT(raw_sccp, keepalive_grace_s),
	TEXT(raw_sccp, auto_numbers),    TEXT(raw_sccp, loops),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ident_key_fields[] = {
	NEED(raw_ident_key, identity),
	NEED(raw_ident_key, key),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t ident_key_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_ident_key, ident_key_fields),
};

static const cyaml_schema_field_t signer_fields[] = {
	LIST(raw_signer, keys, &ident_key_entry, 16),
	TEXT(raw_signer, pkcs11_module),
	TEXT(raw_signer, pkcs11_pin),
	TEXT(raw_signer, kek_file),
	TEXT(raw_signer, pkcs11_uri),
	TEXT(raw_signer, cluster_name),
	TEXT(raw_signer, server_key),
	LIST(raw_signer, server_names, &text_entry, 32),
	TEXT(raw_signer, lsc_days),
	TEXT(raw_signer, ca_days),
	TEXT(raw_signer, server_days),
	LIST(raw_signer, trust, &text_entry, 256),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t mgcp_fields[] = {
	TEXT(raw_mgcp, local),
	LIST(raw_mgcp, agents, &text_entry, CFG_AGENTS),
	TEXT(raw_mgcp, claim),
	TEXT(raw_mgcp, answer_s),
	TEXT(raw_mgcp, audit_rate),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t calls_fields[] = {
	TEXT(raw_calls, max_per_line),
	TEXT(raw_calls, busy_trigger),
	TEXT(raw_calls, cdr_max),
	TEXT(raw_calls, cdr_days),
	TEXT(raw_calls, interdigit_s),
	TEXT(raw_calls, no_answer_s),
	TEXT(raw_calls, forward_hops),
	TEXT(raw_calls, secure_tone),
	TEXT(raw_calls, park),
	LIST(raw_calls, pickup_other, &text_entry, 1000),
	TEXT(raw_calls, park_reversion_s),
	TEXT(raw_calls, voicemail),
	TEXT(raw_calls, mwi_on),
	TEXT(raw_calls, mwi_off),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t meetme_fields[] = {
	NEED(raw_meetme, numbers),
	TEXT(raw_meetme, security),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t meetme_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_meetme, meetme_fields),
};
static const cyaml_schema_field_t conference_fields[] = {
	TEXT(raw_conference, drop),
	TEXT(raw_conference, add),
	TEXT(raw_conference, security),
	LIST(raw_conference, meetme, &meetme_entry, 256),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t oauth_fields[] = {
	TEXT(raw_oauth, issuer),
	TEXT(raw_oauth, keys),
	TEXT(raw_oauth, audience),
	TEXT(raw_oauth, scope),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t provision_fields[] = {
	TEXT(raw_provision, listen),
	TEXT(raw_provision, tftp_port),
	TEXT(raw_provision, http_port),
	TEXT(raw_provision, https_port),
	TEXT(raw_provision, token_port),
	TEXT(raw_provision, directory),
	TEXT(raw_provision, threads),
	TEXT(raw_provision, default_class),
	TEXT(raw_provision, max_transfers),
	TEXT(raw_provision, max_source),
	TEXT(raw_provision, blksize_max),
	TEXT(raw_provision, windowsize_max),
	TEXT(raw_provision, timeout_ms),
	TEXT(raw_provision, retries),
	TEXT(raw_provision, max_connections),
	TEXT(raw_provision, idle_s),
	TEXT(raw_provision, min_rate),
	LIST(raw_provision, call_managers, &text_entry, 5),
	TEXT(raw_provision, auto_registration),
	CYAML_FIELD_MAPPING_PTR("oauth", OPT | CYAML_FLAG_POINTER_NULL, struct raw_provision, oauth, oauth_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ctl_provider_fields[] = {
	TEXT(raw_ctl_provider, listen),
	TEXT(raw_ctl_provider, port),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t scep_fields[] = {
	TEXT(raw_scep, url),
	TEXT(raw_scep, identifier),
	TEXT(raw_scep, ca_sha256),
	TEXT(raw_scep, ra_sha256),
	TEXT(raw_scep, challenge),
	TEXT(raw_scep, timeout_s),
	TEXT(raw_scep, poll_s),
	TEXT(raw_scep, give_up_h),
	TEXT(raw_scep, old_crypto),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t enrol_fields[] = {
	TEXT(raw_enrol, listen),
	TEXT(raw_enrol, capf_port),
	TEXT(raw_enrol, tvs_port),
	TEXT(raw_enrol, tvs_ttl_s),
	TEXT(raw_enrol, max_connections),
	TEXT(raw_enrol, max_preauth),
	TEXT(raw_enrol, max_source),
	TEXT(raw_enrol, handshake_s),
	TEXT(raw_enrol, expires_days),
	TEXT(raw_enrol, crl_days),
	TEXT(raw_enrol, old_keys),
	TEXT(raw_enrol, issuer),
	CYAML_FIELD_MAPPING_PTR("scep", OPT | CYAML_FLAG_POINTER_NULL, struct raw_enrol, scep, scep_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t moh_source_fields[] = {
	NEED(raw_moh_source, name), TEXT(raw_moh_source, file), TEXT(raw_moh_source, g722),
	TEXT(raw_moh_source, g729), CYAML_FIELD_END,
};
static const cyaml_schema_value_t moh_source_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_moh_source, moh_source_fields),
};

static const cyaml_schema_field_t moh_fields[] = {
	TEXT(raw_moh, directory), TEXT(raw_moh, user),
	TEXT(raw_moh, network),   LIST(raw_moh, sources, &moh_source_entry, 64),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t capture_fields[] = {
	TEXT(raw_capture, enabled),   TEXT(raw_capture, plain),
	TEXT(raw_capture, directory), TEXT(raw_capture, max_s),
	TEXT(raw_capture, max_mb),    TEXT(raw_capture, signalling),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sa_fields[] = {
	NEED(raw_sa, gateway),  NEED(raw_sa, direction), NEED(raw_sa, spi),
	NEED(raw_sa, mode),     NEED(raw_sa, algorithm), TEXT(raw_sa, key),
	TEXT(raw_sa, auth_key), NEED(raw_sa, local),     NEED(raw_sa, remote),
	TEXT(raw_sa, esn),      TEXT(raw_sa, window),
	TEXT(raw_sa, tfc),      TEXT(raw_sa, keepalive),
	TEXT(raw_sa, hard_s),   TEXT(raw_sa, hard_bytes), TEXT(raw_sa, hard_packets),
	TEXT(raw_sa, soft_s),   TEXT(raw_sa, soft_bytes), TEXT(raw_sa, soft_packets), CYAML_FIELD_END,
};
static const cyaml_schema_value_t sa_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_sa, sa_fields),
};
static const cyaml_schema_field_t policy_fields[] = {
	NEED(raw_policy, action),      TEXT(raw_policy, direction),    TEXT(raw_policy, local),
	TEXT(raw_policy, remote),      TEXT(raw_policy, protocol),     TEXT(raw_policy, local_ports),
	TEXT(raw_policy, remote_ports), TEXT(raw_policy, icmp_types),  TEXT(raw_policy, df),
	TEXT(raw_policy, dscp),        CYAML_FIELD_END,
};
static const cyaml_schema_value_t policy_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_policy, policy_fields),
};
static const cyaml_schema_field_t ipsec_fields[] = {
	TEXT(raw_ipsec, old_algorithms), TEXT(raw_ipsec, dummy_pps), LIST(raw_ipsec, policies, &policy_entry, 64),
	LIST(raw_ipsec, sas, &sa_entry, 4096),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ike_fields[] = {
	TEXT(raw_ike, enable), TEXT(raw_ike, vici), TEXT(raw_ike, source), TEXT(raw_ike, socket), CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
	SECTION(paths),  SECTION(log),  SECTION(dataplane), SECTION(media),  SECTION(sccp),
	SECTION(signer), SECTION(mgcp), SECTION(calls), SECTION(conference), SECTION(capture), SECTION(moh),   SECTION(ipsec), SECTION(ike),
	SECTION(provision), SECTION(ctl_provider), SECTION(enrol), CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_cfg, top_fields),
};

/* What libcyaml logs when a load fails: a first line with the reason, then the way to the place,
 * innermost first: "  in mapping field: 'spi' (line: 3, column: 1)", "  in sequence entry: 1 (line:
 * ...)". */
struct report {
	char reason[200];
	char part[8][64];
	int parts;
	unsigned line; /* of the innermost mapping */
};

__attribute__((format(printf, 3, 0))) static void collect(cyaml_log_t level, void *ctx,
                                                          const char *fmt, va_list args)
{
	struct report *r = ctx;
	char text[512], word[64];
	const char *p;
	unsigned n = 0, line = 0;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	if (text[0] != '\0' && text[strlen(text) - 1] == '\n')
		text[strlen(text) - 1] = '\0';
	p = text + strspn(text, " ");
	if (sscanf(p, "in mapping field '%63[^']'", word) == 1 ||
	    sscanf(p, "in mapping field: '%63[^']'", word) == 1) {
		if (r->parts < 8)
			snprintf(r->part[r->parts++], sizeof(r->part[0]), "%s", word);
	} else if (sscanf(p, "in sequence entry '%u", &n) == 1 ||
	           sscanf(p, "in sequence entry: %u", &n) == 1) {
		if (r->parts < 8) /* libcyaml counts from 1 */
			snprintf(r->part[r->parts++], sizeof(r->part[0]), "[%u]",
			         n > 0 ? n - 1 : 0);
	} else if (strncmp(p, "in ", 3) != 0 && strstr(p, "Backtrace") == NULL &&
	           r->reason[0] == '\0') {
		snprintf(r->reason, sizeof(r->reason), "%s",
		         strncmp(p, "Load: ", 6) == 0 ? p + 6 : p);
	}
	p = strstr(p, "line: ");
	if (p != NULL && r->line == 0 && sscanf(p, "line: %u", &line) == 1)
		r->line = line;
}

/* libcyaml speaks of events and types; the reader of a configuration does not. */
static const char *plain(const struct report *r, cyaml_err_t rc, char *buf, size_t size)
{
	static const struct {
		const char *theirs, *ours;
	} names[] = {{"MAPPING", "keys with values"},
	             {"SEQUENCE", "a list"},
	             {"STRING", "a single value"},
	             {"SCALAR", "a single value"}};
	const char *want = NULL, *got = strstr(r->reason, "got event: ");

	if (strncmp(r->reason, "Expecting ", 10) == 0 && got != NULL) {
		for (size_t i = 0; i < CYAML_ARRAY_LEN(names); i++) {
			if (strncmp(r->reason + 10, names[i].theirs, strlen(names[i].theirs)) == 0)
				want = names[i].ours;
		}
		got += 11;
		for (size_t i = 0; i < CYAML_ARRAY_LEN(names); i++) {
			if (strncmp(got, names[i].theirs, strlen(names[i].theirs)) == 0)
				got = names[i].ours;
		}
		if (want != NULL) {
			snprintf(buf, size, "must be %s, not %s", want, got);
			return buf;
		}
	}
	return r->reason[0] != '\0' ? r->reason : cyaml_strerror(rc);
}

static void compose(const struct report *r, const struct cfg_scan *scan, cyaml_err_t rc, char *err,
                    size_t size)
{
	char path[512] = "", quoted[260], key[100], why[100];
	size_t n = 0;
	unsigned line;

	/* A missing key: the innermost field is only the one read last. */
	for (int i = r->parts - 1; i >= (rc == CYAML_ERR_MAPPING_FIELD_MISSING ? 1 : 0); i--) {
		snprintf(path + n, sizeof(path) - n, "%s%s",
		         n > 0 && r->part[i][0] != '[' ? "." : "", r->part[i]);
		n = strlen(path);
	}
	/* An unknown key: the path to the key itself gives its own line. */
	if (rc == CYAML_ERR_INVALID_KEY && strncmp(r->reason, "Unexpected key: ", 16) == 0) {
		cfg_qn(key, sizeof(key), r->reason + 16, SIZE_MAX); /* as scan.c does */
		key[strlen(key) - 1] = '\0';
		snprintf(path + n, sizeof(path) - n, "%s%s", n > 0 ? "." : "", key + 1);
		snprintf(err, size, "line %u: unknown key \"%s\"", cfg_scan_line(scan, path), path);
		return;
	}
	line = cfg_scan_line(scan, path);
	cfg_qn(quoted, sizeof(quoted), plain(r, rc, why, sizeof(why)), SIZE_MAX);
	quoted[strlen(quoted) - 1] = '\0';
	snprintf(err, size, "line %u: %s%s%s",
	         line != 0      ? line
	         : r->line != 0 ? r->line
	                        : 1,
	         path, path[0] != '\0' ? ": " : "", quoted + 1);
}

/* The file may hold SA keys: what is freed is wiped. */
static void *wiping_mem(void *ctx, void *ptr, size_t size)
{
	size_t old = ptr != NULL ? malloc_usable_size(ptr) : 0;
	void *p = NULL;

	(void)ctx;
	if (size > 0) {
		p = malloc(size);
		if (p == NULL)
			return NULL;
		if (ptr != NULL)
			memcpy(p, ptr, old < size ? old : size);
	}
	if (ptr != NULL) {
		explicit_bzero(ptr, old);
		free(ptr);
	}
	return p;
}

static cyaml_config_t config(struct report *r)
{
	return (cyaml_config_t){
		.log_fn = r != NULL ? collect : NULL,
		.log_ctx = r,
		.mem_fn = wiping_mem,
		.log_level = CYAML_LOG_ERROR,
	};
}

int cfg_raw_load(const uint8_t *data, size_t len, const struct cfg_scan *scan,
                 struct raw_cfg **ret_raw, char *err, size_t err_size)
{
	struct report report = {.reason = ""};
	cyaml_config_t cc = config(&report);
	cyaml_data_t *raw = NULL;
	cyaml_err_t rc;

	rc = cyaml_load_data(data, len, &cc, &top, &raw, NULL);
	if (rc == CYAML_ERR_OOM)
		return -ENOMEM;
	if (rc != CYAML_OK) {
		compose(&report, scan, rc, err, err_size);
		return -EINVAL;
	}
	*ret_raw = raw;
	return 0;
}

void cfg_raw_free(struct raw_cfg *raw)
{
	cyaml_config_t cc = config(NULL);

	if (raw != NULL)
		cyaml_free(&cc, &top, raw, 0);
}
