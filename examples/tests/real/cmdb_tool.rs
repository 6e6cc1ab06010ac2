//! The configuration database as people use it: files in, questions, maps out, bad input, a kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Running, eventually, example, scratch};

const PATIENCE: Duration = Duration::from_secs(60);

struct Tool {
    program: PathBuf,
    db: PathBuf,
}

impl Tool {
    /// The built tool over an empty file; skipped aloud without it.
    fn new(folder: &Path) -> Option<Self> {
        let Some(program) = example("cmdb") else {
            println!("skipped: cmdb is not built; run the tests of the whole package");
            return None;
        };
        Some(Self { program, db: folder.join("cmdb.db") })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--db").arg(&self.db).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("a built tool starts")
    }

    /// What it prints when all is well.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("it prints text")
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(&all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// One line that says why not, and exit code 2.
    fn refuses(&self, args: &[&str], says: &str) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: `{says}` is missing in: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }

    fn names(&self, args: &[&str]) -> Vec<String> {
        let listed = self.json(args, 0);
        let items = listed["items"].as_array().expect("a list of items");
        items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../itom-cmdb/tests/data");
    folder.join(name).to_string_lossy().into_owned()
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn files_in_questions_and_maps_out() {
    let folder = scratch("cmdb-import");
    let Some(tool) = Tool::new(&folder) else { return };
    tool.refuses(&["list"], "make it with `discover` or `import`");

    // A try keeps nothing.
    let netbox = fixture("netbox");
    let tried = tool.json(&["import", "--dry-run", &netbox], 0);
    assert_eq!((tried["kept"].as_bool(), tool.db.exists()), (Some(false), false));

    let told = tool.json(&["import", &netbox], 0);
    assert_eq!(told["imported"][0]["source"], "netbox@netbox.example.com");
    assert_eq!(told["imported"][0]["entries"], 17);
    assert_eq!(told["imported"][0]["relations"]["new"], 18);
    let created = told["imported"][0]["created"].as_u64();
    // Two rows and a rack of the table; the first row is a machine that NetBox has.
    let (table, mapping) = (fixture("assets.csv"), fixture("assets.map.yaml"));
    let told = tool.json(&["import", &table, "--mapping", &mapping, "--source", "assets"], 1);
    let own = &told["imported"][0];
    assert_eq!(own["source"], "csv@assets");
    let joined: Vec<&str> =
        own["joined"].as_array().expect("a list").iter().filter_map(|own| own["name"].as_str()).collect();
    assert_eq!(joined, ["vh-1.example.com", "sw-1"]);
    assert_eq!(own["joined"][0]["because"][0], "serial=SN-VH-1");
    let refused =
        own["remarks"].as_array().expect("a list").iter().filter(|own| own["verdict"] == "refused").count();
    assert_eq!(refused, 2);
    tool.json(&["import", &fixture("catalog.yaml"), &fixture("shop.cdx.json"), &fixture("shop.spdx")], 1);

    // The same again changes nothing.
    let again = tool.json(&["import", &netbox], 0);
    let own = &again["imported"][0];
    assert_eq!(
        (own["unchanged"].as_u64(), own["created"].as_u64(), own["changed"].as_u64()),
        (created, Some(0), Some(0))
    );
    assert_eq!((own["gone"].as_u64(), own["relations"]["new"].as_u64()), (Some(0), Some(0)));

    assert_eq!(
        tool.names(&["list", "--kind", "host"]).iter().filter(|name| name.contains("vh-1")).count(),
        1
    );
    assert_eq!(
        tool.names(&["list", "--kind", "device", "--where", "attr[\"asset.note\"] != \"\""]),
        Vec::<String>::new()
    );
    assert_eq!(tool.names(&["list", "--kind", "location.site"]), ["Bremen"]);
    let explained = tool.json(&["explain", "vh-1.example.com"], 0);
    assert_eq!(explained["merges"][0]["holds"], true);
    // That something breaks is no error, and is told to scripts.
    let impact = tool.json(&["impact", "vh-1.example.com"], 1).to_string();
    assert!(impact.contains("web-1"), "{impact}");
    assert!(tool.says(&["show", "serde"]).contains("package.license"));

    // What left the catalogue is gone, and the difference says so.
    let before = tool.json(&["list", "--all"], 0)["items"].as_array().map(Vec::len);
    let shorter = folder.join("catalog.yaml");
    let text = std::fs::read_to_string(fixture("catalog.yaml")).expect("the fixture is there");
    let parts: Vec<&str> = text
        .split("---\n")
        .filter(|part| !part.contains("name: orders-db") && !part.contains("Dragon"))
        .collect();
    std::fs::write(&shorter, parts.join("---\n")).expect("the folder is writable");
    let told = tool.json(&["import", &path(&shorter)], 0);
    assert_eq!(told["imported"][0]["gone"], 1, "{told:#}");
    assert!(!tool.names(&["list"]).contains(&"orders-db".to_owned()));
    assert_eq!(tool.json(&["list", "--all"], 0)["items"].as_array().map(Vec::len), before);
    let diff = tool.says(&["diff", "1h"]);
    assert!(diff.contains("storefront") || diff.contains("Storefront"), "{diff}");

    for (name, begins) in [
        ("map.html", "<!DOCTYPE html>"),
        ("map.svg", "<svg"),
        ("map.dot", "digraph"),
        ("map.mmd", "flowchart"),
        ("map.graphml", "<?xml"),
        ("map.cyjs", "{"),
        ("map.json", "{"),
        ("map.csv", "id,name,kind"),
        ("map.relations.csv", "relation,from"),
    ] {
        let file = folder.join(name);
        tool.says(&["export", &path(&file)]);
        let text = std::fs::read_to_string(&file).expect("it was written");
        assert!(text.starts_with(begins), "{name}: {}", text.chars().take(80).collect::<String>());
    }
    // The table goes into another database with the mapping that was exported for it.
    let mapping = folder.join("map.mapping.json");
    tool.says(&["export", "--format", "csv-mapping", &path(&mapping)]);
    let other = Tool { program: tool.program.clone(), db: folder.join("other.db") };
    other.json(&["import", &path(&folder.join("map.csv")), "--mapping", &path(&mapping)], 0);
    let mut lists = [tool.names(&["list"]), other.names(&["list"])];
    lists.iter_mut().for_each(|names| names.sort());
    let loose = lists[1].iter().filter(|name| !lists[0].contains(name)).count();
    assert_eq!(
        loose, 2,
        "the two teams of the table are only referred to, and items of their own over there"
    );
    assert!(lists[0].iter().all(|name| lists[1].contains(name)));
    tool.refuses(&["export", &path(&folder.join("map.png"))], "give --format");
}

#[test]
fn bad_files_are_refused_with_their_place_and_change_nothing() {
    let folder = scratch("cmdb-refused");
    let Some(tool) = Tool::new(&folder) else { return };
    let write = |name: &str, text: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, text).expect("the folder is writable");
        path(&file)
    };
    tool.json(&["import", &fixture("shop.cdx.json")], 1);
    let before = tool.says(&["list", "--all"]);
    let good = fixture("catalog.yaml");
    let broken = write("broken.json", b"{\"bomFormat\": \"CycloneDX\",\n \"specVersion\": 1.5.5}");
    let old = write("old.json", b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"0.9\"}");
    let latin = write("latin.csv", b"Asset\n\xe4\n");
    let unknown = write("letter.txt", b"Dear all,\n");
    let mapping = fixture("assets.map.yaml");
    let rules =
        write("rules.yaml", b"name: mine\nversion: '1'\nkinds:\n  host: {title: A host, leese: 1h}\n");
    for (args, says) in [
        (&["import", &good, &broken][..], "broken.json:2: column 17"),
        (&["import", &old], "specVersion: cyclonedx version `0.9` is not known"),
        (&["import", &latin], "a table needs a mapping"),
        (&["import", &latin, "--mapping", &mapping], "latin.csv:2: byte 6 is not UTF-8"),
        (&["import", &unknown], "its format is not known"),
        (&["import", &good, "--mapping", &rules], "rules.yaml:1"),
        (&["import", "/nowhere/file"], "/nowhere/file"),
        (&["--rules", &rules, "list"], "rules.yaml: kinds.host: unknown field `leese`"),
        (&["trial", &rules], "rules.yaml: kinds.host: unknown field `leese`"),
        (&["trial", &broken], "broken.json: line 2 column 20"),
    ] {
        tool.refuses(args, says);
    }
    assert_eq!(tool.says(&["list", "--all"]), before);
}

