//! A seeded estate through the engine, and how good the answer is:
//! `cargo run --release -p itom-cmdb --features sim --example estate_score -- [items] [rounds] [options]`
//!
//! Options: `--seed N`, `--difficulty calm|default|hostile`, `--only HAZARD`, `--set HAZARD=RATE`, `--relations N` (for
//! each item), `--samples N` (of wrong groups), `--each` (every hazard alone, one line each), `--generate` (only generate),
//! `--stated-only` (things inherit nothing from their parts), `--json`.

use std::error::Error;

use itom_cmdb::identity::IdentityRules;
use itom_cmdb::sim::{Difficulty, Estate, Hazard, Size, score};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{Clock as _, SystemClock, kind};

struct Options {
    items: u64,
    rounds: u32,
    seed: u64,
    difficulty: Difficulty,
    relations: Option<f64>,
    samples: usize,
    each: bool,
    generate: bool,
    stated_only: bool,
    json: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        items: 5_000,
        rounds: 12,
        seed: 1,
        difficulty: Difficulty::default(),
        relations: None,
        samples: 3,
        each: false,
        generate: false,
        stated_only: false,
        json: false,
    };
    let mut numbers = 0;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--seed" => options.seed = value()?.parse()?,
            "--relations" => options.relations = Some(value()?.parse()?),
            "--samples" => options.samples = value()?.parse()?,
            "--difficulty" => {
                options.difficulty = match value()?.as_str() {
                    "calm" => Difficulty::calm(),
                    "default" => Difficulty::default(),
                    "hostile" => Difficulty::hostile(),
                    other => return Err(format!("`{other}` is not calm, default or hostile").into()),
                }
            }
            "--only" => options.difficulty = options.difficulty.only(value()?.parse()?),
            "--set" => {
                let text = value()?;
                let (hazard, rate) = text.split_once('=').ok_or("--set HAZARD=RATE")?;
                options.difficulty = options.difficulty.with(hazard.parse()?, rate.parse()?);
            }
            "--each" => options.each = true,
            "--generate" => options.generate = true,
            "--stated-only" => options.stated_only = true,
            "--json" => options.json = true,
            number if numbers == 0 => {
                options.items = number.parse()?;
                numbers = 1;
            }
            number => options.rounds = number.parse()?,
        }
    }
    Ok(options)
}

fn config(options: &Options) -> CmdbConfig {
    let mut rules = IdentityRules::default();
    if options.stated_only {
        rules = rules.from_children(kind::HOST, []).from_children(kind::DEVICE, []);
    }
    CmdbConfig::default().identity_rules(rules)
}

fn answer(estate: &Estate, config: CmdbConfig) -> (score::Score, String) {
    let clock = SystemClock::new();
    let mut cmdb = Cmdb::new(config);
    let mut truth = estate.truth();
    let (mut generating, mut ingesting) = (0.0, 0.0);
    let mut batches = estate.batches();
    loop {
        let start = clock.now();
        let Some(delivery) = batches.next() else { break };
        let generated = clock.now();
        let facts = cmdb.plan(&delivery.batch, delivery.learned_at);
        cmdb.ingest(facts);
        cmdb.expire(delivery.learned_at);
        let ingested = clock.now();
        truth.take(&delivery);
        generating += generated.since(start).as_secs_f64();
        ingesting += ingested.since(generated).as_secs_f64();
    }
    cmdb.expire(estate.end());
    let view = cmdb.view();
    let observations = truth.observations();
    let rates = format!(
        "{observations} observations, {} objects, {} distinct relations; {} items and {} relations in the view\n\
         generated {:.0}/s, ingested {:.0}/s",
        truth.objects().count(),
        truth.relations(),
        view.len(),
        view.relations().count(),
        observations as f64 / generating,
        observations as f64 / ingesting
    );
    (score::of_view(&truth, &view), rates)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let mut size = Size::new(options.items).rounds_of(options.rounds);
    if let Some(relations) = options.relations {
        size = size.relations_per_ci(relations);
    }
    if options.generate {
        let estate = Estate::new(options.seed, &size, &options.difficulty);
        let clock = SystemClock::new();
        let start = clock.now();
        let (mut observations, mut batches) = (0_usize, 0_usize);
        for delivery in estate.batches() {
            observations += delivery.meanings.len();
            batches += 1;
        }
        let seconds = clock.now().since(start).as_secs_f64();
        println!("{observations} observations in {batches} batches, {:.0}/s", observations as f64 / seconds);
        return Ok(());
    }
    if options.each {
        println!(
            "{:<22} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}",
            "hazard alone", "precision", "recall", "edges p", "edges r", "false", "missed"
        );
        for hazard in Hazard::ALL {
            let estate = Estate::new(options.seed, &size, &options.difficulty.only(*hazard));
            let (score, _) = answer(&estate, config(&options));
            let (own, edges) = (score.identity.pairwise, score.edges.all);
            println!(
                "{hazard:<22} {:>9.5} {:>9.5} {:>9.5} {:>9.5} {:>6} {:>6}",
                own.precision,
                own.recall,
                edges.precision,
                edges.recall,
                score.life.false_retirements,
                score.life.missed_retirements
            );
        }
        return Ok(());
    }
    let estate = Estate::new(options.seed, &size, &options.difficulty);
    let (score, rates) = answer(&estate, config(&options));
    if options.json {
        println!("{}", serde_json::to_string_pretty(&score)?);
        return Ok(());
    }
    println!("{rates}\n{score}");
    let mut shown = std::collections::BTreeMap::new();
    for mistake in &score.identity.mistakes {
        let count: &mut usize = shown.entry((mistake.kind, mistake.class)).or_default();
        *count += 1;
        if *count <= options.samples {
            print!("{mistake}");
        }
    }
    for sample in score.life.samples.iter().take(options.samples) {
        println!("false retirement of {sample}");
    }
    Ok(())
}
