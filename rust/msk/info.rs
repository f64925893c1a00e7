// SPDX-License-Identifier: GPL-2.0

//! What a connection tells about itself: `getsockopt(SOL_MPTCP)`.
//!
//! The structures have grown and will grow: each side says how much of one it knows. What is told about
//! subflows is an array in the user's memory, whose elements have the size that the user wants them to.

use super::{Msk, MskSock, Sub};
use crate::bindings::{
    self, mptcp_full_info, mptcp_info, mptcp_subflow_addrs, mptcp_subflow_data, mptcp_subflow_info,
};
use crate::proto::seq::Dsn;
use crate::subflow::flag as sub_flag;
use crate::subflow::shared::flag;
use crate::sys::errno::eopnotsupp;
use crate::sys::msock::Guard;
use crate::sys::net::Net;
use crate::sys::sock::state;
use crate::sys::tcp;
use crate::sys::uio::{OptOut, Record, Uapi};
use core::mem::{offset_of, size_of};
use core::sync::atomic::Ordering;
use kernel::alloc::{flags::GFP_KERNEL, KVec};
use kernel::error::{code::*, Result};

const MPTCP_INFO: i32 = bindings::MPTCP_INFO as i32;
const MPTCP_TCPINFO: i32 = bindings::MPTCP_TCPINFO as i32;
const MPTCP_SUBFLOW_ADDRS: i32 = bindings::MPTCP_SUBFLOW_ADDRS as i32;
const MPTCP_FULL_INFO: i32 = bindings::MPTCP_FULL_INFO as i32;

/// The first version of `mptcp_subflow_data` and of `mptcp_full_info` had as many bytes before what follows
/// them. Whoever offers less has an old header, or none.
const SUBFLOW_DATA_MIN: usize = 16;
const FULL_INFO_MIN: usize = offset_of!(mptcp_full_info, mptcp_info);

/// `getsockopt(SOL_MPTCP, name)`.
pub(super) fn get(sk: &MskSock, name: i32, value: OptOut) -> Result {
    match name {
        MPTCP_INFO => {
            let mut info = Record::new();
            fill(&mut sk.lock(), &mut info);
            let room = value.room()?.min(size_of::<mptcp_info>());
            value.set_len(room)?;
            value.write_at(0, head(info.bytes(), room))
        }
        MPTCP_TCPINFO => subflow_data(sk, &value, |sub| tcp::info(&sub.ssk)),
        MPTCP_SUBFLOW_ADDRS => subflow_data(sk, &value, |sub| addresses(sub)),
        MPTCP_FULL_INFO => full(sk, &value),
        _ => Err(eopnotsupp()),
    }
}

fn head(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(..len).unwrap_or(bytes)
}

/// Writes everything about the connection to `info`, which is zero and stays so for a listener.
pub(super) fn fill(guard: &mut Guard<'_, Msk>, info: &mut mptcp_info) {
    let sk: &MskSock = guard.sk();
    if sk.state() == state::LISTEN {
        return;
    }
    let shared = sk.state_of().shared();
    if shared.is(flag::FALLBACK) {
        info.mptcpi_flags |= bindings::MPTCP_INFO_FLAG_FALLBACK;
    }
    let first = shared.local.idsn.add(1);
    let since = |from: Dsn, to: Dsn| to.since(from).max(0) as u64;
    if let Some(agreed) = shared.agreed() {
        info.mptcpi_flags |= bindings::MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED;
        info.mptcpi_csum_enabled = agreed.checksum.into();
        let fin = u64::from(shared.is(flag::EOF));
        info.mptcpi_bytes_received =
            since(agreed.first_dsn(), shared.rcv_nxt.get()).saturating_sub(fin);
    }
    info.mptcpi_bytes_received += u64::from(shared.early.load(Ordering::Relaxed));
    info.mptcpi_token = shared.local.token;
    // The DATA_FIN has a number too, once it is decided, and its acknowledgement counts.
    let fin = u64::from(shared.is(flag::FIN));
    info.mptcpi_write_seq = guard.inner().tx.write_seq().add(fin).0;
    info.mptcpi_snd_una = shared.snd_una.get().0;
    info.mptcpi_rcv_nxt = shared.rcv_nxt.get().0;
    info.mptcpi_bytes_sent = since(first, shared.snd_nxt.get());
    info.mptcpi_bytes_acked = since(first, shared.snd_una.get());
    info.mptcpi_retransmits = guard.inner().watch.backoff.into();
    info.mptcpi_bytes_retrans = guard.inner().sent_again;
    let subflows = guard.inner().subs.iter().filter(|sub| lives(sub)).count();
    info.mptcpi_subflows_total = subflows.try_into().unwrap_or(u8::MAX);
    let counts = sk.state_of().pm.counts();
    // What is left of them then is about to be taken out.
    if sk.state() != state::CLOSE {
        info.mptcpi_subflows = counts.subflows;
    }
    info.mptcpi_add_addr_signal = counts.add_addr_signal;
    info.mptcpi_add_addr_accepted = counts.add_addr_accepted;
    info.mptcpi_local_addr_used = counts.local_addr_used;
    if let Some(most) = sk.state_of().pm.most(Net::of(sk)) {
        info.mptcpi_subflows_max = most.subflows;
        info.mptcpi_add_addr_signal_max = most.add_addr_signal;
        info.mptcpi_add_addr_accepted_max = most.add_addr_accepted;
        info.mptcpi_local_addr_max = most.local_addr_used;
    }
    info.mptcpi_last_data_sent = shared.times.sent.age_ms();
    info.mptcpi_last_data_recv = shared.times.received.age_ms();
    info.mptcpi_last_ack_recv = shared.times.acked.age_ms();
}

