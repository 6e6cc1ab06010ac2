//! What one relation takes in memory, everything counted that the engine keeps of it, and in a SQLite store:
//! `cargo run --release -p itom-cmdb --features sqlite --example relation_memory -- [items] [relations of each]`
//!
//! Memory is what the process holds more of than the same engine without relations: each is a process of its own. Linux.

use std::error::Error;
use std::process::Command;

use futures::executor::block_on;
use itom_cmdb::store::{SqliteStore, Store as _};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{Batch, Key, SourceName, Subject, Timestamp, kind, relation};

/// Bytes that this process holds in memory.
fn resident() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

/// Items of one source.
const SHARE: usize = 1_000;

/// What one source says: items, each related to some others.
fn batch(source: usize, each: usize) -> Result<Batch, Box<dyn Error>> {
    let name = SourceName::new(format!("source-{source}"))?;
    let mut batch = Batch::new(name, Timestamp::from_secs(1_800_000_000));
    let native = |index: usize| format!("{source}/{index}");
    for index in 0..SHARE {
        let serial = Key::serial(&format!("SN-{:08}", source * SHARE + index))?;
        batch.ci(native(index), kind::HOST).key(serial);
        for step in 0..each {
            let other = (index + 1 + step * step * 31) % SHARE;
            let subject = |index| Subject::Native(native(index).into());
            batch.relation(relation::DEPENDS_ON, subject(index), subject(other));
        }
    }
    Ok(batch)
}

fn measure(items: usize, each: usize) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("itom-relation-memory-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let store = SqliteStore::open(folder.join("facts.db"))?;
    for source in 0..items / SHARE {
        let batch = batch(source, each)?;
        let facts = cmdb.plan(&batch, batch.taken_at());
        block_on(store.append(&facts))?;
        cmdb.ingest(facts);
    }
    drop(store);
    let disk: u64 =
        std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
    std::fs::remove_dir_all(&folder)?;
    let view = cmdb.view();
    println!("{} {} {} {disk}", view.len(), view.relations().count(), resident()?);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| args.get(index).map_or(Ok(default), |text| text.parse());
    let (items, each) = (number(0, 100_000)?, number(1, 5)?);
    if args.get(2).is_some_and(|word| word == "measure") {
        return measure(items, each);
    }
    let ask = |each: usize| -> Result<Vec<f64>, Box<dyn Error>> {
        let own = std::env::current_exe()?;
        let out =
            Command::new(own).args([items.to_string(), each.to_string(), "measure".to_owned()]).output()?;
        let text = String::from_utf8(out.stdout)?;
        Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    };
    let (without, with) = (ask(0)?, ask(each)?);
    let [own, _, bare, bare_disk] = without[..] else {
        return Err("the process without relations failed".into());
    };
    let [_, relations, memory, disk] = with[..] else {
        return Err("the process with relations failed".into());
    };
    println!("{own} items, {relations} relations");
    println!("an item: {:.0} B in memory, {:.0} B on disk", bare / own, bare_disk / own);
    let (memory, disk) = ((memory - bare) / relations, (disk - bare_disk) / relations);
    println!("a relation: {memory:.0} B in memory, {disk:.0} B on disk");
    Ok(())
}
