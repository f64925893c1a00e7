// SPDX-License-Identifier: GPL-2.0

//! Ten million headers: random ones, and real ones with bytes changed.

use mptcp_proto::option::Options;

mod model;

use model::Rng;

/// Headers to decode; `MPTCP_HEADERS` in the environment says another number.
const HEADERS: u64 = 10_000_000;

/// Option areas as hosts send them.
const REAL: [&[u8]; 10] = [
    // SYN, SYN-ACK, ACK, ACK with data
    &[
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 30, 4, 1, 1,
    ],
    &[30, 12, 1, 0x81, 1, 2, 3, 4, 5, 6, 7, 8],
    &[
        1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 20, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5,
        6, 7, 8,
    ],
    &[
        1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 22, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5,
        6, 7, 8, 0, 9, 1, 1,
    ],
    // DATA_ACK, DSS with everything
    &[
        1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 12, 0x20, 3, 0, 1, 2, 3, 4, 5, 6, 7,
    ],
    &[
        1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 28, 0x20, 0x1f, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2,
        3, 4, 5, 6, 7, 0, 0, 0, 1, 5, 6, 7, 8,
    ],
    // MP_JOIN SYN
    &[
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 30, 12, 0x10, 1, 1, 2, 3,
        4, 5, 6, 7, 8,
    ],
    // ADD_ADDR v6 with port, REMOVE_ADDR with MP_PRIO, MP_FASTCLOSE with MP_TCPRST
    &[
        30, 30, 0x30, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 80, 1, 2, 3, 4,
        5, 6, 7, 8,
    ],
    &[30, 6, 0x40, 1, 2, 3, 30, 3, 0x51, 1, 1, 1],
    &[30, 12, 0x70, 0, 1, 2, 3, 4, 5, 6, 7, 8, 30, 4, 0x80, 1],
];

#[test]
fn ten_million_headers_decode_without_panic() {
    let headers = std::env::var("MPTCP_HEADERS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(HEADERS);
    let mut rng = Rng::new(8684);
    let mut area = [0u8; 44];
    let (mut found, mut invalid, mut truncated) = (0u64, 0u64, 0u64);
    for n in 0..headers {
        let len = if n % 4 == 0 {
            let random = rng.next();
            for chunk in area.chunks_mut(8) {
                let word = rng.next().to_ne_bytes();
                chunk.copy_from_slice(&word[..chunk.len()]);
            }
            // Kind 30 is rare in noise.
            area[random as usize % 4] = 30;
            rng.below(45) as usize
        } else {
            let real = REAL[rng.below(REAL.len() as u64) as usize];
            area[..real.len()].copy_from_slice(real);
            let mut changes = rng.next();
            for _ in 0..changes % 4 {
                changes >>= 8;
                let at = rng.below(real.len() as u64) as usize;
                area[at] = changes as u8;
            }
            real.len()
                - (rng.below(real.len() as u64 * 4) as usize).min(real.len()) / 4 * (n % 2) as usize
        };
        let area = &area[..len];
        let options = Options::parse(area);
        found += u64::from(!options.is_empty());
        invalid += u64::from(options.invalid > 0);
        truncated += u64::from(options.truncated);
        if n % 16 == 0 {
            model::options::check_area(area);
        }
    }
    // The mix is worth something only if each kind is in it.
    assert!(found > headers / 4, "{found} of {headers} had options");
    assert!(
        invalid > headers / 100,
        "{invalid} of {headers} were invalid"
    );
    assert!(
        truncated > headers / 100,
        "{truncated} of {headers} were cut"
    );
}
