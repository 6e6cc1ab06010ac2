//! Random small estates: few sources, few natives, few keys, so that everything collides with everything.

use itom_core::{
    AttrName, Batch, CiKind, Coverage, ErrorKind, Key, Realm, RelationKind, Retraction, Scope, SourceName,
    Strength, Subject, Timestamp, attr, key_kind, kind, relation,
};
use proptest::prelude::*;

pub(crate) const SOURCES: [&str; 3] = ["alpha", "beta", "gamma@site"];
pub(crate) const STEP: i64 = 600;

#[derive(Debug, Clone)]
pub(crate) enum Said {
    Ci {
        native: u8,
        kind: u8,
        keys: Vec<u8>,
        value: u8,
        partition: bool,
    },
    Relation {
        from: u8,
        to: u8,
        by_key: bool,
    },
    /// A machine with parts and their addresses.
    Family {
        native: u8,
        kind: u8,
        parts: Vec<(u8, u8)>,
    },
    /// A part alone, with or without the machine that has it.
    Part {
        part: u8,
        kind: u8,
        keys: Vec<u8>,
        of: Option<u8>,
    },
    RetractPart {
        part: u8,
        of: Option<u8>,
    },
    RetractCi(u8),
    RetractRelation {
        from: u8,
        to: u8,
    },
    Same {
        a: u8,
        key: u8,
    },
    Apart {
        a: u8,
        key: u8,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) source: usize,
    pub(crate) tick: i64,
    pub(crate) said: Vec<Said>,
    pub(crate) complete: u8,
    pub(crate) partial: u8,
}

pub(crate) fn kind_of(index: u8) -> CiKind {
    [kind::HOST, kind::HOST_LINUX, kind::DEVICE, kind::UNIT][usize::from(index % 4)].clone()
}

pub(crate) const KEYS: u8 = 25;

/// Places of addresses among the keys; one is that of a virtual router, one says itself that it is not burned in.
const MACS: [u8; 7] = [3, 4, 12, 21, 22, 5, 24];

pub(crate) fn key_of(index: u8) -> Key {
    let own = |kind, value: &str, strength| Key::new(kind, Realm::GLOBAL, value, strength).unwrap();
    match index % KEYS {
        0 => own(key_kind::SERIAL, "SN-0001", Strength::Hardware),
        1 => own(key_kind::SERIAL, "SN-0002", Strength::Hardware),
        2 => own(key_kind::SERIAL, "Default string", Strength::Hardware),
        3 => Key::mac("00:1b:44:11:3a:01").unwrap(),
        4 => Key::mac("00:1b:44:11:3a:02").unwrap(),
        5 => Key::mac("00:00:5e:00:01:07").unwrap(),
        6 => Key::machine_id("0123456789abcdef0123456789abcdef").unwrap(),
        7 => Key::machine_id("fedcba9876543210fedcba9876543210").unwrap(),
        8 => Key::fqdn("one.example.com"),
        9 => Key::fqdn("two.example.com"),
        10 => Key::ip([192, 0, 2, 1].into()),
        11 => Key::ip([192, 0, 2, 2].into()),
        12 => Key::mac("00:1b:44:11:3a:03").unwrap(),
        13 => own(key_kind::CLOUD_INSTANCE, "i-1", Strength::Issued),
        14 => own(key_kind::CLOUD_INSTANCE, "i-2", Strength::Issued),
        // Copied by hand.
        15 => own(key_kind::SERIAL, "SN-0001", Strength::Administrative),
        16 => own(key_kind::SERIAL, "SN-0002", Strength::Administrative),
        // Unique on one machine.
        17 => Key::native(Realm::literal("host:0123456789abcdef0123456789abcdef"), "part"),
        18 => Key::native(Realm::literal("host:fedcba9876543210fedcba9876543210"), "part"),
        // In both byte orders.
        19 => Key::smbios_uuid("33221100-5544-7766-8899-aabbccddeeff").unwrap(),
        20 => Key::smbios_uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap(),
        21 => Key::mac("00:1b:44:11:3a:04").unwrap(),
        22 => Key::mac("52:54:00:11:3a:05").unwrap(),
        // Of another kind, unique on one machine; and an address that is no more than that.
        23 => own(key_kind::ASSET_TAG, "part", Strength::Issued)
            .in_realm(Realm::literal("host:0123456789abcdef0123456789abcdef")),
        _ => Key::mac("02:00:00:11:3a:06")
            .unwrap()
            .in_realm(Realm::literal("host:0123456789abcdef0123456789abcdef")),
    }
}

pub(crate) fn native(index: u8) -> String {
    format!("n{}", index % 5)
}

fn part(index: u8) -> String {
    format!("p{}", index % 5)
}

fn part_kind(index: u8) -> CiKind {
    // Now and then it turns out to be something else.
    if index.is_multiple_of(8) { kind::UNIT } else { kind::NETWORK_INTERFACE }
}

fn relation_of(from: u8, to: u8, by_key: bool) -> (RelationKind, Subject, Subject) {
    let end = if by_key { Subject::Key(key_of(to)) } else { Subject::from(native(to)) };
    (relation::DEPENDS_ON, Subject::from(native(from)), end)
}

const SCOPES: u8 = 6;
fn scope(bit: u8) -> Scope {
    match bit {
        0 => Scope::cis(kind::HOST),
        1 => Scope::cis(kind::UNIT),
        2 => Scope::relations(relation::DEPENDS_ON),
        3 => Scope::cis(kind::NETWORK_INTERFACE),
        4 => Scope::relations(relation::CONTAINS),
        _ => Scope::cis(kind::HOST).within("p"),
    }
}

