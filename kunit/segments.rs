// SPDX-License-Identifier: GPL-2.0

//! TCP headers in real packets: options go in and out, everything else stays what it was.

use crate::fixture::Packet;
use crate::framework::Test;
use crate::sys::skb::{flag, TxSegment};
use crate::{expect, expect_eq, require, suite};
use kernel::prelude::*;

const AF_INET: u16 = crate::bindings::AF_INET as u16;
const AF_INET6: u16 = crate::bindings::AF_INET6 as u16;

/// Padding and timestamps, as TCP writes them.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7];
/// Option 30 is MPTCP's; what is in it does not matter here.
const DSS: [u8; 28] = [
    30, 26, 0x20, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 1, 1,
];

/// The flag that asks to push; the module never looks at it.
const PSH: u8 = 0x08;
/// The header of TCP without options.
const TCP: usize = 20;

fn ip_header(family: u16) -> usize {
    if family == AF_INET {
        20
    } else {
        40
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    };
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The Internet checksum of the TCP segment in a packet: zero if the one in it is right.
fn tcp_checksum(packet: &[u8], family: u16) -> u16 {
    let addresses = if family == AF_INET { 12..20 } else { 8..40 };
    let (ip, tcp) = packet.split_at(ip_header(family));
    !fold(sum(&ip[addresses]) + 6 + tcp.len() as u64 + sum(tcp))
}

/// A whole packet, checksums included.
fn packet(family: u16, options: &[u8], payload: usize) -> Result<KVec<u8>> {
    let mut bytes = KVec::new();
    let len = TCP + options.len() + payload;
    let [high, low] = (len as u16).to_be_bytes();
    if family == AF_INET {
        let [total_high, total_low] = (len as u16 + 20).to_be_bytes();
        let ip = [
            0x45, 0, total_high, total_low, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        bytes.extend_from_slice(&ip, GFP_KERNEL)?;
        let check = !fold(sum(&bytes));
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
    } else {
        bytes.extend_from_slice(&[0x60, 0, 0, 0, high, low, 6, 64], GFP_KERNEL)?;
        for last in [1, 2] {
            let mut address = [0; 16];
            (address[0], address[1], address[15]) = (0xfd, 1, last);
            bytes.extend_from_slice(&address, GFP_KERNEL)?;
        }
    }
    let doff = ((TCP + options.len()) / 4) as u8;
    let tcp = [
        0x12,
        0x34,
        0,
        80,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        doff << 4,
        flag::ACK | PSH,
        0x10,
        0,
        0,
        0,
        0,
        0,
    ];
    bytes.extend_from_slice(&tcp, GFP_KERNEL)?;
    bytes.extend_from_slice(options, GFP_KERNEL)?;
    for i in 0..payload {
        bytes.push((i * 7) as u8, GFP_KERNEL)?;
    }
    let check = tcp_checksum(&bytes, family);
    let at = ip_header(family) + 16;
    bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
    Ok(bytes)
}

/// The packets of the tests: both families, with and without payload, in one piece and with a fragment.
fn each_kind(mut f: impl FnMut(u16, usize, bool)) {
    for family in [AF_INET, AF_INET6] {
        for payload in [0, 1, 1400] {
            for paged in [false, true] {
                f(family, payload, paged);
            }
        }
    }
}

fn options_change_on_the_way_out(test: &Test) {
    for options in [&[][..], &TIMESTAMPS, &DSS, &[1; 40]] {
        each_kind(|family, payload, paged| {
            let ip = ip_header(family);
            let before = require!(test, packet(family, &TIMESTAMPS, payload));
            let linear = if paged { ip + TCP + 12 } else { before.len() };
            for headroom in [0, 200] {
                let mut out = require!(test, Packet::new(&before, linear, ip, headroom));
                let mut segment = require!(test, TxSegment::from_local_out(out.skb()));
                expect_eq!(test, segment.header().options(), &TIMESTAMPS);
                expect_eq!(test, segment.payload_len() as usize, payload);
                expect_eq!(test, segment.set_options(options), Ok(()));
                expect_eq!(test, segment.header().options(), options);
                expect_eq!(test, segment.payload_len() as usize, payload);
                segment.fix_local_out(family);
                require!(test, out.complete_checksum());

                let after = require!(test, out.bytes());
                let wanted = require!(test, packet(family, options, payload));
                expect!(test, *after == *wanted);
            }
        });
    }
}

fn options_change_before_the_ip_header(test: &Test) {
    for options in [&[][..], &TIMESTAMPS, &DSS] {
        each_kind(|family, payload, paged| {
            let ip = ip_header(family);
            let before = require!(test, packet(family, &TIMESTAMPS, payload));
            let linear = if paged { ip + TCP + 12 } else { before.len() };
            let out = require!(test, Packet::new(&before, linear, ip, 200));
            let mut out = out.at_transport();
            let mut segment = TxSegment::from_transmit(out.skb());
            expect_eq!(test, segment.set_options(options), Ok(()));
            segment.set_window(0x1234);
            expect_eq!(test, segment.header().window(), 0x1234);
            expect_eq!(test, segment.header().seq(), 0x0102_0304);
            expect_eq!(test, segment.header().ack(), 0x0506_0708);
            expect_eq!(test, segment.header().flags(), flag::ACK | PSH);
            expect_eq!(test, out.transport_offset(), 0);

            let after = require!(test, out.bytes());
            let wanted = require!(test, packet(family, options, payload));
            expect_eq!(test, after.len(), wanted.len() - ip);
            expect!(test, after[..12] == wanted[ip..ip + 12]);
            expect!(test, after[TCP..] == wanted[ip + TCP..]);
        });
    }
}

fn options_of_a_wrong_length_are_refused(test: &Test) {
    let before = require!(test, packet(AF_INET, &TIMESTAMPS, 100));
    let mut out = require!(test, Packet::new(&before, before.len(), 20, 200));
    let mut segment = require!(test, TxSegment::from_local_out(out.skb()));
    expect_eq!(test, segment.set_options(&[1; 41]), Err(EINVAL));
    expect_eq!(test, segment.set_options(&[1; 44]), Err(EINVAL));
    expect_eq!(test, segment.set_options(&[1; 3]), Err(EINVAL));
    let after = require!(test, out.bytes());
    expect!(test, *after == *before);
}

fn arriving_segments_are_checked(test: &Test) {
    each_kind(|family, payload, paged| {
        let ip = ip_header(family);
        let mut bytes = require!(test, packet(family, &DSS, payload));
        let linear = if paged { ip } else { bytes.len() };
        {
            let mut good = require!(test, Packet::new(&bytes, linear, ip, 0));
            let mut segment = require!(test, good.skb().local_in(family));
            expect_eq!(test, segment.header().options(), &DSS);
            expect_eq!(test, segment.header().dest(), 80);
            expect_eq!(test, segment.payload_len() as usize, payload);
            expect!(test, segment.checksum_ok());
            expect!(test, segment.checksum_ok());
        }
        let last = bytes.len() - 1;
        bytes[last] ^= 0x10;
        let mut bad = require!(test, Packet::new(&bytes, linear, ip, 0));
        let mut segment = require!(test, bad.skb().local_in(family));
        expect!(test, !segment.checksum_ok());
    });
}

fn broken_headers_are_no_segments(test: &Test) {
    let mut bytes = require!(test, packet(AF_INET, &TIMESTAMPS, 0));
    for len in 20..bytes.len() {
        let mut short = require!(test, Packet::new(&bytes[..len], len, 20, 0));
        expect!(test, short.skb().local_in(AF_INET).is_none());
    }
    for doff in 0..5 {
        bytes[20 + 12] = doff << 4;
        let mut bad = require!(test, Packet::new(&bytes, bytes.len(), 20, 0));
        expect!(test, bad.skb().local_in(AF_INET).is_none());
    }
}

fn options_are_taken_away_on_the_way_in(test: &Test) {
    let mut options = [0; 40];
    options[..12].copy_from_slice(&TIMESTAMPS);
    options[12..].copy_from_slice(&DSS);
    each_kind(|family, payload, paged| {
        let ip = ip_header(family);
        let bytes = require!(test, packet(family, &options, payload));
        let linear = if paged { ip + TCP + 40 } else { bytes.len() };
        let mut packet = require!(test, Packet::new(&bytes, linear, ip, 0));
        let mut segment = require!(test, packet.skb().local_in(family));
        expect!(test, segment.checksum_ok());
        segment.truncate_options(12);
        expect_eq!(test, segment.header().options(), &TIMESTAMPS);
        expect_eq!(test, segment.header().seq(), 0x0102_0304);
        expect_eq!(test, segment.header().flags(), flag::ACK | PSH);
        expect_eq!(test, segment.payload_len() as usize, payload);
        expect!(test, segment.checksum_ok());
        expect_eq!(test, packet.transport_offset() as usize, ip + 28);
        let after = require!(test, packet.bytes());
        expect!(test, after[ip + 28 + TCP + 12..] == bytes[ip + TCP + 40..]);
    });
}

fn a_shared_header_is_left_alone(test: &Test) {
    let bytes = require!(test, packet(AF_INET, &DSS, 100));
    let mut packet = require!(test, Packet::new(&bytes, bytes.len(), 20, 0));
    let other = packet.share();
    let mut segment = require!(test, packet.skb().local_in(AF_INET));
    segment.truncate_options(0);
    expect_eq!(test, segment.header().options(), &DSS);
    let seen = require!(test, other.bytes());
    expect!(test, *seen == *bytes);
}

/// As many parts as a packet has bytes do not make many times the packet of its memory; but a packet of its own is as
/// large as one.
fn a_part_counts_the_memory_that_it_takes(test: &Test) {
    let bytes = require!(test, packet(AF_INET, &[], 4000));
    let mut packet = require!(test, Packet::new(&bytes, 100, 20, 0));
    let whole = packet.truesize();
    for (offset, len) in [(0, 1), (90, 20), (100, 1420), (4039, 1)] {
        let part = require!(test, packet.skb().part(offset, len).ok_or(ENOMEM));
        expect_eq!(test, part.len(), len);
        expect!(test, part.truesize() >= len);
        expect!(test, part.truesize() < whole / 2);
    }
    let most = require!(test, packet.skb().part(1, 4000).ok_or(ENOMEM));
    expect_eq!(test, most.len(), 4000);
    expect!(test, most.truesize() > 4000 && most.truesize() <= whole);
    expect!(test, packet.skb().part(4000, 41).is_none());
    expect!(test, packet.skb().part(u32::MAX, 2).is_none());
    expect_eq!(test, packet.truesize(), whole);
}

suite!("mptcp_segments":
    options_change_on_the_way_out,
    options_change_before_the_ip_header,
    options_of_a_wrong_length_are_refused,
    arriving_segments_are_checked,
    broken_headers_are_no_segments,
    options_are_taken_away_on_the_way_in,
    a_shared_header_is_left_alone,
    a_part_counts_the_memory_that_it_takes,
);
