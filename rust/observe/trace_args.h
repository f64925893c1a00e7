/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Rust hands to the tracepoints: plain values. An event is switched on in
 * the C header mptcp_trace.h, which says what the fields are.
 *
 * Numbers that stand for words are those of the Rust enums in trace.rs and in
 * proto/fallback.rs.
 */
#ifndef _MPTCP_RS_TRACE_ARGS_H
#define _MPTCP_RS_TRACE_ARGS_H

#include <linux/types.h>

/* Which subflow of which connection. Ports are in host order. */
struct mptcp_trace_flow {
	u32 token;
	u32 subflow;
	u16 sport;
	u16 dport;
	u8 loc_id;
	u8 rem_id;
};

struct mptcp_trace_mapping_added {
	struct mptcp_trace_flow flow;
	u64 dsn;
	u32 ssn;
	u32 len;
	u32 map_len;
	u8 how;
	u8 again;
};

struct mptcp_trace_data_acked {
	struct mptcp_trace_flow flow;
	u64 data_ack;
	u64 snd_una;
	u64 snd_nxt;
	u64 wnd_end;
	u32 cwnd;
	u32 in_flight;
	u32 srtt_us;
};

struct mptcp_trace_reinject {
	struct mptcp_trace_flow flow;
	u64 dsn;
	u64 len;
	u8 cause;
};

struct mptcp_trace_sched_candidate {
	struct mptcp_trace_flow flow;
	u32 srtt_us;
	u32 cwnd;
	u32 in_flight;
	u32 queued;
	u32 send_room;
	u64 delivery_rate;
	u8 backup;
	u8 stale;
	u8 picked;
};

struct mptcp_trace_sched_decision {
	struct mptcp_trace_flow flow;
	u64 dsn;
	u64 pending;
	u64 window;
	u32 burst;
	u8 candidates;
	u8 again;
};

struct mptcp_trace_fallback {
	struct mptcp_trace_flow flow;
	u8 cause;
};

struct mptcp_trace_window {
	struct mptcp_trace_flow flow;
	u64 data_ack;
	u64 right_edge;
	u32 window;
	u32 space;
};

/* Addresses are IPv6; IPv4 ones are mapped. */
struct mptcp_trace_pm {
	u32 token;
	s32 result;
	u16 sport;
	u16 dport;
	u8 action;
	u8 loc_id;
	u8 rem_id;
	u8 backup;
	u8 saddr[16];
	u8 daddr[16];
};

/* The arguments of the events that the in-tree implementation has too. */
struct mptcp_trace_get_send {
	u64 ratio;
	u32 snd_wnd;
	u32 pace;
	bool active;
	bool free;
	u8 backup;
};

struct mptcp_trace_dss {
	u64 data_ack;
	u64 data_seq;
	u32 subflow_seq;
	u16 data_len;
	u16 csum;
	bool use_map;
	bool dsn64;
	bool data_fin;
	bool use_ack;
	bool ack64;
	bool mpc_map;
	bool csum_reqd;
	bool infinite_map;
};

struct mptcp_trace_ack_update {
	u64 data_ack;
	u64 old_snd_una;
	u64 new_snd_una;
	u64 new_wnd_end;
	u64 msk_wnd_end;
};

struct mptcp_trace_data_avail {
	const void *skb;
	u8 status;
};

#endif /* _MPTCP_RS_TRACE_ARGS_H */
