// SPDX-License-Identifier: GPL-2.0

//! Each option as it stands in a segment, both ways, and the areas they stand in.

use super::super::crypto::Key;
use super::super::seq::Dsn;
use super::*;

const A: Key = Key(0x0102_0304_0506_0708);
const B: Key = Key(0x1112_1314_1516_1718);

/// Timestamps as Linux writes them.
const TS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

/// Encodes with `emit`, compares with `bytes`, decodes them and hands back what was found.
fn round_trip(emit: impl FnOnce(&mut OptionBuf) -> Result<(), NoSpace>, bytes: &[u8]) -> Options {
    let mut buf = OptionBuf::new();
    emit(&mut buf).unwrap();
    assert_eq!(buf.as_bytes(), bytes);
    assert_eq!(buf.as_padded().len() % 4, 0);
    let found = Options::parse(buf.as_padded());
    assert_eq!((found.invalid, found.truncated), (0, false));
    assert!(find_mptcp(buf.as_padded()));
    found
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn mp_capable_has_five_forms() {
    let flags = CapableFlags::HMAC_SHA256.union(CapableFlags::CHECKSUM);
    let (a, b) = (A.to_bytes(), B.to_bytes());
    let data = |csum| CapableBody::Data {
        sender: A,
        receiver: B,
        len: 0x0203,
        csum,
    };
    for (body, wire) in [
        (CapableBody::Syn, bytes(&[&[30, 4, 0x01, 0x81]])),
        (
            CapableBody::SynAck { sender: A },
            bytes(&[&[30, 12, 0x01, 0x81], &a]),
        ),
        (
            CapableBody::Ack {
                sender: A,
                receiver: B,
            },
            bytes(&[&[30, 20, 0x01, 0x81], &a, &b]),
        ),
        (data(None), bytes(&[&[30, 22, 0x01, 0x81], &a, &b, &[2, 3]])),
        (
            data(Some(0xabcd)),
            bytes(&[&[30, 24, 0x01, 0x81], &a, &b, &[2, 3, 0xab, 0xcd]]),
        ),
    ] {
        let option = MpCapable {
            version: VERSION,
            flags,
            body,
        };
        let found = round_trip(|buf| option.emit(buf), &wire);
        assert_eq!(found.capable, Some(option));
    }
}

#[test]
fn mp_capable_of_another_version_is_known_by_its_version() {
    let v0 = bytes(&[&[30, 12, 0x00, 0x01], &A.to_bytes()]);
    let found = Options::parse(&v0).capable.unwrap();
    assert_eq!((found.version, found.body), (0, CapableBody::Unknown));
    let v2 = Options::parse(&[30, 8, 0x02, 0xff, 1, 2, 3, 4]);
    assert_eq!(v2.capable.unwrap().version, 2);
    assert_eq!(Options::parse(&[30, 8, 0x01, 0x81, 1, 2, 3, 4]).invalid, 1);
}

#[test]
fn mp_join_has_three_forms() {
    let hmac20 = core::array::from_fn(|n| n as u8);
    for (option, wire) in [
        (
            MpJoin::Syn {
                backup: true,
                addr_id: 3,
                token: 0x0102_0304,
                nonce: 0x0506_0708,
            },
            bytes(&[&[30, 12, 0x11, 3, 1, 2, 3, 4, 5, 6, 7, 8]]),
        ),
        (
            MpJoin::SynAck {
                backup: false,
                addr_id: 4,
                hmac: [9; 8],
                nonce: 0x0506_0708,
            },
            bytes(&[&[30, 16, 0x10, 4], &[9; 8], &[5, 6, 7, 8]]),
        ),
        (
            MpJoin::Ack { hmac: hmac20 },
            bytes(&[&[30, 24, 0x10, 0], &hmac20]),
        ),
    ] {
        let found = round_trip(|buf| option.emit(buf), &wire);
        assert_eq!(found.join, Some(option));
    }
}

#[test]
fn dss_has_every_combination_of_fields() {
    let acks = [
        None,
        Some(WireDsn::Low32(0x0a0b_0c0d)),
        Some(WireDsn::Full(0x0a0b_0c0d_0e0f_1011)),
    ];
    let dsns = [
        None,
        Some(WireDsn::Low32(0x2122_2324)),
        Some(WireDsn::Full(0x2122_2324_2526_2728)),
    ];
    for ack in acks {
        for dsn in dsns {
            for csum in [None, Some(0xbeef)] {
                for data_fin in [false, true] {
                    if dsn.is_none() && (csum.is_some() || data_fin) {
                        continue;
                    }
                    let map = dsn.map(|dsn| DssMap {
                        dsn,
                        ssn: 0x3132_3334,
                        len: 0x4142,
                        csum,
                    });
                    check_dss(Dss { data_fin, ack, map });
                }
            }
        }
    }
}

fn check_dss(dss: Dss) {
    let mut flags = 0;
    let mut body = Vec::new();
    match dss.ack {
        Some(WireDsn::Low32(ack)) => {
            flags |= 1;
            body.extend(ack.to_be_bytes());
        }
        Some(WireDsn::Full(ack)) => {
            flags |= 3;
            body.extend(ack.to_be_bytes());
        }
        None => {}
    }
    if let Some(map) = dss.map {
        match map.dsn {
            WireDsn::Low32(dsn) => {
                flags |= 4;
                body.extend(dsn.to_be_bytes());
            }
            WireDsn::Full(dsn) => {
                flags |= 12;
                body.extend(dsn.to_be_bytes());
            }
        }
        body.extend(map.ssn.to_be_bytes());
        body.extend(map.len.to_be_bytes());
        body.extend(map.csum.map(u16::to_be_bytes).into_iter().flatten());
    }
    if dss.data_fin {
        flags |= 16;
    }
    let wire = bytes(&[&[30, 4 + body.len() as u8, 0x20, flags], &body]);
    assert_eq!(wire.len(), usize::from(dss.wire_len()));
    let found = round_trip(|buf| dss.emit(buf), &wire);
    let expected = Options {
        dss: Some(dss),
        ..Options::NONE
    };
    assert_eq!(found, expected);
    // Behind timestamps, and with something else before it.
    let padded = wire.len().next_multiple_of(4);
    let mut area = bytes(&[&TS, &wire]);
    area.resize(12 + padded, kind::NOP);
    assert_eq!(Options::parse(&area), expected);
    let area = bytes(&[&[1, 3, 3, 7], &wire, &[0, 0]]);
    assert_eq!(Options::parse(&area), expected);
    // One byte more or less is no DSS.
    for len in [wire.len() - 1, wire.len() + 1] {
        let mut bad = wire.clone();
        bad.resize(len, 0);
        bad[1] = len as u8;
        assert_eq!(Options::parse(&bad).dss, None, "{bad:?}");
    }
}

#[test]
fn dss_fin_needs_a_mapping() {
    let found = Options::parse(&[30, 8, 0x20, 0x11, 0, 0, 0, 9]);
    let dss = found.dss.unwrap();
    assert!(!dss.data_fin);
    assert_eq!(dss.ack, Some(WireDsn::Low32(9)));
    let lonely = Dss {
        data_fin: true,
        ..Dss::default()
    };
    let mut buf = OptionBuf::new();
    lonely.emit(&mut buf).unwrap();
    assert_eq!(buf.as_bytes(), [30, 4, 0x20, 0]);
}

#[test]
fn dss_reserved_bits_are_not_looked_at() {
    let found = Options::parse(&[30, 8, 0x2f, 0xe1, 0, 0, 0, 9]);
    assert_eq!(found.dss.unwrap().ack, Some(WireDsn::Low32(9)));
}

#[test]
fn add_addr_has_eight_forms() {
    for (addr, octets) in [
        ("10.1.2.3".parse().unwrap(), vec![10, 1, 2, 3]),
        (
            "2001:db8::1".parse().unwrap(),
            vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
    ] {
        for port in [None, Some(0x1f90)] {
            for hmac in [None, Some([7; 8])] {
                let option = AddAddr {
                    id: 5,
                    addr,
                    port,
                    hmac,
                };
                let port = port.map(u16::to_be_bytes);
                let mut wire = bytes(&[
                    &[30, option.wire_len(), 0x30 | u8::from(hmac.is_none()), 5],
                    &octets,
                    port.as_ref().map_or(&[], |port| port),
                    hmac.as_ref().map_or(&[], |hmac| hmac),
                ]);
                let found = round_trip(|buf| option.emit(buf), &wire);
                assert_eq!(found.add_addr, Some(option));
                assert_eq!(option.is_echo(), hmac.is_none());
                // The echo flag decides about the HMAC, and so about the length.
                wire[2] ^= 1;
                assert_eq!(Options::parse(&wire).add_addr, None);
            }
        }
    }
}

#[test]
fn remove_addr_is_a_list() {
    let option = RmAddr::from_ids(&[1, 2, 200]).unwrap();
    let found = round_trip(|buf| option.emit(buf), &[30, 6, 0x40, 1, 2, 200]);
    assert_eq!(found.rm_addr.unwrap().ids(), [1, 2, 200]);
    assert_eq!(Options::parse(&[30, 3, 0x40, 1]).rm_addr, None);
    let mut one = RmAddr::new(7);
    while one.push(8) {}
    assert_eq!(one.ids().len(), RmAddr::MAX);
    let mut buf = OptionBuf::new();
    one.emit(&mut buf).unwrap();
    assert_eq!(buf.len(), OPTIONS_MAX);
    assert_eq!(Options::parse(buf.as_padded()).rm_addr, Some(one));
    assert_eq!(RmAddr::from_ids(&[0; RmAddr::MAX + 1]), None);
}

#[test]
fn small_options() {
    for backup in [false, true] {
        let prio = MpPrio { backup };
        let wire = [30, 3, 0x50 | u8::from(backup)];
        assert_eq!(round_trip(|buf| prio.emit(buf), &wire).prio, Some(prio));
    }
    let fail = MpFail { dsn: Dsn(A.0) };
    let wire = bytes(&[&[30, 12, 0x60, 0], &A.to_bytes()]);
    assert_eq!(round_trip(|buf| fail.emit(buf), &wire).fail, Some(fail));
    let close = FastClose { key: B };
    let wire = bytes(&[&[30, 12, 0x70, 0], &B.to_bytes()]);
    let found = round_trip(|buf| close.emit(buf), &wire);
    assert_eq!(found.fastclose, Some(close));
}

#[test]
fn tcprst_says_why() {
    for code in 0..=255 {
        let reason = RstReason::from_code(code);
        assert_eq!(reason.code(), code);
        let rst = TcpRst {
            flags: TcpRst::TRANSIENT | 0x08,
            reason,
        };
        assert!(rst.is_transient());
        let found = round_trip(|buf| rst.emit(buf), &[30, 4, 0x89, code]);
        assert_eq!(found.rst, Some(rst));
    }
    assert_eq!(RstReason::from_code(7), RstReason::Other(7));
    assert_eq!(RstReason::from_code(6), RstReason::MiddleboxInterference);
}

#[test]
fn unknown_and_experimental_options_are_ignored() {
    let found = Options::parse(&[30, 4, 0xf0, 1, 30, 4, 0x90, 1, 30, 2, 30, 3, 0x51, 1]);
    assert_eq!(found.invalid, 2);
    assert_eq!(found.prio, Some(MpPrio { backup: true }));
    assert!(!found.is_empty());
    assert!(Options::parse(&[30, 4, 0xf0, 1]).is_empty());
}

#[test]
fn of_two_the_first_counts() {
    let found = Options::parse(&[30, 3, 0x50, 30, 3, 0x51, 0]);
    assert_eq!(found.prio, Some(MpPrio { backup: false }));
    assert_eq!(found.invalid, 1);
}

#[test]
fn several_options_share_a_segment() {
    let mut buf = OptionBuf::new();
    let dss = Dss {
        ack: Some(WireDsn::Full(1)),
        ..Dss::default()
    };
    dss.emit(&mut buf).unwrap();
    MpPrio { backup: true }.emit(&mut buf).unwrap();
    RmAddr::new(4).emit(&mut buf).unwrap();
    let found = Options::parse(buf.as_padded());
    assert_eq!(found.dss, Some(dss));
    assert!(found.prio.is_some() && found.rm_addr.is_some());
}

#[test]
fn broken_areas_are_walked_as_far_as_they_go() {
    for area in [
        &[30u8][..],
        &[1, 1, 30, 0],
        &[30, 1],
        &[8, 10, 0],
        &[30, 12, 0x70, 0, 1],
        &[1, 1, 8, 10, 1, 2, 3],
    ] {
        let found = Options::parse(area);
        assert!(found.truncated && found.is_empty(), "{area:?}");
        assert!(!find_mptcp(area) || area.len() > 2);
    }
    let found = Options::parse(&[30, 3, 0x51, 30, 200, 0]);
    assert!(found.truncated && found.prio.is_some());
    assert_eq!(Options::parse(&[]), Options::NONE);
    assert_eq!(Options::parse(&TS), Options::NONE);
    assert!(!find_mptcp(&TS));
}

#[test]
fn nothing_counts_behind_the_end_of_the_list() {
    let found = Options::parse(&[0, 30, 3, 0x51]);
    assert_eq!(found, Options::NONE);
    assert!(!find_mptcp(&[1, 0, 30, 3, 0x51]));
}

#[test]
fn a_full_buffer_says_so_and_stays_as_it_was() {
    let mut buf = OptionBuf::new();
    let dss = Dss {
        data_fin: false,
        ack: Some(WireDsn::Full(1)),
        map: Some(DssMap {
            dsn: WireDsn::Full(2),
            ssn: 3,
            len: 4,
            csum: Some(5),
        }),
    };
    dss.emit(&mut buf).unwrap();
    assert_eq!(buf.len(), 28);
    let join = MpJoin::Ack { hmac: [0; 20] };
    assert_eq!(join.emit(&mut buf), Err(NoSpace));
    assert_eq!(buf.len(), 28);
    FastClose { key: A }.emit(&mut buf).unwrap();
    assert_eq!(MpPrio { backup: true }.emit(&mut buf), Err(NoSpace));
    assert_eq!(buf.padded_len(), OPTIONS_MAX);
}

/// Options with `dss_ack` as a DATA_ACK of 12 bytes, and a mapping and checksum beside it if `full`.
fn dss_buf(full: bool) -> OptionBuf {
    let mut buf = OptionBuf::new();
    let dss = Dss {
        data_fin: false,
        ack: Some(WireDsn::Full(1)),
        map: full.then_some(DssMap {
            dsn: WireDsn::Full(2),
            ssn: 3,
            len: 4,
            csum: Some(5),
        }),
    };
    dss.emit(&mut buf).unwrap();
    buf
}

/// NOP, NOP and a SACK option of `blocks` blocks, block n all of byte n.
fn sack(blocks: u8) -> Vec<u8> {
    let mut option = vec![1, 1, 5, 2 + 8 * blocks];
    for block in 0..blocks {
        option.extend([block; 8]);
    }
    option
}

#[test]
fn what_fits_stays_as_it_is() {
    let mut out = [0xee; OPTIONS_MAX];
    let mptcp = dss_buf(false);
    let len = fit(&TS, &mptcp, &mut out).unwrap();
    assert_eq!(&out[..len], bytes(&[&TS, mptcp.as_bytes()]));
    let with_sack = bytes(&[&TS, &sack(1)]);
    let len = fit(&with_sack, &mptcp, &mut out).unwrap();
    assert_eq!(&out[..len], bytes(&[&with_sack, mptcp.as_bytes()]));
    assert_eq!(fit(&[], &mptcp, &mut out), Some(12));
    assert_eq!(fit(&TS, &OptionBuf::new(), &mut out), Some(12));
}

#[test]
fn sack_blocks_give_way_from_the_end() {
    let mut out = [0; OPTIONS_MAX];
    let mptcp = dss_buf(false);
    // 12 of timestamps, 12 of DATA_ACK: one block of 3 fits the other 16.
    let len = fit(&bytes(&[&TS, &sack(3)]), &mptcp, &mut out).unwrap();
    assert_eq!(&out[..len], bytes(&[&TS, &sack(1), mptcp.as_bytes()]));
    // Without timestamps three of four do.
    let len = fit(&sack(4), &mptcp, &mut out).unwrap();
    assert_eq!(&out[..len], bytes(&[&sack(3), mptcp.as_bytes()]));
}

#[test]
fn the_sack_option_goes_with_its_last_block() {
    let mut out = [0; OPTIONS_MAX];
    let mptcp = dss_buf(true);
    for blocks in 1..=3 {
        let existing = bytes(&[&TS, &sack(blocks)]);
        let len = fit(&existing, &mptcp, &mut out).unwrap();
        assert_eq!(&out[..len], bytes(&[&TS, mptcp.as_bytes()]));
    }
    // What stands behind the SACK stays.
    let existing = bytes(&[&sack(2), &[2, 4, 5, 0xb4], &TS[..8]]);
    assert_eq!(fit(&existing[..24], &mptcp, &mut out), Some(32));
    assert_eq!(&out[..4], [2, 4, 5, 0xb4]);
}

#[test]
fn padding_gives_way_too() {
    let mut out = [0; OPTIONS_MAX];
    let mut mptcp = dss_buf(true);
    MpPrio { backup: true }.emit(&mut mptcp).unwrap();
    // 31 bytes of MPTCP and 9 of TCP, if its padding is left out.
    let existing = [3, 3, 7, 2, 4, 5, 0xb4, 4, 2, 0, 0, 0];
    let len = fit(&existing, &mptcp, &mut out).unwrap();
    assert_eq!(&out[..len], bytes(&[&existing[..9], mptcp.as_bytes()]));
    // An end-of-list that would hide the options behind it.
    let len = fit(&[3, 3, 7, 0], &mptcp, &mut out).unwrap();
    assert!(find_mptcp(&out[..len]));
    assert_eq!(len, 36);
}

#[test]
fn what_cannot_fit_is_refused() {
    let mut out = [0; OPTIONS_MAX];
    let mptcp = dss_buf(true);
    let existing = bytes(&[&TS, &[2, 4, 5, 0xb4]]);
    assert_eq!(fit(&existing, &mptcp, &mut out), None);
    assert_eq!(fit(&[8, 10, 0, 0, 0], &mptcp, &mut out), None);
    assert_eq!(fit(&[1; 44], &OptionBuf::new(), &mut out), Some(0));
    // Broken: an option that goes beyond the end.
    assert_eq!(fit(&[5, 10, 0, 0], &OptionBuf::new(), &mut out), None);
}

#[test]
fn the_timestamp_is_found_wherever_it_stands() {
    assert_eq!(timestamp(&TS), Some(1));
    assert_eq!(
        timestamp(&[2, 4, 5, 180, 8, 10, 0, 0, 1, 0, 0, 0, 0, 2]),
        Some(256)
    );
    assert_eq!(timestamp(&TS[..8]), Some(1));
    assert_eq!(timestamp(&TS[..7]), None);
    assert_eq!(timestamp(&[8, 9, 0, 0, 0, 1, 0, 0, 0]), None);
    assert_eq!(timestamp(&[]), None);
}

#[test]
fn a_synack_with_a_cookie_goes_without_timestamps() {
    // MSS, SACK permitted and timestamps, window scale, Fast Open cookie.
    let existing = bytes(&[
        &[
            2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7,
        ],
        &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1],
    ]);
    let mut mptcp = OptionBuf::new();
    MpCapable {
        version: VERSION,
        flags: CapableFlags::HMAC_SHA256,
        body: CapableBody::SynAck { sender: A },
    }
    .emit(&mut mptcp)
    .unwrap();
    let mut out = [0; OPTIONS_MAX];
    assert_eq!(fit(&existing, &mptcp, &mut out), None);
    let len = fit_without_timestamps(&existing, &mptcp, &mut out).unwrap();
    assert_eq!(len, 32);
    assert_eq!(
        out[..19],
        [2, 4, 5, 180, 4, 2, 3, 3, 7, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8]
    );
    assert!(Options::parse(&out[..len]).capable.is_some());
    // An area that is cut off in an option is left alone.
    assert_eq!(fit_without_timestamps(&[2], &mptcp, &mut out), None);
}
