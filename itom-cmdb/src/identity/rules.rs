//! The versioned rules of identity, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use itom_core::{CiKind, Key, KeyKind, Realm, SourceName, Strength, key_kind, kind, relation};
use serde::{Deserialize, Serialize};

use super::{FromChildren, Ident, InheritedRule, spelling};

/// Values that vendors ship instead of an identity, lower case.
const JUNK: &[&str] = &[
    "0",
    "0123456789",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
    "00020003-0004-0005-0006-000700080009",
    "03000200-0400-0500-0006-000700080009",
    "(none)",
    "0000000000000001",
    "0123456789abcdef",
    "12345678",
    "12345678-1234-1234-1234-123456789abc",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "123456789",
    "1234567890",
    "4c4c4544-0000-2010-8020-80c04f202020",
    "asset-1234567890",
    "baseboard serial number",
    "base board serial number",
    "board serial number",
    "chassis serial number",
    "default",
    "default string",
    "default_string",
    "empty",
    "fake serial",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "filled by oem",
    "invalid",
    "ip6-localhost",
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "mb-1234567890",
    "n/a",
    "na",
    "no asset information",
    "no asset tag",
    "no enclosure",
    "none",
    "none specified",
    "not applicable",
    "not available",
    "not present",
    "not set",
    "not specified",
    "not settable",
    "null",
    "o.e.m",
    "o.e.m.",
    "oem",
    "product serial number",
    "serial",
    "serial number",
    "serialnumber",
    "sernum0",
    "system serial number",
    "system-serial-#",
    "systemserialnumb",
    "tbd",
    "to be filled",
    "to be filled by o.e.m",
    "to be filled by o.e.m.",
    "to be filled by oem",
    "tobefilledbyo.e.m.",
    "undefined",
    "uninitialized",
    "unknown",
    "unspecified",
    "xxxxxxxxxx",
];

/// Prefixes of MAC addresses that belong to a role or to a piece of software, not to a device: the same on everything
/// that plays the role or runs it.
const SHARED_MACS: &[&str] = &[
    "00:00:00:00:00:",   // nothing
    "00:00:0c:07:ac:",   // HSRP
    "00:00:0c:9f:f",     // HSRP version 2
    "00:00:5e:00:01:",   // VRRP and CARP
    "00:00:5e:00:02:",   // VRRP over IPv6
    "00:05:73:a0:0",     // HSRP over IPv6
    "00:05:9a:3c:7",     // the adapter of a VPN client
    "00:07:b4:",         // GLBP
    "00:09:0f:aa:00:",   // the adapter of a VPN client
    "00:09:0f:fe:00:",   // the adapter of a VPN client
    "00:1c:42:00:00:0",  // host-only networks of a desktop virtualization
    "00:50:56:c0:00:",   // host-only networks of a desktop virtualization
    "02:42:",            // container bridges
    "0a:00:27:00:00:",   // host-only networks of a desktop virtualization
    "20:41:53:59:4e:",   // dial-up adapters
    "33:50:6f:45:30:",   // dial-up adapters
    "44:45:53:54:",      // dial-up adapters
    "50:50:54:50:30:",   // dial-up adapters
    "54:55:43:44:52:",   // tunnel adapters
    "80:00:60:0f:e8:00", // handheld devices on a cable
    "ac:de:48:00:11:22", // the service interface of a laptop's security processor
];

/// How large a part of two sets must be common: `2` out of `3`, measured on the smaller set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// So many …
    pub of: u32,
    /// … out of so many.
    pub out_of: u32,
}

impl Share {
    /// Whether `common` elements are enough when the smaller set has `smaller`.
    #[must_use]
    pub const fn holds(self, common: usize, smaller: usize) -> bool {
        common as u64 * self.out_of as u64 >= smaller as u64 * self.of as u64
    }
}

