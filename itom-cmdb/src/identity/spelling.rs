//! One spelling for what is spelled in several ways. An SMBIOS UUID is printed with its first three fields in either byte
//! order: firmware before SMBIOS 2.6 and the tools that read it disagree, and virtualization managers print the other one
//! than the machines themselves.

use itom_core::{KeyKind, key_kind};

/// Room for a value that is spelled otherwise.
pub(super) type Room = [u8; UUID];

const UUID: usize = 36;
pub(super) const EMPTY: Room = [0; UUID];

/// Where each character of the other byte order comes from.
const OTHER: Room = {
    let mut from = [0; UUID];
    let fields = [6, 7, 4, 5, 2, 3, 0, 1, 8, 11, 12, 9, 10, 13, 16, 17, 14, 15];
    let mut at = 0;
    while at < UUID {
        from[at] = if at < fields.len() { fields[at] } else { at as u8 };
        at += 1;
    }
    from
};

/// The other spelling of a value of this kind of key, if it has one.
pub(super) fn other<'a>(kind: &KeyKind, value: &str, room: &'a mut Room) -> Option<&'a str> {
    if *kind != key_kind::SMBIOS_UUID {
        return None;
    }
    let own: &Room = value.as_bytes().try_into().ok()?;
    for (to, from) in room.iter_mut().zip(OTHER) {
        *to = *own.get(usize::from(from))?;
    }
    std::str::from_utf8(room).ok()
}

/// The spelling that stands for all of them: the one that sorts first.
pub(super) fn one<'a>(kind: &KeyKind, value: &'a str, room: &'a mut Room) -> &'a str {
    match other(kind, value, room) {
        Some(other) if other < value => other,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use itom_core::Key;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l10_both_byte_orders_are_one_value_and_nothing_else_is_touched(bytes in any::<u128>(), text in ".{0,40}") {
            let key = Key::smbios_uuid(&uuid::Uuid::from_u128(bytes).to_string())?;
            let swapped = key.other_byte_order().expect("an SMBIOS UUID");
            let (mut a, mut b) = (EMPTY, EMPTY);
            prop_assert_eq!(other(key.kind(), key.value(), &mut a), Some(swapped.value()));
            prop_assert_eq!(one(key.kind(), key.value(), &mut a), one(key.kind(), swapped.value(), &mut b));
            prop_assert!([key.value(), swapped.value()].contains(&one(key.kind(), key.value(), &mut a)));
            let _ = one(&key_kind::SMBIOS_UUID, &text, &mut a);
            prop_assert_eq!(one(&key_kind::SERIAL, &text, &mut b), text.as_str());
        }
    }
}
