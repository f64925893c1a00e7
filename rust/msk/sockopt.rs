// SPDX-License-Identifier: GPL-2.0

//! Socket options.
//!
//! Those of `SOL_SOCKET` are the connection's, and its subflows have the same; those of IP and TCP are
//! the subflows' own, see [`reach`]. What every subflow shall have is remembered for those to come.

use super::reach::{self, Reach};
use super::{open, Msk, MskSock, Sub};
use crate::bindings;
use crate::subflow::flag as sub_flag;
use crate::subflow::shared::flag;
use crate::sys::errno::eopnotsupp;
use crate::sys::msock::Guard;
use crate::sys::proto;
use crate::sys::uio::{OptIn, OptOut};
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::error::{code::EINVAL, Result};

const SOL_SOCKET: i32 = bindings::SOL_SOCKET as i32;
const SOL_TCP: i32 = bindings::SOL_TCP as i32;
const SOL_MPTCP: i32 = 284;
const TCP_INQ: i32 = bindings::TCP_INQ as i32;
const TCP_IS_MPTCP: i32 = bindings::TCP_IS_MPTCP as i32;

/// Options of `SOL_SOCKET` that subflows have to know.
const TO_SUBFLOWS: [u32; 14] = [
    bindings::SO_KEEPALIVE,
    bindings::SO_PRIORITY,
    bindings::SO_MARK,
    bindings::SO_INCOMING_CPU,
    bindings::SO_SNDBUF,
    bindings::SO_SNDBUFFORCE,
    bindings::SO_RCVBUF,
    bindings::SO_RCVBUFFORCE,
    bindings::SO_REUSEADDR,
    bindings::SO_REUSEPORT,
    bindings::SO_BINDTODEVICE,
    bindings::SO_BINDTOIFINDEX,
    bindings::SO_DEBUG,
    bindings::SO_DONTROUTE,
];

/// Options of `SOL_SOCKET` that subflows to come have to be told; others they take from the connection.
const TO_LATER_SUBFLOWS: [u32; 3] = [
    bindings::SO_KEEPALIVE,
    bindings::SO_DEBUG,
    bindings::SO_DONTROUTE,
];

/// The longest value of an option that every subflow has, bytes: a name of a congestion control.
const VALUE_MAX: usize = 16;

/// An option that every subflow shall have.
pub(super) struct Chosen {
    level: i32,
    name: i32,
    value: [u8; VALUE_MAX],
    len: usize,
}

impl Chosen {
    fn new(level: i32, name: i32, value: OptIn) -> Result<Self> {
        let mut this = Self {
            level,
            name,
            value: [0; VALUE_MAX],
            len: value.len().min(VALUE_MAX),
        };
        value.read(this.value.get_mut(..this.len).ok_or(EINVAL)?)?;
        Ok(this)
    }

    fn value(&self) -> OptIn {
        OptIn::of(self.value.get(..self.len).unwrap_or(&[]))
    }
}

/// Sets an option on one subflow.
fn set_on(sub: &Sub, level: i32, name: i32, value: OptIn) -> Result {
    if level == SOL_SOCKET {
        proto::sock_setsockopt(&sub.ssk, level, name, value)
    } else {
        proto::tcp_setsockopt(&sub.ssk, level, name, value)
    }
}

/// Sets an option on the first subflow, and on all others as far as they know it: they may be of the other
/// IP version.
fn set_on_all(guard: &mut Guard<'_, Msk>, level: i32, name: i32, value: OptIn) -> Result {
    open::first_ssk(guard)?;
    let mut index = 0;
    while let Some(sub) = guard.inner().subs.get(index).cloned() {
        let result = set_on(&sub, level, name, value);
        if index == 0 {
            result?;
        }
        index += 1;
    }
    Ok(())
}

/// Keeps an option for subflows to come.
fn remember(guard: &mut Guard<'_, Msk>, chosen: Chosen) -> Result {
    let options = &mut guard.inner().options;
    let same = |old: &&mut Chosen| old.level == chosen.level && old.name == chosen.name;
    match options.iter_mut().find(same) {
        Some(old) => *old = chosen,
        None => options.push(chosen, GFP_KERNEL)?,
    }
    Ok(())
}

/// `setsockopt(2)`.
pub(super) fn set(sk: &MskSock, level: i32, name: i32, value: OptIn) -> Result {
    match level {
        SOL_SOCKET => {
            proto::sock_setsockopt(sk, level, name, value)?;
            if TO_SUBFLOWS.contains(&(name as u32)) {
                let mut guard = sk.lock();
                set_on_all(&mut guard, level, name, value)?;
                if TO_LATER_SUBFLOWS.contains(&(name as u32)) {
                    remember(&mut guard, Chosen::new(level, name, value)?)?;
                }
            }
            Ok(())
        }
        SOL_TCP if name == TCP_INQ => {
            let tell = match value.int()? {
                0 => false,
                1 => true,
                _ => return Err(EINVAL),
            };
            sk.state_of().tell_inq.store(tell, Ordering::Relaxed);
            Ok(())
        }
        _ => {
            let reach = reach::of(level, name).ok_or(eopnotsupp())?;
            let mut guard = sk.lock();
            match reach {
                Reach::Every => {
                    set_on_all(&mut guard, level, name, value)?;
                    remember(&mut guard, Chosen::new(level, name, value)?)
                }
                Reach::First => {
                    let ssk = open::first_ssk(&mut guard)?;
                    proto::tcp_setsockopt(&ssk, level, name, value)
                }
                Reach::Told => Err(eopnotsupp()),
            }
        }
    }
}

/// `getsockopt(2)`.
pub(super) fn get(sk: &MskSock, level: i32, name: i32, value: OptOut) -> Result {
    match level {
        SOL_TCP if name == TCP_IS_MPTCP => {
            let plain = sk.state_of().shared().is(flag::FALLBACK);
            value.put_int(i32::from(!plain))
        }
        SOL_TCP if name == TCP_INQ => {
            value.put_int(i32::from(sk.state_of().tell_inq.load(Ordering::Relaxed)))
        }
        _ if sk.state_of().shared().is(flag::FALLBACK) => {
            // It is a TCP socket now and answers as one: by that, programs learn of it.
            if level == SOL_TCP && name == bindings::TCP_ZEROCOPY_RECEIVE as i32 {
                return Err(eopnotsupp());
            }
            let ssk = open::first_ssk(&mut sk.lock())?;
            proto::tcp_getsockopt(&ssk, level, name, value)
        }
        SOL_MPTCP => super::info::get(sk, name, value),
        _ => {
            reach::of(level, name).ok_or(eopnotsupp())?;
            let ssk = open::first_ssk(&mut sk.lock())?;
            proto::tcp_getsockopt(&ssk, level, name, value)
        }
    }
}

/// A new subflow gets what was set on the connection.
pub(super) fn inherit(guard: &mut Guard<'_, Msk>, sub: &Sub) {
    let (sk, ssk) = (guard.sk(), &sub.ssk);
    if sub.ctx.set(sub_flag::CONFIGURED) {
        for chosen in guard.inner().options.iter() {
            // A subflow of the other IP version does not know them all.
            let _ = set_on(sub, chosen.level, chosen.name, chosen.value());
        }
    }
    ssk.set_mark(sk.mark());
    ssk.set_priority(sk.priority());
    ssk.set_userlocks(sk.userlocks());
    if sk.userlocks() & bindings::SOCK_SNDBUF_LOCK as u8 != 0 {
        ssk.set_sndbuf(sk.sndbuf());
    }
    ssk.set_rcvbuf(sk.rcvbuf());
}
