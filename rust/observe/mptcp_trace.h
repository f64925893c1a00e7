/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints. First those that the in-tree implementation has as well: names,
 * fields and what is printed are the same, so that what reads them need not
 * care. Then those of this module, each of which names the connection by its
 * local token, and the subflow by its number (1 is the first one), address IDs
 * and ports.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mptcp

#if !defined(_MPTCP_RS_MPTCP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MPTCP_RS_MPTCP_TRACE_H

#include <linux/tracepoint.h>

#include "trace_args.h"

#define show_mapping_status(status)					\
	__print_symbolic(status,					\
			 { 0, "MAPPING_OK" },				\
			 { 1, "MAPPING_INVALID" },			\
			 { 2, "MAPPING_EMPTY" },			\
			 { 3, "MAPPING_DATA_FIN" },			\
			 { 4, "MAPPING_DUMMY" })

/* enum How in trace.rs */
#define show_how(how)							\
	__print_symbolic(how,						\
			 { 0, "new" },					\
			 { 1, "grow" },					\
			 { 2, "fill" },					\
			 { 3, "received" })

/* enum Reinject in trace.rs */
#define show_reinject(cause)						\
	__print_symbolic(cause,						\
			 { 0, "closed" },				\
			 { 1, "stale" },				\
			 { 2, "timeout" },				\
			 { 3, "dropped" })

/* enum PmAction in trace.rs */
#define show_pm(action)							\
	__print_symbolic(action,					\
			 { 0, "created" },				\
			 { 1, "connect" },				\
			 { 2, "accept" },				\
			 { 3, "refuse" },				\
			 { 4, "established" },				\
			 { 5, "close" },				\
			 { 6, "closed" },				\
			 { 7, "add-addr" },				\
			 { 8, "add-addr-echo" },			\
			 { 9, "rm-addr" },				\
			 { 10, "prio" })

/* enum FallbackCause in proto/fallback.rs */
#define show_fallback(cause)						\
	__print_symbolic(cause,						\
			 { 0, "syn-without-capable" },			\
			 { 1, "syn-ack-without-capable" },		\
			 { 2, "ack-without-capable" },			\
			 { 3, "version" },				\
			 { 4, "extensibility" },			\
			 { 5, "algorithm" },				\
			 { 6, "wrong-key" },				\
			 { 7, "simultaneous-connect" },			\
			 { 8, "incompatible" },				\
			 { 9, "unavailable" },				\
			 { 10, "no-dss" },				\
			 { 11, "unmapped" },				\
			 { 12, "bad-mapping" },				\
			 { 13, "checksum" },				\
			 { 14, "infinite-map-rx" },			\
			 { 15, "infinite-map-tx" },			\
			 { 16, "vanished" })

/* A subflow is looked at as one that could send. */
TRACE_EVENT(mptcp_subflow_get_send,

	TP_PROTO(const struct mptcp_trace_get_send *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(bool, active)
		__field(bool, free)
		__field(u32, snd_wnd)
		__field(u32, pace)
		__field(u8, backup)
		__field(u64, ratio)
	),

	TP_fast_assign(
		__entry->active = args->active;
		__entry->free = args->free;
		__entry->snd_wnd = args->snd_wnd;
		__entry->pace = args->pace;
		__entry->backup = args->backup;
		__entry->ratio = args->ratio;
	),

	TP_printk("active=%d free=%d snd_wnd=%u pace=%u backup=%u ratio=%llu",
		  __entry->active, __entry->free, __entry->snd_wnd,
		  __entry->pace, __entry->backup, __entry->ratio)
);

