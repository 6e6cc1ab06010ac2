//! Bytes of a table to text.

use std::borrow::Cow;

use super::super::{Document, ImportError, Place, Problem, detect};
use super::mapping::Encoding;

/// Bytes 0x80 to 0x9f of Windows-1252 (<https://encoding.spec.whatwg.org/#windows-1252>); those that are not assigned
/// stand for control characters.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub(super) fn decode<'a>(document: &Document<'a>, encoding: Encoding) -> Result<Cow<'a, str>, ImportError> {
    let bytes = document.bytes;
    // A mark at the beginning says more than a mapping.
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || encoding == Encoding::Utf16 {
        return utf16(document).map(Cow::Owned);
    }
    match encoding {
        Encoding::Utf8 | Encoding::Utf16 => detect::utf8(document).map(Cow::Borrowed),
        Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::Windows1252 => {
            let read = |byte: &u8| match byte {
                0x80..=0x9f => WINDOWS.get(usize::from(byte - 0x80)).copied().unwrap_or('\u{fffd}'),
                byte => char::from(*byte),
            };
            Ok(bytes.iter().map(read).collect())
        }
    }
}

fn utf16(document: &Document<'_>) -> Result<String, ImportError> {
    let (big, body) = match document.bytes {
        [0xfe, 0xff, rest @ ..] => (true, rest),
        [0xff, 0xfe, rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let refuse = |byte: usize| ImportError {
        place: Place::file(document.name),
        problem: Problem::Encoding { encoding: "UTF-16", byte },
    };
    if body.len() % 2 == 1 {
        return Err(refuse(document.bytes.len().saturating_sub(1)));
    }
    let (pairs, _) = body.as_chunks::<2>();
    let units =
        pairs.iter().map(|pair| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let mut at = document.bytes.len() - body.len();
    let mut text = String::with_capacity(body.len() / 2);
    for found in char::decode_utf16(units) {
        let found = found.map_err(|_| refuse(at))?;
        at += found.len_utf16() * 2;
        text.push(found);
    }
    Ok(text)
}
