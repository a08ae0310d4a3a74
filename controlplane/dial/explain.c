/* SPDX-License-Identifier: BSD-3-Clause */
/* A look-up of the dial plan as an answer for people. */
#include "explain.h"

#include <stdio.h>
#include <string.h>

static void print_weight(cp_weight w, char *out, size_t size)
{
	char text[48];
	size_t n = sizeof(text);

	text[--n] = '\0';
	do {
		text[--n] = (char)('0' + (unsigned)(w % 10));
		w /= 10;
	} while (w > 0 && n > 0);
	snprintf(out, size, "%s", text + n);
}

static void see(void *ctx, const struct cp_dial_seen *s)
{
	char weight[48];

	print_weight(s->weight, weight, sizeof(weight));
	json_array_append_new(ctx, json_pack("{s:b,s:i,s:s,s:s,s:s,s:s,s:i,s:s,s:s}", "chosen", (int)s->chosen, "step", (int)s->depth + 1, "digits",
					     s->digits, "text", s->text, "kind", s->kind, "partition", s->partition, "place", (int)s->rank + 1,
					     "fits", weight, "why", s->why));
}

static const char *kind_name(enum cp_dial_kind kind)
{
	switch (kind) {
	case CP_DIAL_LINE:
		return "line";
	case CP_DIAL_GATEWAY:
		return "gateway";
	case CP_DIAL_BLOCK:
		return "block";
	case CP_DIAL_LOOP:
		return "loop";
	case CP_DIAL_NONE:
		break;
	}
	return "none";
}

json_t *cp_dial_explain_json(const struct cp_plan *plan, const struct cp_device *dev, unsigned line, const char *digits)
{
	struct cp_dial_from from = {.css = cp_dial_css(dev, line), .number = dev->lines[line - 1].number};
	json_t *seen = json_array(), *o;
	struct cp_dialled to;

	cp_dial_explain(plan, &from, digits, &to, see, seen);
	o = json_pack("{s:s,s:s,s:s,s:s,s:b,s:o}", "leads_to", kind_name(to.kind), "number", to.number, "calling", to.calling, "css", from.css,
		      "waits_for_more", (int)to.longer, "candidates", seen);
	if (o != NULL && to.kind == CP_DIAL_LINE)
		json_object_set_new(o, "device", json_string(to.hit.device->name));
	if (o != NULL && to.kind == CP_DIAL_GATEWAY && to.hit.group != NULL)
		json_object_set_new(o, "group", json_string(to.hit.group));
	if (o != NULL && to.kind == CP_DIAL_GATEWAY && to.hit.gateway != NULL)
		json_object_set_new(o, "gateway", json_string(to.hit.gateway->name));
	if (o != NULL && to.kind == CP_DIAL_BLOCK)
		json_object_set_new(o, "reason", json_string(to.pattern->reason));
	return o;
}