/* What a DSS, or the MP_CAPABLE of the first data, says. */
DECLARE_EVENT_CLASS(mptcp_dump_mpext,

	TP_PROTO(const struct mptcp_trace_dss *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u64, data_ack)
		__field(u64, data_seq)
		__field(u32, subflow_seq)
		__field(u16, data_len)
		__field(u16, csum)
		__field(u8, use_map)
		__field(u8, dsn64)
		__field(u8, data_fin)
		__field(u8, use_ack)
		__field(u8, ack64)
		__field(u8, mpc_map)
		__field(u8, frozen)
		__field(u8, reset_transient)
		__field(u8, reset_reason)
		__field(u8, csum_reqd)
		__field(u8, infinite_map)
	),

	/* A reset never comes with a mapping here, and nothing is frozen. */
	TP_fast_assign(
		__entry->data_ack = args->data_ack;
		__entry->data_seq = args->data_seq;
		__entry->subflow_seq = args->subflow_seq;
		__entry->data_len = args->data_len;
		__entry->csum = args->csum;
		__entry->use_map = args->use_map;
		__entry->dsn64 = args->dsn64;
		__entry->data_fin = args->data_fin;
		__entry->use_ack = args->use_ack;
		__entry->ack64 = args->ack64;
		__entry->mpc_map = args->mpc_map;
		__entry->frozen = 0;
		__entry->reset_transient = 0;
		__entry->reset_reason = 0;
		__entry->csum_reqd = args->csum_reqd;
		__entry->infinite_map = args->infinite_map;
	),

	TP_printk("data_ack=%llu data_seq=%llu subflow_seq=%u data_len=%u csum=%x use_map=%u dsn64=%u data_fin=%u use_ack=%u ack64=%u mpc_map=%u frozen=%u reset_transient=%u reset_reason=%u csum_reqd=%u infinite_map=%u",
		  __entry->data_ack, __entry->data_seq, __entry->subflow_seq,
		  __entry->data_len, __entry->csum, __entry->use_map,
		  __entry->dsn64, __entry->data_fin, __entry->use_ack,
		  __entry->ack64, __entry->mpc_map, __entry->frozen,
		  __entry->reset_transient, __entry->reset_reason,
		  __entry->csum_reqd, __entry->infinite_map)
);

/* Bytes are given to a subflow. */
DEFINE_EVENT(mptcp_dump_mpext, mptcp_sendmsg_frag,
	TP_PROTO(const struct mptcp_trace_dss *args),
	TP_ARGS(args));

/* Data has come with a mapping. */
DEFINE_EVENT(mptcp_dump_mpext, get_mapping_status,
	TP_PROTO(const struct mptcp_trace_dss *args),
	TP_ARGS(args));

/* A DATA_ACK has come. */
TRACE_EVENT(ack_update_msk,

	TP_PROTO(const struct mptcp_trace_ack_update *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u64, data_ack)
		__field(u64, old_snd_una)
		__field(u64, new_snd_una)
		__field(u64, new_wnd_end)
		__field(u64, msk_wnd_end)
	),

	TP_fast_assign(
		__entry->data_ack = args->data_ack;
		__entry->old_snd_una = args->old_snd_una;
		__entry->new_snd_una = args->new_snd_una;
		__entry->new_wnd_end = args->new_wnd_end;
		__entry->msk_wnd_end = args->msk_wnd_end;
	),

	TP_printk("data_ack=%llu old_snd_una=%llu new_snd_una=%llu new_wnd_end=%llu msk_wnd_end=%llu",
		  __entry->data_ack, __entry->old_snd_una,
		  __entry->new_snd_una, __entry->new_wnd_end,
		  __entry->msk_wnd_end)
);

/* The front of a subflow's receive queue was looked at. */
TRACE_EVENT(subflow_check_data_avail,

	TP_PROTO(const struct mptcp_trace_data_avail *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u8, status)
		__field(const void *, skb)
	),

	TP_fast_assign(
		__entry->status = args->status;
		__entry->skb = args->skb;
	),

	TP_printk("mapping_status=%s, skb=%p",
		  show_mapping_status(__entry->status), __entry->skb)
);

/*
 * Bytes @dsn to @dsn + @len have been given to a subflow, as its bytes @ssn and
 * so on (the first one is 1), or a mapping of that many has come from the peer.
 * The mapping that they belong to is @map_len long now. @again: another subflow
 * had them before.
 */
