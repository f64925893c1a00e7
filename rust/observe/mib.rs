// SPDX-License-Identifier: GPL-2.0

//! The counters of `MPTcpExt`, one set per network namespace.
//!
//! `nstat` and the kernel's selftests read them in `/proc/net/netstat`, where the kernel shows its own
//! counters; [`NetstatLines`] adds ours when that file is shown. A kernel where that cannot be done gets
//! a file of ours instead. Names and their order are those of the in-tree implementation.

use crate::netstate::Netns;
use crate::sys::net::Net;
use crate::sys::percpu::Counters;
use crate::sys::procfs::{NetstatLines, Show};
use crate::sys::seq_file::SeqFile;
use core::fmt::{self, Write};
use kernel::prelude::*;

macro_rules! mib {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// A counter.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(usize)]
        pub enum Mib {
            $($(#[$doc])* $variant,)*
        }

        /// The names of all counters, in the order of [`Mib`].
        const NAMES: &[&str] = &[$($name,)*];
    };
}

mib! {
    /// A SYN with MP_CAPABLE arrived.
    MpCapableSynRx => "MPCapableSYNRX",
    /// A SYN with MP_CAPABLE was sent.
    MpCapableSynTx => "MPCapableSYNTX",
    /// A SYN-ACK with MP_CAPABLE arrived.
    MpCapableSynAckRx => "MPCapableSYNACKRX",
    /// The third ACK of a handshake, with MP_CAPABLE, arrived.
    MpCapableAckRx => "MPCapableACKRX",
    /// The third ACK came without MP_CAPABLE: plain TCP, as the server.
    MpCapableFallbackAck => "MPCapableFallbackACK",
    /// The SYN-ACK came without MP_CAPABLE: plain TCP, as the client.
    MpCapableFallbackSynAck => "MPCapableFallbackSYNACK",
    /// SYNs with MP_CAPABLE went unanswered: plain TCP.
    MpCapableSynTxDrop => "MPCapableSYNTXDrop",
    /// A connection began as plain TCP because a blackhole was detected before.
    MpCapableSynTxDisabled => "MPCapableSYNTXDisabled",
    /// A SYN with MP_CAPABLE arrived on the port of an endpoint, where only joins are welcome.
    MpCapableEndpAttempt => "MPCapableEndpAttempt",
    /// No free token was found: plain TCP.
    MpFallbackTokenInit => "MPFallbackTokenInit",
    /// A run of data was sent again at connection level.
    MptcpRetrans => "MPTCPRetrans",
    /// A SYN with MP_JOIN named a token that nobody has.
    MpJoinNoTokenFound => "MPJoinNoTokenFound",
    /// A SYN with MP_JOIN arrived.
    MpJoinSynRx => "MPJoinSynRx",
    /// ... and asked for a backup path.
    MpJoinSynBackupRx => "MPJoinSynBackupRx",
    /// A SYN-ACK with MP_JOIN arrived.
    MpJoinSynAckRx => "MPJoinSynAckRx",
    /// ... and asked for a backup path.
    MpJoinSynAckBackupRx => "MPJoinSynAckBackupRx",
    /// The HMAC of a SYN-ACK was wrong.
    MpJoinSynAckHmacFailure => "MPJoinSynAckHMacFailure",
    /// The third ACK of a join arrived.
    MpJoinAckRx => "MPJoinAckRx",
    /// The HMAC of a third ACK was wrong.
    MpJoinAckHmacFailure => "MPJoinAckHMacFailure",
    /// A SYN with MP_JOIN was sent.
    MpJoinSynTx => "MPJoinSynTx",
    /// No socket could be made for a new subflow.
    MpJoinSynTxCreatSkErr => "MPJoinSynTxCreatSkErr",
    /// The socket of a new subflow could not be bound.
    MpJoinSynTxBindErr => "MPJoinSynTxBindErr",
    /// The socket of a new subflow could not connect.
    MpJoinSynTxConnectErr => "MPJoinSynTxConnectErr",
    /// A mapping contradicted another one.
    DssNotMatching => "DSSNotMatching",
    /// Mappings made no sense: plain TCP.
    DssCorruptionFallback => "DSSCorruptionFallback",
    /// Mappings made no sense: the subflow was reset.
    DssCorruptionReset => "DSSCorruptionReset",
    /// An infinite mapping was sent.
    InfiniteMapTx => "InfiniteMapTx",
    /// An infinite mapping arrived.
    InfiniteMapRx => "InfiniteMapRx",
    /// A mapping did not fit the subflow's sequence numbers.
    DssNoMatchTcp => "DSSNoMatchTCP",
    /// A checksum over data was wrong.
    DataCsumErr => "DataCsumErr",
    /// Data out of order was added behind all other.
    OfoQueueTail => "OFOQueueTail",
    /// Data out of order was queued.
    OfoQueue => "OFOQueue",
    /// Data out of order was merged with its neighbour.
    OfoMerge => "OFOMerge",
    /// Data arrived beyond the receive window.
    NoDssInWindow => "NoDSSInWindow",
    /// Data arrived that was there already.
    DuplicateData => "DuplicateData",
    /// An ADD_ADDR arrived.
    AddAddr => "AddAddr",
    /// An ADD_ADDR was sent.
    AddAddrTx => "AddAddrTx",
    /// An ADD_ADDR could not be sent.
    AddAddrTxDrop => "AddAddrTxDrop",
    /// The echo of an ADD_ADDR arrived.
    EchoAdd => "EchoAdd",
    /// The echo of an ADD_ADDR was sent.
    EchoAddTx => "EchoAddTx",
    /// The echo of an ADD_ADDR could not be sent.
    EchoAddTxDrop => "EchoAddTxDrop",
    /// An ADD_ADDR with a port arrived.
    PortAdd => "PortAdd",
    /// An ADD_ADDR was not handled.
    AddAddrDrop => "AddAddrDrop",
    /// A SYN with MP_JOIN arrived on another port than the connection's.
    MpJoinPortSynRx => "MPJoinPortSynRx",
    /// A SYN-ACK with MP_JOIN arrived from another port than the connection's.
    MpJoinPortSynAckRx => "MPJoinPortSynAckRx",
    /// The third ACK of a join arrived on another port than the connection's.
    MpJoinPortAckRx => "MPJoinPortAckRx",
    /// A SYN with MP_JOIN arrived on a port that was not announced.
    MismatchPortSynRx => "MismatchPortSynRx",
    /// The third ACK of a join arrived on a port that was not announced.
    MismatchPortAckRx => "MismatchPortAckRx",
    /// A REMOVE_ADDR arrived.
    RmAddr => "RmAddr",
    /// A REMOVE_ADDR was not handled.
    RmAddrDrop => "RmAddrDrop",
    /// A REMOVE_ADDR was sent.
    RmAddrTx => "RmAddrTx",
    /// A REMOVE_ADDR could not be sent.
    RmAddrTxDrop => "RmAddrTxDrop",
    /// A subflow was removed.
    RmSubflow => "RmSubflow",
    /// An MP_PRIO was sent.
    MpPrioTx => "MPPrioTx",
    /// An MP_PRIO arrived.
    MpPrioRx => "MPPrioRx",
    /// An MP_FAIL was sent.
    MpFailTx => "MPFailTx",
    /// An MP_FAIL arrived.
    MpFailRx => "MPFailRx",
    /// An MP_FASTCLOSE was sent.
    MpFastcloseTx => "MPFastcloseTx",
    /// An MP_FASTCLOSE arrived.
    MpFastcloseRx => "MPFastcloseRx",
    /// An MP_TCPRST was sent.
    MpRstTx => "MPRstTx",
    /// An MP_TCPRST arrived.
    MpRstRx => "MPRstRx",
    /// Received data was dropped because the receive buffer was full.
    RcvPruned => "RcvPruned",
    /// A subflow was found stale: it acknowledges nothing.
    SubflowStale => "SubflowStale",
    /// A stale subflow works again.
    SubflowRecover => "SubflowRecover",
    /// The right edge of a subflow's send window was moved by what another subflow received.
    #[expect(dead_code, reason = "never happens here, but `nstat` shows the name")]
    SndWndShared => "SndWndShared",
    /// The right edge of a subflow's receive window was moved to what another subflow had announced.
    RcvWndShared => "RcvWndShared",
    /// Two subflows announced a window at once, and the later one saw the other's.
    RcvWndConflictUpdate => "RcvWndConflictUpdate",
    /// Two subflows announced a window at once, and the later one gave way.
    RcvWndConflict => "RcvWndConflict",
    /// Connections that are established now. The only one that goes down as well.
    MpCurrEstab => "MPCurrEstab",
    /// A blackhole was detected: MPTCP is disabled for a while for connections that begin here.
    Blackhole => "Blackhole",
    /// Data, or its acknowledgement, came without options before any had passed: plain TCP.
    MpCapableDataFallback => "MPCapableDataFallback",
    /// TCP MD5 signatures leave no room: plain TCP.
    #[expect(dead_code, reason = "never happens here, but `nstat` shows the name")]
    Md5SigFallback => "MD5SigFallback",
    /// Data came without a mapping before options had passed in both directions: plain TCP.
    DssFallback => "DssFallback",
    /// Both hosts sent a SYN at once: plain TCP.
    SimultConnectFallback => "SimultConnectFallback",
    /// Plain TCP was the way out, and it was too late for it.
    FallbackFailed => "FallbackFailed",
}

/// How many counters there are.
const COUNT: usize = NAMES.len();

/// The counters of a namespace.
pub struct Table(Counters<COUNT>);

impl Table {
    /// All zero. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        Ok(Table(Counters::new()?))
    }

    /// Counts one. From any context.
    #[inline]
    pub fn inc(&self, counter: Mib) {
        self.0.add(counter as usize, 1);
    }

    /// Counts several. From any context.
    #[inline]
    pub fn add(&self, counter: Mib, n: usize) {
        self.0.add(counter as usize, n);
    }

    /// Takes one back: of [`Mib::MpCurrEstab`]. From any context.
    #[inline]
    pub fn dec(&self, counter: Mib) {
        self.0.add(counter as usize, usize::MAX);
    }
}

