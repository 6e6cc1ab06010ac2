//! Property tests of the vocabulary.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::time::{format_duration, parse_duration};
use itom_core::*;
use proptest::prelude::*;

fn key_kinds() -> impl Strategy<Value = KeyKind> {
    prop::sample::select(key_kind::ALL)
}

/// Texts near what keys look like, and any text at all.
fn key_texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9a-fA-F:. -]{0,40}",
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "[ a-zA-Z.İΣß]{0,12}",
        "(TCP|udp):(10.0.0.1|\\[::ffff:1.2.3.4\\]|\\[FE80::1\\]):[0-9]{1,5}",
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let float = prop_oneof![any::<f64>(), Just(f64::NAN), Just(-f64::NAN), Just(-0.0), Just(0.0)];
    let leaf = prop_oneof![
        Just(Value::Unknown),
        Just(Value::NotApplicable),
        Just(Value::Withheld),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        float.prop_map(Value::from),
        "[a-c$]{0,3}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(|at| Timestamp::from_micros(at).into()),
    ];
    let names = prop_oneof![
        "[a-b$]{0,2}",
        prop::sample::select(vec!["$unknown", "$not_applicable", "$withheld", "$float", "$time", "$map"])
            .prop_map(String::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(names.clone().prop_map(Text::from), inner, 0..3).prop_map(Value::Map),
        ]
    })
}

fn intervals() -> impl Strategy<Value = Interval> {
    (0_i64..12, 0_i64..12)
        .prop_map(|(from, to)| Interval::new(Timestamp::from_micros(from), Timestamp::from_micros(to)))
}

