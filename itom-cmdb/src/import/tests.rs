//! The readers against `serde_json`, and any bytes into every importer.

use proptest::prelude::*;
use serde_json::Value;

use super::tree::{Data, Node};
use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn shape(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Int(value) => Value::from(*value),
        Data::Float(value) => Value::from(*value),
        Data::Text(text) => Value::from(text.as_str()),
        Data::List(list) => list.iter().map(shape).collect(),
        Data::Map(fields) => fields.iter().map(|(name, node)| (name.clone(), shape(node))).collect(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |own| own.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..24)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn read(text: &str) -> Result<Node, String> {
    json::read(text, &Limits::default())
        .map_err(|refusal| format!("{}:{}: {}", refusal.line, refusal.column, refusal.problem))
}

/// Every node of a tree, with its own way to it.
fn ways(node: &Node, way: &str, all: &mut Vec<(u32, String)>) {
    all.push((node.number, way.to_owned()));
    for (index, child) in node.list().iter().enumerate() {
        ways(child, &format!("{way}[{index}]"), all);
    }
    for (name, child) in node.fields() {
        let name: String = name.chars().take(80).collect();
        let dot = if way.is_empty() { "" } else { "." };
        ways(child, &format!("{way}{dot}{name}"), all);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_serde_json_reads_it(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("a value is written");
        let node = read(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(shape(&node), value);
        let mut all = Vec::new();
        ways(&node, "", &mut all);
        for (number, way) in all {
            prop_assert_eq!(node.path_to(number), way);
        }
    }

    /// What the one refuses the other does, but for names that stand twice and what is too large.
    #[test]
    fn l10_any_text_is_json_for_both_or_for_none(text in r#"([\[\]{}:,"\\0-9eE.+-]|true|false|null|u[0-9a-f]{0,4}|[ \n]|[a-z]|é){0,24}"#) {
        match (read(&text), serde_json::from_str::<Value>(&text)) {
            (Ok(node), Ok(value)) => prop_assert_eq!(shape(&node), value),
            (Err(_), Err(_)) => {}
            (Err(why), Ok(_)) if why.contains("stands here twice") => {}
            (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs),
        }
    }

    #[test]
    fn l10_any_bytes_into_any_importer(bytes in prop::collection::vec(any::<u8>(), 0..400), format in 0..6_usize) {
        take(&bytes, Format::ALL[format]);
    }

    #[test]
    fn l10_documents_with_wounds_are_survived(
        which in 0..SAMPLES.len(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let (format, sample) = SAMPLES[which];
        let mut bytes = sample.to_vec();
        for (at, byte, how) in wounds {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() { bytes.push(byte); }
        }
        take(&bytes, format);
    }

    #[test]
    fn l10_any_text_is_a_mapping_or_refused(text in r"(items|relations|kind|id|:|-|\{|\}|\[|\]|,| |\n|a|host){0,40}") {
        let _ = Mapping::from_yaml("m.yaml", &text);
    }
}

const SAMPLES: &[(Format, &[u8])] = &[
    (Format::CycloneDx, include_bytes!("../../tests/data/shop.cdx.json")),
    (Format::CycloneDx, include_bytes!("../../tests/data/shop.cdx.xml")),
    (Format::Spdx, include_bytes!("../../tests/data/shop.spdx")),
    (Format::Spdx, include_bytes!("../../tests/data/shop.spdx3.json")),
    (Format::Backstage, include_bytes!("../../tests/data/catalog.yaml")),
    (Format::NetBox, include_bytes!("../../tests/data/netbox/devices.json")),
    (Format::NetBox, include_bytes!("../../tests/data/netbox/ip-addresses.json")),
    (Format::Csv, include_bytes!("../../tests/data/assets.csv")),
    (Format::Otel, include_bytes!("../../tests/data/entities.otlp.json")),
];

/// Takes anything in; what comes out is bounded, and the rest of the library takes it.
fn take(bytes: &[u8], format: Format) {
    let mapping =
        Mapping::from_yaml("m", include_str!("../../tests/data/assets.map.yaml")).expect("it is sound");
    let document = Document::new("document", bytes);
    let options = Options::new(NOW).mapping(mapping);
    let _ = import(&[document], &options);
    if let Ok(all) = import(&[document], &options.format(format)) {
        for imported in all {
            assert!(imported.remarks.len() <= Limits::default().remarks);
            assert!(imported.batch.taken_at() <= NOW, "nothing is from the future");
            let mut cmdb = crate::Cmdb::new(crate::CmdbConfig::default());
            let facts = cmdb.plan(&imported.batch, NOW);
            cmdb.ingest(facts);
        }
    }
}

#[test]
fn places_are_those_of_the_text() {
    let node = read("{\n  \"a\": [1,\n 2],\n  \"b\": {\"c\": \"x\"}\n}").expect("it is JSON");
    let two = node.get("a").and_then(|a| a.list().get(1)).expect("it is there");
    assert_eq!((two.line, node.path_to(two.number)), (3, "a[1]".to_owned()));
    let inner = node.at(&["b", "c"]).expect("it is there");
    assert_eq!((inner.line, node.path_to(inner.number)), (4, "b.c".to_owned()));
    for (text, at) in [
        ("{\n  \"a\": tru\n}", "2:8: expected `true`"),
        ("{\"a\": 1,}", "1:9: expected a name in quotes, found `}`"),
        ("[1 2]", "1:4: expected `,` or `]`, found `2`"),
        ("[1]\nx", "2:1: something follows the end of the document"),
        ("{\"a\": 1, \"a\": 2}", "1:13: the name `a` stands here twice"),
        ("01", "1:1: this is not a number"),
        ("[1e999]", "1:2: the number is too large"),
        ("\"\\ud800\"", "1:8: half of a surrogate pair is no character"),
        ("", "1:1: expected a value, found the end"),
    ] {
        assert_eq!(read(text).expect_err(text), at);
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    let options = Options::new(NOW);
    for (format, open, close) in
        [(Format::CycloneDx, "[", "]"), (Format::Backstage, "[", "]"), (Format::Backstage, "{a: ", "}")]
    {
        let text = format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        let refused = import(&[Document::new("deep", text.as_bytes())], &options.clone().format(format));
        let refused = refused.expect_err("it is too deep");
        assert!(matches!(refused.problem, Problem::TooLarge { .. } | Problem::Syntax(_)), "{refused}");
    }
    let deep = "- ".repeat(100_000);
    import(&[Document::new("deep", deep.as_bytes())], &options.clone().format(Format::Backstage))
        .expect_err("too deep");
    let small = Options { limits: Limits::default().bytes(10), ..options.clone() };
    let refused = import(&[Document::new("long", &[b' '; 11])], &small).expect_err("it is too long");
    assert_eq!(refused.to_string(), "long: it has more than 10 bytes; split it, or raise the limit");

    // An alias that stands for another one, many times over.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    import(&[Document::new("bomb", bomb.as_bytes())], &options.format(Format::Backstage))
        .expect_err("it is too large");
}

#[test]
fn a_full_draft_says_so_and_completes_nothing() {
    let rows: String = (0..20).map(|row| format!("A-{row};Server;n{row};;;;;;\n")).collect();
    let table = format!("Asset;Type;Name;Serial;RAM (GB);Bought;Rack;Owner;Note\n{rows}");
    let mapping =
        Mapping::from_yaml("m", include_str!("../../tests/data/assets.map.yaml")).expect("it is sound");
    let options = Options::new(NOW).mapping(mapping).limits(Limits::default().items(5));
    let all = import(&[Document::new("assets.csv", table.as_bytes())], &options).expect("it is read");
    let [imported] = all.as_slice() else { panic!("one table") };
    assert_eq!(imported.batch.items().len(), 5);
    assert_eq!(imported.count(Verdict::Refused), 1, "{:?}", imported.remarks);
    assert!(imported.batch.coverage().complete_scopes().is_empty());
}