/// How keys of one kind are compared. The comparison has three values: an equal value is *true* and joins at the
/// strength of the weaker claim, different values of a single-valued key are *false* and forbid, everything else does
/// *not apply*.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KeyRule {
    /// A thing has one value: two different ones are two things.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single_valued: bool,
    /// Orders kinds of key of equal strength: higher is applied first, and a different value forbids what a lower one
    /// would join.
    #[serde(skip_serializing_if = "is_zero")]
    pub rank: u8,
    /// A thing has several values and two things may share one (a dock's address): only a common share of them joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Share>,
    /// Two things that both have values and share less than this of them are two things, whatever else they share: what
    /// a clone keeps of its origin, it does not keep the addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart_below: Option<Share>,
    /// Two different values of a single-valued key are two things whatever else they share: a container may show the
    /// serial number of the machine below it, and is an installation of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub decisive: bool,
    /// A claim counts for no more than this, whatever its source says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Strength>,
    /// How values are compared that things have [through their parts](FromChildren); without it they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited: Option<InheritedRule>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(rank: &u8) -> bool {
    *rank == 0
}

/// What one source, or a family of them, is to identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SourceRule {
    /// The source, or the part of its name before `@` for a family of sources (`linux` for `linux@web-1`).
    pub source: SourceName,
    /// Whether two native ids of it are two things: so for controllers and agents, not so for a spreadsheet in which
    /// one machine may have two rows.
    #[serde(default = "yes")]
    pub unique_objects: bool,
}

impl SourceRule {
    /// Two rows of this source may be one thing.
    #[must_use]
    pub const fn with_double_entries(source: SourceName) -> Self {
        Self { source, unique_objects: false }
    }
}

const fn yes() -> bool {
    true
}

/// What identifies items of one kind and its refinements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KindIdentity {
    /// Only these kinds of key identify it, others are circumstances; all of them if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<KeyKind>>,
    /// A description makes an item of its own only with a key at least so strong (matching one asks for less); any
    /// description does if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mints_at: Option<Strength>,
}

/// For each length below 64, with which characters of ASCII the junk of that length begins: most values need no look at
/// the list.
#[derive(Debug, Clone)]
pub(super) struct JunkLooks([u128; 64]);

impl JunkLooks {
    /// Anything may be junk.
    const UNKNOWN: Self = Self([u128::MAX; 64]);

    fn may_be(&self, value: &str) -> bool {
        let first = value.as_bytes().first().copied().unwrap_or(0).to_ascii_lowercase();
        // Lower case has the same length in ASCII only.
        !value.is_ascii() || self.0.get(value.len()).is_none_or(|begins| begins >> (first & 127) & 1 == 1)
    }
}

/// The rules of identity, as data. Engines with equal rules and facts agree on every item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityRules {
    version: u32,
    hot_above: usize,
    hot_kinds: BTreeMap<CiKind, usize>,
    crowd_above: usize,
    keys: BTreeMap<KeyKind, KeyRule>,
    kinds: BTreeMap<CiKind, KindIdentity>,
    #[serde(rename = "from_children")]
    pub(super) children: BTreeMap<CiKind, Vec<FromChildren>>,
    sources: Vec<SourceRule>,
    generalizations: BTreeSet<CiKind>,
    junk: BTreeSet<String>,
    shared_macs: BTreeSet<String>,
    realms: BTreeMap<String, KeyKind>,
}

impl Default for IdentityRules {
    fn default() -> Self {
        let single = |rank| KeyRule { single_valued: true, rank, ..KeyRule::default() };
        let part = KeyRule {
            overlap: Some(Share { of: 2, out_of: 3 }),
            apart_below: Some(Share { of: 1, out_of: 100 }),
            // Of the machine it says less than what the machine says of itself.
            inherited: Some(
                InheritedRule::new(Share { of: 2, out_of: 3 }, 2)
                    .apart_below(Share { of: 1, out_of: 100 })
                    .at_most(Strength::Issued),
            ),
            ..KeyRule::default()
        };
        let interfaces =
            || vec![FromChildren::new(relation::CONTAINS, kind::NETWORK_INTERFACE, [key_kind::MAC])];
        let keys = [
            // Even copied by hand they outrank a name: names are handed on.
            (key_kind::SERIAL, single(1)),
            (key_kind::SMBIOS_UUID, single(1)),
            (key_kind::MAC, part),
            // What a platform gives once outranks what an image may carry along.
            (key_kind::CLOUD_INSTANCE, single(1)),
            (key_kind::K8S_UID, single(1)),
            (key_kind::CONTAINER_ID, single(1)),
            (key_kind::MACHINE_ID, KeyRule { decisive: true, ..single(0) }),
        ];
        Self {
            version: 4,
            hot_above: 3,
            // The addresses of a dock or of a load balancer's port are seen from everywhere, and are that thing's own.
            hot_kinds: BTreeMap::from([(kind::NETWORK_INTERFACE, 32)]),
            crowd_above: 4096,
            keys: keys.into(),
            kinds: BTreeMap::new(),
            children: BTreeMap::from([(kind::HOST, interfaces()), (kind::DEVICE, interfaces())]),
            sources: Vec::new(),
            generalizations: kind::ALL.iter().cloned().collect(),
            junk: JUNK.iter().map(|value| (*value).to_owned()).collect(),
            shared_macs: SHARED_MACS.iter().map(|prefix| (*prefix).to_owned()).collect(),
            realms: BTreeMap::from([("host:".to_owned(), key_kind::MACHINE_ID)]),
        }
    }
}

