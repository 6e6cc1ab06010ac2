//! The reference tools as people start them: what they say, how they exit, what they leave on the disk.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Running, eventually, example, free_port, get_json, http, scratch};
use itom::cmdb::export::{MapDocument, MapEdge, MapNode};
use itom::core::{Batch, kind, relation};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// The built tool; the test that needs it is skipped aloud without it.
fn tool(name: &str) -> Option<PathBuf> {
    let found = example(name);
    if found.is_none() {
        println!("skipped: {name} is not built; run the tests of the whole package");
    }
    found
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .env_remove("ITOM_CONSOLE_TOKEN")
        .stdin(Stdio::null())
        .output()
        .expect("a built tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code 1 and one line that says why.
fn assert_refused(output: &Output, says: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(says), "`{says}` is missing in: {said}");
    assert_eq!(said.lines().count(), 1, "one line, not: {said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A running console and where it listens.
fn console(program: &Path, args: &[&str]) -> (Running, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let listen = address.to_string();
    let process = Command::new(program)
        .args(["--listen", &listen, "--every", "1s"])
        .args(args)
        .env_remove("ITOM_CONSOLE_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .expect("a built tool starts");
    (process, address)
}

/// The page of the console's own host, once it is known and read.
fn host(address: SocketAddr) -> Option<Value> {
    let overview = get_json(address, "/api/overview")?;
    let read = |source: &Value| {
        source["name"].as_str().is_some_and(|name| name.starts_with("host@")) && !source["last_run"].is_null()
    };
    if overview["engine"]["facts"].as_u64()? == 0 || !overview["collectors"].as_array()?.iter().any(read) {
        return None;
    }
    get_json(address, &format!("/api/ci/{}", overview["host"]["id"].as_str()?))
}

#[test]
fn the_console_says_in_one_line_why_it_does_not_start() {
    let _turn = crate::support::turn();
    let Some(console) = tool("console") else { return };
    let folder = scratch("tools-refused");
    let rules = folder.join("rules.json");
    std::fs::write(&rules, "{\"rules\": [\n  {\"nam\": \"x\"}]}").expect("the folder is writable");
    let set = folder.join("set.json");
    std::fs::write(&set, "{\"kinds\": {\"host\": {}}}").expect("the folder is writable");
    let set = path(&set);
    let short = folder.join("token");
    std::fs::write(&short, "short\n").expect("the folder is writable");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let taken = taken.local_addr().expect("a bound listener has an address").to_string();
    let (rules, short, nowhere) = (path(&rules), path(&short), path(&folder.join("no/map.svg")));
    for (args, says) in [
        (&["--map", "map.png"][..], "map.png: the name of a map ends in .html"),
        (&["--map", &nowhere], "cannot write the map"),
        (&["--memory", "--listen", &taken], "choose another with --listen"),
        (&["--memory", "--listen", "0.0.0.0:0"], "give a token with --token-file"),
        (&["--memory", "--listen", "0.0.0.0:0", "--token-file", &short], "use at least 16"),
        (&["--memory", "--token-file", "/nowhere/token"], "cannot read the token file /nowhere/token"),
        (&["--rules", &rules, "--print-rules"], "line 2, column"),
        (&["--rules", "/nowhere/rules", "--print-rules"], "cannot read the rules /nowhere/rules"),
        (&["--memory", "--rule-set", &set], "set.json: kinds.host: missing field `title`"),
        (&["--memory", "--rule-set", "/nowhere/set"], "/nowhere/set: "),
        (&["--memory", "--webhook", "elsewhere"], "--webhook elsewhere"),
        (&["--data", &rules], "give --data DIR or --memory"),
    ] {
        // The listener lives as long as `taken` is tried.
        let _held = TcpListener::bind(&taken);
        assert_refused(&run(&console, args), says);
    }
    let homeless = Command::new(&console)
        .env_remove("HOME")
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null())
        .output()
        .expect("a built tool starts");
    assert_refused(&homeless, "give --data DIR or --memory");
}

#[test]
fn one_discovery_is_readable_as_tables_and_as_json() {
    let _turn = crate::support::turn();
    let Some(console) = tool("console") else { return };
    let tables = run(&console, &["--once"]);
    assert_eq!(tables.status.code(), Some(0), "{}", text(&tables.stderr));
    let tables = text(&tables.stdout);
    assert!(tables.contains("iB\n") || tables.contains("iB "), "memory is said in units: {tables}");
    assert!(!tables.contains("svc:?"), "a listener without a known program is named in words: {tables}");

    let json = run(&console, &["--once", "--json"]);
    let document: Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
    assert_eq!(document["format"], "itom-discovery/1");
    let cis = document["cis"].as_array().expect("a list of items");
    assert!(cis.iter().any(|ci| ci["kind"] == "host.linux"), "the host itself is found");

    let printed = run(&console, &["--print-rules"]);
    let file = scratch("tools-rules").join("rules.json");
    std::fs::write(&file, &printed.stdout).expect("the folder is writable");
    let again = run(&console, &["--rules", &path(&file), "--print-rules"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert_eq!(text(&again.stdout), text(&printed.stdout));
}

#[test]
fn history_survives_a_kill_and_is_given_to_one_console_only() {
    let _turn = crate::support::turn();
    let Some(program) = tool("console") else { return };
    let folder = scratch("tools-history");
    let data = path(&folder);
    let (mut first, address) = console(&program, &["--data", &data]);
    let before = eventually(PATIENCE, || host(address)).expect("the host is known");
    let second = run(&program, &["--data", &data, "--listen", "127.0.0.1:0"]);
    assert_refused(&second, "is in use by another engine");
    first.0.kill().expect("a running process can be killed");
    drop(first);

    let (second, address) = console(&program, &["--data", &data]);
    let after = eventually(PATIENCE, || host(address)).expect("the host is known again");
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["first_seen"], before["first_seen"], "it is the same item, not a new one");
    let oldest = |page: &Value| page["history"].as_array().and_then(|list| list.last().cloned());
    assert_eq!(oldest(&after), oldest(&before), "the first change is still told");

    // Ended in order, the file is whole; one that says it is from a newer version is left alone.
    let pid = second.0.id().to_string();
    let mut second = second;
    assert!(Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success()));
    let status = eventually(PATIENCE, || second.0.try_wait().ok().flatten()).expect("it ends when told");
    assert_eq!(status.code(), Some(0));
    let file = folder.join("console.db");
    let mut bytes = std::fs::read(&file).expect("the history is a file");
    // The user version of an SQLite file: bytes 60 to 63 of its header.
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    for (content, says) in
        [(bytes.as_slice(), "use the newer version"), (&b"no history at all"[..], "nothing was changed")]
    {
        std::fs::write(&file, content).expect("the folder is writable");
        assert_refused(&run(&program, &["--data", &data, "--listen", "127.0.0.1:0"]), says);
        assert_eq!(std::fs::read(&file).expect("it is still there"), content, "the file is untouched");
    }
}

/// Takes posts and keeps their bodies.
fn receiver() -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    let keep = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                keep.lock().expect("no holder panics").extend(serde_json::from_slice(&body));
            }
            let _ = reader
                .into_inner()
                .write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, kept)
}

