//! Service discovery on 17 namespaced hosts with real servers: a collector on each managed host, one engine that takes
//! in what all of them say, and the result held against the truth that the lab knows of itself.
//!
//! Needs root and the lab (`ITOM_LAB`, else `../shared/lab` beside the workspace); says so and passes where it is missing.
//! With `ITOM_LAB_RECORDED` set to a folder that a failed run left, that run is judged again, without a lab.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::lab::{Lab, Truth};
use crate::support::verdict::{Level, is_fleeting, judge, spelled};
use crate::support::{Running, eventually, example, scratch};
use futures::channel::oneshot;
use futures::executor::block_on;
use itom::Engine;
use itom::cmdb::View;
use itom::core::Batch;

/// How long each host is watched: several rounds of everything that the lab's programs do every five seconds.
const WATCHED: &str = "40s";

/// What was seen of the lab, and what it was at the beginning and at the end.
struct Observed {
    /// Where that is kept until the verdict is good.
    folder: Option<PathBuf>,
    batches: Vec<Batch>,
    before: Truth,
    after: Truth,
}

fn observe() -> Result<Observed, String> {
    let agent = example("agent").ok_or("the agent is not built; run the tests of the whole package")?;
    let folder = scratch("lab");
    let lab = Lab::up(&folder.join("run"), Duration::from_secs(600))?;
    let agent = agent.to_string_lossy().into_owned();
    let mut agents: Vec<Running> = Vec::new();
    for host in lab.truth.hosts.iter().filter(|host| host.managed) {
        let output = File::create(recording(&folder, &host.name)).map_err(|error| error.to_string())?;
        let program = [&agent, "--for", WATCHED, "--every", "2s", "--instance", &host.name];
        agents.push(Running(lab.spawn(&host.name, &program, output).map_err(|error| error.to_string())?));
    }
    for agent in &mut agents {
        let ended = eventually(Duration::from_secs(90), || agent.0.try_wait().ok().flatten());
        assert!(ended.is_some_and(|status| status.success()), "an agent ends by itself, in time: {ended:?}");
    }
    let after = lab.now()?;
    let names = lab.truth.hosts.iter().filter(|host| host.managed).map(|host| host.name.as_str());
    let batches = read(&folder, names);
    for (name, truth) in [("before.json", &lab.truth), ("after.json", &after)] {
        let text = serde_json::to_vec(truth).map_err(|error| error.to_string())?;
        std::fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
    }
    println!("what was seen is in {} until the verdict is good", folder.display());
    Ok(Observed { folder: Some(folder), batches, before: lab.truth.clone(), after })
}

/// What an earlier run left.
fn recorded(folder: &Path) -> Observed {
    let truth = |name: &str| -> Truth {
        let text = std::fs::read(folder.join(name)).expect("a recorded run has its truth");
        serde_json::from_slice(&text).expect("the truth is JSON")
    };
    let (before, after) = (truth("before.json"), truth("after.json"));
    let names = before.hosts.iter().filter(|host| host.managed).map(|host| host.name.as_str());
    Observed { folder: None, batches: read(folder, names), before: before.clone(), after }
}

fn recording(folder: &Path, host: &str) -> PathBuf {
    folder.join(format!("{host}.jsonl"))
}

/// The batches of all hosts in the order in which they were taken.
fn read<'a>(folder: &Path, hosts: impl Iterator<Item = &'a str>) -> Vec<Batch> {
    let mut batches = Vec::new();
    for host in hosts {
        let file = File::open(recording(folder, host)).expect("each host has a recording");
        let lines = BufReader::new(file).lines();
        let own: Vec<Batch> = lines
            .map(|line| {
                serde_json::from_str(&line.expect("the recording is readable")).expect("each line is a batch")
            })
            .collect();
        assert!(!own.is_empty(), "{host} said nothing");
        batches.extend(own);
    }
    batches.sort_by_key(Batch::taken_at);
    batches
}

/// What one engine believes that is told all of it.
fn believed(batches: Vec<Batch>) -> View {
    let engine = Engine::builder().build().expect("an engine without collectors fits together");
    let handle = engine.handle();
    let (end, ended) = oneshot::channel::<()>();
    let running = std::thread::spawn(move || {
        block_on(engine.run(async move {
            let _ = ended.await;
        }))
    });
    let all = batches.len() as u64;
    block_on(async {
        for batch in batches {
            handle.ready().await;
            handle.submit(batch).expect("there is room");
        }
    });
    let taken = eventually(Duration::from_secs(60), || (handle.status().rounds >= all).then_some(()));
    assert!(taken.is_some(), "{} of {all} batches were taken in", handle.status().rounds);
    let view = handle.view();
    end.send(()).expect("the engine runs");
    running.join().expect("the engine does not panic").expect("the engine ends well");
    view
}

#[test]
fn services_and_dependencies_of_seventeen_hosts() {
    let _turn = crate::support::turn();
    let observed = match std::env::var_os("ITOM_LAB_RECORDED") {
        Some(folder) => Ok(recorded(Path::new(&folder))),
        None => observe(),
    };
    let Observed { folder, batches, before, after } = match observed {
        Ok(observed) => observed,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let count = batches.len();
    let view = believed(batches);
    let verdict = judge(&view, &before, &after);
    println!("{count} batches, {} items", view.len());
    println!("{}{}", verdict.table(), verdict.line());

    assert_eq!(verdict.hosts, [""; 0], "each host is one item");
    assert_eq!(verdict.services, [""; 0], "each listening program is a service of its host");
    let managed = before.hosts.iter().filter(|host| host.managed).count();
    assert!(verdict.sockets > managed, "the truth has {} listening sockets", verdict.sockets);
    assert_eq!(verdict.wrong, [""; 0], "no dependency is claimed that is not there");
    for (edge, level) in verdict.edges.iter().filter(|(edge, _)| edge.proto == "tcp") {
        // A process of a few milliseconds is gone before anybody looks who it was; what it does may then be taken for
        // what another program of its host does with the same peer.
        let fleeting = is_fleeting(edge, &before, &after);
        let enough = match edge.style.as_str() {
            "persistent" | "pooled" => *level == Level::Process,
            _ if fleeting => *level <= Level::Other,
            _ => *level <= Level::Host,
        };
        assert!(enough, "{}: found at {level:?}", spelled(edge));
    }
    if let Some(folder) = folder {
        let _ = std::fs::remove_dir_all(folder);
    }
}
