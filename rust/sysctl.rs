// SPDX-License-Identifier: GPL-2.0

//! `net.mptcp.*`: the variables of a namespace, with the names, ranges and defaults of the in-tree
//! implementation (Documentation/networking/mptcp-sysctl.rst).
//!
//! Also here is what `blackhole_timeout` governs: after SYNs with MP_CAPABLE have vanished where SYNs without
//! it come through, connections begin as plain TCP for a while, longer each time it happens again.

use crate::bindings::{TCP_RTO_MAX, TCP_TIMEWAIT_LEN};
use crate::proto::sched;
use crate::sys::sysctl::{Entry, Kind, TextBuffer, Variables};
use crate::sys::time::Jiffies;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, AtomicU8, AtomicUsize, Ordering::*};
use kernel::c_str;
use kernel::prelude::*;

/// The path manager in the kernel.
pub const PM_TYPE_KERNEL: u8 = 0;
/// A path manager in user space, over netlink.
pub const PM_TYPE_USERSPACE: u8 = 1;

/// The longest name of a scheduler, the final zero included.
const SCHEDULER_NAME_MAX: usize = 16;

/// At most so many doublings of the time that a blackhole disables MPTCP for.
const MAX_DOUBLINGS: u32 = 6;

/// The variables of one namespace.
pub struct Sysctls {
    enabled: AtomicU8,
    checksum_enabled: AtomicU8,
    allow_join_initial_addr_port: AtomicU8,
    pm_type: AtomicU8,
    scheduler: AtomicU8,
    add_addr_timeout: AtomicU32,
    close_timeout: AtomicU32,
    stale_loss_cnt: AtomicU32,
    blackhole_timeout: AtomicU32,
    /// How often a blackhole was detected since MPTCP last worked.
    blackholes: AtomicU32,
    /// When the last one was, in jiffies.
    blackhole_stamp: AtomicUsize,
}

impl Default for Sysctls {
    fn default() -> Self {
        Sysctls {
            enabled: AtomicU8::new(1),
            checksum_enabled: AtomicU8::new(0),
            allow_join_initial_addr_port: AtomicU8::new(1),
            pm_type: AtomicU8::new(PM_TYPE_KERNEL),
            scheduler: AtomicU8::new(0),
            add_addr_timeout: AtomicU32::new(TCP_RTO_MAX),
            close_timeout: AtomicU32::new(TCP_TIMEWAIT_LEN),
            stale_loss_cnt: AtomicU32::new(4),
            blackhole_timeout: AtomicU32::new(3600),
            blackholes: AtomicU32::new(0),
            blackhole_stamp: AtomicUsize::new(0),
        }
    }
}

impl Sysctls {
    /// Whether MPTCP sockets may be created.
    pub fn enabled(&self) -> bool {
        self.enabled.load(Relaxed) != 0
    }

    /// Whether to ask for the DSS checksum.
    pub fn checksum_enabled(&self) -> bool {
        self.checksum_enabled.load(Relaxed) != 0
    }

    /// Whether peers may join to the address and port of the initial subflow (RFC 8684, flag C).
    pub fn allow_join_initial_addr_port(&self) -> bool {
        self.allow_join_initial_addr_port.load(Relaxed) != 0
    }

    /// The path manager of new sockets: [`PM_TYPE_KERNEL`] or [`PM_TYPE_USERSPACE`].
    pub fn pm_type(&self) -> u8 {
        self.pm_type.load(Relaxed)
    }

    /// The scheduler of new sockets, and of what they accept: an index into [`sched::NAMES`].
    pub fn scheduler(&self) -> u8 {
        self.scheduler.load(Relaxed)
    }

    /// After how long an ADD_ADDR without an echo is sent again; zero: never.
    pub fn add_addr_timeout(&self) -> Jiffies {
        Jiffies(self.add_addr_timeout.load(Relaxed) as usize)
    }

    /// How long a connection that has lost its last subflow waits for another one.
    pub fn close_timeout(&self) -> Jiffies {
        Jiffies(self.close_timeout.load(Relaxed) as usize)
    }

    /// How many retransmission intervals without any progress make a subflow stale.
    pub fn stale_loss_cnt(&self) -> u32 {
        self.stale_loss_cnt.load(Relaxed)
    }

