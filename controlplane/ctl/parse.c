/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of a command line against the table, and the table as help. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "why.h"

/* How many of argv's words name 'cmd'; 0: another command. */
static int match(const struct ctl_cmd *cmd, int argc, char **argv)
{
	const char *w = cmd->words;
	int n = 0;

	while (*w != '\0') {
		size_t len = strcspn(w, " ");

		if (n == argc || strlen(argv[n]) != len || strncmp(argv[n], w, len) != 0)
			return 0;
		n++;
		w += len + (w[len] == ' ');
	}
	return n;
}

static int set_value(json_t *args, enum ctl_type type, const char *name, const char *member, const char *text, char *why,
		     size_t size)
{
	json_t *v = NULL;
	long long n;
	char *end;

	if (type == CTL_INT) {
		errno = 0;
		n = strtoll(text, &end, 0);
		if (*text == '\0' || *end != '\0' || errno != 0)
			return cfg_invalid(why, size, "%s: %s is not an integer", name, text);
		v = json_integer(n);
	} else if (type == CTL_PAIRS) {
		char *copy = strdup(text), *save, *p;

		v = json_object();
		for (p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
			char *eq = strchr(p, '=');
			json_t *s = eq == NULL ? NULL : json_string(eq + 1);

			if (s == NULL) {
				cfg_invalid(why, size, "%s: %s is not key=value", name, p);
				json_decref(v);
				free(copy);
				return -EINVAL;
			}
			*eq = '\0';
			for (char *k = p; *k != '\0'; k++)
				if (*k == '-')
					*k = '_';
			json_object_set_new(v, p, s);
		}
		free(copy);
	} else {
		v = json_string(text);
	}
	if (v == NULL)
		return cfg_invalid(why, size, "%s is not valid UTF-8", name);
	if (type == CTL_LIST) {
		json_t *list = json_object_get(args, member);

		if (list == NULL) {
			list = json_array();
			json_object_set_new(args, member, list);
		}
		json_array_append_new(list, v);
		return 0;
	}
	if (json_object_get(args, member) != NULL) {
		json_decref(v);
		return cfg_invalid(why, size, "%s is given twice", name);
	}
	json_object_set_new(args, member, v);
	return 0;
}

static const struct ctl_opt *find_opt(const struct ctl_cmd *cmd, const char *arg, size_t len, unsigned *ret_local)
{
	unsigned local = 0;

	for (const struct ctl_pos *p = cmd->pos; p < cmd->pos + 2; p++)
		local += p->name != NULL && p->type == CTL_LOCAL;
	for (const struct ctl_opt *o = cmd->opts; o != NULL && o->name != NULL; o++) {
		if (strlen(o->name) == len && strncmp(o->name, arg, len) == 0) {
			*ret_local = local;
			return o;
		}
		local += o->type == CTL_LOCAL;
	}
	return NULL;
}

/* One option at argv[*i]; moves *i over its value. */
static int parse_opt(struct ctl_request *r, int argc, char **argv, int *i, char *why, size_t size)
{
	const char *arg = argv[*i];
	size_t len = strcspn(arg, "=");
	unsigned local = 0;
	const struct ctl_opt *o = find_opt(r->cmd, arg, len, &local);
	const char *value = arg[len] == '=' ? arg + len + 1 : NULL;

	if (o == NULL)
		return cfg_invalid(why, size, "%s: unknown option %s", r->cmd->words, arg);
	if (o->arg == NULL) {
		if (value != NULL)
			return cfg_invalid(why, size, "%s takes no value", o->name);
		if (o->type == CTL_CONST)
			return set_value(r->args, CTL_STR, o->name, o->member, o->value, why, size);
		if (o->type == CTL_LOCAL) {
			r->local[local] = o->name;
			return 0;
		}
		json_object_set_new(r->args, o->member, o->type == CTL_TRUE ? json_true() : json_false());
		return 0;
	}
	if (value == NULL) {
		if (*i + 1 == argc)
			return cfg_invalid(why, size, "%s needs %s", o->name, o->arg);
		value = argv[++*i];
	}
	if (o->type == CTL_LOCAL) {
		r->local[local] = value;
		return 0;
	}
	return set_value(r->args, o->type, o->name, o->member, value, why, size);
}