impl IdentityRules {
    /// The version of the meaning of these rules.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// A value that more than this many things of one sort claim, all reported by one family of sources, does not
    /// identify things of that sort. 3 by default.
    ///
    /// A family is what is before the `@` in the names of sources, as the agents of all machines; a sort is the first
    /// word of a kind (`host`, `service`), or a kind with a [limit of its own](Self::hot_above_for).
    #[must_use]
    pub const fn hot_above(mut self, objects: usize) -> Self {
        self.hot_above = objects;
        self
    }

    /// Things of this kind and its refinements are counted by themselves, and may be this many before a value that they
    /// share is hot: for what several sources of a family see of one thing. Network interfaces, 32, by default.
    #[must_use]
    pub fn hot_above_for(mut self, kind: CiKind, objects: usize) -> Self {
        self.hot_kinds.insert(kind, objects);
        self
    }

    /// A value claimed by more than this many objects altogether does not identify, whoever claims it: it bounds what
    /// one more claim can cost. 4,096 by default.
    #[must_use]
    pub const fn crowd_above(mut self, objects: usize) -> Self {
        self.crowd_above = objects;
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
        self.keys.entry(kind).or_default().single_valued = true;
        self
    }

    /// How keys of this kind are compared.
    #[must_use]
    pub fn key_rule(mut self, kind: KeyKind, rule: KeyRule) -> Self {
        self.keys.insert(kind, rule);
        self
    }

    /// What identifies items of this kind.
    #[must_use]
    pub fn kind_identity(mut self, kind: CiKind, identity: KindIdentity) -> Self {
        self.kinds.insert(kind, identity);
        self
    }

    /// What a source is to identity. A rule for the full name beats one for the family.
    #[must_use]
    pub fn source(mut self, rule: SourceRule) -> Self {
        self.sources.retain(|own| own.source != rule.source);
        self.sources.push(rule);
        self
    }

    /// Realms whose names begin so rest on the value of this kind of key that follows: what is unique on the machine
    /// with this id. They mean something only while one item has that value, and nothing when clones share it.
    /// `host:` rests on the machine-id by default.
    #[must_use]
    pub fn realm_rests_on(mut self, prefix: &str, kind: KeyKind) -> Self {
        self.realms.insert(prefix.to_owned(), kind);
        self
    }

    /// The value that a realm rests on.
    #[must_use]
    pub fn base_of(&self, realm: &Realm) -> Option<Key> {
        // What is unique everywhere rests on nothing.
        let name = Some(realm.as_str()).filter(|_| *realm != Realm::GLOBAL)?;
        let (prefix, kind) =
            self.realms.iter().rev().find(|(prefix, _)| name.starts_with(prefix.as_str()))?;
        Key::new(kind.clone(), Realm::GLOBAL, name.get(prefix.len()..)?, Strength::Issued).ok()
    }

    /// A kind that two things of different refinements may meet at.
    #[must_use]
    pub fn generalization(mut self, kind: CiKind) -> Self {
        self.generalizations.insert(kind);
        self
    }

