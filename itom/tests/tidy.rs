//! The rules of the house that a test can hold. Each failure says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 6] = ["itom", "itom-core", "itom-collect", "itom-metrics", "itom-cmdb", "itom-alert"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The workspace's members as its manifest lists them.
fn members() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let list = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.expect("`members = [...]` in the root manifest");
    list.split('"').skip(1).step_by(2).map(String::from).collect()
}

/// Every `.rs` file below a folder, with its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, read(&path)));
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(String, String)> {
    members().iter().flat_map(|member| sources(member)).collect()
}

/// The names of our crates in every dependency table of a manifest.
fn own_dependencies(member: &str) -> BTreeSet<String> {
    let manifest = read(&root().join(member).join("Cargo.toml"));
    let mut in_table = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            in_table = table.contains("dependencies");
            // `[dependencies.itom-core]`
            if let Some((_, name)) = table.trim_end_matches(']').rsplit_once("dependencies.") {
                found.insert(name.to_owned());
            }
        } else if in_table {
            let name: String =
                line.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
            found.insert(name);
        }
    }
    found.retain(|name| name == "itom" || name.starts_with("itom-"));
    found
}

fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

#[test]
fn siblings_do_not_depend_on_each_other() {
    for member in members() {
        let allowed: &[&str] = match member.as_str() {
            "itom-core" => &[],
            "itom" => &LIBRARIES,
            "examples" | "benches" => &["itom"],
            _ => &["itom-core"],
        };
        for dependency in own_dependencies(&member) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{member} depends on {dependency}; it may use {allowed:?}: move the shared noun or port to itom-core"
            );
        }
    }
    assert!(own_dependencies("itom").len() >= 5, "the manifests are not read as they are written");
}

#[test]
fn the_wall_clock_is_read_in_one_file() {
    for (path, text) in LIBRARIES.iter().flat_map(|library| sources(&format!("{library}/src"))) {
        if path == "itom-core/src/time/system.rs" {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            for banned in ["SystemTime::now", "Instant::now", "Utc::now", "Local::now"] {
                assert!(
                    !code(line).contains(banned),
                    "{path}:{}: {banned}; engines are told the time, drivers hold an `itom_core::Clock`",
                    index + 1
                );
            }
        }
    }
}

#[test]
fn nothing_is_unsafe() {
    // Put together here, so that this file does not find itself.
    let word = ["un", "safe"].concat();
    for (path, text) in all_sources() {
        for (index, line) in text.lines().enumerate() {
            let blocks = ["{", "fn ", "impl ", "extern"].map(|after| format!("{word} {after}"));
            let found = blocks.iter().any(|block| code(line).contains(block.as_str()));
            assert!(!found, "{path}:{}: {word} code; use a crate that wraps it", index + 1);
        }
    }
    assert!(read(&root().join("Cargo.toml")).contains("unsafe_code = \"forbid\""));
}

#[test]
fn files_are_small() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(lines <= 700, "{path} has {lines} lines, at most 700: give each of its subjects a file");
    }
}

#[test]
fn every_crate_takes_the_lints() {
    for member in members() {
        let manifest = read(&root().join(&member).join("Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{member}/Cargo.toml: add `[lints]` with `workspace = true`"
        );
    }
}

#[test]
fn lints_are_silenced_with_a_reason() {
    let bare = ["#[al", "low("].concat();
    let inner = ["#![al", "low("].concat();
    for (path, text) in all_sources() {
        for (index, line) in text.lines().enumerate() {
            assert!(
                !code(line).contains(&bare) && !code(line).contains(&inner),
                "{path}:{}: write `#[expect(lint, reason = \"...\")]`",
                index + 1
            );
        }
    }
}

#[test]
fn the_readme_states_facts() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else { return };
    let manifest = read(&root().join("Cargo.toml"));
    let version = manifest.split_once("rust-version = \"").and_then(|(_, rest)| rest.split_once('"'));
    let (version, _) = version.expect("`rust-version` in the root manifest");
    assert!(readme.contains(version), "README.md: say that Rust {version} is needed");
    for name in LIBRARIES {
        assert!(readme.contains(&format!("`{name}`")), "README.md: list the crate `{name}`");
    }
    for command in ["cargo run --release --example console", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md: show the command `{command}`");
    }
}

#[test]
fn extension_traits_have_an_example() {
    let files = all_sources();
    for name in ["Collector", "Listener", "Notifier", "Store", "Action", "Transport"] {
        let definition = format!("pub trait {name}:");
        if !files.iter().any(|(_, text)| text.contains(&definition)) {
            continue;
        }
        let implementation = format!("impl {name} for ");
        let shown = files.iter().any(|(path, text)| {
            text.lines().any(|line| {
                let line = line.trim_start();
                match line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
                    Some(doc) => doc.contains(&implementation),
                    None => path.starts_with("examples/") && line.contains(&implementation),
                }
            })
        });
        assert!(shown, "trait {name}: implement it in a doc example or in examples/, so that people see how");
    }
}

/// Public types of the vocabulary that serialize, as their sources declare them.
fn serialized_types() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, text) in sources("itom-core/src") {
        let (mut derives, mut in_macro) = (false, false);
        for line in text.lines().map(str::trim) {
            let mut name = None;
            if let Some(rest) = line.strip_prefix("impl Serialize for ") {
                name = rest.split(' ').next();
            } else if line.starts_with("#[derive(") {
                derives = line.contains("Serialize");
            } else if line == "name_type! {" || line == "id_type! {" {
                in_macro = true;
            } else if in_macro && !line.starts_with("///") {
                in_macro = false;
                name = line.split(',').next();
            } else if let Some(rest) =
                line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
            {
                if derives {
                    name = rest.split([' ', '(', '<', '{', ';']).next();
                }
                derives = false;
            } else if line.starts_with("struct ") || line.starts_with("enum ") {
                derives = false;
            }
            if let Some(name) = name.filter(|name| !name.starts_with('$')) {
                found.insert(name.to_owned(), path.clone());
            }
        }
    }
    found
}

#[test]
fn wire_formats_have_golden_files() {
    let types = serialized_types();
    let golden: BTreeSet<String> = fs::read_dir(root().join("itom-core/tests/golden"))
        .expect("itom-core/tests/golden")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let json = path.extension().is_some_and(|extension| extension == "json");
            json.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
        })
        .collect();
    for (name, path) in &types {
        assert!(
            golden.contains(name),
            "{path}: {name} serializes; add it to itom-core/tests/golden.rs and run it with ITOM_BLESS=1"
        );
    }
    for name in &golden {
        assert!(
            types.contains_key(name),
            "golden/{name}.json: no such type serializes any more; remove the file"
        );
    }
    assert!(types.len() > 30, "the sources are not read as they are written");
}

#[test]
fn the_tests_that_hold_the_invariants_exist() {
    let architecture = read(&root().join("ARCHITECTURE.md"));
    let sources = all_sources();
    let (_, table) = architecture.split_once("## Invariants").expect("ARCHITECTURE.md lists the invariants");
    for name in table.split('`').skip(1).step_by(2) {
        let prefix = name.trim_end_matches('…');
        if !prefix.contains('_')
            || !prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            continue;
        }
        let (start, whole) = (format!("fn {prefix}"), format!("fn {prefix}("));
        let wanted = if prefix == name { &whole } else { &start };
        assert!(
            sources.iter().any(|(_, text)| text.contains(wanted.as_str())),
            "ARCHITECTURE.md: there is no test `{name}`; name the one that holds the invariant"
        );
    }
}
