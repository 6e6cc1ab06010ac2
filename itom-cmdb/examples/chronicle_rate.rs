//! How fast the past of an estate is answered, and what it takes in memory:
//! `cargo run --release -p itom-cmdb --features sim --example chronicle_rate -- [items] [rounds]`
//!
//! Times are CPU time of this thread where the system tells it (Linux), so that a busy machine does not show. The plain
//! engine and the one that is asked about its past take turns with each batch.

use std::error::Error;
use std::hint::black_box;

use itom_cmdb::sim::{Difficulty, Estate, Size};
use itom_cmdb::temporal::Point;
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{CiId, Clock as _, SystemClock, Timestamp};

/// CPU seconds of this thread; seconds of the clock where that is not told.
fn seconds(clock: &SystemClock) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    spent.map_or_else(|| clock.now().as_micros() as f64 / 1e6, |nanos| nanos as f64 / 1e9)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let items: u64 = args.next().map_or(Ok(20_000), |text| text.parse())?;
    let rounds: u32 = args.next().map_or(Ok(6), |text| text.parse())?;
    let clock = SystemClock::new();
    let timed = |what: &str, per: usize, run: &mut dyn FnMut() -> String| {
        let start = seconds(&clock);
        let told = run();
        let spent = (seconds(&clock) - start) / per as f64;
        if per > 1 {
            println!("{what:<44} {:>9.2} us  {told}", spent * 1e6);
        } else {
            println!("{what:<44} {spent:>9.3} s   {told}");
        }
    };

    let estate = Estate::new(1, &Size::new(items).rounds_of(rounds), &Difficulty::default());
    let (mut plain, mut asked) = (Cmdb::new(CmdbConfig::default()), Cmdb::new(CmdbConfig::default()));
    asked.past().prepare();
    let (mut spent, mut observations) = ([0.0_f64; 2], 0);
    let mut times: Vec<Timestamp> = Vec::new();
    // A plain engine of the same size doubles the memory; leave it out where that does not fit.
    let alone = items > 300_000;
    let mut sizes = Vec::new();
    for delivery in estate.batches() {
        observations += delivery.batch.items().len();
        if times.len() % 997 == 996 {
            sizes.push(asked.past().size());
        }
        times.push(delivery.learned_at);
        for (own, cmdb) in [&mut plain, &mut asked].into_iter().enumerate() {
            if alone && own == 0 {
                continue;
            }
            let start = seconds(&clock);
            let facts = cmdb.plan(&delivery.batch, delivery.learned_at);
            cmdb.ingest(facts);
            spent[own] += seconds(&clock) - start;
        }
    }
    drop(plain);
    let view = asked.view();
    println!(
        "{observations} observations in {} batches: {} items, {} relations",
        times.len(),
        view.len(),
        view.relations().count()
    );
    println!(
        "taken in: plain {:.2} s, with its past {:.2} s ({:.2} times)",
        spent[0],
        spent[1],
        spent[1] / spent[0]
    );
    let size = asked.past().size();
    println!(
        "memory of the recorded axis: {} superseded versions, {} bytes, {:.1} B each",
        size.versions,
        size.bytes,
        size.bytes as f64 / size.versions as f64
    );
    if let Some(first) = sizes.get(sizes.len() / 2) {
        println!(
            "  those of the later half: {:.1} B each",
            (size.bytes - first.bytes) as f64 / (size.versions - first.versions).max(1) as f64
        );
    }

    let ids: Vec<CiId> = view.cis().map(|ci| ci.id()).collect();
    let mut seed = 1_u64;
    let mut next = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let questions: Vec<(CiId, Timestamp)> =
        (0..200_000).map(|_| (ids[next(ids.len())], times[next(times.len())])).collect();
    let ask = |point: fn(Timestamp) -> Point| {
        let found = questions.iter().filter(|(id, at)| black_box(asked.past().ci(*id, point(*at))).is_some());
        format!("{} of {} were there", found.count(), questions.len())
    };
    timed("one item, by recorded time", questions.len(), &mut || ask(Point::believed));
    timed("  the same questions again", questions.len(), &mut || ask(Point::believed));
    for part in [1, 3, 5] {
        let at = times[times.len() * part / 6];
        timed("the whole view, by recorded time", 100, &mut || {
            let views = (0..100).map(|_| asked.past().view(Point::believed(at)).len());
            format!("{} items", views.max().unwrap_or_default())
        });
        // A view of the past is made where somebody looks.
        let past = asked.past().view(Point::believed(at));
        timed("  the first look at the relations of items", 1, &mut || {
            format!("{} relations of one", past.relations_of(ids[0]).count())
        });
        timed("  the first look at the items of a kind", 1, &mut || {
            format!("{} hosts", past.by_kind(&itom_core::kind::HOST).len())
        });
        timed("  an item and its relations", 10_000, &mut || {
            let looked = questions.iter().take(10_000);
            let found: usize = looked
                .filter(|(id, _)| past.ci(*id).is_some())
                .map(|(id, _)| past.relations_of(*id).count())
                .sum();
            format!("{found} relations")
        });
        timed("  a look at everything", 1, &mut || {
            let there = past.cis().filter(|ci| ci.state().is_active()).count();
            let linked = past.relations().filter(|relation| relation.state.is_active()).count();
            format!("{there} items, {linked} relations")
        });
        let past = asked.past().view(Point::believed(at));
        timed("  everything at once, of a view just asked for", 1, &mut || {
            format!("{} items", past.cis().count() + past.relations().count())
        });
    }
    let (a, b) = (times[times.len() / 2], times[times.len() / 2 + times.len() / 100]);
    timed("difference of a hundredth of the time", 1, &mut || {
        format!("{} changes", asked.past().diff(Point::believed(a), Point::believed(b)).len())
    });

    let at = times[times.len() / 2];
    let mut hashes = Vec::new();
    timed("first view by valid time", 1, &mut || {
        let view = asked.past().view(Point::was(at));
        hashes.push(view.state_hash());
        format!("{} items", view.len())
    });
    timed("  the same by a replay", 1, &mut || {
        let view = asked.at(at, Timestamp::MAX).view();
        hashes.push(view.state_hash());
        format!("{} items", view.len())
    });
    if hashes[0] != hashes[1] {
        return Err("the view at speed is not the replay".into());
    }
    for part in [2, 3, 4] {
        let at = times[times.len() * part / 6];
        timed("another view by valid time", 1, &mut || {
            format!("{} items", asked.past().view(Point::was(at)).len())
        });
    }
    timed("one item, by valid time", questions.len(), &mut || ask(Point::was));
    let size = asked.past().size();
    println!(
        "memory of both axes: {} superseded versions, {} bytes, {:.1} B each",
        size.versions,
        size.bytes,
        size.bytes as f64 / size.versions as f64
    );
    Ok(())
}
