/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "reqfile.h"
#include "say.h"
#include "trust.h"

static volatile int interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static int run_follow(struct ctl_request *r, char *socket_path)
{
	json_t *ret = NULL;
	int rc, status = CTL_OK;

	if (r->cmd->special == CTL_TRACE) {
		signal(SIGINT, on_interrupt);
		signal(SIGTERM, on_interrupt);
		rc = ctl_trace(ctl_ask_at, socket_path, r->args, ctl_json, &interrupted, stdout, &ret);
	} else {
		rc = ctl_legs(ctl_ask_at, socket_path, r->args, &ret);
	}
	if (rc < 0 && ret == NULL) {
		status = CTL_UNREACHABLE;
	} else if (rc < 0) {
		status = ctl_fail_answer(ret);
	} else if (ret != NULL && ctl_json) {
		ctl_print(ret);
	} else if (ret != NULL) {
		json_t *few = r->local[0] == NULL ? ctl_legs_short(ret) : json_incref(ret);

		ctl_render(stdout, few);
		json_decref(few);
	}
	json_decref(ret);
	return ctl_flushed(status);
}

static int run_ctlop(struct ctl_request *r, char *socket_path)
{
	char why[512];
	json_t *answer = NULL;
	int rc = ctl_trust(r, ctl_ask_at, socket_path, &answer, why, sizeof(why)), status = CTL_OK;

	if (rc == -ENOTCONN)
		return why[0] != '\0' ? ctl_fail(CTL_UNREACHABLE, "unreachable", why, NULL) : CTL_UNREACHABLE;
	if (rc < 0)
		return ctl_fail(CTL_USAGE, "usage", why, NULL);
	if (!json_is_true(json_object_get(answer, "ok"))) {
		status = ctl_fail_answer(answer);
	} else if (ctl_json) {
		ctl_print(json_object_get(answer, "result"));
	} else {
		ctl_render(stdout, json_object_get(answer, "result"));
	}
	json_decref(answer);
	return ctl_flushed(status);
}

/* Lines of a table that were wrong: the answer has the first of them. */
static void wrong_lines(const json_t *ret)
{
	json_t *errors = json_object_get(ret, "errors");
	json_int_t more = json_integer_value(json_object_get(ret, "wrong")) - (json_int_t)json_array_size(errors);

	if (json_array_size(errors) > 0)
		ctl_render(stderr, errors);
	if (more > 0)
		fprintf(stderr, "... and %lld more\n", (long long)more);
}

static int import_phones(struct ctl_request *r, char *socket_path)
{
	char why[4400];
	json_t *ret = NULL;
	int rc = ctl_import_phones(ctl_ask_at, socket_path, r->local[0], r->args, r->local[1] != NULL, &ret, why, sizeof(why));
	json_int_t wrong;

	if (rc < 0)
		return ctl_refused(rc, ret, why);
	wrong = json_integer_value(json_object_get(ret, "wrong"));
	if (ctl_json) {
		ctl_print(ret);
	} else {
		json_t *ignored = json_object_get(ret, "ignored"), *name;
		bool dry = json_is_true(json_object_get(ret, "dry_run"));
		size_t i;

		wrong_lines(ret);
		json_array_foreach(ignored, i, name)
			fprintf(stderr, "%s%s%s", i == 0 ? "columns not used: " : ", ", json_string_value(name),
				i + 1 == json_array_size(ignored) ? "\n" : "");
		json_array_foreach(json_object_get(ret, "warnings"), i, name)
			fprintf(stderr, "warning: %s\n", json_string_value(name));
		printf("%lld lines: %lld phones %s, %lld wrong\n", (long long)json_integer_value(json_object_get(ret, "lines")),
		       (long long)json_integer_value(json_object_get(ret, "phones")),
		       dry ? "could be taken (nothing was changed)" : "taken", (long long)wrong);
	}
	json_decref(ret);
	return ctl_flushed(wrong > 0 ? CTL_REFUSED : CTL_OK);
}

static int wave_start(struct ctl_request *r, char *socket_path)
{
	char why[4400];
	json_t *ret = NULL;
	bool begun;
	int rc = ctl_wave_start(ctl_ask_at, socket_path, r->local[0], r->args, r->local[1] != NULL, &ret, why, sizeof(why));

	if (rc < 0)
		return ctl_refused(rc, ret, why);
	begun = json_is_integer(json_object_get(ret, "wave"));
	if (ctl_json) {
		ctl_print(ret);
	} else {
		wrong_lines(ret);
		if (begun)
			printf("wave %lld: %lld devices\n", (long long)json_integer_value(json_object_get(ret, "wave")),
			       (long long)json_integer_value(json_object_get(ret, "devices")));
		else
			fprintf(stderr, "ravelinctl: nothing was begun: mend these lines, or say --skip-wrong\n");
	}
	json_decref(ret);
	return ctl_flushed(begun ? CTL_OK : CTL_REFUSED);
}

static int export_phones(struct ctl_request *r, char *socket_path)
{
	FILE *out = r->local[0] == NULL ? stdout : fopen(r->local[0], "w");
	char why[4400];
	json_t *ret = NULL;
	int rc;

	if (out == NULL) {
		snprintf(why, sizeof(why), "%s: %s", r->local[0], strerror(errno));
			return ctl_fail(CTL_USAGE, "failed", why, NULL);
	}
	rc = ctl_export_phones(ctl_ask_at, socket_path, out, &ret, why, sizeof(why));
	if (out != stdout && fclose(out) != 0 && rc == 0) {
		snprintf(why, sizeof(why), "%s: %s", r->local[0], strerror(errno));
		rc = -EIO;
	}
	return rc < 0 ? ctl_refused(rc, ret, why) : CTL_OK;
}

