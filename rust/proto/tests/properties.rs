// SPDX-License-Identifier: GPL-2.0

//! Property tests: the same every time, so that a failure in CI is one at the desk.

use mptcp_proto::checksum::Checksum;
use mptcp_proto::option::{Dss, DssMap, OptionBuf, WireDsn};
use mptcp_proto::seq::{Dsn, Ssn};
use mptcp_proto::window::RcvWindow;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

mod model;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x8684),
        ..ProptestConfig::default()
    }
}

/// A place on the circle, the wrap more often than chance has it.
fn place() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u64..10_000).prop_map(|n| 0u64.wrapping_sub(n)),
        (0u64..10_000).prop_map(|n| 0x1_0000_0000 - n),
        Just(0),
    ]
}

/// TCP's usual options and broken ones.
fn area() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(vec![1u8]),
        Just(vec![0u8]),
        Just(vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        (1u8..=4).prop_map(|blocks| {
            let mut sack = vec![5, 2 + 8 * blocks];
            sack.extend((0..8 * blocks).map(|n| n | 0x80));
            sack
        }),
        (any::<u8>(), vec(any::<u8>(), 0..38)).prop_map(|(kind, body)| {
            let mut option = vec![kind, 2 + body.len() as u8];
            option.extend(body);
            option
        }),
        (0u8..10, vec(any::<u8>(), 1..30)).prop_map(|(subtype, body)| {
            let mut option = vec![30, 2 + body.len() as u8];
            option.extend(body);
            option[2] = (subtype << 4) | (option[2] & 0x0f);
            option
        }),
        vec(any::<u8>(), 0..6),
    ];
    vec(option, 0..6).prop_map(|options| options.concat())
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn any_option_area_decodes_and_what_it_says_encodes(area in area()) {
        model::options::check_area(&area);
    }

    #[test]
    fn fit_keeps_everything_but_sack_blocks(
        area in area(),
        ack in any::<Option<u64>>(),
        map in any::<Option<(u64, u32, u16, Option<u16>)>>(),
    ) {
        let dss = Dss {
            data_fin: false,
            ack: ack.map(WireDsn::Full),
            map: map.map(|(dsn, ssn, len, csum)| DssMap {
                dsn: WireDsn::Full(dsn),
                ssn,
                len,
                csum,
            }),
        };
        let mut buf = OptionBuf::new();
        dss.emit(&mut buf).unwrap();
        model::options::check_fit(&area, &buf);
    }

    #[test]
    fn expand_is_the_nearest(reference in place(), low in any::<u32>()) {
        let dsn = Dsn::expand(Dsn(reference), low);
        prop_assert_eq!(dsn.0 as u32, low);
        let distance = dsn.since(Dsn(reference));
        prop_assert!((-0x8000_0000..0x8000_0000).contains(&distance));
    }

    #[test]
    fn serial_order_is_the_sign_of_the_distance(a in any::<u32>(), n in 1i32..) {
        let (a, b) = (Ssn(a), Ssn(a.wrapping_add(n as u32)));
        prop_assert!(a.before(b) && b.after(a) && !b.before(a));
        prop_assert_eq!(b.since(a), n);
        let (a, b) = (Dsn(a.0.into()), Dsn(a.0.into()).add(n as u64));
        prop_assert_eq!((a.max(b), a.min(b)), (b, a));
        prop_assert_eq!((b.max(a), b.min(a)), (b, a));
    }

    #[test]
    fn checksums_of_parts_make_the_checksum_of_the_whole(
        bytes in vec(any::<u8>(), 0..200),
        cuts in vec(0usize..200, 0..5),
    ) {
        let mut whole = Checksum::new();
        whole.add(&bytes);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut parts, mut sums, mut from) = (Checksum::new(), Checksum::new(), 0);
        for to in cuts.into_iter().chain([bytes.len()]) {
            let part = &bytes[from..to];
            parts.add(part);
            let mut own = Checksum::new();
            own.add(part);
            sums.add_sum(!own.finish(), part.len());
            from = to;
        }
        prop_assert!(whole.verify(parts.finish()));
        prop_assert!(whole.verify(sums.finish()));
    }

    #[test]
    fn the_announced_edge_never_moves_left(
        start in place(),
        steps in vec((0u64..100_000, any::<u32>(), 0u8..=14), 1..50),
    ) {
        let mut rcv_nxt = Dsn(start);
        let mut window = RcvWindow {
            right_edge: rcv_nxt,
        };
        let mut seen = rcv_nxt;
        for (received, free, wscale) in steps {
            rcv_nxt = rcv_nxt.add(received.min(window.available(rcv_nxt)));
            let free = free >> (free % 32);
            let before = window.right_edge;
            let field = window.announce(rcv_nxt, free, wscale);
            let edge = rcv_nxt.add(u64::from(field) << wscale);
            // What the peer may believe is what is remembered, and grows by a unit at most unless there
            // is memory for it.
            prop_assert_eq!(window.right_edge, before.max(edge));
            let unit = 1u64 << wscale;
            let honest = rcv_nxt.add(u64::from(free)).max(before.add(unit - 1));
            prop_assert!(window.right_edge.at_or_before(honest));
            if field < u16::MAX {
                prop_assert!(edge.at_or_after(seen));
            }
            seen = seen.max(edge);
        }
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn the_reorder_queue_loses_and_doubles_nothing(
        start in place(),
        slots in 1usize..20,
        ops in vec(any::<[u8; 4]>(), 1..80),
    ) {
        let ops = ops.into_iter().map(model::reorder::Op::from_bytes);
        model::reorder::check(start, slots, ops);
    }

    #[test]
    fn received_mappings_never_contradict_themselves(
        start in place(),
        slots in 1usize..20,
        ops in vec(any::<[u8; 4]>(), 1..80),
    ) {
        let ops = ops.into_iter().map(model::rx_map::Op::from_bytes);
        model::rx_map::check(start as u32, slots, ops);
    }

    #[test]
    fn every_sent_byte_keeps_its_mapping(
        start in place(),
        slots in 1usize..20,
        ops in vec(any::<[u8; 4]>(), 1..80),
    ) {
        let ops = ops.into_iter().map(model::tx_map::Op::from_bytes);
        model::tx_map::check(start as u32, slots, ops);
    }
}