TRACE_EVENT(mptcp_mapping_added,

	TP_PROTO(const struct mptcp_trace_mapping_added *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u64, dsn)
		__field(u32, ssn)
		__field(u32, len)
		__field(u32, map_len)
		__field(u8, how)
		__field(u8, again)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->dsn = args->dsn;
		__entry->ssn = args->ssn;
		__entry->len = args->len;
		__entry->map_len = args->map_len;
		__entry->how = args->how;
		__entry->again = args->again;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u dsn=%llu ssn=%u len=%u map_len=%u how=%s again=%u",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->dsn, __entry->ssn, __entry->len,
		  __entry->map_len, show_how(__entry->how), __entry->again)
);

/*
 * A DATA_ACK has come on a subflow. The others tell how the connection stands
 * after it: first byte not acknowledged, next one to be sent, first one that the
 * peer has no room for; and the subflow: bytes, and microseconds.
 */
TRACE_EVENT(mptcp_data_acked,

	TP_PROTO(const struct mptcp_trace_data_acked *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u64, data_ack)
		__field(u64, snd_una)
		__field(u64, snd_nxt)
		__field(u64, wnd_end)
		__field(u32, cwnd)
		__field(u32, in_flight)
		__field(u32, srtt_us)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->data_ack = args->data_ack;
		__entry->snd_una = args->snd_una;
		__entry->snd_nxt = args->snd_nxt;
		__entry->wnd_end = args->wnd_end;
		__entry->cwnd = args->cwnd;
		__entry->in_flight = args->in_flight;
		__entry->srtt_us = args->srtt_us;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u data_ack=%llu snd_una=%llu snd_nxt=%llu wnd_end=%llu cwnd=%u in_flight=%u srtt_us=%u",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->data_ack, __entry->snd_una,
		  __entry->snd_nxt, __entry->wnd_end, __entry->cwnd, __entry->in_flight,
		  __entry->srtt_us)
);

/*
 * Bytes that a subflow was given are to be sent again on another one. Subflow 0
 * is none in particular: the peer lacks what its TCP has acknowledged.
 */
TRACE_EVENT(mptcp_reinject,

	TP_PROTO(const struct mptcp_trace_reinject *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u64, dsn)
		__field(u64, len)
		__field(u8, cause)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->dsn = args->dsn;
		__entry->len = args->len;
		__entry->cause = args->cause;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u dsn=%llu len=%llu cause=%s",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->dsn, __entry->len,
		  show_reinject(__entry->cause))
);

/*
 * What the scheduler knew of a subflow, in bytes (per second, of the pacing
 * rate; 0 is unknown) and microseconds. The decision follows behind the last one.
 */
TRACE_EVENT(mptcp_sched_candidate,

	TP_PROTO(const struct mptcp_trace_sched_candidate *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u32, srtt_us)
		__field(u32, cwnd)
		__field(u32, in_flight)
		__field(u32, queued)
		__field(u32, send_room)
		__field(u64, delivery_rate)
		__field(u8, backup)
		__field(u8, stale)
		__field(u8, picked)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->srtt_us = args->srtt_us;
		__entry->cwnd = args->cwnd;
		__entry->in_flight = args->in_flight;
		__entry->queued = args->queued;
		__entry->send_room = args->send_room;
		__entry->delivery_rate = args->delivery_rate;
		__entry->backup = args->backup;
		__entry->stale = args->stale;
		__entry->picked = args->picked;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u srtt_us=%u cwnd=%u in_flight=%u queued=%u send_room=%u delivery_rate=%llu backup=%u stale=%u picked=%u",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->srtt_us, __entry->cwnd,
		  __entry->in_flight, __entry->queued, __entry->send_room,
		  __entry->delivery_rate, __entry->backup, __entry->stale, __entry->picked)
);

/*
 * The scheduler has put up to @burst bytes from @dsn on to a subflow, or (subflow
 * 0) found that they had better wait. @pending are not placed yet, the peer has
 * room for @window; @again: they were sent before.
 */