static int parse_rest(struct ctl_request *r, int argc, char **argv, char *why, size_t size)
{
	unsigned pos = 0, local = 0;
	bool only_pos = false;
	int rc = 0;

	for (int i = 0; i < argc && rc == 0; i++) {
		const struct ctl_pos *p = pos < 2 ? &r->cmd->pos[pos] : NULL;

		if (!only_pos && strcmp(argv[i], "--") == 0) {
			only_pos = true;
		} else if (!only_pos && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			r->help = true;
			return 0;
		} else if (!only_pos && argv[i][0] == '-' && argv[i][1] != '\0') {
			rc = parse_opt(r, argc, argv, &i, why, size);
		} else if (p == NULL || p->name == NULL) {
			rc = cfg_invalid(why, size, "%s: one word too many: %s", r->cmd->words, argv[i]);
		} else {
			if (p->type == CTL_LOCAL)
				r->local[local++] = argv[i];
			else
				rc = set_value(r->args, p->type, p->name, p->member, argv[i], why, size);
			pos += p->type != CTL_LIST; /* takes all that follow */
		}
	}
	if (rc < 0)
		return rc;
	if (pos < 2 && r->cmd->pos[pos].name != NULL && !r->cmd->pos[pos].optional &&
	    (r->cmd->pos[pos].type != CTL_LIST || json_object_get(r->args, r->cmd->pos[pos].member) == NULL))
		return cfg_invalid(why, size, "%s: %s is missing", r->cmd->words, r->cmd->pos[pos].name);
	for (const struct ctl_opt *o = r->cmd->opts; o != NULL && o->name != NULL; o++) {
		find_opt(r->cmd, o->name, strlen(o->name), &local);
		if (o->required &&
		    (o->type == CTL_LOCAL ? r->local[local] == NULL : json_object_get(r->args, o->member) == NULL))
			return cfg_invalid(why, size, "%s: %s is missing", r->cmd->words, o->name);
	}
	return 0;
}

int ctl_parse(int argc, char **argv, struct ctl_request *ret, char *why, size_t size)
{
	struct ctl_request r = {0};
	const struct ctl_cmd *c;
	int n = 0, rc;

	for (unsigned i = 0; (c = ctl_command(i)) != NULL; i++) { /* "import ctl" before "import" */
		int k = match(c, argc, argv);

		if (k > n) {
			n = k;
			r.cmd = c;
		}
	}
	if (r.cmd == NULL)
		return argc == 0 ? cfg_invalid(why, size, "no command given")
				 : cfg_invalid(why, size, "unknown command %s%s%s", argv[0], argc > 1 ? " " : "",
					       argc > 1 ? argv[1] : "");
	r.args = json_object();
	rc = parse_rest(&r, argc - n, argv + n, why, size);
	if (rc < 0) {
		json_decref(r.args);
		return rc;
	}
	*ret = r;
	return 0;
}

void ctl_usage(FILE *out)
{
	const struct ctl_cmd *c;

	fputs("usage: ravelinctl [-c FILE | -s SOCKET] [-j] COMMAND\n\n"
	      "  -c FILE    configuration that names the run directory (default /etc/ravelin/ravelin.yaml)\n"
	      "  -s SOCKET  the appliance's admin.sock\n"
	      "  -j         print the answer as JSON, errors too\n"
	      "  COMMAND --help explains a command\n\n",
	      out);
	for (unsigned i = 0; (c = ctl_command(i)) != NULL; i++)
		fprintf(out, "  %-20s %s\n", c->words, c->help);
	fputs("\nexit status: 0 done, 1 refused by the appliance or found bad by doctor, 2 usage, 3 appliance not reachable\n", out);
}

void ctl_command_help(FILE *out, const struct ctl_cmd *c)
{
	fprintf(out, "usage: ravelinctl %s", c->words);
	for (unsigned i = 0; i < 2 && c->pos[i].name != NULL; i++)
		fprintf(out, c->pos[i].optional ? " [%s]" : " %s", c->pos[i].name);
	for (const struct ctl_opt *o = c->opts; o != NULL && o->name != NULL; o++)
		fprintf(out, " %s%s%s%s%s%s", o->required ? "" : "[", o->name, o->arg != NULL ? " " : "",
			o->arg != NULL ? o->arg : "", o->required ? "" : "]", o->type == CTL_LIST ? "..." : "");
	fprintf(out, "\n\n  %s\n", c->help);
	if (c->opts != NULL)
		fputc('\n', out);
	for (const struct ctl_opt *o = c->opts; o != NULL && o->name != NULL; o++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
		fprintf(out, "  %-24s %s\n", left, o->help);
	}
}
