//! What an estate promises.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, Observation};

use super::{Class, Difficulty, Entity, Estate, Hazard, Meaning, Size};

fn small(difficulty: &Difficulty) -> Estate {
    Estate::new(11, &Size::new(600).rounds_of(6), difficulty)
}

#[test]
fn an_estate_is_a_function_of_its_seed() {
    let difficulty = Difficulty::default();
    let size = Size::new(300).rounds_of(3);
    let batches = |seed| -> Vec<_> {
        Estate::new(seed, &size, &difficulty)
            .batches()
            .map(|delivery| (delivery.batch, delivery.meanings))
            .collect()
    };
    assert_eq!(batches(1), batches(1));
    assert_ne!(batches(1), batches(2));
}

#[test]
fn every_item_and_relation_has_a_meaning() {
    for delivery in small(&Difficulty::hostile()).batches() {
        assert_eq!(delivery.batch.items().len(), delivery.meanings.len());
        for (observation, meaning) in delivery.batch.items().iter().zip(&delivery.meanings) {
            assert!(matches!(
                (observation, meaning),
                (Observation::Ci(_), Meaning::Item(_)) | (Observation::Relation(_), Meaning::Relation(..))
            ));
        }
    }
}

#[test]
fn a_source_never_names_two_things_alike_in_one_batch() {
    for delivery in small(&Difficulty::hostile()).batches() {
        let mut natives = BTreeMap::new();
        for (observation, meaning) in delivery.batch.items().iter().zip(&delivery.meanings) {
            if let (Observation::Ci(ci), Meaning::Item(entity)) = (observation, meaning) {
                let before = natives.insert(ci.subject.clone(), *entity);
                assert!(
                    before.is_none_or(|before| before == *entity),
                    "{} in {}",
                    ci.subject,
                    delivery.batch.source()
                );
            }
        }
    }
}

#[test]
fn every_class_of_thing_is_spoken_of() {
    let estate = Estate::new(5, &Size::new(3_000).rounds_of(1), &Difficulty::hostile());
    let mut truth = estate.truth();
    estate.batches().for_each(|delivery| truth.take(&delivery));
    let seen: BTreeSet<Class> = truth.objects().map(|(_, seen)| seen.entity.class()).collect();
    assert_eq!(seen, Class::ALL.iter().copied().collect());
}

#[test]
fn a_calm_estate_says_only_what_is_so() {
    let estate = small(&Difficulty::calm());
    let mut rounds = 0;
    for delivery in estate.batches() {
        rounds = rounds.max(delivery.round);
        assert!(delivery.batch.faults().is_empty(), "no hazard, no fault");
        assert!(delivery.batch.coverage().partial_scopes().is_empty());
        for meaning in &delivery.meanings {
            match meaning {
                Meaning::Item(entity) => assert!(estate.world.is_there(*entity, delivery.round), "{entity}"),
                Meaning::Relation(from, to) => {
                    assert!(
                        estate.world.is_there(*from, delivery.round)
                            && estate.world.is_there(*to, delivery.round)
                    );
                }
            }
        }
    }
    assert_eq!(rounds, 5);
}

/// Every hazard is really in the batches: an estate with it alone differs from one without.
#[test]
fn no_hazard_is_toothless() {
    let size = Size::new(1_500).rounds_of(8);
    let print = |difficulty: &Difficulty| -> Vec<String> {
        let estate = Estate::new(2, &size, difficulty);
        let mut print: Vec<String> = Vec::new();
        for delivery in estate.batches() {
            let mut hasher = itom_core::StableHasher::new();
            hasher.text(delivery.batch.source().as_str());
            hasher.int(delivery.batch.taken_at().as_micros());
            hasher.int(i64::from(delivery.round));
            hasher.int(delivery.learned_at.as_micros());
            hasher.int(delivery.batch.items().len() as i64);
            for observation in delivery.batch.items() {
                if let Observation::Ci(ci) = observation {
                    ci.keys.iter().for_each(|key| hasher.text(key.value()));
                }
            }
            print.push(CiId::derive(&[&hasher.finish().to_string()]).to_string());
        }
        print
    };
    let calm = print(&Difficulty::calm());
    for hazard in Hazard::ALL {
        // What only concerns relations, or needs another hazard to strike.
        let alone = match hazard {
            Hazard::Nat | Hazard::Moved => continue,
            Hazard::NameReuse => Difficulty::hostile().only(Hazard::Renamed).with(Hazard::NameReuse, 0.5),
            Hazard::StaleRow => Difficulty::hostile().only(Hazard::Death).with(Hazard::StaleRow, 0.5),
            other => Difficulty::hostile().only(*other),
        };
        assert!(print(&alone) != calm, "{hazard} changes nothing");
    }
}

#[test]
fn unknown_hazards_are_refused_by_name() {
    assert_eq!("typo".parse(), Ok(Hazard::Typo));
    let error = "tpyo".parse::<Hazard>().expect_err("no such hazard");
    assert!(error.to_string().contains("tpyo"));
    for hazard in Hazard::ALL {
        assert_eq!(hazard.as_str().parse(), Ok(*hazard));
    }
}

#[test]
fn the_layout_has_about_as_many_items_as_were_asked_for() {
    for cis in [2_000, 20_000] {
        let estate = Estate::new(1, &Size::new(cis).rounds_of(1), &Difficulty::default());
        let mut truth = estate.truth();
        estate.batches().for_each(|delivery| truth.take(&delivery));
        let things: BTreeSet<Entity> = truth.objects().map(|(_, seen)| seen.entity).collect();
        let share = things.len() as f64 / cis as f64;
        assert!((0.8..1.25).contains(&share), "{} things for {cis}", things.len());
        let relations = truth.relations() as f64 / cis as f64;
        assert!((1.4..2.8).contains(&relations), "{relations} relations an item");
    }
}