#[test]
fn an_alert_is_told_once_and_can_be_acknowledged() {
    let _turn = crate::support::turn();
    let Some(program) = tool("console") else { return };
    let folder = scratch("tools-webhook");
    let rules = folder.join("rules.json");
    let always = serde_json::json!({"rules": [{
        "name": "always", "interval": "1s", "for": "2s", "summary": "{{ci.name}} has memory",
        "condition": {"threshold": {
            "signal": {"series": {
                "selector": {"metric": "node_memory_MemTotal_bytes"}, "reduce": "last", "window": "1m",
            }},
            "levels": [{"severity": "major", "op": ">", "value": 0}],
        }},
    }]});
    std::fs::write(&rules, always.to_string()).expect("the folder is writable");
    let (hook, told) = receiver();
    let opened = || {
        let told = told.lock().expect("no holder panics");
        told.iter().filter(|notice| notice["kind"] == "open").count()
    };
    let url = format!("http://{hook}/");
    let (_console, address) = console(&program, &["--memory", "--rules", &path(&rules), "--webhook", &url]);
    eventually(PATIENCE, || (opened() > 0).then_some(())).expect("the receiver is told");
    let rounds =
        || get_json(address, "/api/overview").and_then(|overview| overview["engine"]["rounds"].as_u64());
    let then = rounds().expect("the console answers");
    eventually(PATIENCE, || rounds().filter(|now| *now > then + 6)).expect("rounds go on");
    assert_eq!(opened(), 1, "one alert, one opening: {told:?}");

    let open = |item: &&Value| item["open"] == true;
    let alerts = get_json(address, "/api/alerts").expect("the console answers");
    let alert = alerts["items"].as_array().and_then(|items| items.iter().find(open)).expect("an open alert");
    let id = alert["id"].as_str().expect("an id").to_owned();
    let by = serde_json::json!({"by": "Ada"});
    let answer = http(address, "POST", &format!("/api/alerts/{id}/ack"), &[], Some(&by));
    assert_eq!(answer.expect("the console answers").0, 200);
    let explained = get_json(address, &format!("/api/alerts/{id}")).expect("the alert is explained");
    assert_eq!(explained["operator"], "acknowledged by Ada");
    assert!(explained["explanation"]["why"].as_array().is_some_and(|why| !why.is_empty()));
}

