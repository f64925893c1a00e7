// SPDX-License-Identifier: GPL-2.0

//! The two handshakes: what to say in SYN, SYN-ACK and ACK, and what the peer's means.
//!
//! MP_CAPABLE starts a connection (RFC 8684 section 3.1): the listener tells its key in the SYN-ACK, the
//! initiator both keys in the ACK. Whatever is wrong or missing means plain TCP, never a reset.
//!
//! MP_JOIN adds a subflow (section 3.2): token and random numbers go out, HMACs come back. Whatever is
//! wrong or missing means a reset, never plain TCP.

use super::crypto::{self, Derived, Key, Sha256};
use super::fallback::FallbackCause;
use super::option::{CapableBody, CapableFlags, DssMap, MpCapable, MpJoin, Options, WireDsn};
use super::option::{RstReason, TcpRst, VERSION};
use super::seq::Dsn;

/// What this host asks for in a handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// DSS checksums ("A"): `net.mptcp.checksum_enabled`.
    pub checksum: bool,
    /// No further subflows to the address and port of this one ("C"): the opposite of
    /// `net.mptcp.allow_join_initial_addr_port`.
    pub deny_join_id0: bool,
}

impl Config {
    fn flags(self) -> CapableFlags {
        let mut flags = CapableFlags::HMAC_SHA256;
        if self.checksum {
            flags = flags.union(CapableFlags::CHECKSUM);
        }
        if self.deny_join_id0 {
            flags = flags.union(CapableFlags::DENY_JOIN_ID0);
        }
        flags
    }
}

/// What a SYN asks of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// A plain TCP connection, for this reason.
    Plain(FallbackCause),
    /// An MPTCP connection.
    Capable(Offer),
    /// To join a connection as a further subflow.
    Join(JoinRequest),
}

/// The MP_CAPABLE of a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offer {
    /// The initiator requires checksums.
    pub checksum: bool,
    /// The initiator's address and port are not for further subflows.
    pub deny_join_id0: bool,
}

/// The MP_JOIN of a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JoinRequest {
    /// The connection that it wants to join.
    pub token: u32,
    /// The initiator's random number.
    pub nonce: u32,
    /// The initiator's address ID.
    pub addr_id: u8,
    /// The subflow is to be a backup.
    pub backup: bool,
}

impl Request {
    /// Reads the options of a SYN.
    ///
    /// A version above this host's is answered with this host's; one below cannot be (RFC 8684 section
    /// 3.1). Of a SYN with both MP_CAPABLE and MP_JOIN neither counts.
    pub fn of(options: &Options) -> Self {
        match (options.capable, options.join) {
            (Some(capable), None) => match offer(&capable) {
                Ok(offer) => Request::Capable(offer),
                Err(cause) => Request::Plain(cause),
            },
            (
                None,
                Some(MpJoin::Syn {
                    backup,
                    addr_id,
                    token,
                    nonce,
                }),
            ) => Request::Join(JoinRequest {
                token,
                nonce,
                addr_id,
                backup,
            }),
            _ => Request::Plain(FallbackCause::SynWithoutCapable),
        }
    }
}

fn offer(capable: &MpCapable) -> Result<Offer, FallbackCause> {
    if capable.version < VERSION {
        return Err(FallbackCause::Version);
    }
    if capable.version == VERSION && capable.body != CapableBody::Syn {
        return Err(FallbackCause::SynWithoutCapable);
    }
    check_flags(capable.flags)?;
    Ok(Offer {
        checksum: capable.flags.contains(CapableFlags::CHECKSUM),
        deny_join_id0: capable.flags.contains(CapableFlags::DENY_JOIN_ID0),
    })
}

fn check_flags(flags: CapableFlags) -> Result<(), FallbackCause> {
    if flags.contains(CapableFlags::EXTENSIBILITY) {
        return Err(FallbackCause::Extensibility);
    }
    if !flags.contains(CapableFlags::HMAC_SHA256) {
        return Err(FallbackCause::Algorithm);
    }
    Ok(())
}

/// What the MP_CAPABLE handshake led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreed {
    /// The peer's key.
    pub peer_key: Key,
    /// The peer's token and initial data sequence number.
    pub peer: Derived,
    /// Both sides use DSS checksums.
    pub checksum: bool,
    /// The peer's address and port are not for further subflows.
    pub deny_join_id0: bool,
}

impl Agreed {
    fn new<H: Sha256>(key: Key, flags: CapableFlags, config: Config) -> Self {
        Self {
            peer_key: key,
            peer: crypto::derive::<H>(key),
            checksum: config.checksum || flags.contains(CapableFlags::CHECKSUM),
            deny_join_id0: flags.contains(CapableFlags::DENY_JOIN_ID0),
        }
    }

    /// The data sequence number of the peer's first byte.
    pub const fn first_dsn(&self) -> Dsn {
        self.peer.idsn.add(1)
    }
}

/// The initiator's part of an MP_CAPABLE handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapableClient {
    /// What this host asks for.
    pub config: Config,
    /// This host's key.
    pub key: Key,
}

