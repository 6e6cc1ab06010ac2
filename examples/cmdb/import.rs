//! Taking in: files of other tools.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use itom::cmdb::identity::Rule;
use itom::cmdb::import::{Document, Format, Mapping, Options, Remark, Verdict, import};
use itom::cmdb::store::{SqliteStore, Store as _};
use itom::cmdb::view::{Ci, Relation};
use itom::cmdb::{Cmdb, View};
use itom::core::{Batch, CiId, Observation, SourceName, Subject, Text, Timestamp};
use itom_examples::names;
use serde_json::json;

use crate::estate::{self, load};
use crate::print::{Output, rows, short, table};

/// Most remarks and joined items in the tables; JSON has all.
const SHOWN: usize = 20;

/// Files to take in.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The files; of a folder, every file in it.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they are: cyclonedx, spdx, backstage, netbox, csv, otel. Found out from each file if not given; a file of
    /// batches, one on a line, is always known.
    #[arg(long)]
    format: Option<Format>,
    /// What the columns of tables mean (YAML or JSON).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// What to call the source: `assets` makes `csv@assets`. What a later file of the same source lacks is gone.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Take each document for what was so when it was made, not for what is so now.
    #[arg(long)]
    as_dated: bool,
    /// Say what would happen, and keep nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What was read, before anything is kept.
struct Read {
    files: Vec<Text>,
    format: &'static str,
    entries: usize,
    batch: Batch,
    remarks: Vec<Remark>,
    more_remarks: usize,
}

/// What became of it.
#[derive(Default)]
struct Outcome {
    created: usize,
    changed: usize,
    unchanged: usize,
    gone: usize,
    relations: (usize, usize),
    joined: Vec<Joined>,
    held: usize,
    open: usize,
}

/// An item that another source knew already.
struct Joined {
    ci: CiId,
    name: String,
    kind: String,
    with: Vec<String>,
    because: Vec<String>,
}

pub(crate) async fn run(
    db: &Path,
    rules: &itom::cmdb::ruleset::RuleSet,
    args: &Import,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let now = estate::now();
    // Everything is read before anything is kept: a bad file changes nothing.
    let all = read(args, now)?;
    let store = if args.dry_run && !db.exists() { None } else { Some(SqliteStore::open(db)?) };
    let mut cmdb = match &store {
        Some(store) => load(store, rules, now).await?,
        None => Cmdb::new(rules.into()),
    };
    let mut told = Vec::new();
    for read in all {
        let before = cmdb.view();
        let open = cmdb.ambiguities().len();
        let facts = cmdb.plan(&read.batch, now);
        if let Some(store) = store.as_ref().filter(|_| !args.dry_run) {
            store.append(&facts).await?;
        }
        cmdb.ingest(facts);
        let mut outcome = compare(&before, &cmdb, &read.batch);
        outcome.open = cmdb.ambiguities().len().saturating_sub(open);
        told.push((read, outcome));
    }
    tell(&told, cmdb.view().len(), args.dry_run, out)?;
    let refused = |remark: &Remark| remark.verdict == Verdict::Refused;
    Ok(i32::from(told.iter().any(|(read, _)| read.remarks.iter().any(refused))))
}

