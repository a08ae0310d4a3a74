/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that take more than one request: a long list in pages, a trace as it goes. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "ctl.h"

/* The result of an answer, borrowed; NULL if it refused. */
static json_t *result_of(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok")) ? json_object_get(answer, "result") : NULL;
}

int ctl_legs(ctl_ask_fn ask, void *ctx, json_t *args, json_t **ret)
{
	json_t *all = json_array(), *next = json_integer(0);

	*ret = NULL;
	while (json_is_integer(next)) {
		json_t *answer, *result;

		json_object_set_new(args, "from", next);
		answer = ask(ctx, "show.legs", args);
		result = answer != NULL ? result_of(answer) : NULL;
		if (result == NULL) {
			*ret = answer;
			json_decref(all);
			return -EIO;
		}
		json_array_extend(all, json_object_get(result, "legs"));
		next = json_incref(json_object_get(result, "next"));
		json_decref(answer);
	}
	json_decref(next);
	*ret = all;
	return 0;
}

json_t *ctl_legs_short(const json_t *legs)
{
	static const char *const columns[] = {"leg", "call", "party", "region", "local", "suite", "state", "codec", "rx_packets",
					      "tx_packets", "rx_loss_percent", "tx_loss_percent", "rx_jitter_ms",
					      "rtt_ms", "rx_mos", "tx_mos", "problems"};
	json_t *list = json_array(), *leg;
	size_t i;

	json_array_foreach(legs, i, leg) {
		json_t *o = json_object();

		for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
			json_object_set(o, columns[k], json_object_get(leg, columns[k]));
		json_array_append_new(list, o);
	}
	return list;
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "-";
}

static long long number(const json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static void print_leg(const json_t *o, const char *name, FILE *out)
{
	const json_t *v = json_object_get(o, name);

	if (json_is_integer(v))
		fprintf(out, "%lld", (long long)json_integer_value(v));
	else
		fputc('-', out);
}

static void print(const json_t *p, bool as_json, FILE *out)
{
	const char *verdict = text(p, "verdict");
	bool passed = strcmp(verdict, "sent") == 0 || strcmp(verdict, "ok") == 0;

	if (as_json) {
		json_dumpf(p, out, JSON_COMPACT);
		fputc('\n', out);
		return;
	}
	fprintf(out, "%lld.%06lld worker %lld %s > %s len %lld leg ", number(p, "at_us") / 1000000, number(p, "at_us") % 1000000,
		number(p, "worker"), text(p, "src"), text(p, "dst"), number(p, "len"));
	print_leg(p, "leg_in", out);
	fputs(" > ", out);
	print_leg(p, "leg_out", out);
	if (json_object_get(json_object_get(p, "stages"), "lookup") != NULL)
		fprintf(out, " %s ssrc %08llx pt %lld index %lld", json_is_true(json_object_get(p, "rtcp")) ? "rtcp" : "rtp",
			(unsigned long long)number(p, "ssrc"), number(p, "pt"), number(p, "index"));
	fprintf(out, passed ? ": %s\n" : ": %s at %s\n", verdict, text(p, "at"));
}

int ctl_trace(ctl_ask_fn ask, void *ctx, json_t *args, bool as_json, const volatile int *stop, FILE *out, json_t **ret)
{
	json_t *answer = ask(ctx, "trace.start", args), *id;
	bool done = false;

	*ret = answer;
	if (answer == NULL || result_of(answer) == NULL)
		return -EIO;
	id = json_pack("{s:O}", "id", json_object_get(result_of(answer), "id"));
	json_decref(answer);
	while (!done && *stop == 0) {
		json_t *p;
		size_t i;

		answer = ask(ctx, "trace.next", id);
		if (answer == NULL || result_of(answer) == NULL) {
			json_decref(id);
			*ret = answer;
			return -EIO;
		}
		json_array_foreach(json_object_get(result_of(answer), "packets"), i, p)
			print(p, as_json, out);
		fflush(out);
		done = json_is_true(json_object_get(result_of(answer), "done"));
		if (done && json_is_string(json_object_get(result_of(answer), "end")) && !as_json)
			fprintf(out, "ended: %s\n", text(result_of(answer), "end"));
		json_decref(answer);
	}
	if (!done)
		json_decref(ask(ctx, "trace.stop", id));
	json_decref(id);
	*ret = NULL;
	return 0;
}
