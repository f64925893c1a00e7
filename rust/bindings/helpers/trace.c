// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a tracepoint is on, which is a static branch: a no-op where it is not;
 * and the event itself. The tracepoints are in observe/trace.c.
 */

#include "../../observe/mptcp_trace.h"

#define MRS_TRACEPOINT(name, event, type)				\
	bool mrs_trace_##name##_on(void)				\
	{								\
		return trace_##event##_enabled();			\
	}								\
									\
	void mrs_trace_##name(const struct mptcp_trace_##type *args)	\
	{								\
		trace_##event(args);					\
	}

MRS_TRACEPOINT(mapping_added, mptcp_mapping_added, mapping_added)
MRS_TRACEPOINT(data_acked, mptcp_data_acked, data_acked)
MRS_TRACEPOINT(reinject, mptcp_reinject, reinject)
MRS_TRACEPOINT(sched_candidate, mptcp_sched_candidate, sched_candidate)
MRS_TRACEPOINT(sched_decision, mptcp_sched_decision, sched_decision)
MRS_TRACEPOINT(fallback, mptcp_fallback, fallback)
MRS_TRACEPOINT(window, mptcp_window, window)
MRS_TRACEPOINT(pm, mptcp_pm, pm)
MRS_TRACEPOINT(get_send, mptcp_subflow_get_send, get_send)
MRS_TRACEPOINT(sendmsg_frag, mptcp_sendmsg_frag, dss)
MRS_TRACEPOINT(mapping_status, get_mapping_status, dss)
MRS_TRACEPOINT(ack_update, ack_update_msk, ack_update)
MRS_TRACEPOINT(data_avail, subflow_check_data_avail, data_avail)
