// SPDX-License-Identifier: GPL-2.0

//! Timers and work of a socket: they run, and leave no reference behind.

use crate::fixture::{wait, KernelSocket};
use crate::framework::Test;
use crate::sys::time::Jiffies;
use crate::sys::timer::{HasTimer, SockTimer, TimerCallback};
use crate::sys::work::{HasWork, Queue, SockWork, WorkCallback};
use crate::{
    expect, expect_eq, impl_has_sock_work, impl_has_timer, impl_sock_owned, require, suite,
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::c_str;
use kernel::prelude::*;

/// An object of the socket's, with a timer and work.
#[pin_data]
struct Owned {
    #[pin]
    timer: SockTimer<Owned>,
    #[pin]
    work: SockWork<Owned>,
    expired: AtomicU32,
    worked: AtomicU32,
    again: AtomicU32,
    socket: KernelSocket,
}

impl_sock_owned! { Owned { self.socket } }

impl TimerCallback for Owned {
    fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
        if self.again.load(Relaxed) > 0 {
            self.again.fetch_sub(1, Relaxed);
            self.arm(Jiffies(1));
        } else {
            self.queue();
        }
    }
}

impl WorkCallback for Owned {
    fn work(&self) {
        self.worked.fetch_add(1, Relaxed);
    }
}

impl_has_timer! { impl HasTimer<0> for Owned { self.timer } }
impl_has_sock_work! { impl HasWork<0> for Owned { self.work } }

fn owned() -> Result<Pin<KBox<Owned>>> {
    let socket = KernelSocket::new()?;
    KBox::pin_init(
        pin_init!(Owned {
            timer <- SockTimer::new(),
            work <- SockWork::new(),
            expired: AtomicU32::new(0),
            worked: AtomicU32::new(0),
            again: AtomicU32::new(0),
            socket,
        }),
        GFP_KERNEL,
    )
}

/// Waits until the socket has no reference but its own.
fn quiet(test: &Test, owned: &Owned, before: i32) {
    expect!(test, wait(|| owned.socket.references() == before));
}

fn a_timer_expires_and_queues_work(test: &Test) {
    let _queue = require!(test, Queue::new(c_str!("mptcp_kunit")));
    let owned = require!(test, owned());
    let before = owned.socket.references();

    expect!(test, !owned.is_armed());
    owned.arm(Jiffies(2));
    expect!(test, wait(|| owned.worked.load(Relaxed) == 1));
    quiet(test, &owned, before);
    expect_eq!(test, owned.expired.load(Relaxed), 1);
    expect!(test, !owned.is_armed());
}

fn a_timer_arms_itself_again(test: &Test) {
    let _queue = require!(test, Queue::new(c_str!("mptcp_kunit")));
    let owned = require!(test, owned());
    let before = owned.socket.references();

    owned.again.store(5, Relaxed);
    owned.arm(Jiffies(1));
    expect!(test, wait(|| owned.worked.load(Relaxed) == 1));
    quiet(test, &owned, before);
    expect_eq!(test, owned.expired.load(Relaxed), 6);
}

fn a_timer_can_be_stopped_and_moved(test: &Test) {
    let owned = require!(test, owned());
    let before = owned.socket.references();

    owned.arm(Jiffies::from_secs(1000));
    expect_eq!(test, owned.socket.references(), before + 1);
    expect!(test, owned.is_armed());
    owned.arm(Jiffies::from_secs(2000));
    expect_eq!(test, owned.socket.references(), before + 1);
    let left = owned.expires().map_or(0, |when| when.until().as_secs());
    expect!(test, left > 1900 && left <= 2000);
    owned.stop();
    expect!(test, !owned.is_armed());
    expect_eq!(test, owned.expires(), None);
    owned.stop_sync();
    expect_eq!(test, owned.socket.references(), before);
    expect_eq!(test, owned.expired.load(Relaxed), 0);
}

fn work_runs_once_for_each_time_it_is_queued(test: &Test) {
    let queue = require!(test, Queue::new(c_str!("mptcp_kunit")));
    expect_eq!(test, Queue::new(c_str!("another")).err(), Some(EBUSY));
    let owned = require!(test, owned());
    let before = owned.socket.references();

    for n in 1..=20 {
        expect!(test, owned.queue());
        expect!(test, wait(|| owned.worked.load(Relaxed) == n));
    }
    owned.queue();
    owned.cancel_sync();
    quiet(test, &owned, before);
    drop(queue);
    expect!(test, !owned.queue());
    quiet(test, &owned, before);
}

suite!("mptcp_sockets":
    a_timer_expires_and_queues_work,
    a_timer_arms_itself_again,
    a_timer_can_be_stopped_and_moved,
    work_runs_once_for_each_time_it_is_queued,
);
