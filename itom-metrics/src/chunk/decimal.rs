//! Values that are whole multiples of a power of ten: integers whose differences share one width.

use super::Raw;
use super::bits::{BitReader, BitWriter};
use super::time::TimeState;

/// Powers of ten that are tried, in order. Each is exact as a float.
const SCALES: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// Beyond 2^53 a float no longer tells neighbouring integers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that gives back exactly these bits when divided by the scale.
fn whole(bits: u64, scale: f64) -> Option<i64> {
    let scaled = (f64::from_bits(bits) * scale).round();
    // False for NaN too.
    if scaled.abs() <= EXACT && (scaled as i64 as f64 / scale).to_bits() == bits {
        Some(scaled as i64)
    } else {
        None
    }
}

fn integers(samples: &[Raw], scale: f64) -> Option<Vec<i64>> {
    samples.iter().map(|(_, bits)| whole(*bits, scale)).collect()
}

/// The values as integers and the index of the scale that they were multiplied with, when there is one for all.
#[cfg(feature = "durable")]
pub(crate) fn scaled(bits: &[u64]) -> Option<(u8, Vec<i64>)> {
    (0..).zip(SCALES).find_map(|(index, scale)| {
        let integers: Option<Vec<i64>> = bits.iter().map(|bits| whole(*bits, scale)).collect();
        Some((index, integers?))
    })
}

/// The reverse of [`scaled`] for one value.
#[cfg(feature = "durable")]
pub(crate) fn unscaled(scale: u8, integer: i64) -> Option<u64> {
    SCALES.get(usize::from(scale)).map(|scale| (integer as f64 / scale).to_bits())
}

/// Packs the samples, when all their values are decimals of one scale.
pub(super) fn encode(samples: &[Raw]) -> Option<Vec<u8>> {
    let (index, integers) =
        SCALES.iter().enumerate().find_map(|(index, scale)| Some((index, integers(samples, *scale)?)))?;
    // |integers| <= 2^53, so differences cannot overflow.
    let steps: Vec<i64> = integers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = steps.iter().copied().min().unwrap_or(0);
    let most = steps.iter().copied().max().unwrap_or(0);
    let width = (64 - ((most - least) as u64).leading_zeros()) as u8;

    let mut out = BitWriter::default();
    out.make_room(24 + samples.len() * (usize::from(width) + 12) / 8);
    out.write(index as u64, 3);
    out.write(u64::from(width), 7);
    out.write(*integers.first()? as u64, 64);
    out.write(least as u64, 64);
    let mut time = TimeState::default();
    for (index, (at, _)) in samples.iter().enumerate() {
        time.write(&mut out, *at, index == 0);
        if let Some(step) = index.checked_sub(1).and_then(|before| steps.get(before)) {
            out.write((step - least) as u64, width);
        }
    }
    Some(out.into_bytes())
}

pub(super) fn decode(bytes: &[u8], count: usize, from: i64, to: i64, out: &mut Vec<Raw>) {
    let mut input = BitReader::new(bytes);
    let scale = SCALES.get(input.read(3) as usize).copied().unwrap_or(1.0);
    let width = input.read(7) as u8;
    let mut value = input.read(64) as i64;
    let least = input.read(64) as i64;
    let mut time = TimeState::default();
    for index in 0..count {
        let at = time.read(&mut input, index == 0);
        if index > 0 {
            value = value.wrapping_add(least).wrapping_add(input.read(width) as i64);
        }
        if at > to {
            return;
        }
        if at >= from {
            out.push((at, (value as f64 / scale).to_bits()));
        }
    }
}
