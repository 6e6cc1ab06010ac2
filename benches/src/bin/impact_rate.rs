//! Measures the relation graph beside a plain search over hand-written arrays, on the same estate in the same run.
//!
//! `cargo run --release -p itom-benches --bin impact_rate [CIS] [RELATIONS]`

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use itom::cmdb::graph::{FailureMode, RelationGraph};
use itom::cmdb::impact::{GraphChange, ImpactOptions, ImpactScratch, LiveImpact, PairOptions};
use itom::cmdb::testing::estate::{Dice, EstateSize, generate};
use itom::core::{CiId, kind, relation};
use itom_benches::process::timed;
use itom_benches::{Rows, ungated};

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

/// One round over all questions: keeps the shorter time of each, and the answers of this round.
fn best<T>(
    times: &mut Vec<Duration>,
    questions: &[T],
    mut search: impl FnMut(&T) -> usize,
    answers: &mut Vec<usize>,
) {
    times.resize(questions.len(), Duration::MAX);
    answers.clear();
    for (time, question) in times.iter_mut().zip(questions) {
        let (answer, took) = timed(|| search(question));
        *time = took.min(*time);
        answers.push(answer);
    }
}

fn row(what: &str, mut times: Vec<Duration>, note: &str) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what:<44} {:>12.1?} {:>12.1?} {:>12.1?}  {note}", at(50), at(90), at(99));
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let cis = sizes.next().transpose()?.unwrap_or(1_000_000);
    let relations = sizes.next().transpose()?.unwrap_or(5_000_000);
    let (estate, took) = timed(|| generate(7, EstateSize { cis, relations }));
    println!("estate of {cis} items, {relations} relations: generated in {took:.1?}");

    // The search by hand knows no gates: for it, and for one of ours, every relation passes failure on.
    let (mut rows, numbers) = Rows::new(&estate);

    let before = resident_mib();
    let (graph, took) = timed(|| estate.graph());
    let mut graph = graph?;
    let grown = resident_mib() - before;
    println!(
        "built in {took:.1?}, {} relations; resident {grown:.0} MiB more: {:.0} B a relation, names and ids included",
        graph.relation_count(),
        grown * 1024.0 * 1024.0 / graph.relation_count() as f64,
    );
    let open =
        RelationGraph::from_parts(ungated(), estate.cis.iter().cloned(), estate.relations.iter().cloned())?;

    let mut dice = Dice::new(11);
    let seeds: Vec<(CiId, u32)> = (0..300)
        .map(|_| {
            let id = estate.cis[dice.below(cis)].0;
            (id, numbers[&id])
        })
        .collect();
    println!("\n{:<44} {:>12} {:>12} {:>12}", "one failed item, 300 seeds", "p50", "p90", "p99");
    let (mut by_hand, mut counted, mut listed, mut gated, mut explained) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut reached, mut again, mut fallen) = (vec![], vec![], vec![]);
    let failures: Vec<BTreeSet<CiId>> = seeds.iter().map(|(id, _)| BTreeSet::from([*id])).collect();
    let [mut a, mut b, mut c, mut d] = std::array::from_fn(|_| ImpactScratch::default());
    let few = ImpactOptions::default().results(1000);
    // Each search runs over all seeds by itself, so that none finds the caches warmed by another; of four rounds in turn
    // the best time of each seed counts, since other work on the machine only ever adds.
    for _ in 0..4 {
        best(&mut by_hand, &seeds, |(_, number)| rows.search(*number), &mut reached);
        best(&mut counted, &failures, |failed| open.brings_down_count(failed, &mut a), &mut again);
        assert_eq!(reached, again, "both searches reach the same");
        best(&mut listed, &failures, |failed| open.brings_down(failed, &mut b).len(), &mut again);
        assert_eq!(reached, again, "listed or counted, it is the same");
        best(&mut gated, &failures, |failed| graph.brings_down_count(failed, &mut c), &mut fallen);
        best(
            &mut explained,
            &failures,
            |failed| graph.impact_with(failed, &few, &mut d).down().len(),
            &mut again,
        );
    }
    let spread = |counts: &mut Vec<usize>| {
        counts.sort_unstable();
        let at = |share: usize| counts[(counts.len() - 1) * share / 100];
        format!("hits {} / {} / {}", at(50), at(90), at(99))
    };
    let (reached, fallen) = (spread(&mut reached), spread(&mut fallen));
    row("rows by hand, no gates", by_hand, &reached);
    row("graph, no gates, counted", counted, &reached);
    row("graph, no gates, ids sorted", listed, &reached);
    row("graph, default gates, counted", gated, &fallen);
    row("graph, default gates, explained (1000 named)", explained, &fallen);

    println!();
    let changes: Vec<(CiId, CiId)> = (0..200_000)
        .map(|_| (estate.cis[dice.below(cis)].0, estate.cis[dice.skewed(cis)].0))
        .filter(|(from, to)| from != to)
        .collect();
    let (fresh, added) = timed(|| {
        changes.iter().filter(|(from, to)| graph.relate(relation::DEPENDS_ON, *from, *to) == Ok(true)).count()
    });
    let (gone, removed) = timed(|| {
        changes.iter().filter(|(from, to)| graph.unrelate(&relation::DEPENDS_ON, *from, *to)).count()
    });
    println!(
        "relations added {:.0} k/s, removed {:.0} k/s ({fresh} and {gone})",
        fresh as f64 / added.as_secs_f64() / 1e3,
        gone as f64 / removed.as_secs_f64() / 1e3,
    );
    let shuffled: Vec<_> =
        (0..200_000).map(|_| &estate.relations[dice.below(estate.relations.len())]).collect();
    let (gone, removed) =
        timed(|| shuffled.iter().filter(|(kind, from, to)| graph.unrelate(kind, *from, *to)).count());
    let (fresh, added) = timed(|| {
        shuffled.iter().filter(|(kind, from, to)| graph.relate(kind.clone(), *from, *to) == Ok(true)).count()
    });
    println!(
        "relations of the estate removed {:.0} k/s, added {:.0} k/s ({gone} and {fresh}; hubs included)",
        gone as f64 / removed.as_secs_f64() / 1e3,
        fresh as f64 / added.as_secs_f64() / 1e3,
    );
    let (snapshot, took) = timed(|| graph.clone());
    let (_, first) = timed(|| {
        changes[..1000]
            .iter()
            .filter(|(from, to)| graph.relate(relation::DEPENDS_ON, *from, *to) == Ok(true))
            .count()
    });
    println!("snapshot in {took:.1?}; the first 1,000 relations added beside it in {first:.1?}");
    drop(snapshot);

    let services: Vec<CiId> =
        estate.cis.iter().filter(|(_, of, _)| of.is_a(&kind::SERVICE)).map(|ci| ci.0).collect();
    let (mut points, mut needed) = (vec![], vec![]);
    for _ in 0..20 {
        let service = services[dice.below(services.len())];
        let (found, took) = timed(|| graph.single_points_of_failure(service));
        points.push(took);
        needed.push(found.len());
    }
    row("single points of failure of one service", points, &spread(&mut needed));
    let asked: BTreeSet<CiId> = services.iter().copied().collect();
    let (weak, took) = timed(|| graph.weak_points(&asked));
    let pairs: usize = weak.points.iter().map(|point| point.services).sum();
    println!(
        "weak points of the whole estate: {} for {} of {} services, {pairs} of point and service, in {took:.1?}",
        weak.points.len(),
        weak.exposed.len(),
        asked.len(),
    );
    let mut paired = vec![];
    let mut found = vec![];
    for _ in 0..20 {
        let service = services[dice.below(services.len())];
        let (pairs, took) = timed(|| graph.weak_pairs(service, &PairOptions::default().candidates(256)));
        paired.push(took);
        found.push(pairs.pairs.len());
    }
    row("pairs that fell one service, 256 items paired", paired, &spread(&mut found));

    // Beside a standing outage of a hundred items, one item fails and recovers.
    let outage: Vec<CiId> = (0..100).map(|_| estate.cis[dice.below(cis)].0).collect();
    let (live, took) = timed(|| LiveImpact::of(&graph, outage.iter().map(|ci| (*ci, FailureMode::Down))));
    let mut live = live?;
    println!(
        "an outage of {} items hits {}, from nothing in {took:.1?}",
        outage.len(),
        live.failing(&graph).len()
    );
    let (mut fell, mut rose, mut again, mut turned) = (vec![], vec![], vec![], vec![]);
    let mut scratch = ImpactScratch::default();
    let before = live.failing(&graph);
    for _ in 0..300 {
        let one = estate.cis[dice.below(cis)].0;
        if before.contains_key(&one) {
            continue;
        }
        let (turns, took) = timed(|| live.fail(&graph, one, FailureMode::Down));
        turned.push(turns?.len());
        fell.push(took);
        let all: BTreeSet<CiId> = outage.iter().copied().chain([one]).collect();
        let (_, took) =
            timed(|| graph.impact_with(&all, &ImpactOptions::default(), &mut scratch).down().len());
        again.push(took);
        let (turns, took) = timed(|| live.recover(&graph, one));
        turns?;
        rose.push(took);
    }
    assert_eq!(before, live.failing(&graph), "what fell has risen again");
    row("live: one more item fails", fell, &spread(&mut turned));
    row("live: it recovers", rose, "");
    row("the whole answer from the start", again, "");

    let mut tried = vec![];
    for _ in 0..50 {
        let [from, to] = std::array::from_fn(|_| estate.cis[dice.below(cis)].0);
        let change = GraphChange::Relate { kind: relation::DEPENDS_ON, from, to };
        let (overlay, took) = timed(|| graph.simulate(&[change]));
        overlay?;
        tried.push(took);
    }
    row("what if: one relation more", tried, "");
    let (cuts, took) = timed(|| graph.articulation_points());
    println!("articulation points {} in {took:.1?}", cuts.len());
    let (cycles, took) = timed(|| graph.cycles());
    println!("cycles {} in {took:.1?}", cycles.len());
    println!("resident at the end {:.0} MiB", resident_mib());
    Ok(())
}