fn read(args: &Import, now: Timestamp) -> Result<Vec<Read>, Box<dyn Error>> {
    let mut options = Options::new(now);
    options.format = args.format;
    options.source = args.source.as_deref().map(Text::from);
    options.as_dated = args.as_dated;
    if let Some(file) = &args.mapping {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        options.mapping = Some(Mapping::from_yaml(&file.display().to_string(), &text)?);
    }
    let mut files = Vec::new();
    for file in &args.files {
        if file.is_dir() {
            let inside = std::fs::read_dir(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let mut inside: Vec<PathBuf> =
                inside.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
            inside.retain(|path| path.is_file());
            inside.sort();
            files.extend(inside);
        } else {
            files.push(file.clone());
        }
    }
    let mut contents = Vec::new();
    for file in &files {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        contents.push((file.display().to_string(), bytes));
    }
    let mut all = Vec::new();
    let mut documents = Vec::new();
    for (name, bytes) in &contents {
        let document = Document::new(name, bytes);
        if args.format.is_none() && is_batches(bytes) {
            all.extend(batches(name, bytes)?);
        } else {
            documents.push(document);
        }
    }
    if !documents.is_empty() {
        all.extend(import(&documents, &options)?.into_iter().map(|own| Read {
            files: own.files,
            format: own.format.name(),
            entries: own.entries,
            batch: own.batch,
            remarks: own.remarks,
            more_remarks: own.more_remarks,
        }));
    }
    apart(all)
}

/// Two documents of one source at one time would be one run with two contents, and the later of two runs lets go what only
/// the other names.
fn apart(all: Vec<Read>) -> Result<Vec<Read>, Box<dyn Error>> {
    let mut seen: BTreeSet<(SourceName, Timestamp)> = BTreeSet::new();
    for read in &all {
        let own = (read.batch.source().clone(), read.batch.taken_at());
        if !seen.insert(own.clone()) {
            let files: Vec<&str> = read.files.iter().map(Text::as_str).collect();
            return Err(format!(
                "{}: another of these files is of source {} too, and would be taken for its newer form; import them one \
                 after the other with a --source of its own each",
                files.join(", "),
                own.0
            )
            .into());
        }
    }
    Ok(all)
}

/// Whether it is lines of batches, as collectors write them.
fn is_batches(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    line.is_some_and(|line| {
        let has = |name: &str| line.windows(name.len()).any(|part| part == name.as_bytes());
        line.trim_ascii_start().starts_with(b"{") && has("\"taken_at\"") && has("\"run\"")
    })
}

fn batches(name: &str, bytes: &[u8]) -> Result<Vec<Read>, Box<dyn Error>> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("{name}: {error}"))?;
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let batch: Batch =
            serde_json::from_str(line).map_err(|error| format!("{name}, line {}: {error}", number + 1))?;
        all.push(Read {
            files: vec![name.into()],
            format: "batch",
            entries: batch.items().len(),
            batch,
            remarks: Vec::new(),
            more_remarks: 0,
        });
    }
    Ok(all)
}

/// What a batch did, from the views before and after it.
fn compare(before: &View, cmdb: &Cmdb, batch: &Batch) -> Outcome {
    let after = cmdb.view();
    let source = batch.source();
    let mut outcome = Outcome::default();
    let mut seen = BTreeSet::new();
    for observation in batch.items() {
        let Observation::Ci(own) = observation else { continue };
        let subject = Subject::Native(own.subject.clone());
        let Some(ci) =
            after.resolve(source, &subject).filter(|id| seen.insert(*id)).and_then(|id| after.ci(id))
        else {
            continue;
        };
        let old = before
            .resolve(source, &subject)
            .and_then(|id| before.ci(id))
            .filter(|old| old.state().is_active());
        match old {
            Some(old) if same(old, ci) => outcome.unchanged += 1,
            Some(_) => outcome.changed += 1,
            None if ci.sources().len() > 1 => outcome.joined.push(joined(cmdb, ci, source)),
            None => outcome.created += 1,
        }
    }
    let there = |ci: &&Ci| ci.state().is_active() && ci.sources().contains(source);
    let now_gone = |ci: &&Ci| {
        let now = after.current(ci.id()).and_then(|id| after.ci(id));
        now.is_none_or(|now| !now.state().is_active())
    };
    outcome.gone = before.cis().filter(there).filter(now_gone).count();
    let edges = |view: &View| -> BTreeSet<_> {
        let own = |edge: &&Relation| edge.state.is_active() && edge.sources.contains(source);
        view.relations().filter(own).map(Relation::id).collect()
    };
    let (old, new) = (edges(before), edges(&after));
    outcome.relations = (new.difference(&old).count(), old.difference(&new).count());
    let held = cmdb.proposed_retirements();
    outcome.held = held.iter().filter(|own| own.source == *source).map(|own| own.missing).sum();
    outcome
}

fn same(old: &Ci, new: &Ci) -> bool {
    let values = |ci: &Ci| -> Vec<_> {
        ci.attributes().iter().map(|(name, own)| (name.clone(), own.value().clone())).collect()
    };
    old.kind() == new.kind() && old.keys() == new.keys() && values(old) == values(new)
}

