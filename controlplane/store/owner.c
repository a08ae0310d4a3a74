/* SPDX-License-Identifier: BSD-3-Clause */
#include "owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fieldtab.h"

static const struct cp_field more_fields[] = {
	F(1, CP_F_STR, cp_owner_more, name),
	END,
};
static const struct cp_list more_list = {sizeof(struct cp_owner_more), CP_LINE_DEVICES_MAX - 1, offsetof(struct cp_owner, more_cnt), false,
					 more_fields};
static const struct cp_field owner_fields[] = {
	F(1, CP_F_UINT, cp_owner, kind),
	F(2, CP_F_STR, cp_owner, name),
	L(3, cp_owner, more, &more_list),
	END,
};

int cp_owner_build(const struct cp_owner *owner, struct cp_buf *ret)
{
	return cp_fields_build(CP_KIND_OWNER, owner_fields, owner, NULL, ret);
}

static bool valid(const struct cp_owner *o)
{
	if ((o->kind != CP_DIR_LINE && o->kind != CP_DIR_GATEWAY) || o->name[0] == '\0' || (o->kind == CP_DIR_GATEWAY && o->more_cnt > 0))
		return false;
	for (unsigned i = 0; i < o->more_cnt; i++)
		if (o->more[i].name[0] == '\0')
			return false;
	return true;
}

int cp_owner_parse(const uint8_t *data, size_t len, struct cp_owner *ret)
{
	struct cp_buf unknown = {0}; /* made by the directory alone: nothing to keep */
	int rc = cp_fields_parse(CP_KIND_OWNER, owner_fields, data, len, ret, sizeof(*ret), &unknown);

	if (rc < 0)
		return rc;
	free(unknown.data);
	if (!valid(ret)) {
		cp_owner_free(ret);
		return -EBADMSG;
	}
	return 0;
}

void cp_owner_free(struct cp_owner *owner)
{
	if (owner == NULL)
		return;
	free(owner->more);
	memset(owner, 0, sizeof(*owner));
}

void cp_owner_delete(void *owner)
{
	cp_owner_free(owner);
	free(owner);
}

const char *cp_owner_name(const struct cp_owner *owner, unsigned i)
{
	return i == 0 ? owner->name : i <= owner->more_cnt ? owner->more[i - 1].name : NULL;
}

bool cp_owner_has(const struct cp_owner *owner, const char *name)
{
	const char *n;

	for (unsigned i = 0; (n = cp_owner_name(owner, i)) != NULL; i++)
		if (strcmp(n, name) == 0)
			return true;
	return false;
}

static int append(struct cp_owner *o, const char *name)
{
	if (o->name[0] == '\0') {
		snprintf(o->name, sizeof(o->name), "%s", name);
		return 0;
	}
	if (o->more_cnt == CP_LINE_DEVICES_MAX - 1)
		return -ENOSPC;
	snprintf(o->more[o->more_cnt++].name, CP_DEVICE_NAME_MAX, "%.*s", CP_DEVICE_NAME_MAX - 1, name);
	return 0;
}

int cp_owner_with(const struct cp_owner *owner, const char *drop, const char *add, struct cp_owner **ret)
{
	struct cp_owner *o = calloc(1, sizeof(*o));
	const char *n;
	int rc = 0;

	*ret = NULL;
	if (o != NULL)
		o->more = calloc((owner != NULL ? owner->more_cnt : 0) + 1, sizeof(*o->more));
	if (o == NULL || o->more == NULL) {
		free(o);
		return -ENOMEM;
	}
	o->kind = owner != NULL ? owner->kind : CP_DIR_LINE;
	for (unsigned i = 0; owner != NULL && rc == 0 && (n = cp_owner_name(owner, i)) != NULL; i++)
		if (drop == NULL || strcmp(n, drop) != 0)
			rc = append(o, n);
	if (rc == 0 && add != NULL && !cp_owner_has(o, add))
		rc = append(o, add);
	if (rc < 0 || o->name[0] == '\0') {
		cp_owner_delete(o);
		return rc;
	}
	*ret = o;
	return 0;
}
