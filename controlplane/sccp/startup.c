/* SPDX-License-Identifier: BSD-3-Clause */
/* What a registered phone asks for after its start: templates, lines, time, capabilities. */
#include <string.h>
#include <time.h>

#include "session.h"

static void on_time_date(struct cp_phone *p)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	int64_t wall = o->wall_ms(o->now_ctx);
	time_t now = (time_t)(wall / 1000);
	uint8_t buf[CP_SCCP_BUILD_MAX];
	struct tm tm = {0};

	localtime_r(&now, &tm);
	cp_session_send(p, buf,
	                cp_sccp_build_time_date(buf, p->ver, now, (uint32_t)(wall % 1000),
	                                        (int32_t)tm.tm_gmtoff));
}

static void on_line_stat(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	bool dynamic = p->ver >= 17 && (p->features[2] & CP_SCCP_FEAT2_DYNAMIC) != 0;
	uint8_t buf[CP_SCCP_BUILD_MAX];
	const char *number, *label;
	uint32_t line = 0;

	if (cp_sccp_parse_u32(f, &line) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	number = cp_phone_line_number(p, line);
	label = cp_phone_line_label(p, line);
	cp_session_send(p, buf,
	                cp_sccp_build_line_stat(buf, p->ver, dynamic, line, number, label, label));
}

static void on_number_stat(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	uint8_t buf[CP_SCCP_BUILD_MAX];
	uint32_t n = 0;

	if (cp_sccp_parse_u32(f, &n) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	if (f->id == CP_SCCP_FORWARD_STAT_REQ && p->sccp->o.call->forward_stat != NULL)
		p->sccp->o.call->forward_stat(p->sccp->o.call_ctx, p, n);
	else if (f->id == CP_SCCP_FORWARD_STAT_REQ)
		cp_phone_forward_stat(p, n, NULL, NULL, NULL);
	else
		cp_session_send(p, buf, cp_sccp_build_speed_dial_stat(buf, p->ver, n, "", ""));
}

static void on_button_template(struct cp_phone *p)
{
	struct cp_sccp_button b[CP_SCCP_BUTTONS];
	uint8_t buf[CP_SCCP_BUILD_MAX];

	for (unsigned i = 0; i < p->line_cnt; i++)
		b[i] = (struct cp_sccp_button){(uint8_t)(i + 1), CP_SCCP_BUTTON_LINE};
	cp_session_send(p, buf, cp_sccp_build_button_template(buf, p->ver, b, p->line_cnt));
}

static void on_caps(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	struct cp_sccp_caps caps;

	if (cp_sccp_parse_caps(f, &caps) != 0) {
		cp_session_malformed(p, f);
		return;
	}
	memcpy(p->caps, caps.cap, sizeof(p->caps));
	p->cap_cnt = (uint8_t)caps.n;
	p->sccp->o.call->caps(p->sccp->o.call_ctx, p);
}

bool cp_session_startup(struct cp_phone *p, const struct cp_sccp_frame *f)
{
	const struct cp_sccp_opts *o = &p->sccp->o;
	uint8_t buf[CP_SCCP_BUILD_MAX];

	switch (f->id) {
	case CP_SCCP_BUTTON_TEMPLATE_REQ:
		on_button_template(p);
		return true;
	case CP_SCCP_SOFTKEY_TEMPLATE_REQ:
		cp_session_send(p, buf, cp_sccp_build_softkey_template(buf, p->ver));
		return true;
	case CP_SCCP_SOFTKEY_SET_REQ:
		cp_session_send(p, buf, cp_sccp_build_softkey_sets(buf, p->ver));
		return true;
	case CP_SCCP_CONFIG_STAT_REQ:
		cp_session_send(p, buf,
		                cp_sccp_build_config_stat(buf, p->ver, p->name, 1, "",
		                                          o->server_name, p->line_cnt, 0));
		return true;
	case CP_SCCP_LINE_STAT_REQ:
		on_line_stat(p, f);
		return true;
	case CP_SCCP_FORWARD_STAT_REQ:
	case CP_SCCP_SPEED_DIAL_STAT_REQ:
		on_number_stat(p, f);
		return true;
	case CP_SCCP_TIME_DATE_REQ:
		on_time_date(p);
		return true;
	case CP_SCCP_VERSION_REQ: /* its own load: no upgrade is ordered */
		cp_session_send(p, buf, cp_sccp_build_version(buf, p->ver, p->load));
		return true;
	case CP_SCCP_SERVER_REQ:
		cp_session_send(
			p, buf,
			cp_sccp_build_server_res(buf, p->ver, o->server_name, &p->peer.local));
		return true;
	case CP_SCCP_CAPABILITIES_RES:
	case CP_SCCP_UPDATE_CAPS1:
	case CP_SCCP_UPDATE_CAPS2:
	case CP_SCCP_UPDATE_CAPS3:
		on_caps(p, f);
		return true;
	case CP_SCCP_AVAILABLE_LINES:
	case CP_SCCP_HEADSET:
		return true; /* nothing depends on them */
	default:
		return false;
	}
}
