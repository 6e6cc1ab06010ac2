//! Bills of materials that real tools wrote.

use std::collections::BTreeSet;
use std::path::PathBuf;

use itom_cmdb::import::{Document, Format, Options, import};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{Observation, Timestamp, kind};
use serde_json::Value;

fn samples() -> Option<Vec<PathBuf>> {
    let root = std::env::var_os("ITOM_CONFORMANCE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = std::fs::read_dir(root.join("samples/sbom")).ok()?;
    let mut files: Vec<PathBuf> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Some(files)
}

/// Packages and dependencies, counted by somebody else.
fn counted(document: &Value) -> (usize, usize) {
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    if document["bomFormat"] == "CycloneDX" {
        let own = usize::from(document["metadata"]["component"].is_object());
        let pairs: BTreeSet<(String, String)> = list("dependencies")
            .iter()
            .flat_map(|node| {
                let needs = node["dependsOn"].as_array().cloned().unwrap_or_default();
                let from = node["ref"].to_string();
                needs.into_iter().map(move |to| (from.clone(), to.to_string()))
            })
            .collect();
        (list("components").len() + own, pairs.len())
    } else {
        let pairs: BTreeSet<String> = list("relationships")
            .iter()
            .filter(|node| node["relationshipType"] == "DEPENDENCY_OF")
            .map(|node| format!("{} {}", node["spdxElementId"], node["relatedSpdxElement"]))
            .collect();
        (list("packages").len(), pairs.len())
    }
}

#[test]
fn conformance_sbom_every_sample_is_imported_whole() {
    let Some(files) = samples() else {
        println!("skipped: there is no folder samples/sbom below $ITOM_CONFORMANCE_DATA or ../shared/data");
        return;
    };
    assert!(!files.is_empty(), "the folder is empty");
    let now = Timestamp::from_secs(1_800_000_000);
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut npm = Vec::new();
    for file in &files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let bytes = std::fs::read(file).expect("it can be read");
        let mut all =
            import(&[Document::new(&name, &bytes)], &Options::new(now)).unwrap_or_else(|e| panic!("{e}"));
        let imported = all.remove(0);
        assert!(imported.remarks.is_empty(), "{name}: {:?}", imported.remarks);
        let (packages, needs) = counted(&serde_json::from_slice(&bytes).expect("it is JSON"));
        let items = imported.batch.items();
        let taken = items.iter().filter(|own| matches!(own, Observation::Ci(_))).count();
        assert_eq!((imported.entries, taken), (packages, packages), "{name}");
        let relations = items.len() - taken;
        assert!(relations >= needs, "{name}: {relations} relations of {needs} dependencies");
        assert!(!imported.batch.coverage().complete_scopes().is_empty(), "{name}");
        if name.starts_with("npm") {
            npm.push((imported.format, packages));
        }
        let facts = cmdb.plan(&imported.batch, now);
        cmdb.ingest(facts);
    }
    // One project in both formats is one set of packages.
    if let [(Format::CycloneDx, one), (Format::Spdx, other)] = npm.as_slice() {
        assert_eq!(one, other);
        let view = cmdb.view();
        let both = view.by_kind(&kind::SOFTWARE).into_iter().filter(|ci| ci.sources().len() == 2).count();
        assert_eq!(both, *one);
    }
}