/// Whether a subflow counts: the first one until it begins to end, others until they are taken out.
fn lives(sub: &Sub) -> bool {
    let open = [
        state::ESTABLISHED,
        state::SYN_SENT,
        state::SYN_RECV,
        state::LISTEN,
    ];
    let now = sub.ssk.state();
    open.contains(&now) || sub.ctx.is(sub_flag::JOIN) && now != state::CLOSE
}

fn addresses(sub: &Sub) -> Record<mptcp_subflow_addrs> {
    let mut addrs = Record::new();
    sub.ssk.addresses(&mut addrs);
    addrs
}

/// The subflows, held so that their own locks can be taken without the connection's.
fn subflows(sk: &MskSock) -> Result<KVec<Sub>> {
    let mut guard = sk.lock();
    let inner = guard.inner();
    let mut subs = KVec::with_capacity(inner.subs.len(), GFP_KERNEL)?;
    for sub in inner.subs.iter() {
        subs.push(sub.clone(), GFP_KERNEL)?;
    }
    Ok(subs)
}

/// An array of one `T` for each subflow, behind an `mptcp_subflow_data`.
fn subflow_data<T: Uapi>(sk: &MskSock, value: &OptOut, of: impl Fn(&Sub) -> Record<T>) -> Result {
    let room = value.room()?;
    let mut data = Record::<mptcp_subflow_data>::new();
    if room < SUBFLOW_DATA_MIN {
        return Err(EINVAL);
    }
    let known = room.min(size_of::<mptcp_subflow_data>());
    value.read_at(0, data.bytes_mut().get_mut(..known).ok_or(EINVAL)?)?;
    let start = data.size_subflow_data as usize;
    if data.num_subflows != 0 || data.size_kernel != 0 || data.size_user > i32::MAX as u32 {
        return Err(EINVAL);
    }
    if start < SUBFLOW_DATA_MIN || start > room {
        return Err(EINVAL);
    }
    // What is told is how much of an element the kernel gives, and how far apart they are.
    let size = (data.size_user as usize).min(size_of::<T>());
    data.size_user = size as u32;
    let mut at = start;
    // How much was written: what an unknown part of the header would have held does not count.
    let mut len = start.min(known);
    for sub in subflows(sk)?.iter() {
        data.num_subflows += 1;
        if size > 0 && at + size <= room {
            value.write_at(at, head(of(sub).bytes(), size))?;
            at += size;
            len = at.min(room);
        }
    }
    data.size_kernel = size_of::<T>() as u32;
    value.set_len(len)?;
    value.write_at(0, head(data.bytes(), start.min(known)))
}

/// `MPTCP_FULL_INFO`: the connection, and two arrays with one element for each subflow.
fn full(sk: &MskSock, value: &OptOut) -> Result {
    let room = value.room()?;
    if room < FULL_INFO_MIN {
        return Err(EINVAL);
    }
    let mut info = Record::<mptcp_full_info>::new();
    value.read_at(0, info.bytes_mut().get_mut(..FULL_INFO_MIN).ok_or(EINVAL)?)?;
    if info.size_tcpinfo_kernel != 0 || info.size_sfinfo_kernel != 0 || info.num_subflows != 0 {
        return Err(EINVAL);
    }
    let (tcp_size, sub_size) = (
        info.size_tcpinfo_user as usize,
        info.size_sfinfo_user as usize,
    );
    if tcp_size > i32::MAX as usize || sub_size > i32::MAX as usize {
        return Err(EINVAL);
    }
    let tcp_size = tcp_size.min(size_of::<bindings::tcp_info>());
    let sub_size = sub_size.min(size_of::<mptcp_subflow_info>());
    (info.size_tcpinfo_user, info.size_sfinfo_user) = (tcp_size as u32, sub_size as u32);
    let (tcp_array, sub_array) = (info.tcp_info, info.subflow_info);
    info.size_tcpinfo_kernel = size_of::<bindings::tcp_info>() as u32;
    info.size_sfinfo_kernel = size_of::<mptcp_subflow_info>() as u32;
    fill(&mut sk.lock(), &mut info.mptcp_info);
    for (index, sub) in subflows(sk)?.iter().enumerate() {
        info.num_subflows += 1;
        if index >= info.size_arrays_user as usize {
            continue;
        }
        let mut entry = Record::<mptcp_subflow_info>::new();
        sub.ssk.addresses(&mut entry.addrs);
        entry.id = sub.ctx.number();
        OptOut::elsewhere(sub_array, index * sub_size, head(entry.bytes(), sub_size))?;
        let told = tcp::info(&sub.ssk);
        OptOut::elsewhere(tcp_array, index * tcp_size, head(told.bytes(), tcp_size))?;
    }
    let len = room.min(size_of::<mptcp_full_info>());
    value.set_len(len)?;
    value.write_at(0, head(info.bytes(), len))
}