static int cdr(struct ctl_request *r, char *socket_path)
{
	bool list = r->cmd->special == CTL_CDR_LIST;
	const json_t *max = json_object_get(r->args, "_max");
	json_int_t most = list ? 100 : 0;
	enum ctl_cdr_form form = ctl_json || (!list && r->local[0] != NULL) ? CTL_CDR_LINES : list ? CTL_CDR_TABLE : CTL_CDR_CSV;
	const char *file = list ? NULL : r->local[1];
	FILE *out = file == NULL ? stdout : fopen(file, "we");
	char why[4400] = "";
	json_t *ret = NULL;
	int rc;

	if (max != NULL)
		most = json_integer_value(max);
	json_object_del(r->args, "_max");
	if (out == NULL) {
		snprintf(why, sizeof(why), "%s: %s", file, strerror(errno));
			return ctl_fail(CTL_USAGE, "failed", why, NULL);
	}
	rc = ctl_cdr(ctl_ask_at, socket_path, r->args, form, most, out, &ret);
	if (fflush(out) != 0 || (out != stdout && fclose(out) != 0)) {
		snprintf(why, sizeof(why), "%s: %s", file != NULL ? file : "standard output", strerror(errno));
		rc = -EIO;
	}
	return rc < 0 ? ctl_refused(rc, ret, why) : CTL_OK;
}

static int capf_ca(struct ctl_request *r, char *socket_path)
{
	bool out = r->cmd->special == CTL_CAPF_REQUESTS;
	char why[4400];
	json_t *ret = NULL;
	int rc = out ? ctl_capf_requests(ctl_ask_at, socket_path, r->local[0], r->args, &ret, why, sizeof(why)) :
		       ctl_capf_certs(ctl_ask_at, socket_path, r->local[0], &ret, why, sizeof(why));
	int status = CTL_OK;

	if (rc < 0)
		return ctl_refused(rc, ret, why);
	if (!out && json_array_size(json_object_get(ret, "refused")) > 0)
		status = CTL_REFUSED;
	if (ctl_json) {
		ctl_print(ret);
	} else {
		if (!out && status == CTL_REFUSED)
			ctl_render(stderr, json_object_get(ret, "refused"));
		if (!out)
			json_object_del(ret, "refused");
		ctl_render(stdout, ret);
	}
	json_decref(ret);
	return ctl_flushed(status);
}

static int run_one(struct ctl_request *r, char *socket_path)
{
	char why[4400] = "";
	json_t *answer, *result;
	int rc = 0, status = CTL_OK;

	if (r->cmd->special == CTL_IMPORT)
		rc = ctl_read_import(r, why, sizeof(why));
	else if (r->cmd->special == CTL_SA_KEY)
		rc = ctl_read_key(r, why, sizeof(why));
	else if (r->cmd->special == CTL_SECRETS || r->cmd->special == CTL_IKE_PSK)
		rc = ctl_read_secrets(r, why, sizeof(why));
	else if (r->cmd->special == CTL_BACKUP)
		rc = ctl_read_passphrase(r, r->local[1], why, sizeof(why));
	else if (r->cmd->special == CTL_CERT_FILE || r->cmd->special == CTL_APP_ISSUE)
		rc = ctl_cert_read(r->local[0], r->args, why, sizeof(why));
	if (rc < 0)
		return ctl_fail(CTL_USAGE, "usage", why, NULL);
	answer = ctl_ask_at(socket_path, r->cmd->cmd, r->args);
	if (answer == NULL)
		return CTL_UNREACHABLE;
	result = json_object_get(answer, "result");
	if (!json_is_true(json_object_get(answer, "ok"))) {
		status = ctl_fail_answer(answer);
	} else if (r->cmd->special == CTL_CERT && ctl_save_cert(r, result, why, sizeof(why)) < 0) {
		status = ctl_fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_CERT_OUT && !(ctl_json && r->local[1] == NULL)) {
		if (ctl_cert_write(result, r->local[0] != NULL, r->local[1], why, sizeof(why)) < 0)
			status = ctl_fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_APP_ISSUE && ctl_cert_write(result, false, r->local[1], why, sizeof(why)) < 0) {
		status = ctl_fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_BACKUP && ctl_take_bundle(result, r->local[0], why, sizeof(why)) < 0) {
		status = ctl_fail(CTL_REFUSED, "failed", why, NULL);
	} else if (r->cmd->special == CTL_CSV && r->local[0] != NULL) {
		ctl_render_csv(stdout, result, true);
	} else if (ctl_json) {
		ctl_print(result);
	} else {
		ctl_render(stdout, result);
	}
	json_decref(answer);
	return ctl_flushed(status);
}

int ctl_run(struct ctl_request *r, char *socket_path)
{
	switch (r->cmd->special) {
	case CTL_CDR_LIST:
	case CTL_CDR_EXPORT:
		return cdr(r, socket_path);
	case CTL_CAPF_REQUESTS:
	case CTL_CAPF_CERTS:
		return capf_ca(r, socket_path);
	case CTL_IMPORT_PHONES:
		return import_phones(r, socket_path);
	case CTL_EXPORT_PHONES:
		return export_phones(r, socket_path);
	case CTL_WAVE:
		return r->local[0] != NULL ? wave_start(r, socket_path) : run_one(r, socket_path);
	case CTL_LEGS:
	case CTL_TRACE:
		return run_follow(r, socket_path);
	case CTL_CTLOP:
		return run_ctlop(r, socket_path);
	default:
		return run_one(r, socket_path);
	}
}
