/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CP_DIAL_EXPLAIN_H
#define CP_DIAL_EXPLAIN_H

#include <jansson.h>

#include "plan.h"

/**
 * What a device's line (from 1; the device has it) reaches by these digits, and each thing that fits with the reason why it was chosen
 * or not: a new object, NULL without memory. A number of 0-9 * # +, shorter than CP_NUMBER_MAX.
 */
json_t *cp_dial_explain_json(const struct cp_plan *plan, const struct cp_device *dev, unsigned line, const char *digits);

#endif
