//! Measures identity beside a naive grouping by equal keys, on the same observations in the same run.
//!
//! `cargo run --release -p itom-benches --bin identity_rate [ITEMS]`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use itom::cmdb::fact::FactId;
use itom::cmdb::identity::{Described, IdentityRules, Resolver};
use itom::core::{CiObservation, Key, KeyError, SourceName, Timestamp, kind};
use itom_benches::process::timed;

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

fn mac(item: usize, port: usize) -> Result<Key, KeyError> {
    let [.., a, b, c, d] = (item * 2 + port).to_be_bytes();
    Key::mac(&format!("00:1b:{a:02x}:{b:02x}:{c:02x}:{d:02x}"))
}

/// What one of the sources says of an item: an inventory, an agent, a hypervisor.
fn said(source: usize, item: usize) -> Result<CiObservation, KeyError> {
    let mut ci = CiObservation::new(format!("{source}-{item:07}"), kind::HOST);
    let uuid = || Key::smbios_uuid(&format!("4c4c4544-0042-3510-8054-{item:012x}"));
    match source {
        0 => {
            ci.key(Key::serial(&format!("SN-{item:08}"))?).key(Key::fqdn(&format!("host-{item}.example.com")))
        }
        1 => {
            ci.kind = kind::HOST_LINUX;
            ci.key(Key::machine_id(&format!("{item:032x}"))?)
                .key(Key::serial(&format!("SN-{item:08}"))?)
                .key(uuid()?)
                .key(mac(item, 0)?)
                .key(mac(item, 1)?)
                .key(Key::ip([10, (item >> 16) as u8, (item >> 8) as u8, item as u8].into()))
        }
        _ => ci.key(uuid()?).key(mac(item, 0)?),
    };
    Ok(ci)
}

fn put<'a>(
    resolver: &mut Resolver,
    sources: &'a [SourceName],
    observations: impl IntoIterator<Item = &'a (usize, CiObservation)>,
) {
    let said = |ci: &'a CiObservation| Described::new(ci, Timestamp::EPOCH, FactId::from_bytes([7; 16]));
    resolver.put_all(observations.into_iter().map(|(at, ci)| (&sources[*at], &ci.subject, said(ci))));
}

/// Equal keys of any strength, transitively, with ordered maps over the keys: no rule, no order of evidence.
fn naive(observations: &[(usize, CiObservation)]) -> usize {
    let mut first: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut parent: Vec<usize> = (0..observations.len()).collect();
    let root = |parent: &[usize], mut at: usize| {
        while parent[at] != at {
            at = parent[at];
        }
        at
    };
    for (at, (_, ci)) in observations.iter().enumerate() {
        for key in &ci.keys {
            let other = *first.entry(key).or_insert(at);
            let (a, b) = (root(&parent, at), root(&parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    parent.iter().enumerate().filter(|(at, parent)| at == *parent).count()
}

fn main() -> Result<(), Box<dyn Error>> {
    let items = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<usize>())?;
    let sources =
        [SourceName::literal("inventory"), SourceName::literal("agent"), SourceName::literal("hypervisor")];
    let mut observations = Vec::with_capacity(items * 2);
    for source in 0..2 {
        for item in 0..items {
            observations.push((source, said(source, item)?));
        }
    }
    let rate = |took: Duration| observations.len() as f64 / took.as_secs_f64() / 1e6;
    println!("{} observations of {items} items, 4 keys each on average", observations.len());

    let before = resident_mib();
    let mut resolver = Resolver::new(IdentityRules::default());
    let (_, took) = timed(|| put(&mut resolver, &sources, &observations));
    let (resolved, first) = timed(|| resolver.resolve());
    println!("taken in and resolved   {:>8.2} M observations/s", rate(took + first));
    println!("  of it taken in        {:>8.2} M observations/s", rate(took));
    println!("  of it resolved        {:>8.2} M observations/s", rate(first));
    let (_, again) = timed(|| resolver.resolve_all());
    println!(
        "full recompute          {:>8.2} M observations/s  {} items, {} abstentions",
        rate(again),
        resolved.items(),
        resolved.abstentions()
    );
    drop(resolved);
    let grown = resident_mib() - before;
    println!(
        "memory                  {grown:>8.0} MiB, {:.0} B an observation",
        grown * 1_048_576.0 / observations.len() as f64
    );
    let (groups, slow) = timed(|| naive(&observations));
    println!(
        "naive grouping          {:>8.2} M observations/s  {groups} groups; taken in and resolved is {:.1} times as fast",
        rate(slow),
        slow.as_secs_f64() / (took + first).as_secs_f64()
    );
    drop(observations);

    // 600 of known items by a third source, 200 new items, 200 that say something else than before.
    let mut times = Vec::new();
    for round in 0..500 {
        let mut batch = Vec::with_capacity(1000);
        for place in 0..1000 {
            let known = (round * 1000 + place) * 7919 % items;
            batch.push(match place {
                0..600 => (2, said(2, known)?),
                600..800 => (0, said(0, items + round * 200 + place - 600)?),
                _ => {
                    let mut ci = said(0, known)?;
                    ci.key(Key::fqdn(&format!("renamed-{round}-{place}.example.com")));
                    (0, ci)
                }
            });
        }
        let (_, took) = timed(|| {
            put(&mut resolver, &sources, &batch);
            resolver.resolve()
        });
        times.push(took);
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "1,000 observations more {:>8.2} ms p50, {:.2} ms p99, {:.2} ms at most",
        at(50),
        at(99),
        at(100)
    );
    Ok(())
}
