/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-capfsim: one simulated phone's CAPF session, and its flash. Prints what happened as JSON; 0: done, or nothing to do. */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capfphone.h"

static const char usage[] =
	"usage: ravelin-capfsim --server IP --name SEP... [--port 3804] [--source IP] [--ca PEM] [--legacy] [--flash DIR]\n"
	"       [--string DIGITS] [--show lsc|mic] [--no-sha2] [--no-sudi] [--no-ec] [--version N] [--slow-ms N]\n"
	"       [--fail-store] [--fail-delete] [--vanish BYTES] [--timeout-ms N] [--holds] [--keep-key]\n"
	"  --keep-key   a key whose certificate did not come stays in its flash, for the next session\n"
	"  --holds      no session: the serial number of the LSC in its flash, or nothing\n"
	"  --vanish N   gone without a word after N bytes of messages\n";

int main(int argc, char **argv)
{
	enum { SERVER = 256, PORT, SOURCE, CA, LEGACY, NAME, FLASH, STRING, SHOW, NO_SHA2, NO_SUDI, NO_EC, VERSION, SLOW, FAIL_STORE, FAIL_DELETE,
	       VANISH, TIMEOUT, HOLDS, KEEP_KEY };
	static const struct option opts[] = {
		{"server", 1, NULL, SERVER}, {"port", 1, NULL, PORT}, {"source", 1, NULL, SOURCE}, {"ca", 1, NULL, CA},
		{"legacy", 0, NULL, LEGACY}, {"name", 1, NULL, NAME}, {"flash", 1, NULL, FLASH}, {"string", 1, NULL, STRING},
		{"show", 1, NULL, SHOW}, {"no-sha2", 0, NULL, NO_SHA2}, {"no-sudi", 0, NULL, NO_SUDI}, {"no-ec", 0, NULL, NO_EC},
		{"version", 1, NULL, VERSION}, {"slow-ms", 1, NULL, SLOW}, {"fail-store", 0, NULL, FAIL_STORE},
		{"fail-delete", 0, NULL, FAIL_DELETE}, {"vanish", 1, NULL, VANISH}, {"timeout-ms", 1, NULL, TIMEOUT},
		{"holds", 0, NULL, HOLDS}, {"keep-key", 0, NULL, KEEP_KEY}, {NULL, 0, NULL, 0},
	};
	static const char *const ops[] = {"none", "install", "delete", "fetch"};
	struct capfp_opts o = {.port = 3804};
	struct capfp_result r;
	const char *ca = NULL;
	bool legacy = false, holds = false;
	char err[200] = "", *text;
	json_t *out;
	int c, rc;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case SERVER: o.server = optarg; break;
		case PORT: o.port = (uint16_t)atoi(optarg); break;
		case SOURCE: o.source = optarg; break;
		case CA: ca = optarg; break;
		case LEGACY: legacy = true; break;
		case NAME: o.name = optarg; break;
		case FLASH: o.flash = optarg; break;
		case STRING: o.string = optarg; break;
		case SHOW: o.show = strcmp(optarg, "lsc") == 0 ? CAPFP_SHOW_LSC : CAPFP_SHOW_MIC; break;
		case NO_SHA2: o.no_sha2 = true; break;
		case NO_SUDI: o.no_sudi = true; break;
		case NO_EC: o.no_ec = true; break;
		case VERSION: o.version = (uint8_t)atoi(optarg); break;
		case SLOW: o.slow_ms = (unsigned)atoi(optarg); break;
		case FAIL_STORE: o.fail_store = true; break;
		case FAIL_DELETE: o.fail_delete = true; break;
		case VANISH: o.vanish = atol(optarg); break;
		case TIMEOUT: o.timeout_ms = (unsigned)atoi(optarg); break;
		case KEEP_KEY: o.keep_key = true; break;
		case HOLDS: holds = true; break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (o.name == NULL || (o.server == NULL && !holds) || (o.string != NULL && strlen(o.string) > 15)) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (holds) {
		if (capfp_holds(o.flash, o.name, err))
			puts(err);
		return 0;
	}
	o.tls = capfp_tls(ca, legacy, err, sizeof(err));
	if (o.tls == NULL) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	rc = capfp_run(&o, &r);
	out = json_pack("{s:s,s:i,s:s,s:b,s:b,s:b,s:b,s:i,s:b,s:I,s:s,s:s}", "name", o.name, "reason", r.reason, "op", ops[r.op], "stored",
			r.stored, "made_key", r.made_key, "deleted", r.deleted, "vanished", r.vanished, "key_bits", (int)r.key_bits, "key_ec", r.key_ec, "bytes",
			(json_int_t)r.bytes, "serial", r.serial, "error", r.error);
	text = json_dumps(out, JSON_COMPACT);
	puts(text != NULL ? text : "{}");
	free(text);
	json_decref(out);
	SSL_CTX_free(o.tls);
	return rc == 0 && r.reason <= 1 ? 0 : 1;
}