impl CapableClient {
    /// The SYN's option: no key yet.
    pub fn syn(&self) -> MpCapable {
        MpCapable {
            version: VERSION,
            flags: self.config.flags(),
            body: CapableBody::Syn,
        }
    }

    /// Reads the options of the SYN-ACK.
    ///
    /// # Errors
    ///
    /// Why the connection is plain TCP.
    pub fn on_synack<H: Sha256>(&self, options: &Options) -> Result<Agreed, FallbackCause> {
        let capable = options.capable.ok_or(FallbackCause::SynAckWithoutCapable)?;
        if capable.version != VERSION {
            return Err(FallbackCause::Version);
        }
        let CapableBody::SynAck { sender } = capable.body else {
            return Err(FallbackCause::SynAckWithoutCapable);
        };
        check_flags(capable.flags)?;
        Ok(Agreed::new::<H>(sender, capable.flags, self.config))
    }

    fn flags(&self, agreed: &Agreed) -> CapableFlags {
        Config {
            checksum: agreed.checksum,
            ..self.config
        }
        .flags()
    }

    /// The option of the third ACK, as long as no data is sent.
    pub fn ack(&self, agreed: &Agreed) -> MpCapable {
        MpCapable {
            version: VERSION,
            flags: self.flags(agreed),
            body: CapableBody::Ack {
                sender: self.key,
                receiver: agreed.peer_key,
            },
        }
    }

    /// The option of the first `len` bytes of data: their mapping too. `csum` if [`Agreed::checksum`].
    pub fn first_data(&self, agreed: &Agreed, len: u16, csum: Option<u16>) -> MpCapable {
        MpCapable {
            version: VERSION,
            flags: self.flags(agreed),
            body: CapableBody::Data {
                sender: self.key,
                receiver: agreed.peer_key,
                len,
                csum,
            },
        }
    }
}

/// The listener's part of an MP_CAPABLE handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapableServer {
    /// What this host asks for.
    pub config: Config,
    /// This host's key.
    pub key: Key,
    /// What the initiator asked for.
    pub offer: Offer,
}

/// A valid third ACK, or first data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Confirmed {
    /// What the handshake led to.
    pub agreed: Agreed,
    /// The mapping of the data that came with it.
    pub map: Option<DssMap>,
}

/// What a SYN-ACK and the third ACK both say of a connection: enough for a listener that keeps nothing in
/// between (SYN cookies).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// The listener's initial sequence number, which is its cookie.
    pub isn: u32,
    /// The initiator's.
    pub peer_isn: u32,
    /// The listener's port.
    pub port: u16,
    /// The initiator's.
    pub peer_port: u16,
}

impl Exchange {
    /// The listener's key. The addresses count by the cookie, which is made of them.
    pub fn key<H: Sha256>(&self, secret: &[u8; 32]) -> Key {
        let isns = (u64::from(self.isn) << 32) | u64::from(self.peer_isn);
        let ports = (u32::from(self.port) << 16) | u32::from(self.peer_port);
        let mut bytes = [0; 12];
        let from = isns.to_be_bytes().into_iter().chain(ports.to_be_bytes());
        for (to, byte) in bytes.iter_mut().zip(from) {
            *to = byte;
        }
        crypto::recomputable_key::<H>(secret, &bytes)
    }
}

/// The MP_CAPABLE of a SYN that nobody remembers, as far as the third ACK tells. Whether its keys are
/// right, [`CapableServer::on_ack`] knows.
pub fn recalled_offer(options: &Options) -> Option<Offer> {
    let capable = options.capable?;
    Some(Offer {
        checksum: capable.flags.contains(CapableFlags::CHECKSUM),
        deny_join_id0: capable.flags.contains(CapableFlags::DENY_JOIN_ID0),
    })
}

impl CapableServer {
    /// What the SYN-ACK says about checksums: required if either side wants them.
    fn reply_config(&self) -> Config {
        Config {
            checksum: self.config.checksum || self.offer.checksum,
            ..self.config
        }
    }

    /// The SYN-ACK's option: this host's key.
    pub fn synack(&self) -> MpCapable {
        MpCapable {
            version: VERSION,
            flags: self.reply_config().flags(),
            body: CapableBody::SynAck { sender: self.key },
        }
    }

    /// Reads the options of the third ACK, or of the data that came in its place.
    ///
    /// # Errors
    ///
    /// Why the connection is plain TCP.
    pub fn on_ack<H: Sha256>(&self, options: &Options) -> Result<Confirmed, FallbackCause> {
        let capable = options
            .capable
            .filter(|capable| capable.version == VERSION)
            .ok_or(FallbackCause::AckWithoutCapable)?;
        let (sender, receiver) = match capable.body {
            CapableBody::Ack { sender, receiver } => (sender, receiver),
            CapableBody::Data {
                sender, receiver, ..
            } => (sender, receiver),
            _ => return Err(FallbackCause::AckWithoutCapable),
        };
        if receiver != self.key {
            return Err(FallbackCause::WrongKey);
        }
        let config = self.reply_config();
        let mut agreed = Agreed::new::<H>(sender, capable.flags, config);
        agreed.deny_join_id0 |= self.offer.deny_join_id0;
        // Agreed on with SYN and SYN-ACK: the ACK cannot change it any more.
        agreed.checksum = config.checksum;
        Ok(Confirmed {
            agreed,
            map: first_mapping(&capable, agreed.peer.idsn),
        })
    }
}

