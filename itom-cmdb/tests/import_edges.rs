//! Importers at the edges of documents: what is passed over, what is refused, and what is kept of it.

use std::collections::BTreeMap;

use itom_cmdb::import::{Document, Format, Imported, Limits, Mapping, Options, Verdict, import};
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

#[test]
fn xml_is_bounded() {
    let within = |depth: usize| {
        let open = "<component><name>a</name><components>".repeat(depth);
        let close = "</components></component>".repeat(depth);
        format!(
            "<bom xmlns='http://cyclonedx.org/schema/bom/1.6'><components>{open}{close}</components></bom>"
        )
    };
    let take = |text: &str| import(&[Document::new("a.xml", text.as_bytes())], &Options::new(NOW));
    assert!(take(&within(20)).is_ok());
    let refused = take(&within(100_000)).expect_err("far too deep").to_string();
    assert!(refused.contains("levels within each other"), "{refused}");
    let mut limits = Limits::default();
    limits.values = 50;
    let few = Options::new(NOW).limits(limits);
    let text = within(20);
    let refused = import(&[Document::new("a.xml", text.as_bytes())], &few).expect_err("too many").to_string();
    assert!(refused.contains("values"), "{refused}");
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    let options = Options::new(NOW);
    let cases: &[(&str, &[u8], Option<Format>, &str)] = &[
        (
            "a.json",
            b"{\"bomFormat\": \"CycloneDX\",\n \"specVersion\": \"9.0\"}",
            None,
            "a.json:2: specVersion: cyclonedx version `9.0` is not known; 1.2 to 1.7 are",
        ),
        (
            "a.json",
            b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\",\n \"components\": 3}",
            None,
            "a.json:2: components: `components` should be a list and is a number",
        ),
        (
            "a.xml",
            b"<?xml version='1.0'?>\n<bom xmlns='http://cyclonedx.org/schema/bom/9.0'/>",
            None,
            "a.xml:2: specVersion: cyclonedx version `9.0` is not known; 1.2 to 1.7 are",
        ),
        (
            "a.xml",
            b"<!DOCTYPE bom [<!ENTITY a 'aaaa'>]>\n<bom xmlns='http://cyclonedx.org/schema/bom/1.6'>&a;</bom>",
            None,
            "a.xml:1: column 1: XML with DTD detected",
        ),
        (
            "a.xml",
            b"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'>\n<components></bom>",
            None,
            "a.xml:2: column 13: expected 'components' tag, not 'bom' at 2:13",
        ),
        (
            "a.xml",
            b"<html xmlns='http://cyclonedx.org/schema/bom/1.6'/>",
            None,
            "a.xml:1: `bomFormat` should be `CycloneDX`",
        ),
        (
            "a.json",
            b"{\"spdxVersion\": \"SPDX-1.0\"}",
            None,
            "a.json:1: spdxVersion: spdx version `SPDX-1.0` is not known",
        ),
        (
            "a.json",
            b"{\"bomFormat\": \"CycloneDX\",\n\n \"specVersion\" \"1.5\"}",
            None,
            "a.json:3: column 16: expected `:`",
        ),
        ("a.yaml", b"kind: X\nmetadata: [\nspec: {}\n", Some(Format::Backstage), "a.yaml:"),
        ("a.bin", b"\x00\x01\x02", None, "a.bin: its format is not known"),
        (
            "a.json",
            b"{\"bomFormat\": \"CycloneDX\",\n\"x\": \"\xff\"}",
            None,
            "a.json:2: byte 33 is not UTF-8",
        ),
        ("a.csv", b"a,b\n", None, "a.csv: a table needs a mapping"),
        ("a.json", b"[1]", Some(Format::Otel), "a.json:1: `resourceLogs` should be a list"),
        ("a.spdx", b"SPDXVersion: SPDX-2.3\nno tag here\n", None, "a.spdx:2: expected `Tag: value`"),
    ];
    for (name, text, format, says) in cases {
        let options = format.map_or_else(|| options.clone(), |format| options.clone().format(format));
        let refused = import(&[Document::new(name, text)], &options).expect_err(says).to_string();
        assert!(refused.starts_with(says), "`{says}` is missing in: {refused}");
    }
}
