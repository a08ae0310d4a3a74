/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Voice-mail ports (004b: VM rows): SCCP devices named SERVER-VI1, SERVER-VI2, ... A server is its ports: its mode is that of its
 * lowest one, and ports that are added take it (VM-09). Each port's mode can then be set as any device's (VM-08).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "store/change.h"
#include "vm.h"

#define PORT_MAX 999

static bool port_name(const char *server, unsigned n, char ret[CP_DEVICE_NAME_MAX])
{
	int len = snprintf(ret, CP_DEVICE_NAME_MAX, "%s-VI%u", server, n);

	return len > 0 && len < CP_DEVICE_NAME_MAX && cp_vm_port_name_ok(ret);
}

/* The server's lowest port; NULL: it has none. */
static const struct cp_device *first_port(const struct cp_store *s, const char *server)
{
	char name[CP_DEVICE_NAME_MAX];
	const struct cp_device *dev = NULL;

	for (unsigned n = 1; n <= PORT_MAX && dev == NULL && port_name(server, n, name); n++)
		dev = cp_dir_device(s, name);
	return dev;
}

/* The mode of new ports. 0 or -EINVAL. */
static int mode_of(struct cp_store *s, const json_t *args, const char *server, enum cp_device_mode *ret, char *why, size_t size)
{
	const char *mode = json_string_value(json_object_get(args, "mode"));
	const struct cp_device *first = first_port(s, server);

	*ret = first != NULL ? first->mode : CP_DEVICE_NONSECURE; /* VM-09; VM-08 */
	if (mode == NULL)
		return 0;
	if (cp_device_mode_parse(mode, ret) < 0) {
		snprintf(why, size, "mode %s is not nonsecure, authenticated or encrypted", cfg_q(mode));
		return -EINVAL;
	}
	if (first != NULL && *ret != first->mode) {
		snprintf(why, size, "voice-mail server %s is %s: ports added to it are too; vm port set changes one", server,
			 cp_device_mode_name(first->mode));
		return -EINVAL;
	}
	return 0;
}

static int add_ports(struct cp_store *s, struct cp_change *c, const char *server, json_int_t cnt, enum cp_device_mode mode, json_t *names,
		     char *why, size_t size)
{
	struct cp_device dev = {.mode = mode, .region = "default", .srtp = true};
	int rc = 0;

	snprintf(dev.description, sizeof(dev.description), "voice mail %s", server);
	for (unsigned n = 1; cnt > 0 && rc == 0; n++) {
		if (n > PORT_MAX || !port_name(server, n, dev.name)) {
			snprintf(why, size, "%s has no more port names: they end at %d, and at %d characters", server, PORT_MAX,
				 CP_DEVICE_NAME_MAX - 1);
			return -EINVAL;
		}
		if (cp_dir_device(s, dev.name) != NULL)
			continue;
		rc = cp_change_device_put(c, &dev, false, why, size);
		json_array_append_new(names, json_string(dev.name));
		cnt--;
	}
	return rc;
}

static int attempt_vm_add(struct pending_change *p, char *why, size_t size)
{
	const char *server = json_string_value(json_object_get(p->args, "name"));
	const json_t *ports = json_object_get(p->args, "ports");
	struct cp_store *s = cmds_store(p->cmds);
	enum cp_device_mode mode;
	json_t *names = json_array();
	char probe[CP_DEVICE_NAME_MAX];
	struct cp_change *c = NULL;
	int rc = -EINVAL;

	if (!port_name(server, 1, probe))
		snprintf(why, size, "voice-mail server %s is not a letter and up to 11 of letters, digits and '-' (nor SEP...)", cfg_q(server));
	else if (!json_is_integer(ports) || json_integer_value(ports) < 1 || json_integer_value(ports) > PORT_MAX)
		snprintf(why, size, "ports is not 1 to %d", PORT_MAX);
	else
		rc = mode_of(s, p->args, server, &mode, why, size);
	if (rc == 0) {
		c = cp_change_create(s);
		rc = c == NULL ? -ENOMEM : add_ports(s, c, server, json_integer_value(ports), mode, names, why, size);
	}
	if (rc == 0) {
		p->result = json_pack("{s:s, s:s, s:O}", "name", server, "mode", cp_device_mode_name(mode), "ports", names);
		rc = cp_change_submit(c, "vm.server.add", cp_admin_who(p->req),
				      json_pack("{s:s, s:O}", "name", server, "ports", names), change_written, p);
		c = NULL;
	}
	cp_change_destroy(c);
	json_decref(names);
	return rc;
}

static void vm_add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "ports", "mode", NULL};
	const char *name = NULL, *mode = NULL;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, "mode", false, &mode) < 0)
		return;
	cmds_run(ctx, req, args, NULL, attempt_vm_add);
}

struct list {
	json_t *rows;
	int mode; /* enum cp_device_mode; 0: all */
};

static void list_port(void *ctx, const struct cp_device *dev)
{
	struct list *l = ctx;

	if (!cp_vm_port_name_ok(dev->name) || (l->mode != 0 && l->mode != (int)dev->mode))
		return;
	json_array_append_new(l->rows, json_pack("{s:s, s:s#, s:s, s:s, s:s}", "port", dev->name, "server", dev->name,
						 (size_t)(strrchr(dev->name, '-') - dev->name), "mode", cp_device_mode_name(dev->mode), "number",
						 dev->line_cnt > 0 ? dev->lines[0].number : "", "description", dev->description));
}

/* 004b:VM-11 */
static void show_vm(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"mode", NULL};
	const char *mode = NULL;
	enum cp_device_mode m;
	struct list l = {0};

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "mode", false, &mode) < 0)
		return;
	if (mode != NULL && cp_device_mode_parse(mode, &m) < 0) {
		cp_admin_fail(req, "invalid", "mode %s is not nonsecure, authenticated or encrypted", cfg_q(mode));
		return;
	}
	l.mode = mode != NULL ? (int)m : 0;
	l.rows = json_array();
	cp_dir_each_device(cmds_store(ctx), list_port, &l);
	cp_admin_reply(req, l.rows);
}

int cmds_vm(struct cmds *c, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "vm.server.add", vm_add, c);

	return rc < 0 ? rc : cp_admin_register(admin, "show.vm", show_vm, c);
}
