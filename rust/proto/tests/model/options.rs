// SPDX-License-Identifier: GPL-2.0

//! What must hold for any option area.

use mptcp_proto::option::{find_mptcp, fit, NoSpace, OptionBuf, Options};

/// Writes everything found into `buf`, as far as it fits, and says what did.
pub fn emit_all(found: &Options, buf: &mut OptionBuf) -> Options {
    let mut sent = Options::NONE;
    macro_rules! emit {
        ($($field:ident)*) => {
            $(
                if let Some(option) = &found.$field {
                    let before = buf.len();
                    match option.emit(buf) {
                        Ok(()) => {
                            assert_eq!(buf.len() - before, usize::from(buf.as_bytes()[before + 1]));
                            sent.$field = found.$field;
                        }
                        Err(NoSpace) => assert_eq!(buf.len(), before),
                    }
                }
            )*
        };
    }
    emit!(capable join dss add_addr rm_addr prio fail fastclose rst);
    sent
}

/// Decodes any bytes; encodes and decodes again what was found.
pub fn check_area(area: &[u8]) {
    let found = Options::parse(area);
    if !found.is_empty() {
        assert!(find_mptcp(area), "{area:?}");
    }
    // An MP_CAPABLE of an unknown version is encoded by its head only, and decoded the same.
    let mut buf = OptionBuf::new();
    let sent = emit_all(&found, &mut buf);
    let again = Options::parse(buf.as_padded());
    assert_eq!(again, sent, "{area:?}");
    check_fit(area, &buf);
}

/// Joins any bytes with `mptcp`: what comes out holds all of it, and nothing that was not there.
pub fn check_fit(existing: &[u8], mptcp: &OptionBuf) {
    let mut out = [0xee; 40];
    let Some(len) = fit(existing, mptcp, &mut out) else {
        return;
    };
    assert!(len % 4 == 0 && len <= 40);
    let (joined, rest) = out.split_at(len);
    assert!(rest.iter().all(|&byte| byte == 0xee));
    let kept = options(joined);
    let mut want = options(existing);
    let ours = options(mptcp.as_padded());
    assert!(kept.ends_with(&ours), "{existing:?} {joined:?}");
    let kept = &kept[..kept.len() - ours.len()];
    // Only the first SACK may be shorter than it was, or gone.
    if let Some(at) = want.iter().position(|option| option[0] == 5) {
        let mut shorter = want[at].clone();
        loop {
            want[at] = shorter.clone();
            if want == kept {
                return;
            }
            if shorter.len() < 2 + 8 {
                break;
            }
            // Whole blocks go; a broken tail goes with the first of them.
            let blocks = (shorter.len() - 2) / 8;
            let cut = if (shorter.len() - 2) % 8 == 0 {
                blocks - 1
            } else {
                blocks
            };
            shorter.truncate(2 + 8 * cut);
            if cut == 0 {
                break;
            }
            shorter[1] = shorter.len() as u8;
        }
        want.remove(at);
    }
    assert_eq!(want, kept, "{existing:?} {joined:?}");
}

/// The options of an area, one by one, without padding.
fn options(mut area: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    loop {
        match *area {
            [] | [0, ..] => return found,
            [1, ref rest @ ..] => area = rest,
            [_, len, ..] if len >= 2 && usize::from(len) <= area.len() => {
                let (option, rest) = area.split_at(len.into());
                found.push(option.to_vec());
                area = rest;
            }
            _ => return found,
        }
    }
}