/// The mapping in an MP_CAPABLE with data: the first byte of the subflow is the connection's first.
/// `idsn` is the initiator's.
pub fn first_mapping(capable: &MpCapable, idsn: Dsn) -> Option<DssMap> {
    match capable.body {
        CapableBody::Data { len, csum, .. } if len > 0 => Some(DssMap {
            dsn: WireDsn::Full(idsn.add(1).0),
            ssn: 1,
            len,
            csum,
        }),
        _ => None,
    }
}

/// Why a subflow can't join. It is reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JoinError {
    /// The expected MP_JOIN was not there.
    Missing,
    /// The HMAC is wrong.
    Hmac,
}

impl JoinError {
    /// The MP_TCPRST of the reset.
    pub const fn rst(self) -> TcpRst {
        TcpRst {
            flags: 0,
            reason: RstReason::MptcpSpecific,
        }
    }
}

/// The initiator's part of an MP_JOIN handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JoinClient {
    /// This host's key of the connection.
    pub local_key: Key,
    /// The peer's.
    pub peer_key: Key,
    /// The peer's token.
    pub peer_token: u32,
    /// This host's random number.
    pub nonce: u32,
    /// The address ID of this host's address.
    pub addr_id: u8,
    /// This host wants a backup.
    pub backup: bool,
}

/// The listener's answer to an MP_JOIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Joined {
    /// The address ID of the listener's address.
    pub peer_addr_id: u8,
    /// The listener wants a backup.
    pub peer_backup: bool,
    /// The listener's random number, for [`JoinClient::ack`].
    pub peer_nonce: u32,
}

impl JoinClient {
    /// The SYN's option.
    pub fn syn(&self) -> MpJoin {
        MpJoin::Syn {
            backup: self.backup,
            addr_id: self.addr_id,
            token: self.peer_token,
            nonce: self.nonce,
        }
    }

    /// Reads the options of the SYN-ACK.
    ///
    /// # Errors
    ///
    /// Why the subflow is to be reset.
    pub fn on_synack<H: Sha256>(&self, options: &Options) -> Result<Joined, JoinError> {
        let Some(MpJoin::SynAck {
            backup,
            addr_id,
            hmac,
            nonce,
        }) = options.join
        else {
            return Err(JoinError::Missing);
        };
        let expected =
            crypto::join_synack_hmac::<H>(self.peer_key, self.local_key, nonce, self.nonce);
        if !crypto::constant_time_eq(&hmac, &expected) {
            return Err(JoinError::Hmac);
        }
        Ok(Joined {
            peer_addr_id: addr_id,
            peer_backup: backup,
            peer_nonce: nonce,
        })
    }

    /// The third ACK's option, to be sent again until the fourth ACK comes. `peer_nonce` is
    /// [`Joined::peer_nonce`].
    pub fn ack<H: Sha256>(&self, peer_nonce: u32) -> MpJoin {
        MpJoin::Ack {
            hmac: crypto::join_ack_hmac::<H>(self.local_key, self.peer_key, self.nonce, peer_nonce),
        }
    }
}

/// The listener's part of an MP_JOIN handshake, the token having been found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JoinServer {
    /// This host's key of the connection.
    pub local_key: Key,
    /// The peer's.
    pub peer_key: Key,
    /// This host's random number.
    pub nonce: u32,
    /// The address ID of this host's address.
    pub addr_id: u8,
    /// This host wants a backup.
    pub backup: bool,
    /// The initiator's random number.
    pub peer_nonce: u32,
}

impl JoinServer {
    /// The SYN-ACK's option.
    pub fn synack<H: Sha256>(&self) -> MpJoin {
        MpJoin::SynAck {
            backup: self.backup,
            addr_id: self.addr_id,
            hmac: crypto::join_synack_hmac::<H>(
                self.local_key,
                self.peer_key,
                self.nonce,
                self.peer_nonce,
            ),
            nonce: self.nonce,
        }
    }

    /// Reads the options of the third ACK.
    ///
    /// # Errors
    ///
    /// Why the subflow is to be reset.
    pub fn on_ack<H: Sha256>(&self, options: &Options) -> Result<(), JoinError> {
        let Some(MpJoin::Ack { hmac }) = options.join else {
            return Err(JoinError::Missing);
        };
        let expected =
            crypto::join_ack_hmac::<H>(self.peer_key, self.local_key, self.peer_nonce, self.nonce);
        if crypto::constant_time_eq(&hmac, &expected) {
            Ok(())
        } else {
            Err(JoinError::Hmac)
        }
    }
}

#[cfg(test)]
mod tests;
