//! The scorer against brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Difficulty, Entity, Estate, Size, Truth};
use super::{Identity, identity};
use crate::identity::Object;

fn estate() -> Estate {
    Estate::new(3, &Size::new(200).rounds_of(2), &Difficulty::default())
}

fn told(estate: &Estate) -> Truth<'_> {
    let mut truth = estate.truth();
    estate.batches().for_each(|delivery| truth.take(&delivery));
    truth
}

/// Pairwise and B³ straight from their definitions.
fn brute(truth: &Truth<'_>, group_of: &BTreeMap<Object, u64>) -> [f64; 4] {
    let judged: Vec<(Entity, u64)> = truth
        .objects()
        .filter(|(object, _)| truth.is_current(object))
        .map(|(object, seen)| (seen.entity, group_of[object]))
        .collect();
    let (mut right, mut answered, mut wanted) = (0_u64, 0_u64, 0_u64);
    for (index, (entity, group)) in judged.iter().enumerate() {
        for (other_entity, other_group) in &judged[..index] {
            answered += u64::from(group == other_group);
            wanted += u64::from(entity == other_entity);
            right += u64::from(group == other_group && entity == other_entity);
        }
    }
    let (mut precision, mut recall) = (0.0, 0.0);
    for (entity, group) in &judged {
        let count =
            |same: &dyn Fn(&(Entity, u64)) -> bool| judged.iter().filter(|own| same(own)).count() as f64;
        let both = count(&|own| own.0 == *entity && own.1 == *group);
        precision += both / count(&|own| own.1 == *group);
        recall += both / count(&|own| own.0 == *entity);
    }
    let share = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    [
        share(right, answered),
        share(right, wanted),
        precision / judged.len() as f64,
        recall / judged.len() as f64,
    ]
}

fn figures(score: &Identity) -> [f64; 4] {
    [score.pairwise.precision, score.pairwise.recall, score.b_cubed.precision, score.b_cubed.recall]
}

#[test]
fn the_perfect_answer_scores_one() {
    let estate = estate();
    let truth = told(&estate);
    let score = identity(&truth, |object| truth.objects.get(object).map(|seen| seen.entity));
    assert!(figures(&score).iter().all(|figure| (figure - 1.0).abs() < 1e-12), "{:?}", figures(&score));
    assert_eq!((score.groups, score.wrong_pairs, score.missed_pairs), (score.entities, 0, 0));
    assert!(score.true_pairs > 100, "there is something to be right about");
    assert!(score.mistakes.is_empty() && score.by_hazard.is_empty());
}

#[test]
fn who_abstains_is_not_wrong_and_misses_everything() {
    let estate = estate();
    let truth = told(&estate);
    let score = identity(&truth, |_| None::<u64>);
    assert_eq!((score.pairwise.precision, score.pairwise.recall), (1.0, 0.0));
    assert_eq!(score.abstained, score.objects);
}

#[test]
fn one_wrong_merge_is_counted_shown_and_blamed() {
    let estate = estate();
    let truth = told(&estate);
    let mut entities: Vec<Entity> =
        truth.objects().filter(|(object, _)| truth.is_current(object)).map(|(_, seen)| seen.entity).collect();
    entities.sort();
    entities.dedup();
    let [first, second] = entities[..2] else { panic!("an estate has more than one thing") };
    let merge = |entity: Entity| if entity == second { first } else { entity };
    let score = identity(&truth, |object| truth.objects.get(object).map(|seen| merge(seen.entity)));
    assert_eq!(score.groups + 1, score.entities);
    assert!(score.wrong_pairs > 0 && score.missed_pairs == 0);
    assert_eq!(score.mistakes.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16)
    ))]

    #[test]
    fn perturbed_answers_score_what_brute_force_says(changes in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..40)) {
        let estate = estate();
        let truth = told(&estate);
        let mut group_of: BTreeMap<Object, u64> =
            truth.objects().map(|(object, seen)| (object.clone(), seen.entity.as_u64())).collect();
        let objects: Vec<Object> = group_of.keys().cloned().collect();
        for (which, with) in changes {
            // Into another's group, or out of all groups.
            let object = &objects[which as usize % objects.len()];
            let group = if with % 3 == 0 {
                u64::MAX - u64::from(which)
            } else {
                group_of[&objects[with as usize % objects.len()]]
            };
            group_of.insert(object.clone(), group);
        }
        let score = identity(&truth, |object| group_of.get(object).copied());
        for (own, brute) in figures(&score).into_iter().zip(brute(&truth, &group_of)) {
            prop_assert!((own - brute).abs() < 1e-9, "{own} is {brute}");
        }
    }
}