impl Run {
    pub(crate) fn source(&self) -> SourceName {
        SourceName::literal(SOURCES[self.source % SOURCES.len()])
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_secs(1_000_000 + self.tick * STEP)
    }

    pub(crate) fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::new();
        for bit in 0..SCOPES {
            if self.complete & (1 << bit) != 0 {
                coverage.add_complete(scope(bit));
            }
            if self.partial & (1 << bit) != 0 {
                coverage.add_partial(scope(bit), ErrorKind::Timeout, "test");
            }
        }
        coverage
    }

    pub(crate) fn batch(&self) -> Batch {
        let mut batch = Batch::new(self.source(), self.at());
        for said in &self.said {
            match said {
                Said::Ci { native: id, kind, keys, value, partition } => {
                    let ci =
                        batch.ci(native(*id), kind_of(*kind)).attr(attr::OS_VERSION, i64::from(*value % 3));
                    if value % 4 == 0 {
                        ci.attr(AttrName::literal("name"), format!("name-{}", value % 2));
                    }
                    keys.iter().for_each(|key| {
                        ci.key(key_of(*key));
                    });
                    if *partition {
                        ci.within("p");
                    }
                }
                Said::Relation { from, to, by_key } => {
                    let (kind, from, to) = relation_of(*from, *to, *by_key);
                    batch.relation(kind, from, to);
                }
                Said::Family { native: id, kind, parts } => {
                    batch.ci(native(*id), kind_of(*kind));
                    for (own, mac) in parts {
                        let key = key_of(MACS[usize::from(*mac) % MACS.len()]);
                        batch.ci(part(*own), kind::NETWORK_INTERFACE).key(key);
                        batch.relation(relation::CONTAINS, native(*id), part(*own));
                    }
                }
                Said::Part { part: own, kind, keys, of } => {
                    let ci = batch.ci(part(*own), part_kind(*kind));
                    keys.iter().for_each(|key| {
                        ci.key(key_of(*key));
                    });
                    if let Some(of) = of {
                        batch.relation(relation::CONTAINS, native(*of), part(*own));
                    }
                }
                Said::RetractPart { part: own, of: None } => batch.retract(Retraction::Ci(part(*own).into())),
                Said::RetractPart { part: own, of: Some(of) } => batch.retract(Retraction::Relation {
                    kind: relation::CONTAINS,
                    from: Subject::from(native(*of)),
                    to: Subject::from(part(*own)),
                }),
                Said::RetractCi(id) => batch.retract(Retraction::Ci(native(*id).into())),
                Said::RetractRelation { from, to } => {
                    let (kind, from, to) = relation_of(*from, *to, false);
                    batch.retract(Retraction::Relation { kind, from, to });
                }
                Said::Same { a, key } => batch.same_as(native(*a), key_of(*key), "test"),
                Said::Apart { a, key } => batch.not_same(native(*a), key_of(*key), "test"),
            }
        }
        batch.finish(self.coverage());
        batch
    }
}

fn said() -> impl Strategy<Value = Said> {
    let keys = proptest::collection::vec(0_u8..KEYS, 0..5);
    // Mostly the same few, so that machines have addresses in common.
    let mac = prop_oneof![5 => 0_u8..3, 1 => 3_u8..7];
    prop_oneof![
        10 => (0_u8..5, 0_u8..4, keys, any::<u8>(), proptest::bool::weighted(0.2)).prop_map(
            |(native, kind, keys, value, partition)| Said::Ci { native, kind, keys, value, partition }
        ),
        4 => (0_u8..5, 0_u8..KEYS, any::<bool>()).prop_map(|(from, to, by_key)| Said::Relation { from, to, by_key }),
        8 => (0_u8..5, 0_u8..4, proptest::collection::vec((0_u8..5, mac), 3..6), proptest::bool::weighted(0.25))
            .prop_map(|(native, kind, mut parts, others)| {
                // Or mostly others, so that some have none in common.
                parts.iter_mut().for_each(|part| part.1 += 4 * u8::from(others));
                Said::Family { native, kind, parts }
            }),
        2 => (0_u8..5, any::<u8>(), proptest::collection::vec(0_u8..KEYS, 0..3), proptest::option::of(0_u8..5))
            .prop_map(|(part, kind, keys, of)| Said::Part { part, kind, keys, of }),
        1 => (0_u8..5, proptest::option::of(0_u8..5)).prop_map(|(part, of)| Said::RetractPart { part, of }),
        1 => (0_u8..5).prop_map(Said::RetractCi),
        1 => (0_u8..5, 0_u8..5).prop_map(|(from, to)| Said::RetractRelation { from, to }),
        1 => (0_u8..5, 0_u8..KEYS).prop_map(|(a, key)| Said::Same { a, key }),
        1 => (0_u8..5, 0_u8..KEYS).prop_map(|(a, key)| Said::Apart { a, key }),
    ]
}

/// Runs in the order of their generation; ticks are small, so that runs are late and collide.
pub(crate) fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (
        0_usize..3,
        0_i64..400,
        proptest::collection::vec(said(), 0..7),
        0_u8..1 << SCOPES,
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(source, tick, said, complete, partial, repeat)| {
            // Gaps longer than a lease now and then, and ticks that repeat.
            let tick = if repeat { tick % 8 } else { tick };
            let partial = if partial % 4 == 0 { partial >> 2 } else { 0 };
            Run { source, tick, said, complete, partial }
        });
    proptest::collection::vec(run, 1..10)
}
