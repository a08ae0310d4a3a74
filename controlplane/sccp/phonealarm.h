/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones say of themselves: the text of an Alarm message, as "14: Name=SEP... Load=... Last=cm-closed-tcp" or
 * "TFTP Not Authorized: 10.1.1.1", and the XML of newer ones (LastOutOfServiceInformation), which have the same reason numbers. Pure
 * functions over outside bytes; what is not known is no error.
 */
#ifndef CP_SCCP_PHONEALARM_H
#define CP_SCCP_PHONEALARM_H

#include <stddef.h>

enum cp_phone_alarm_kind {
	CP_PHONE_ALARM_OTHER, /* why it was away, mostly: nothing to be done */
	CP_PHONE_ALARM_TFTP,  /* 004c:TR-04: its lists do not name the file server that it was told of */
	CP_PHONE_ALARM_FILE,  /* 004c:TR-05: a file that it does not believe */
};

struct cp_phone_alarm {
	enum cp_phone_alarm_kind kind;
	int number;        /* of its reason; -1: it said none */
	char device[17];   /* whom it says it is; "" */
	char server[48];   /* TFTP: which one; "" */
};

/** Read 'len' bytes, up to their first NUL, and no more than 2,048. */
void cp_phone_alarm_parse(const char *text, size_t len, struct cp_phone_alarm *ret);

/** A reason number in words; "" if it is not known. */
const char *cp_phone_alarm_reason(int number);

#endif
