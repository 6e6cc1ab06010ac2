//! Columns of times and values, each in the form that is smallest.

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress_into};

use crate::chunk::decimal;
use crate::code::{Put, Take};

/// Samples of one chunk: what a crafted file can make a reader reserve.
pub(super) const CHUNK_MAX: usize = 1 << 16;

/// All the same.
const CONSTANT: u8 = 0;
/// Integers, divided by a power of ten; the scale's index is added to the tag.
const DECIMAL: u8 = 1;
/// Floats.
const FLOAT: u8 = 16;
/// Bits that no float encoding gives back exactly, such as payloads of NaN.
const BITS: u8 = 17;

fn compress<T: pco::data_types::Number>(values: &[T]) -> Option<Vec<u8>> {
    simple_compress(values, &ChunkConfig::default()).ok()
}

fn decompress<T: pco::data_types::Number>(bytes: &[u8], count: usize) -> Option<Vec<T>> {
    if count > CHUNK_MAX {
        return None;
    }
    let mut values = vec![T::default(); count];
    let progress = simple_decompress_into(bytes, &mut values).ok()?;
    (progress.n_processed == count).then_some(values)
}

/// The bits of values as bytes; `None` only when the compressor refuses them.
pub(super) fn encode(values: &[u64]) -> Option<Vec<u8>> {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|value| *value == first) {
        let mut out = vec![CONSTANT];
        out.fixed64(first);
        return Some(out);
    }
    let tagged = |tag: u8, body: Vec<u8>| [&[tag][..], &body].concat();
    if let Some((scale, integers)) = decimal::scaled(values) {
        return Some(tagged(DECIMAL + scale, compress(&integers)?));
    }
    let floats: Vec<f64> = values.iter().map(|bits| f64::from_bits(*bits)).collect();
    let as_floats = compress(&floats).filter(|body| {
        let back = decompress::<f64>(body, floats.len());
        back.is_some_and(|back| back.iter().zip(values).all(|(value, bits)| value.to_bits() == *bits))
    });
    match as_floats {
        Some(body) => Some(tagged(FLOAT, body)),
        None => Some(tagged(BITS, compress(values)?)),
    }
}

/// The reverse of [`encode`]; `None` when the bytes are no such column.
pub(super) fn decode(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
    let (tag, body) = bytes.split_first()?;
    match *tag {
        CONSTANT if count <= CHUNK_MAX => Some(vec![Take(body).fixed64()?; count]),
        FLOAT => Some(decompress::<f64>(body, count)?.into_iter().map(f64::to_bits).collect()),
        BITS => decompress::<u64>(body, count),
        DECIMAL..FLOAT => {
            let integers = decompress::<i64>(body, count)?;
            integers.into_iter().map(|integer| decimal::unscaled(*tag - DECIMAL, integer)).collect()
        }
        _ => None,
    }
}

/// Times as bytes.
pub(super) fn encode_times(times: &[i64]) -> Option<Vec<u8>> {
    compress(times)
}

/// The reverse of [`encode_times`]; `None` when the bytes are no ascending times.
pub(super) fn decode_times(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    decompress::<i64>(bytes, count).filter(|times| times.windows(2).all(|pair| pair[0] < pair[1]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l10_a_column_gives_back_every_bit(
            values in prop::collection::vec(prop_oneof![
                any::<u64>(), any::<f64>().prop_map(f64::to_bits), (-9_000..9_000_i64).prop_map(|n| (n as f64 / 100.0).to_bits()),
                Just(0x7ff0_0000_0000_0002_u64), Just((-0.0_f64).to_bits()),
            ], 1..300),
            sort in 0..3,
        ) {
            let values = match sort {
                0 => values,
                1 => values.iter().map(|bits| ((bits % 1_000_000) as f64).to_bits()).collect(),
                _ => values.iter().map(|bits| f64::from_bits(*bits).sin().to_bits()).collect(),
            };
            let bytes = encode(&values).unwrap();
            prop_assert_eq!(decode(&bytes, values.len()).unwrap(), values);
        }

        #[test]
        fn l10_any_bytes_as_a_column(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..100_000_usize, tag in 0..20_u8) {
            let _ = decode(&bytes, count);
            let _ = decode(&[&[tag][..], &bytes].concat(), count);
            let _ = decode_times(&bytes, count);
            // Damage within what was good.
            let good = encode(&(0..50_u64).map(|n| (n as f64 * 1.5).to_bits()).collect::<Vec<_>>()).unwrap();
            let damaged: Vec<u8> = good.iter().zip(bytes.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a ^ (b & 3)).collect();
            let _ = decode(&damaged, 50);
        }
    }
}