#[test]
fn rules_are_printed_changed_and_tried() {
    let folder = scratch("cmdb-rules");
    let Some(tool) = Tool::new(&folder) else { return };
    tool.json(&["import", &fixture("netbox")], 0);
    tool.json(&["import", &fixture("assets.csv"), "--mapping", &fixture("assets.map.yaml")], 1);
    let mut rules: Value = serde_json::from_str(&tool.says(&["rules"])).expect("rules are JSON");
    let file = folder.join("rules.json");
    let write = |rules: &Value| std::fs::write(&file, rules.to_string()).expect("the folder is writable");
    write(&rules);
    let same = tool.json(&["trial", &path(&file)], 0);
    assert_eq!((&same["joined"]["count"], &same["parted"]["count"]), (&Value::from(0), &Value::from(0)));
    // Neither serial numbers nor asset tags nor names identify: what the table and NetBox both have falls apart.
    for kind in ["serial", "asset_tag", "fqdn", "host_name"] {
        rules["identity"]["keys"][kind] = serde_json::json!({ "at_most": "ambient" });
    }
    write(&rules);
    let tried = tool.json(&["trial", &path(&file)], 0);
    assert_eq!(tried["parted"]["count"], 2, "{tried:#}");
    assert_eq!(tried["items"]["candidate"].as_u64(), tried["items"]["now"].as_u64().map(|now| now + 2));
    assert!(tool.says(&["trial", &path(&file)]).contains("2 would be parted"));
    let by = |args: &[&str]| tool.json(args, 0)["items"].as_array().map(Vec::len);
    assert_eq!(by(&["--rules", &path(&file), "list"]), by(&["list"]).map(|now| now + 2));
    assert!(tool.says(&["rules", "--kinds"]).contains("device.switch"));
}

