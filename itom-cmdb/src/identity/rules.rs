//! The versioned rule set of identity.

use std::collections::BTreeSet;

use itom_core::{CiKind, KeyKind, Strength, key_kind, kind};

use super::Ident;

/// Values that vendors ship instead of an identity, lower case.
const JUNK: &[&str] = &[
    "0",
    "0123456789",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
    "00020003-0004-0005-0006-000700080009",
    "03000200-0400-0500-0006-000700080009",
    "12345678",
    "123456789",
    "chassis serial number",
    "default",
    "default string",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "n/a",
    "na",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "not settable",
    "null",
    "o.e.m.",
    "oem",
    "serial",
    "serialnumber",
    "system serial number",
    "system-serial-#",
    "to be filled by o.e.m.",
    "unknown",
    "xxxxxxxxxx",
];

/// Prefixes of MAC addresses that belong to a role, not to a device: VRRP and HSRP virtual routers, GLBP, and the
/// locally administered address of container bridges.
const SHARED_MACS: &[&str] =
    &["00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:07:b4:00:", "02:42:"];

/// The rules of identity, as data. Engines with equal rules and facts agree on every item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRules {
    version: u32,
    hot_above: usize,
    single_valued: BTreeSet<KeyKind>,
    generalizations: BTreeSet<CiKind>,
    junk: BTreeSet<String>,
}

impl Default for IdentityRules {
    fn default() -> Self {
        let single = [
            key_kind::MACHINE_ID,
            key_kind::SMBIOS_UUID,
            key_kind::SERIAL,
            key_kind::CLOUD_INSTANCE,
            key_kind::K8S_UID,
            key_kind::CONTAINER_ID,
        ];
        Self {
            version: 1,
            hot_above: 3,
            single_valued: single.into(),
            generalizations: kind::ALL.iter().cloned().collect(),
            junk: JUNK.iter().map(|value| (*value).to_owned()).collect(),
        }
    }
}

impl IdentityRules {
    /// The version of the built-in rules.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// A value claimed by more than this many objects of one source does not identify. 3 by default.
    #[must_use]
    pub const fn hot_above(mut self, objects: usize) -> Self {
        self.hot_above = objects;
        self
    }

    /// One more value that does not identify, compared without case.
    #[must_use]
    pub fn junk(mut self, value: &str) -> Self {
        self.junk.insert(value.to_lowercase());
        self
    }

    /// A thing has one value of this kind of key: two different ones are two things.
    #[must_use]
    pub fn single_valued(mut self, kind: KeyKind) -> Self {
        self.single_valued.insert(kind);
        self
    }

    pub(crate) const fn hot_limit(&self) -> usize {
        self.hot_above
    }

    /// Whether a value is known not to identify anything.
    #[must_use]
    pub fn is_junk(&self, ident: &Ident) -> bool {
        if ident.kind == key_kind::MAC {
            let octets = ident.value.as_str();
            let multicast =
                u8::from_str_radix(octets.get(..2).unwrap_or("0"), 16).is_ok_and(|byte| byte & 1 == 1);
            return multicast
                || octets == "00:00:00:00:00:00"
                || SHARED_MACS.iter().any(|prefix| octets.starts_with(prefix));
        }
        let value = ident.value.as_str();
        let repeated = value.len() > 3 && value.bytes().all(|byte| Some(&byte) == value.as_bytes().first());
        repeated || value.starts_with("invalid:") || self.junk.contains(&value.to_lowercase())
    }

    pub(crate) fn is_single(&self, kind: &KeyKind) -> bool {
        self.single_valued.contains(kind)
    }

    /// Whether two different values of this kind forbid a merge by evidence of strength `by`.
    pub(crate) fn forbids(&self, kind: &KeyKind, strength: Strength, by: Strength) -> bool {
        self.is_single(kind)
            && strength >= Strength::Issued
            && (strength > by || (strength == by && by == Strength::Hardware))
    }

    /// What two kinds have in common: the more refined one, else their nearest common general kind that is a kind of
    /// thing. `None`: one thing cannot be both.
    #[must_use]
    pub fn common_kind(&self, a: &CiKind, b: &CiKind) -> Option<CiKind> {
        if a.is_a(b) {
            return Some(a.clone());
        }
        if b.is_a(a) {
            return Some(b.clone());
        }
        let mut general = a.parent();
        while let Some(candidate) = general {
            if b.is_a(&candidate) && self.generalizations.contains(&candidate) {
                return Some(candidate);
            }
            general = candidate.parent();
        }
        None
    }
}