fn joined(cmdb: &Cmdb, ci: &Ci, source: &SourceName) -> Joined {
    let because: BTreeSet<String> = cmdb
        .explain(ci.id())
        .map(|why| why.merges)
        .unwrap_or_default()
        .iter()
        .filter(|proof| [proof.objects().0, proof.objects().1].iter().any(|object| object.source == *source))
        .map(|proof| match proof.rule() {
            Rule::Key { ident, .. } | Rule::Inherited { ident, .. } => ident.to_string(),
            Rule::Stated { .. } => "a statement".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    Joined {
        ci: ci.id(),
        name: names::name(ci).to_string(),
        kind: ci.kind().to_string(),
        with: ci.sources().iter().filter(|own| *own != source).map(ToString::to_string).collect(),
        because: because.into_iter().collect(),
    }
}

fn tell(all: &[(Read, Outcome)], items: usize, dry: bool, out: Output) -> Result<(), Box<dyn Error>> {
    let count = |read: &Read, verdict| read.remarks.iter().filter(|own| own.verdict == verdict).count();
    let text = || {
        let mut shown = table(&[
            "source",
            "entries",
            "new",
            "joined",
            "changed",
            "same",
            "gone",
            "relations",
            "refused",
            "remarks",
        ]);
        for (read, own) in all {
            let refused = count(read, Verdict::Refused);
            shown.add_row([
                read.batch.source().to_string(),
                read.entries.to_string(),
                own.created.to_string(),
                own.joined.len().to_string(),
                own.changed.to_string(),
                own.unchanged.to_string(),
                own.gone.to_string(),
                match own.relations {
                    (new, 0) => format!("+{new}"),
                    (new, gone) => format!("+{new} -{gone}"),
                },
                refused.to_string(),
                (read.remarks.len() + read.more_remarks - refused).to_string(),
            ]);
        }
        let mut text = rows(&shown, "nothing was taken in");
        let with: Vec<&Joined> = all.iter().flat_map(|(_, own)| &own.joined).collect();
        if !with.is_empty() {
            let mut shown = table(&["joined item", "kind", "known to", "because of"]);
            for own in with.iter().take(SHOWN) {
                shown.add_row([
                    short(&own.name, 40),
                    own.kind.clone(),
                    short(&own.with.join(", "), 40),
                    short(&own.because.join(", "), 60),
                ]);
            }
            text.push_str(&format!("\n{shown}\n{}", more(with.len())));
        }
        let remarks: Vec<&Remark> = all.iter().flat_map(|(read, _)| &read.remarks).collect();
        if !remarks.is_empty() {
            let mut shown = table(&["verdict", "place", "reason"]);
            let mut sorted = remarks.clone();
            sorted.sort_by_key(|own| own.verdict);
            for own in sorted.iter().take(SHOWN) {
                shown.add_row([own.verdict.name().to_owned(), own.place.to_string(), own.reason.to_string()]);
            }
            text.push_str(&format!("\n{shown}\n{}", more(remarks.len())));
        }
        for (read, own) in all {
            if own.held > 0 {
                text.push_str(&format!(
                    "\n{}: {} items are missing, more than a run may let go; they stay until it is imported once more\n",
                    read.batch.source(),
                    own.held
                ));
            }
            if own.open > 0 {
                text.push_str(&format!(
                    "\n{}: {} fit several items and joined none\n",
                    read.batch.source(),
                    own.open
                ));
            }
        }
        let kept = if dry { "would be there; nothing was kept" } else { "in all" };
        text.push_str(&format!("\n{items} items {kept}\n"));
        text
    };
    let json = || {
        let imported: Vec<_> = all
            .iter()
            .map(|(read, own)| {
                json!({
                    "files": read.files,
                    "format": read.format,
                    "source": read.batch.source(),
                    "taken_at": read.batch.taken_at(),
                    "entries": read.entries,
                    "created": own.created,
                    "changed": own.changed,
                    "unchanged": own.unchanged,
                    "gone": own.gone,
                    "held": own.held,
                    "open": own.open,
                    "relations": { "new": own.relations.0, "gone": own.relations.1 },
                    "joined": own.joined.iter().map(|own| json!({
                        "id": own.ci, "name": own.name, "kind": own.kind, "with": own.with, "because": own.because,
                    })).collect::<Vec<_>>(),
                    "remarks": read.remarks,
                    "more_remarks": read.more_remarks,
                })
            })
            .collect();
        json!({ "imported": imported, "items": items, "kept": !dry })
    };
    out.print(text, json)
}

fn more(count: usize) -> String {
    if count > SHOWN { format!("and {} more; --json has all\n", count - SHOWN) } else { String::new() }
}
