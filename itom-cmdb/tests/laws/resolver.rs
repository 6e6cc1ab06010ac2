//! The resolver by itself: looking at what changed gives what looking at everything gives, in any order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::fact::FactId;
use itom_cmdb::identity::{
    Described, FromChildren, IdentityRules, InheritedRule, KeyRule, Object, Resolver, Share, SourceRule,
};
use itom_core::{Key, SourceName, Strength, Timestamp, key_kind, kind, relation};
use proptest::prelude::*;

use crate::estate::{KEYS, SOURCES, key_of, kind_of, native};

#[derive(Debug, Clone)]
struct Put {
    object: Object,
    kind: u8,
    keys: Vec<u8>,
    inherited: Vec<u8>,
    first_seen: i64,
    live: bool,
}

fn put() -> impl Strategy<Value = Put> {
    let keys = proptest::collection::vec(0_u8..KEYS, 0..5);
    let inherited = proptest::collection::vec(0_u8..KEYS, 0..6);
    (0..SOURCES.len(), 0_u8..6, 0_u8..4, keys, inherited, 0_i64..4, proptest::bool::weighted(0.8)).prop_map(
        |(source, id, kind, keys, inherited, first_seen, live)| Put {
            object: Object::new(SourceName::literal(SOURCES[source]), native(id)),
            kind,
            keys,
            inherited,
            first_seen,
            live,
        },
    )
}

fn keys_of(places: &[u8]) -> BTreeSet<Key> {
    places.iter().map(|key| key_of(*key)).collect()
}

fn take_in(resolver: &mut Resolver, put: &Put) {
    let (keys, inherited) = (keys_of(&put.keys), keys_of(&put.inherited));
    let said = Described {
        kind: &kind_of(put.kind),
        keys: &keys,
        inherited: &inherited,
        first_seen: Timestamp::from_secs(put.first_seen),
        live: put.live,
        statement: FactId::from_bytes([0; 16]),
    };
    resolver.put(&put.object, said);
}

/// As [`take_in`], all at once.
fn take_in_all(resolver: &mut Resolver, puts: &[Put]) {
    let owned: Vec<_> =
        puts.iter().map(|put| (kind_of(put.kind), keys_of(&put.keys), keys_of(&put.inherited))).collect();
    resolver.put_all(puts.iter().zip(&owned).map(|(put, (kind, keys, inherited))| {
        let said = Described {
            kind,
            keys,
            inherited,
            first_seen: Timestamp::from_secs(put.first_seen),
            live: put.live,
            statement: FactId::from_bytes([0; 16]),
        };
        (&put.object.source, &put.object.native, said)
    }));
}

fn items(resolver: &Resolver) -> BTreeSet<Vec<Object>> {
    resolver.items().collect()
}

fn rules(pick: u8) -> IdentityRules {
    let rules = IdentityRules::default();
    match pick % 6 {
        0 => rules,
        1 => rules.hot_above(1).source(SourceRule::with_double_entries(SourceName::literal(SOURCES[0]))),
        2 => {
            let mut whole = KeyRule::default();
            whole.overlap = Some(Share { of: 1, out_of: 1 });
            rules.crowd_above(4).key_rule(key_kind::FQDN, whole)
        }
        3 => {
            // Whatever the keys of parts are compared by.
            let mut serial = rules.rule_of(&key_kind::SERIAL).cloned().unwrap_or_default();
            serial.inherited = Some(InheritedRule::new(Share { of: 1, out_of: 2 }, 1));
            let mut native = KeyRule::default();
            native.inherited =
                Some(InheritedRule::new(Share { of: 1, out_of: 2 }, 1).at_most(Strength::Administrative));
            let kinds = [key_kind::SERIAL, key_kind::NATIVE];
            let parts = FromChildren::new(relation::CONTAINS, kind::DEVICE, kinds);
            let rules = rules.key_rule(key_kind::SERIAL, serial).key_rule(key_kind::NATIVE, native);
            rules.from_children(kind::HOST_LINUX, [parts])
        }
        4 => rules.hot_above(1),
        _ => rules.hot_above(0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
    ))]

    #[test]
    fn l2_incremental_is_batch(
        puts in proptest::collection::vec(put(), 1..60),
        size in 1_usize..8,
        pick in any::<u8>(),
    ) {
        let mut incremental = Resolver::new(rules(pick));
        for batch in puts.chunks(size) {
            take_in_all(&mut incremental, batch);
            incremental.resolve();
            let stepwise = items(&incremental);
            let mut whole = incremental.clone();
            whole.resolve_all();
            prop_assert_eq!(&stepwise, &items(&whole), "the same resolver, everything looked at");
        }
        // What was said last of each object, put into a new one in an order by content.
        let last: BTreeMap<&Object, &Put> = puts.iter().map(|put| (&put.object, put)).collect();
        let mut batch = Resolver::new(rules(pick));
        last.values().rev().for_each(|put| take_in(&mut batch, put));
        batch.resolve_all();
        prop_assert_eq!(items(&incremental), items(&batch), "another order of arrival");
    }
}