TRACE_EVENT(mptcp_sched_decision,

	TP_PROTO(const struct mptcp_trace_sched_decision *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u64, dsn)
		__field(u64, pending)
		__field(u64, window)
		__field(u32, burst)
		__field(u8, candidates)
		__field(u8, again)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->dsn = args->dsn;
		__entry->pending = args->pending;
		__entry->window = args->window;
		__entry->burst = args->burst;
		__entry->candidates = args->candidates;
		__entry->again = args->again;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u dsn=%llu pending=%llu window=%llu burst=%u candidates=%u again=%u",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->dsn, __entry->pending,
		  __entry->window, __entry->burst, __entry->candidates, __entry->again)
);

/*
 * A connection is plain TCP from now on. Token 0: it never had one.
 */
TRACE_EVENT(mptcp_fallback,

	TP_PROTO(const struct mptcp_trace_fallback *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u8, cause)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->cause = args->cause;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u cause=%s",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, show_fallback(__entry->cause))
);

/*
 * A segment leaves that announces a window of @window bytes from @data_ack on. The
 * right edge is that of the connection; @space is what its buffer has free.
 */
TRACE_EVENT(mptcp_window,

	TP_PROTO(const struct mptcp_trace_window *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u32, subflow)
		__field(u16, sport)
		__field(u16, dport)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u64, data_ack)
		__field(u64, right_edge)
		__field(u32, window)
		__field(u32, space)
	),

	TP_fast_assign(
		__entry->token = args->flow.token;
		__entry->subflow = args->flow.subflow;
		__entry->sport = args->flow.sport;
		__entry->dport = args->flow.dport;
		__entry->loc_id = args->flow.loc_id;
		__entry->rem_id = args->flow.rem_id;
		__entry->data_ack = args->data_ack;
		__entry->right_edge = args->right_edge;
		__entry->window = args->window;
		__entry->space = args->space;
	),

	TP_printk("token=%08x subflow=%u loc_id=%u rem_id=%u sport=%u dport=%u data_ack=%llu right_edge=%llu window=%u space=%u",
		  __entry->token, __entry->subflow, __entry->loc_id, __entry->rem_id,
		  __entry->sport, __entry->dport, __entry->data_ack, __entry->right_edge,
		  __entry->window, __entry->space)
);

/*
 * What a path manager has decided about a connection, or was told of it; see
 * Documentation/tracing.md for the actions. @result is an error (negative), or 0.
 */
TRACE_EVENT(mptcp_pm,

	TP_PROTO(const struct mptcp_trace_pm *args),

	TP_ARGS(args),

	TP_STRUCT__entry(
		__field(u32, token)
		__field(u8, action)
		__field(u8, loc_id)
		__field(u8, rem_id)
		__field(u8, backup)
		__field(u16, sport)
		__field(u16, dport)
		__field(s32, result)
		__array(u8, saddr, 16)
		__array(u8, daddr, 16)
	),

	TP_fast_assign(
		__entry->token = args->token;
		__entry->action = args->action;
		__entry->loc_id = args->loc_id;
		__entry->rem_id = args->rem_id;
		__entry->backup = args->backup;
		__entry->sport = args->sport;
		__entry->dport = args->dport;
		__entry->result = args->result;
		memcpy(__entry->saddr, args->saddr, 16);
		memcpy(__entry->daddr, args->daddr, 16);
	),

	TP_printk("token=%08x action=%s loc_id=%u rem_id=%u saddr=%pI6c sport=%u daddr=%pI6c dport=%u backup=%u result=%d",
		  __entry->token, show_pm(__entry->action), __entry->loc_id,
		  __entry->rem_id, __entry->saddr, __entry->sport,
		  __entry->daddr, __entry->dport, __entry->backup,
		  __entry->result)
);

#endif /* _MPTCP_RS_MPTCP_TRACE_H */

/* What follows is read once more for each step of making the events. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE mptcp_trace
#include <trace/define_trace.h>
