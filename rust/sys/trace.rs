// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: events that cost a no-op each while nobody wants them.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)
//!
//! The events are defined in C, by macros that Rust does not have; what they carry are plain values. Whether one is on
//! is a static branch: in the caller, where the helpers in C are inlined into it (bindings/Kbuild.inline), else in a
//! function that is called. The arguments are put together out of line.

use crate::bindings;

pub use crate::bindings::{
    mptcp_trace_ack_update as AckUpdate, mptcp_trace_data_acked as DataAcked,
    mptcp_trace_data_avail as DataAvail, mptcp_trace_dss as DssEvent,
    mptcp_trace_fallback as FallbackEvent, mptcp_trace_flow as Flow,
    mptcp_trace_get_send as GetSend, mptcp_trace_mapping_added as MappingAdded,
    mptcp_trace_pm as PmEvent, mptcp_trace_reinject as ReinjectEvent,
    mptcp_trace_sched_candidate as SchedCandidate, mptcp_trace_sched_decision as SchedDecision,
    mptcp_trace_window as WindowEvent,
};

/// A tracepoint.
pub trait Event {
    /// What it carries.
    type Args;

    /// Whether anybody wants it. A no-op, if not; a call of one, where helpers are not inlined.
    fn is_on() -> bool;

    /// Tells whoever wants it. From any context in which RCU is watching.
    fn tell(args: &Self::Args);

    /// Tells what `args` returns, if anybody wants it: if not, nothing is called.
    ///
    /// What the closure needs is to be moved into it: what it refers to has to lie in memory, whether the event
    /// is on or not.
    #[inline(always)]
    fn trace(args: impl FnOnce() -> Self::Args)
    where
        Self: Sized,
    {
        if Self::is_on() {
            tell::<Self>(args);
        }
    }
}

#[cold]
#[inline(never)]
fn tell<E: Event>(args: impl FnOnce() -> E::Args) {
    E::tell(&args());
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident($args:ty): $on:ident, $tell:ident;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl Event for $name {
                type Args = $args;

                #[inline(always)]
                fn is_on() -> bool {
                    // SAFETY: reads a branch in the code, or the tracepoint's counter.
                    unsafe { bindings::$on() }
                }

                fn tell(args: &$args) {
                    // SAFETY: the arguments are valid for the call, which copies them.
                    unsafe { bindings::$tell(args) }
                }
            }
        )*
    };
}

events! {
    /// `mptcp_mapping_added`.
    Mapping(MappingAdded): mrs_trace_mapping_added_on, mrs_trace_mapping_added;
    /// `mptcp_data_acked`.
    Acked(DataAcked): mrs_trace_data_acked_on, mrs_trace_data_acked;
    /// `mptcp_reinject`.
    Reinjection(ReinjectEvent): mrs_trace_reinject_on, mrs_trace_reinject;
    /// `mptcp_sched_candidate`.
    Candidate(SchedCandidate): mrs_trace_sched_candidate_on, mrs_trace_sched_candidate;
    /// `mptcp_sched_decision`.
    Decision(SchedDecision): mrs_trace_sched_decision_on, mrs_trace_sched_decision;
    /// `mptcp_fallback`.
    Fallback(FallbackEvent): mrs_trace_fallback_on, mrs_trace_fallback;
    /// `mptcp_window`.
    Window(WindowEvent): mrs_trace_window_on, mrs_trace_window;
    /// `mptcp_pm`.
    Pm(PmEvent): mrs_trace_pm_on, mrs_trace_pm;
    /// `mptcp_subflow_get_send`.
    SubflowGetSend(GetSend): mrs_trace_get_send_on, mrs_trace_get_send;
    /// `mptcp_sendmsg_frag`.
    SendmsgFrag(DssEvent): mrs_trace_sendmsg_frag_on, mrs_trace_sendmsg_frag;
    /// `get_mapping_status`.
    GetMappingStatus(DssEvent): mrs_trace_mapping_status_on, mrs_trace_mapping_status;
    /// `ack_update_msk`.
    AckUpdateMsk(AckUpdate): mrs_trace_ack_update_on, mrs_trace_ack_update;
    /// `subflow_check_data_avail`.
    CheckDataAvail(DataAvail): mrs_trace_data_avail_on, mrs_trace_data_avail;
}
