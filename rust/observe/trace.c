// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints themselves. What asks whether they are on, and hands them
 * their arguments, is in bindings/helpers/trace.c.
 */

#include <linux/module.h>

#define CREATE_TRACE_POINTS
#include "mptcp_trace.h"