#[test]
fn the_agent_writes_batches_that_can_be_read_again() {
    let _turn = crate::support::turn();
    let Some(agent) = tool("agent") else { return };
    let output = run(&agent, &["--instance", "web-1"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let batches: Vec<Batch> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is a batch"))
        .collect();
    assert_eq!(batches.len(), 2);
    assert!(batches.iter().all(|batch| batch.source().as_str().ends_with("@web-1")));
    assert_refused(&run(&agent, &["--instance", "a b"]), "is not a source name");
}

#[test]
fn impact_answers_from_a_map_in_a_file() {
    let _turn = crate::support::turn();
    let Some(impact) = tool("impact") else { return };
    let folder = scratch("tools-impact");
    let nodes = [
        ("db", kind::SERVICE, "db"),
        ("front", kind::SERVICE, "shop"),
        ("host", kind::HOST, "web-1"),
        ("twin", kind::PROCESS, "shop"),
    ];
    let edges = [("front", relation::DEPENDS_ON, "db"), ("db", relation::RUNS_ON, "host")];
    let document = MapDocument::new(
        "a shop",
        nodes.map(|(id, kind, name)| MapNode::new(id, kind).named(name)),
        edges.map(|(from, kind, to)| MapEdge::new(kind, from, to)),
    );
    let map = folder.join("map.json");
    std::fs::write(&map, document.to_json()).expect("the folder is writable");
    let (map, broken) = (path(&map), folder.join("broken.json"));
    std::fs::write(&broken, "{\"form").expect("the folder is writable");

    let down = text(&run(&impact, &[&map, "--down", "web-1"]).stdout);
    assert!(down.starts_with("down with web-1: 2\n"), "{down}");
    assert!(down.contains("web-1 → db (runs_on) → shop (depends_on)"), "{down}");
    let points = run(&impact, &[&map, "--spof", "db", "--cycles", "--json"]);
    let points: Value = serde_json::from_slice(&points.stdout).expect("JSON");
    assert_eq!(points["single_points_of_failure"][0]["name"], "web-1");
    assert_eq!(points["cycles"], serde_json::json!([]));
    let coloured = folder.join("coloured.svg");
    let drawn = run(&impact, &[&map, "--down", "db", "--map", &path(&coloured)]);
    assert_eq!(drawn.status.code(), Some(0), "{}", text(&drawn.stderr));
    assert!(std::fs::read_to_string(&coloured).is_ok_and(|svg| svg.starts_with("<svg")));

    assert_refused(&run(&impact, &[&map, "--down", "shop"]), "2 items are called `shop`; give an id: ");
    assert_refused(&run(&impact, &[&map, "--down", "web"]), "no item is called `web`; near: web-1");
    assert_refused(&run(&impact, &[&path(&broken), "--cycles"]), "cannot read the map");
    assert_refused(&run(&impact, &["/nowhere/map.json", "--cycles"]), "/nowhere/map.json");
}

#[test]
fn an_overdue_backup_is_told_and_a_fresh_one_resolves_it() {
    let _turn = crate::support::turn();
    let Some(watcher) = tool("custom_collector") else { return };
    assert_refused(&run(&watcher, &["/nowhere/backups"]), "cannot read the folder /nowhere/backups");
    let folder = scratch("tools-backups");
    let (backups, said) = (folder.join("backups"), folder.join("said"));
    std::fs::create_dir(&backups).expect("the folder is writable");
    let backup = File::create(backups.join("shop.dump")).expect("the folder is writable");
    let fresh = backup.metadata().and_then(|meta| meta.modified()).expect("the file has a time");
    backup.set_modified(fresh - Duration::from_secs(7200)).expect("times of own files can be set");
    let _watcher = Command::new(&watcher)
        .args([&path(&backups), "--overdue", "1h", "--every", "1s"])
        .stdin(Stdio::null())
        .stdout(File::create(&said).expect("the folder is writable"))
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .expect("a built tool starts");
    let lines = || std::fs::read_to_string(&said).unwrap_or_default();
    let fired = eventually(PATIENCE, || Some(lines()).filter(|said| said.contains("shop.dump")));
    let fired = fired.expect("the overdue backup is told");
    assert_eq!(fired.lines().count(), 1, "{fired}");
    backup.set_modified(fresh).expect("times of own files can be set");
    let resolved = eventually(PATIENCE, || Some(lines()).filter(|said| said.lines().count() > 1));
    assert!(
        resolved.is_some_and(|said| said.lines().nth(1).is_some_and(|line| line.contains("CLOSE"))),
        "{}",
        lines()
    );
}
