//! The laws of deriving over whole estates. `PROPTEST_CASES` raises the number of cases.

use proptest::prelude::*;

use super::dice::mix;
use super::{Delivery, Difficulty, Estate, Hazard, Size, score};
use crate::fact::facts_of;
use crate::{Cmdb, CmdbConfig};

fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { max_shrink_iters: 8, ..ProptestConfig::with_cases(asked.unwrap_or(default)) }
}

/// Planned one by one, as an engine does that is told of them in this order.
fn planned<'a>(estate: &Estate, deliveries: impl IntoIterator<Item = &'a Delivery>) -> Cmdb {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for delivery in deliveries {
        let facts = cmdb.plan(&delivery.batch, delivery.learned_at);
        cmdb.ingest(facts);
    }
    cmdb.expire(estate.end());
    cmdb
}

fn shuffled(mut deliveries: Vec<Delivery>, mut seed: u64) -> Vec<Delivery> {
    for index in (1..deliveries.len()).rev() {
        seed = mix(seed);
        deliveries.swap(index, (seed >> 33) as usize % (index + 1));
    }
    deliveries
}

proptest! {
    #![proptest_config(cases(3))]

    #[test]
    fn l1_the_order_of_arrival_does_not_show_on_an_estate(seed in any::<u64>(), order in any::<u64>()) {
        let estate = Estate::new(seed, &Size::new(200).rounds_of(3), &Difficulty::hostile());
        let deliveries: Vec<Delivery> = estate.batches().collect();
        let expected = planned(&estate, &deliveries).state_hash();
        let mixed = shuffled(deliveries, order);
        prop_assert_eq!(planned(&estate, mixed.iter().chain(mixed.iter().step_by(7))).state_hash(), expected);
    }

    #[test]
    fn l2_an_estate_taken_in_bit_by_bit_is_one_taken_in_at_once(seed in any::<u64>()) {
        let estate = Estate::new(seed, &Size::new(200).rounds_of(3), &Difficulty::hostile());
        let deliveries: Vec<Delivery> = estate.batches().collect();
        let mut full = Cmdb::new(CmdbConfig::default());
        full.ingest(deliveries.iter().flat_map(|own| facts_of(&own.batch, own.learned_at)).collect());
        full.expire(estate.end());
        prop_assert_eq!(planned(&estate, &deliveries).state_hash(), full.state_hash());
    }

    #[test]
    fn l4_collectors_that_fail_and_say_so_retire_nothing_that_is_there(seed in any::<u64>()) {
        // Nothing is wrong but the collectors.
        let difficulty = Difficulty::calm()
            .with(Hazard::PartialRun, 0.4)
            .with(Hazard::FailedRun, 0.3)
            .with(Hazard::LateDelivery, 0.2)
            .with(Hazard::DuplicateDelivery, 0.2)
            .with(Hazard::Death, 0.2);
        let estate = Estate::new(seed, &Size::new(200).rounds_of(4), &difficulty);
        let mut truth = estate.truth();
        let deliveries: Vec<Delivery> = estate.batches().collect();
        deliveries.iter().for_each(|delivery| truth.take(delivery));
        let score = score::of_view(&truth, &planned(&estate, &deliveries).view());
        prop_assert!(score.life.there > 100, "there is something to lose");
        prop_assert_eq!(score.life.false_retirements, 0, "{:?}", score.life.samples);
    }
}
