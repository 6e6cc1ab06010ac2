//! Measures branches, traversals and time-owning addresses on a large view.
//!
//! `cargo run --release -p itom-benches --bin branch_rate [CIS]`

use std::error::Error;
use std::time::Duration;

use itom::cmdb::addresses::{Addresses, Claim, Flow};
use itom::cmdb::branch::Branch;
use itom::cmdb::testing::estate::Dice;
use itom::cmdb::traverse::Traversal;
use itom::cmdb::{Cmdb, CmdbConfig};
use itom::core::{Batch, CiId, SourceName, Timestamp, attr, kind, relation};
use itom_benches::process::timed;

fn main() -> Result<(), Box<dyn Error>> {
    let cis = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<usize>())?;
    let now = Timestamp::from_secs(1_700_000_000);
    let mut batch = Batch::new(SourceName::literal("estate"), now);
    for number in 0..cis {
        let kind = if number % 10 == 0 { kind::SERVICE } else { kind::HOST };
        batch.ci(format!("i{number}"), kind).attr(attr::NAME, format!("i{number}"));
        if number > 0 && number % 2 == 0 {
            batch.relation(
                relation::DEPENDS_ON,
                format!("i{number}").as_str(),
                format!("i{}", number / 2).as_str(),
            );
        }
    }
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let ((), took) = timed(|| {
        let facts = cmdb.plan(&batch, now);
        cmdb.ingest(facts);
    });
    drop(batch);
    let view = cmdb.view();
    let ids: Vec<CiId> = view.cis().map(itom::cmdb::view::Ci::id).collect();
    println!("a view of {} items in {took:.1?}", ids.len());

    let mut dice = Dice::new(3);
    let mut edits = |name: &str, first: usize| {
        let mut branch = Branch::new(name, view.clone());
        let (made, took) = timed(|| {
            for number in first..first + 10_000 {
                let ci = ids[(number * 37) % ids.len()];
                let edit = match number % 4 {
                    0 | 1 => branch.set_attribute(ci, attr::OS_VERSION, format!("{number}").into()),
                    2 => branch.relate(relation::RUNS_ON, ci, ids[dice.below(ids.len())]),
                    _ => {
                        branch.put_item(CiId::derive(&["new", name, &number.to_string()]), kind::HOST, "new");
                        Ok(())
                    }
                };
                edit?;
            }
            Ok::<_, itom::cmdb::branch::BranchError>(())
        });
        made.map(|()| (branch, took))
    };
    let (one, took) = edits("one", 0)?;
    let (two, _) = edits("two", 10_000)?;
    println!("10,000 edits in {took:.1?}");
    let mut best = Duration::MAX;
    let mut changes = 0;
    for _ in 0..10 {
        let (diff, took) = timed(|| one.diff());
        (best, changes) = (best.min(took), diff.len());
    }
    println!("diff of {changes} changes in {best:.1?} (best of ten)");
    let (merged, took) = timed(|| one.merge(&two));
    println!("merge of two such branches in {took:.1?}, {} conflicts", merged.conflicts.len());
    let (rebased, took) = timed(|| one.rebase(cmdb.view()));
    println!("rebase in {took:.1?}, {} conflicts", rebased.conflicts.len());

    let walk = Traversal::from_items([ids[0], ids[1], ids[2]]).repeat(0..=8, Traversal::neighbours);
    let (found, took) = timed(|| walk.run(&view).map(|found| found.items().len()));
    println!("traversal to {} items in {took:.1?}", found?);

    let mut addresses = Addresses::new(Duration::from_secs(3600));
    let ip = |number: usize| std::net::IpAddr::from((10_u32 << 24 | number as u32).to_be_bytes());
    let at = |seconds: usize| Timestamp::from_secs(1_700_000_000 + seconds as i64);
    let claims: Vec<Claim> = (0..200_000)
        .map(|number| {
            let start = number / 50_000 * 3600;
            Claim::held("dc", ip(number % 50_000), ids[number % ids.len()], at(start), at(start + 3000))
        })
        .collect();
    let ((), took) = timed(|| addresses.learn_all(claims));
    println!("200,000 claims in {took:.1?}");
    let mut chance = Dice::new(5);
    let flows: Vec<Flow> = (0..1_000_000)
        .map(|_| {
            let [client, server] = [0; 2].map(|_| ip(chance.below(50_000)));
            Flow::new("dc", client, server, 443, at(chance.below(4 * 3600)))
        })
        .collect();
    let (joined, took) = timed(|| addresses.join(&flows));
    println!(
        "1,000,000 flows joined in {took:.1?}: {} edges, {} loose",
        joined.edges.len(),
        joined.loose.len()
    );
    Ok(())
}