    /// MP_CAPABLE has vanished on the way: disable MPTCP for connections that begin here, for a while. True if
    /// it is disabled now, false if the detection is switched off.
    pub fn blackhole_detected(&self) -> bool {
        if self.blackhole_timeout.load(Relaxed) == 0 {
            return false;
        }
        self.blackhole_stamp.store(Jiffies::now().0, Relaxed);
        // Whoever sees the count sees the stamp that goes with it, or a later one.
        self.blackholes.fetch_add(1, Release);
        true
    }

    /// Whether connections that begin here are to be plain TCP because of a blackhole.
    pub fn blackhole_active(&self) -> bool {
        let timeout = self.blackhole_timeout.load(Relaxed);
        let times = self.blackholes.load(Acquire);
        if timeout == 0 || times == 0 {
            return false;
        }
        let span = Jiffies::from_secs(timeout.saturating_mul(1 << (times - 1).min(MAX_DOUBLINGS)));
        let stamp = Jiffies(self.blackhole_stamp.load(Relaxed));
        !stamp.after(span).is_past()
    }

    /// Whether a blackhole was detected since [`Sysctls::blackhole_gone`] was last called.
    pub fn blackhole_seen(&self) -> bool {
        self.blackholes.load(Relaxed) != 0
    }

    /// MPTCP works, over something other than the loopback device: the next blackhole is the first one again.
    pub fn blackhole_gone(&self) {
        self.blackholes.store(0, Relaxed);
    }
}

fn show_scheduler(values: &Sysctls, text: &mut TextBuffer) {
    let name = sched::NAMES.get(usize::from(values.scheduler()));
    let _ = text.write_str(name.unwrap_or(&""));
}

fn set_scheduler(values: &Sysctls, name: &str) -> Result {
    let index = sched::NAMES.iter().position(|&s| s == name).ok_or(ENOENT)?;
    values.scheduler.store(index as u8, Relaxed);
    Ok(())
}

fn show_available_schedulers(_: &Sysctls, text: &mut TextBuffer) {
    for (i, name) in sched::NAMES.iter().enumerate() {
        let _ = write!(text, "{}{name}", if i == 0 { "" } else { " " });
    }
}

fn blackhole_timeout_written(values: &Sysctls, _: &str) -> Result {
    values.blackhole_gone();
    Ok(())
}

/// A number without anything to do when it was written.
const fn number(name: &'static CStr, kind: Kind<Sysctls>) -> Entry<Sysctls> {
    Entry {
        name,
        kind,
        written: None,
    }
}

static ENTRIES: [Entry<Sysctls>; 10] = [
    number(c_str!("enabled"), Kind::U8(|v| &v.enabled, 0..=1)),
    number(
        c_str!("add_addr_timeout"),
        Kind::Seconds(|v| &v.add_addr_timeout),
    ),
    number(
        c_str!("checksum_enabled"),
        Kind::U8(|v| &v.checksum_enabled, 0..=1),
    ),
    number(
        c_str!("allow_join_initial_addr_port"),
        Kind::U8(|v| &v.allow_join_initial_addr_port, 0..=1),
    ),
    number(c_str!("stale_loss_cnt"), Kind::U32(|v| &v.stale_loss_cnt)),
    number(
        c_str!("pm_type"),
        Kind::U8(|v| &v.pm_type, PM_TYPE_KERNEL..=PM_TYPE_USERSPACE),
    ),
    Entry {
        name: c_str!("scheduler"),
        kind: Kind::Text(SCHEDULER_NAME_MAX, show_scheduler),
        written: Some(set_scheduler),
    },
    Entry {
        name: c_str!("available_schedulers"),
        kind: Kind::Text(crate::sys::sysctl::TEXT_MAX, show_available_schedulers),
        written: None,
    },
    number(c_str!("close_timeout"), Kind::Seconds(|v| &v.close_timeout)),
    Entry {
        name: c_str!("blackhole_timeout"),
        kind: Kind::Positive(|v| &v.blackhole_timeout),
        written: Some(blackhole_timeout_written),
    },
];

impl Variables for Sysctls {
    const PATH: &'static CStr = c_str!("net/mptcp");

    fn entries() -> &'static [Entry<Self>] {
        &ENTRIES
    }
}