#[test]
fn a_killed_import_leaves_a_whole_file() {
    let folder = scratch("cmdb-kill");
    let Some(tool) = Tool::new(&folder) else { return };
    let mapping = folder.join("map.yaml");
    std::fs::write(&mapping, "items:\n - {kind: host, id: Id, attributes: {host.name: Id, name: Id}}\n")
        .expect("writable");
    let rows = |count: usize| -> String {
        std::iter::once("Id\n".to_owned()).chain((0..count).map(|row| format!("host-{row}\n"))).collect()
    };
    let small = folder.join("small.csv");
    std::fs::write(&small, rows(10)).expect("writable");
    tool.json(&["import", &path(&small), "--mapping", &path(&mapping), "--source", "small"], 0);
    let large = folder.join("large.csv");
    std::fs::write(&large, rows(4_000)).expect("writable");
    let args = ["import", &path(&large), "--mapping", &path(&mapping), "--source", "large"];
    // It is killed as soon as the file's log grows: while it writes, or just after.
    let log = folder.join("cmdb.db-wal");
    let process = tool.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = Running(process.expect("a built tool starts"));
    let _ = eventually(PATIENCE, || {
        let written = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        let ended = process.0.try_wait().ok().flatten().is_some();
        (written || ended).then_some(())
    });
    drop(process);
    let there = tool.names(&["list", "--kind", "host"]).len();
    assert!(there == 10 || there == 4_010, "all of it or nothing: {there}");
    tool.json(&args, 0);
    assert_eq!(tool.names(&["list", "--kind", "host"]).len(), 4_010);
}

#[test]
fn what_is_alike_is_folded_unless_all_is_wanted() {
    let folder = scratch("cmdb-folded");
    let Some(tool) = Tool::new(&folder) else { return };
    let meta = |name: &str| format!("apiVersion: backstage.io/v1alpha1\nmetadata:\n  name: {name}\n");
    let mut catalog = format!("{}kind: Resource\nspec:\n  type: database\n  owner: t\n", meta("db"));
    for number in 10..22 {
        let spec = "  type: service\n  lifecycle: production\n  owner: t\n  dependsOn: ['resource:db']\n";
        catalog.push_str(&format!("---\n{}kind: Component\nspec:\n{spec}", meta(&format!("part-{number}"))));
    }
    let file = folder.join("catalog.yaml");
    std::fs::write(&file, catalog).expect("the folder is writable");
    tool.run(&["import", &file.to_string_lossy()]);

    let told = |args: &[&str]| String::from_utf8(tool.run(args).stdout).expect("it prints text");
    for command in [&["impact", "db"][..], &["show", "db"]] {
        let (few, all) = (told(command), told(&[command, &["--all"]].concat()));
        assert!(few.contains("and 2 more") && few.contains("part-19"), "{command:?}: {few}");
        assert!(!few.contains("part-20"), "{command:?}: {few}");
        assert!(all.contains("part-20") && all.contains("part-21"), "{command:?}: {all}");
        assert!(!all.contains(" more"), "{command:?}: {all}");
    }
    let whole = tool.json(&["impact", "db"], 1);
    assert_eq!(whole["down"].as_array().map(Vec::len), Some(12), "{whole}");
}