proptest! {
    #[test]
    fn l10_keys_are_canonical_once(kind in key_kinds(), text in key_texts()) {
        if let Ok(key) = Key::new(kind.clone(), Realm::GLOBAL, &text, Strength::Issued) {
            let again = Key::new(kind, Realm::GLOBAL, key.value(), Strength::Issued);
            prop_assert_eq!(again, Ok(key));
        }
    }

    #[test]
    fn l10_any_key_reads_back(text in key_texts(), port in any::<u16>()) {
        let address = std::net::IpAddr::from([10, 0, 0, 1]);
        for key in [
            Key::fqdn(&text),
            Key::host_name(&text),
            Key::native(Realm::GLOBAL, &text),
            Key::endpoint(&text, address, port),
        ] {
            let json = serde_json::to_string(&key).expect("keys serialize");
            prop_assert_eq!(serde_json::from_str::<Key>(&json).expect("keys read back"), key);
        }
    }

    #[test]
    fn other_byte_order_is_its_own_inverse(bytes in any::<u128>()) {
        let text = format!("{bytes:032x}");
        let key = Key::smbios_uuid(&text).expect("a UUID");
        let other = key.other_byte_order().expect("an SMBIOS UUID");
        prop_assert_eq!(other.other_byte_order(), Some(key));
    }

    #[test]
    fn values_have_a_total_order(a in values(), b in values(), c in values()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        let mut sorted = [&a, &b, &c];
        sorted.sort();
        prop_assert!(sorted[0] <= sorted[2]);
        if a == b {
            prop_assert_eq!(a.stable_fingerprint(), b.stable_fingerprint());
            prop_assert_eq!(a.cmp(&c), b.cmp(&c));
        }
        prop_assert_eq!(&a, &a.clone());
    }

    #[test]
    fn l10_values_read_back(value in values()) {
        let json = serde_json::to_string(&value).expect("values serialize");
        let read: Value = serde_json::from_str(&json).expect("values read back");
        prop_assert_eq!(read.stable_fingerprint(), value.stable_fingerprint());
        prop_assert_eq!(read, value);
    }

    #[test]
    fn labels_do_not_depend_on_order(pairs in prop::collection::vec(("[a-d]", "[x-z]{0,1}"), 0..8)) {
        let labels = Labels::from_pairs(pairs.clone()).expect("valid names");
        let mut expected: BTreeMap<String, String> = pairs.into_iter().collect();
        expected.retain(|_, value| !value.is_empty());
        prop_assert_eq!(labels.len(), expected.len());
        let reversed = Labels::from_pairs(expected.iter().rev().map(|(n, v)| (n.as_str(), v.as_str())))
            .expect("valid names");
        prop_assert_eq!(&reversed, &labels);
        prop_assert_eq!(reversed.fingerprint(), labels.fingerprint());
        for (name, value) in &expected {
            prop_assert_eq!(labels.get(name), Some(value.as_str()));
        }
    }

    #[test]
    fn intervals_are_sets(a in intervals(), b in intervals(), c in intervals()) {
        prop_assert_eq!(a.intersection(b), b.intersection(a));
        prop_assert_eq!(a.intersection(b).intersection(c), a.intersection(b.intersection(c)));
        let points = || (-1..13).map(Timestamp::from_micros);
        for at in points() {
            prop_assert_eq!(a.intersection(b).contains(at), a.contains(at) && b.contains(at));
        }
        prop_assert_eq!(a.overlaps(b), points().any(|at| a.contains(at) && b.contains(at)));
        prop_assert_eq!(a.is_empty(), !points().any(|at| a.contains(at)));
        if !a.is_empty() && !b.is_empty() {
            let hull = Interval::new(a.from().min(b.from()), a.to().max(b.to()));
            let gapless = points().all(|at| hull.contains(at) == (a.contains(at) || b.contains(at)));
            prop_assert_eq!(a.joins(b), gapless);
        }
    }

    #[test]
    fn l10_times_read_back(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
        prop_assert_eq!(a.to_string().parse(), Ok(a));
        let (early, late) = (a.min(b), a.max(b));
        prop_assert_eq!(early + late.since(early), late);
        prop_assert_eq!(late - late.since(early), early);
        prop_assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn l10_usual_times_read_back(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
        let at = Timestamp::from_micros(micros);
        prop_assert!(at.to_string().ends_with('Z'));
        prop_assert_eq!(at.to_string().parse(), Ok(at));
    }

    #[test]
    fn l10_durations_read_back(micros in any::<u64>(), text in "[0-9]{0,3}(y|w|d|h|m|s|ms|us)?[0-9]{0,3}[dhms]{0,2}") {
        let span = Duration::from_micros(micros);
        prop_assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        if let Ok(span) = parse_duration(&text) {
            prop_assert_eq!(parse_duration(&format_duration(span)), Ok(span));
        }
    }

    #[test]
    fn l10_any_text_into_every_parser(text in any::<String>()) {
        let _ = parse_duration(&text);
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Severity>();
        let _ = text.parse::<CiId>();
        let _ = Severity::from_label(&text);
        macro_rules! names { ($($type:ident),*) => { $(
            if let Ok(name) = text.parse::<$type>() {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(!text.contains(char::is_whitespace) && !text.contains(char::is_control));
            }
        )* } }
        names!(CiKind, RelationKind, AttrName, KeyKind, SourceName, Realm);
        prop_assert_eq!(text.parse::<MetricName>().is_ok(), !text.is_empty() && text.len() <= 512);
        prop_assert_eq!(text.parse::<LabelName>().is_ok(), !text.is_empty() && text.len() <= 256);
    }

    #[test]
    fn l10_any_json_into_every_type(value in values(), text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let json = serde_json::to_string(&value).expect("values serialize");
        let end = cut.index(json.len() + 1);
        let cut = json.get(..end).unwrap_or("");
        for text in [text.as_str(), json.as_str(), cut] {
            let _ = serde_json::from_str::<Value>(text);
            let _ = serde_json::from_str::<Batch>(text);
            let _ = serde_json::from_str::<Observation>(text);
            let _ = serde_json::from_str::<Coverage>(text);
            let _ = serde_json::from_str::<Labels>(text);
            let _ = serde_json::from_str::<Interval>(text);
            let _ = serde_json::from_str::<Selector>(text);
            let _ = serde_json::from_str::<CiChange>(text);
        }
    }

    #[test]
    fn l4_a_full_batch_completes_nothing(limit in 0_usize..5, count in 0_usize..8, before in any::<bool>()) {
        let mut batch =
            Batch::with_limits(SourceName::literal("t"), Timestamp::EPOCH, BatchLimits::new(limit, 1));
        let coverage = || Coverage::new().complete(Scope::cis(kind::HOST));
        if before {
            batch.finish(coverage());
        }
        for index in 0..count {
            batch.ci(index.to_string(), kind::HOST).attr(attr::NAME, "x");
        }
        if !before {
            batch.finish(coverage());
        }
        prop_assert_eq!(batch.items().len(), count.min(limit));
        prop_assert_eq!(batch.dropped(), count.saturating_sub(limit) as u64);
        prop_assert_eq!(batch.coverage().covers_ci(&kind::HOST, None), count <= limit);
        let json = serde_json::to_string(&batch).expect("batches serialize");
        prop_assert_eq!(serde_json::from_str::<Batch>(&json).expect("batches read back"), batch);
    }

    #[test]
    fn l4_partial_wins_in_any_order(parts in prop::collection::vec((any::<bool>(), 0_usize..3, 0_usize..3), 0..6)) {
        let kinds = [kind::HOST, kind::HOST_LINUX, kind::DISK];
        let partitions = [None, Some("a"), Some("b")];
        let build = |parts: &[(bool, usize, usize)]| {
            parts.iter().fold(Coverage::new(), |coverage, (complete, kind, partition)| {
                let scope = Scope::cis(kinds[*kind].clone());
                let scope = match partitions[*partition] {
                    Some(partition) => scope.within(partition),
                    None => scope,
                };
                match complete {
                    true => coverage.complete(scope),
                    false => coverage.partial(scope, ErrorKind::Timeout, "slow"),
                }
            })
        };
        let coverage = build(&parts);
        let reversed: Vec<_> = parts.iter().rev().copied().collect();
        prop_assert_eq!(&build(&reversed), &coverage);
        for kind in &kinds {
            for partition in partitions {
                let says = |complete: bool| parts.iter().any(|(is, own, within)| {
                    *is == complete
                        && kind.is_a(&kinds[*own])
                        && (partitions[*within].is_none() || partitions[*within] == partition)
                });
                prop_assert_eq!(coverage.covers_ci(kind, partition), says(true) && !says(false));
            }
        }
    }
}

#[test]
fn well_known_names_are_valid() {
    for name in kind::ALL.iter().chain(event::ALL) {
        assert_eq!(CiKind::new(name.as_str()).as_ref(), Ok(name));
    }
    for name in relation::ALL {
        assert_eq!(RelationKind::new(name.as_str()).as_ref(), Ok(name));
    }
    for name in key_kind::ALL {
        assert_eq!(KeyKind::new(name.as_str()).as_ref(), Ok(name));
    }
    for name in attr::ALL {
        assert_eq!(AttrName::new(name.as_str()).as_ref(), Ok(name));
    }
    assert_eq!(Realm::new(Realm::GLOBAL.as_str()), Ok(Realm::GLOBAL));
}

#[test]
fn names_refuse_with_the_place() {
    assert_eq!(CiKind::new(""), Err(NameError::Empty { what: "configuration-item kind" }));
    for wrong in ["Host", "host.", ".host", "a..b", "a b", "h\u{f6}st"] {
        assert!(CiKind::new(wrong).is_err(), "{wrong}");
    }
    assert!(matches!(SourceName::new("a b"), Err(NameError::Character { at: 1, found: ' ', .. })));
}

#[test]
fn metric_and_label_names_are_utf8_and_tell_whether_they_need_quotes() {
    for (name, metric, label) in [
        ("up", true, true),
        ("a:b", true, false),
        ("9x", false, false),
        ("ins-tance", false, false),
        ("höhe", false, false),
    ] {
        assert_eq!(MetricName::new(name).map(|name| name.is_classic()), Ok(metric), "{name}");
        assert_eq!(LabelName::new(name).map(|name| name.is_classic()), Ok(label), "{name}");
    }
    assert!(LabelName::new("").is_err());
    let labels = Labels::from_pairs([("ins-tance", "a"), ("job", "b")]).expect("valid names");
    assert_eq!(labels.to_string(), r#"{"ins-tance"="a",job="b"}"#);
}

#[test]
fn severities_map() {
    for severity in Severity::ALL {
        assert_eq!(severity.as_str().parse(), Ok(severity));
        assert_eq!(Severity::from_label(severity.as_str()), Some(severity));
        assert!(severity.to_syslog() <= 7);
    }
    assert_eq!((0..=8).map(Severity::from_syslog).filter(Option::is_some).count(), 8);
    assert_eq!((0..=7).map(Severity::from_x733).filter(Option::is_some).count(), 6);
    // Worse is never a larger syslog code, among faults.
    assert!(Severity::ALL[1..].windows(2).all(|pair| pair[0].to_syslog() >= pair[1].to_syslog()));
}

#[test]
fn bad_keys_match_only_themselves_and_never_merge() {
    let long = |end: &str| Key::native(Realm::GLOBAL, &format!("{}{end}", "x".repeat(2_000)));
    assert_ne!(long("a"), long("b"));
    assert_eq!(long("a"), long("a"));
    assert_eq!(Key::fqdn("").strength(), Strength::Ambient);
    assert_eq!(Key::fqdn("a\0b").strength(), Strength::Ambient);
    assert!(Key::serial("12\u{7}34").is_err());
}

#[test]
fn equal_faults_are_one_line_also_among_many() {
    let mut batch = Batch::new(SourceName::literal("t"), Timestamp::EPOCH);
    for round in 0..3 {
        for index in 0..1_200 {
            batch.fault(format!("/proc/{index}"), ErrorKind::Denied, "not root");
        }
        assert_eq!(batch.faults().len(), 1_000);
        assert!(batch.faults().iter().all(|fault| fault.count == round + 1));
    }
    assert_eq!(batch.dropped(), 600);
}

#[test]
fn samples_that_are_nan_equal_themselves() {
    let mut batch = Batch::new(SourceName::literal("t"), Timestamp::EPOCH);
    batch.gauge(MetricName::literal("m"), f64::NAN);
    assert_eq!(batch, batch.clone());
}

#[test]
fn wrong_tags_say_which() {
    let error = serde_json::from_str::<Value>(r#"{"$flaot": "NaN"}"#).expect_err("an unknown tag");
    assert!(error.to_string().contains("$flaot"), "{error}");
    assert!(serde_json::from_str::<Value>(r#"{"$map": [1, 2]}"#).is_err());
    assert!(serde_json::from_str::<Value>("null").is_err());
}