/// Counts one. From any context.
#[inline]
pub fn inc(net: &Net, counter: Mib) {
    net.state::<Netns>().mib.inc(counter);
}

/// Counts several. From any context.
#[inline]
pub fn add(net: &Net, counter: Mib, n: usize) {
    net.state::<Netns>().mib.add(counter, n);
}

/// Takes one back: of [`Mib::MpCurrEstab`]. From any context.
#[inline]
pub fn dec(net: &Net, counter: Mib) {
    net.state::<Netns>().mib.dec(counter);
}

/// The two lines, names and values, of a table. `None` stands for zeros.
fn write_lines(file: &mut SeqFile, table: Option<&Table>) -> fmt::Result {
    file.write_str("MPTcpExt:")?;
    for name in NAMES {
        write!(file, " {name}")?;
    }
    file.write_str("\nMPTcpExt:")?;
    for index in 0..COUNT {
        write!(file, " {}", table.map_or(0, |table| table.0.sum(index)))?;
    }
    file.write_str("\n")
}

/// The two lines, as part of a file.
pub struct Lines;

impl Show for Lines {
    fn show(net: &Net, file: &mut SeqFile) {
        // A buffer that is too small is the file's affair: it asks again with a larger one.
        let _ = write_lines(file, net.try_state::<Netns>().map(|state| &state.mib));
    }
}

/// The name of the file below `/proc/net` that has the lines when `netstat` cannot have them.
pub const OWN_FILE: &CStr = kernel::c_str!("mptcp_netstat");

/// Adds the lines to `/proc/net/netstat`; none if this kernel cannot, which is said once in the log.
pub fn add_to_netstat() -> Option<NetstatLines<Lines>> {
    match NetstatLines::new() {
        Ok(lines) => Some(lines),
        Err(err) => {
            pr_info!(
                "netstat_seq_show cannot be probed ({:?}): MPTcpExt is in /proc/net/{}\n",
                err,
                OWN_FILE
            );
            None
        }
    }
}
