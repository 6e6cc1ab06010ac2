//! Importers at the edges of documents: what is passed over, what is refused, and what is kept of it.

use std::collections::BTreeMap;

use itom_cmdb::import::{Document, Format, Imported, Mapping, Options, Verdict, import};
use itom_core::{Batch, Observation, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_764_000_000);

/// What the remarks are, as people read them.
fn remarks(imported: &Imported) -> Vec<String> {
    imported.remarks.iter().map(ToString::to_string).collect()
}

fn items(batch: &Batch) -> BTreeMap<&str, &itom_core::CiObservation> {
    let named = batch.items().iter().filter_map(|own| match own {
        Observation::Ci(ci) => Some((ci.subject.as_str(), ci)),
        _ => None,
    });
    named.collect()
}

fn of_text(name: &str, text: &str, options: &Options) -> Imported {
    let mut all =
        import(&[Document::new(name, text.as_bytes())], options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

#[test]
fn a_template_of_a_catalogue_is_passed_over_whatever_its_version() {
    let text = "apiVersion: scaffolder.backstage.io/v1beta3\nkind: Template\nmetadata: {name: new-service}\n---\n\
                apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: shop}\nspec: {type: service}\n";
    let imported = of_text("catalog-info.yaml", text, &Options::new(NOW));
    assert_eq!(
        (imported.count(Verdict::Ignored), imported.count(Verdict::Refused)),
        (1, 0),
        "{:?}",
        remarks(&imported)
    );
    assert!(items(&imported.batch).contains_key("component:default/shop"));
}

#[test]
fn a_refusal_is_kept_however_many_other_remarks_there_are() {
    let template = "apiVersion: backstage.io/v1\nkind: Template\nmetadata: {name: t}\n---\n";
    let dragon = "apiVersion: backstage.io/v1\nkind: Dragon\nmetadata: {name: smaug}\n";
    let text = format!("{}{dragon}", template.repeat(5));
    let mut options = Options::new(NOW);
    options.limits = options.limits.remarks(3);
    let imported = of_text("catalog-info.yaml", &text, &options);
    assert_eq!((imported.remarks.len(), imported.more_remarks), (3, 3));
    assert_eq!(imported.count(Verdict::Refused), 1);
    assert_eq!(imported.batch.faults().len(), 1);
}

#[test]
fn a_reference_of_two_packages_is_refused_and_one_of_a_package_listed_twice_is_not() {
    let document = |second: &str| {
        format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":[
            {{"type":"library","bom-ref":"a","name":"left","version":"1","purl":"pkg:npm/left@1"}},
            {{"type":"library","bom-ref":"a","name":"x","version":"1","purl":"{second}"}}]}}"#
        )
    };
    let same = of_text("shop.json", &document("pkg:npm/left@1"), &Options::new(NOW));
    assert_eq!((same.count(Verdict::Refused), same.count(Verdict::Duplicate)), (0, 1));
    let other = of_text("shop.json", &document("pkg:npm/right@1"), &Options::new(NOW));
    assert_eq!((other.count(Verdict::Refused), other.count(Verdict::Duplicate)), (1, 0));
}

#[test]
fn an_empty_list_is_a_list() {
    let text = r#"{"count":0,"next":null,"previous":null,"results":[]}"#;
    assert_eq!(Format::of(&Document::new("netbox/cables.json", text.as_bytes())), Some(Format::NetBox));
    assert_eq!(Format::of(&Document::new("anything.json", text.as_bytes())), None);
}

#[test]
fn lines_before_a_table_are_bounded_by_the_table_and_comments_say_nothing_of_it() {
    let mapping = |extra: &str| {
        let text = format!(
            "{extra}\nitems: [{{kind: host, id: '{{Asset}}', attributes: {{host.name: '{{Type}}'}}}}]\n"
        );
        Mapping::from_yaml("map.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
    };
    let options = |extra: &str| Options::new(NOW).mapping(mapping(extra));
    let table = "# exported, by tool, 2024\nAsset;Type\n1;web\n";
    let imported = of_text("assets.csv", table, &options("comment: '#'"));
    assert_eq!(items(&imported.batch).len(), 1, "{:?}", remarks(&imported));
    let all =
        import(&[Document::new("assets.csv", table.as_bytes())], &options("skip_lines: 9000000000000000000"));
    assert!(all.is_err(), "nothing is left of it");
}