    /// With which kind things of this kind are counted, and how many are not too many.
    pub(crate) fn counted_as<'a>(&self, kind: &'a CiKind) -> (&'a str, usize) {
        let mut name = kind.as_str();
        loop {
            if let Some(limit) = self.hot_kinds.get(name) {
                return (name, *limit);
            }
            match name.rsplit_once('.') {
                Some((general, _)) => name = general,
                None => return (name, self.hot_above),
            }
        }
    }

    pub(crate) const fn crowd_limit(&self) -> usize {
        self.crowd_above
    }

    /// How keys of this kind are compared.
    #[must_use]
    pub fn rule_of(&self, kind: &KeyKind) -> Option<&KeyRule> {
        self.keys.get(kind)
    }

    /// The kinds of key that there are rules for.
    pub(crate) fn key_kinds(&self) -> impl Iterator<Item = &KeyKind> {
        self.keys.keys()
    }

    /// Whether two native ids of this source are two things.
    #[must_use]
    pub fn is_unique(&self, source: &SourceName) -> bool {
        let family = family(source);
        let named = |name: &str| self.sources.iter().find(|rule| rule.source.as_str() == name);
        let rule = named(source.as_str()).or_else(|| named(family));
        rule.map_or_else(|| !crate::lock::is_lock(source), |rule| rule.unique_objects)
    }

    /// What the nearest general kind with rules says.
    #[must_use]
    pub fn kind_rule(&self, kind: &CiKind) -> Option<&KindIdentity> {
        if self.kinds.is_empty() {
            return None;
        }
        let mut name = kind.as_str();
        loop {
            if let Some(rule) = self.kinds.get(name) {
                return Some(rule);
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// How much a claim of this key by an item of this kind says.
    #[must_use]
    pub fn strength_of(&self, item: &CiKind, key: &Key) -> Strength {
        let circumstance = self
            .kind_rule(item)
            .and_then(|rule| rule.keys.as_ref())
            .is_some_and(|keys| !keys.contains(key.kind()));
        if circumstance {
            return Strength::Ambient;
        }
        let mut strength = key.strength();
        if let Some(cap) = self.rule_of(key.kind()).and_then(|rule| rule.at_most) {
            strength = strength.min(cap);
        }
        if *key.kind() == key_kind::MAC && first_octet(key.value()) & 2 == 2 {
            // Locally administered: chosen by software, unique only as far as that software looked.
            strength = strength.min(Strength::Administrative);
        }
        strength
    }

    /// Whether a description of this kind whose strongest usable key is `strongest` makes an item of its own.
    #[must_use]
    pub fn mints(&self, kind: &CiKind, strongest: Option<Strength>) -> bool {
        self.kind_rule(kind).and_then(|rule| rule.mints_at).is_none_or(|least| strongest >= Some(least))
    }

    /// Whether a value is known not to identify anything.
    #[must_use]
    pub fn is_junk(&self, ident: &Ident) -> bool {
        self.is_junk_value(&ident.kind, &ident.value, &JunkLooks::UNKNOWN)
    }

    /// As [`is_junk`](Self::is_junk), in either spelling.
    pub(super) fn is_junk_value(&self, kind: &KeyKind, value: &str, looks: &JunkLooks) -> bool {
        if *kind == key_kind::MAC {
            let multicast = first_octet(value) & 1 == 1;
            return multicast || value == "00:00:00:00:00:00" || self.is_shared(value);
        }
        let repeated = value.len() > 3 && value.bytes().all(|byte| Some(&byte) == value.as_bytes().first());
        let mut room = spelling::EMPTY;
        repeated
            || value.starts_with("invalid:")
            || (looks.may_be(value) && self.is_listed(value))
            || spelling::other(kind, value, &mut room)
                .is_some_and(|other| looks.may_be(other) && self.is_listed(other))
    }

    /// Whether an address begins as one that belongs to a role.
    fn is_shared(&self, mac: &str) -> bool {
        let begins = |prefix: &String| mac.starts_with(prefix.as_str());
        // A prefix sorts before what begins with it, after whatever has a smaller first character.
        let up_to = (Bound::Unbounded, Bound::Included(mac));
        let near = self.shared_macs.range::<str, _>(up_to).rev();
        near.take_while(|prefix| prefix.as_bytes().first() == mac.as_bytes().first()).any(begins)
            || self.shared_macs.first().is_some_and(String::is_empty)
    }

    /// How its junk looks.
    pub(super) fn junk_looks(&self) -> JunkLooks {
        let mut looks = JunkLooks([0; 64]);
        for junk in &self.junk {
            let first = junk.as_bytes().first().copied().unwrap_or(0);
            if let Some(begins) = looks.0.get_mut(junk.len()) {
                *begins |= 1_u128.checked_shl(u32::from(first)).unwrap_or(0);
            }
        }
        looks
    }

    /// Whether there are rules for kinds of items.
    pub(crate) fn has_kind_rules(&self) -> bool {
        !self.kinds.is_empty()
    }

    fn is_listed(&self, value: &str) -> bool {
        if value.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
            self.junk.contains(&value.to_lowercase())
        } else {
            self.junk.contains(value)
        }
    }

    pub(crate) fn is_single(&self, kind: &KeyKind) -> bool {
        self.rule_of(kind).is_some_and(|rule| rule.single_valued)
    }

    pub(crate) fn is_decisive(&self, kind: &KeyKind) -> bool {
        self.rule_of(kind).is_some_and(|rule| rule.decisive)
    }

    pub(crate) fn apart_below(&self, kind: &KeyKind) -> Option<Share> {
        self.rule_of(kind)?.apart_below
    }

    pub(crate) fn rank(&self, kind: &KeyKind) -> u8 {
        self.rule_of(kind).map_or(0, |rule| rule.rank)
    }

    pub(crate) fn overlap(&self, kind: &KeyKind) -> Option<Share> {
        self.rule_of(kind)?.overlap
    }

    /// Whether two different values of this kind, the weaker claimed with `strength`, forbid a merge by evidence of the
    /// strength and rank `by`.
    pub(crate) fn forbids(&self, kind: &KeyKind, strength: Strength, by: (Strength, u8)) -> bool {
        self.is_single(kind) && (self.is_decisive(kind) || outweighs((strength, self.rank(kind)), by))
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

/// Whether a contradiction of this strength and rank forbids a merge by evidence of the other. Hardware forbids
/// hardware; among others of equal strength the higher rank does. Ambient claims forbid nothing.
pub(crate) fn outweighs(contradiction: (Strength, u8), by: (Strength, u8)) -> bool {
    let (strength, rank) = contradiction;
    strength >= Strength::Administrative
        && (strength > by.0 || (strength == by.0 && (strength == Strength::Hardware || rank > by.1)))
}

/// The part of a source's name that it shares with others of its sort.
pub(super) fn family(source: &SourceName) -> &str {
    source.as_str().split_once('@').map_or(source.as_str(), |(family, _)| family)
}

pub(super) fn first_octet(mac: &str) -> u8 {
    u8::from_str_radix(mac.get(..2).unwrap_or("0"), 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn how_junk_looks_hides_none_of_it(at in 0..JUNK.len(), upper in any::<bool>(), other in ".{0,70}", extra in ".{1,70}") {
            let rules = IdentityRules::default().junk(&extra);
            let looks = rules.junk_looks();
            let junk = if upper { JUNK[at].to_uppercase() } else { JUNK[at].to_owned() };
            for value in [junk, extra.to_uppercase(), extra, other] {
                for kind in [key_kind::SERIAL, key_kind::SMBIOS_UUID, key_kind::MAC] {
                    let plain = rules.is_junk_value(&kind, &value, &JunkLooks::UNKNOWN);
                    prop_assert_eq!(rules.is_junk_value(&kind, &value, &looks), plain);
                }
            }
        }

        #[test]
        fn an_address_of_a_role_is_found_by_its_beginning(
            prefixes in proptest::collection::btree_set("[0-2:]{0,3}", 0..6),
            mac in "[0-2:]{0,5}",
        ) {
            let expected = prefixes.iter().any(|prefix| mac.starts_with(prefix.as_str()));
            let rules = IdentityRules { shared_macs: prefixes, ..IdentityRules::default() };
            prop_assert_eq!(rules.is_shared(&mac), expected);
        }
    }
}
