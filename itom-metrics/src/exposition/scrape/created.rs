//! `_created` lines of OpenMetrics: since when the counters beside them count.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::known::{KnownLine, What};
use crate::exposition::{FamilyKind, Format, Limits, Line, SeriesText, TextReader, family};

const SUFFIX: &str = "_created";

/// For each place of a series which `_created` line of the exposition is about it, counted from 0.
pub(super) type Links = Vec<Option<u32>>;

/// The family and kind that a line `# TYPE` says.
pub(super) fn said<'a>(line: &'a str, format: Format) -> Option<(Cow<'a, str>, FamilyKind)> {
    match TextReader::new(line, format, Limits::default()).ok()?.next_line().ok()? {
        Some(Line::Type { family, kind }) => Some((family, kind)),
        _ => None,
    }
}

/// Whether a text may be that of a `_created` line: what is cheap to know of each line.
pub(super) fn may_be(series: &str) -> bool {
    series.contains(SUFFIX)
}

/// Whether a line of a family is one of those that say since when it counts.
pub(super) fn is_of(family: &str, kind: FamilyKind, series: SeriesText<'_>) -> bool {
    matches!(kind, FamilyKind::Counter | FamilyKind::Histogram | FamilyKind::Summary)
        && series.name().strip_suffix(SUFFIX) == Some(family)
}

/// The labels that all series of one counter, histogram or summary share.
type Group<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn group<'a>(series: SeriesText<'a>, inner: Option<&str>) -> Group<'a> {
    let mut labels: Group<'a> = series.labels().filter(|(name, _)| inner != Some(name.as_ref())).collect();
    labels.sort();
    labels
}

/// Finds for each series of an exposition the `_created` line of the same labels, wherever in its family it stands. Of
/// several the first counts.
pub(super) fn links(text: &str, lines: &[KnownLine]) -> Links {
    let mut links = Links::new();
    let mut current: Option<(Cow<'_, str>, FamilyKind)> = None;
    let mut members: Vec<(u32, Group<'_>)> = Vec::new();
    let mut created: BTreeMap<Group<'_>, u32> = BTreeMap::new();
    let mut number = 0;
    let mut finish = |members: &mut Vec<(u32, Group<'_>)>, created: &mut BTreeMap<Group<'_>, u32>| {
        for (place, group) in members.drain(..) {
            let Some(found) = created.get(&group) else { continue };
            let place = place as usize;
            if links.len() <= place {
                links.resize(place + 1, None);
            }
            if let Some(link) = links.get_mut(place) {
                *link = Some(*found);
            }
        }
        created.clear();
    };
    for line in lines {
        let series = SeriesText(line.of(text));
        match line.what {
            What::Type => {
                finish(&mut members, &mut created);
                current = said(line.of(text), Format::OpenMetrics);
            }
            What::Created => {
                created.entry(group(series, None)).or_insert(number);
                number += 1;
            }
            What::Series(place) => {
                let Some((family, kind)) = &current else { continue };
                let name = series.name();
                if family::belongs(family, *kind, &name) {
                    let inner = match (kind, name.strip_prefix(family.as_ref())) {
                        (FamilyKind::Histogram, Some("_bucket")) => Some("le"),
                        (FamilyKind::Summary, Some("")) => Some("quantile"),
                        _ => None,
                    };
                    members.push((place, group(series, inner)));
                }
            }
            What::Other => {}
        }
    }
    finish(&mut members, &mut created);
    links
}

/// The time in milliseconds since the epoch that a value in seconds is, if a counter can have begun then.
pub(super) fn start_of(value: f64) -> Option<i64> {
    // Within what a time can be; NaN is not.
    const MOST: f64 = 1e15;
    let millis = (value * 1_000.0).round();
    (1.0..=MOST).contains(&millis).then_some(millis as i64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use itom_core::{Labels, is_stale_nan};
    use proptest::prelude::*;

    use super::*;
    use crate::exposition::tests::second;
    use crate::exposition::{ScrapeOptions, ScrapeReport, Scraper};
    use crate::{LabelMatcher, Queryable as _, SelectHints, SeriesStore, StoreConfig, TimeRange};

    /// Series by name and labels, with the start of each sample that is no marker; 0 where it is not known.
    type Starts = BTreeMap<String, Vec<i64>>;

    fn starts(store: &SeriesStore) -> Starts {
        let range = TimeRange { from: i64::MIN, to: i64::MAX };
        let named = LabelMatcher::new("__name__", itom_core::MatchOp::Regex, "f[0-9].*").unwrap();
        let found = store.select(&[named], range, &SelectHints::default()).unwrap();
        let of = |points: &crate::Points| {
            let start = |place: usize| points.float_starts.get(place).copied().unwrap_or(0);
            let live = points.floats.iter().enumerate().filter(|(_, point)| !is_stale_nan(point.v));
            live.map(|(place, _)| start(place)).collect()
        };
        found.iter().map(|one| (one.labels.to_string(), of(&one.samples))).collect()
    }

    fn scraper(created: bool) -> Scraper<SeriesStore> {
        Scraper::new(Labels::empty(), ScrapeOptions::default().created_timestamps(created))
    }

    fn scrape(
        scraper: &mut Scraper<SeriesStore>,
        store: &SeriesStore,
        at: i64,
        format: Format,
        body: &str,
    ) -> ScrapeReport {
        let report = scraper.store(store, second(at), Duration::from_millis(5), format, body.as_bytes());
        assert!(report.is_up(), "{report:?}");
        report
    }

    const BODY: &str = "# TYPE f1 counter\nf1_created{a=\"x\"} 1.69999999e9\nf1_total{a=\"x\"} 1\nf1_total{a=\"y\"} 2\n\
        # TYPE f2 histogram\nf2_bucket{a=\"x\",le=\"1\"} 1\nf2_bucket{a=\"x\",le=\"+Inf\"} 1\nf2_count{a=\"x\"} 1\nf2_sum{a=\"x\"} 1\n\
        f2_created{a=\"x\"} 1699999999.5\n\
        # TYPE f3 summary\nf3{quantile=\"0.5\"} 1\nf3_created 1699999980\nf3_count 1\n\
        # TYPE f4 gauge\nf4_created 5\n# TYPE f5 counter\nf5_total 1\nf4_created{b=\"x\"} 1\n# EOF\n";

    #[test]
    fn created_lines_are_starts_where_that_is_wanted() {
        let store = SeriesStore::new(StoreConfig::default());
        let mut with = scraper(true);
        for at in [0, 15] {
            let report = scrape(&mut with, &store, at, Format::OpenMetrics, BODY);
            assert_eq!((report.scraped, report.bad_starts), (11, 0));
        }
        let found: Vec<(String, i64)> =
            starts(&store).into_iter().map(|(name, starts)| (name, starts[1])).collect();
        let said = |name: &str| {
            let named = format!("{{__name__=\"{name}\"");
            let fit: Vec<i64> =
                found.iter().filter(|one| one.0.starts_with(&named)).map(|one| one.1).collect();
            fit
        };
        assert_eq!(said("f1_total"), [1_699_999_990_000, 0], "each label set has its own");
        for name in ["f2_bucket", "f2_count", "f2_sum"] {
            assert!(said(name).iter().all(|start| *start == 1_699_999_999_500), "{found:?}");
        }
        assert_eq!((said("f3"), said("f3_count")), (vec![1_699_999_980_000], vec![1_699_999_980_000]));
        // What is of no counter stays a series.
        assert_eq!(said("f4_created"), [0, 0]);
        assert!(["f1_created", "f2_created", "f3_created"].iter().all(|name| said(name).is_empty()));
        // Without the option, and in the format that has no such lines, they are series as all others.
        for (wanted, format) in [(false, Format::OpenMetrics), (true, Format::Text)] {
            let store = SeriesStore::new(StoreConfig::default());
            assert_eq!(scrape(&mut scraper(wanted), &store, 0, format, BODY).scraped, 14);
            assert!(starts(&store).values().flatten().all(|start| *start == 0));
        }
    }

    #[test]
    fn starts_that_cannot_be_are_passed_over_and_counted() {
        let store = SeriesStore::new(StoreConfig::default());
        let mut with = scraper(true);
        // The last one is later than the sample's own time.
        let values = ["NaN", "-1", "0", "+Inf", "1e300", "1.7e9", "1699999000"];
        for (n, value) in values.into_iter().enumerate() {
            let own = if value == "1699999000" { " 1699998999" } else { "" };
            let body = format!(
                "# TYPE f1 counter\nf1_total{{n=\"{n}\"}} 1{own}\nf1_created{{n=\"{n}\"}} {value}\n# EOF\n"
            );
            let report = scrape(&mut with, &store, 0, Format::OpenMetrics, &body);
            assert_eq!((report.scraped, report.bad_starts), (1, 1), "{value}");
        }
        assert!(starts(&store).values().flatten().all(|start| *start == 0));
        for (value, fits) in [("NaN", false), ("-1", false), ("+Inf", false), ("0", true), ("1.5e9", true)] {
            let body = format!("# TYPE a counter\na_total 1\na_created {value}\n# EOF\n");
            let read =
                crate::exposition::families_strict(body.as_bytes(), Format::OpenMetrics, &Limits::default());
            assert_eq!(read.is_ok(), fits, "{value}");
        }
    }

    const KINDS: [&str; 4] = ["counter", "histogram", "summary", "gauge"];

    /// The values that a `_created` line may have, and the start that it is at a scrape.
    fn created(which: u8, at: i64) -> (String, Option<i64>) {
        match which % 6 {
            0 => ("NaN".to_owned(), None),
            1 => ("-3".to_owned(), None),
            2 => (format!("{}", (second(at).as_millis() + 1_000) / 1_000), None),
            n => {
                let start = second(i64::from(n) * -10).as_millis() + 250;
                (format!("{}.250", start / 1_000), Some(start))
            }
        }
    }

    /// Of one line: family, group, which line of the group, what it says, and where it stands.
    type Said = (u8, u8, u8, u8, u16);

    fn lines() -> impl Strategy<Value = Vec<Said>> {
        prop::collection::vec((0..4_u8, 0..3_u8, 0..4_u8, any::<u8>(), any::<u16>()), 0..24)
    }

    proptest! {
        #[test]
        fn l2_created_lines_are_the_starts_of_their_groups_in_any_order(
            // Most scrapes are like the one before.
            scrapes in prop::collection::vec((lines(), 0..4_u8, prop::option::weighted(0.2, 0..4_usize)), 1..7),
        ) {
            let store = SeriesStore::new(StoreConfig::default());
            let mut with = scraper(true);
            let mut model = Starts::new();
            let mut kinds = KINDS;
            let mut last: Vec<Said> = Vec::new();
            for (number, (lines, again, turned)) in scrapes.into_iter().enumerate() {
                let at = number as i64 * 15;
                if again == 0 || number == 0 {
                    last = lines;
                    last.sort_by_key(|line| (line.0, line.4));
                    let mut seen = std::collections::BTreeSet::new();
                    last.retain(|line| seen.insert((line.0, line.1, line.2)));
                }
                if let Some(family) = turned {
                    kinds[family] = KINDS[(family + number) % 4];
                }
                let (mut body, mut family) = (String::new(), None);
                let mut said: BTreeMap<(u8, u8), i64> = BTreeMap::new();
                // Whether it is bad whatever it is said of; a time to come is bad for samples only.
                let mut refused: BTreeMap<(u8, u8), bool> = BTreeMap::new();
                let mut members: Vec<(u8, u8, String)> = Vec::new();
                for (f, g, which, value, _) in &last {
                    let kind = kinds[usize::from(*f)];
                    if family != Some(f) {
                        body.push_str(&format!("# TYPE f{f} {kind}\n"));
                        family = Some(f);
                    }
                    let (text, start) = created(value.wrapping_add(number as u8), at);
                    let (suffix, inner) = match (kind, *which) {
                        (_, 3) => ("_created", None),
                        ("counter", 0) => ("_total", None),
                        ("histogram", 0) => ("_bucket", Some("le=\"1.0\"")),
                        ("summary", 0) => ("", Some("quantile=\"0.5\"")),
                        ("histogram" | "summary", 1) => ("_sum", None),
                        ("histogram" | "summary", 2) => ("_count", None),
                        (_, 1) => ("_other", None),
                        _ => ("", None),
                    };
                    let labels: Vec<String> = inner.map(str::to_owned).into_iter().chain([format!("g=\"{g}\"")]).collect();
                    let mut all = vec![format!("__name__=\"f{f}{suffix}\""), format!("g=\"{g}\"")];
                    all.extend(inner.map(str::to_owned));
                    all.sort();
                    let name = format!("{{{}}}", all.join(", "));
                    if members.iter().any(|member| member.2 == name) {
                        continue;
                    }
                    body.push_str(&format!("f{f}{suffix}{{{}}} {text}\n", labels.join(",")));
                    if suffix == "_created" && kind != "gauge" {
                        if start.is_none() {
                            refused.insert((*f, *g), text == "NaN" || text == "-3");
                        }
                        said.extend(start.map(|start| ((*f, *g), start)));
                        continue;
                    }
                    // A start is for the family's own.
                    let own = kind != "gauge" && suffix != "_other";
                    members.push((if own { *f } else { u8::MAX }, *g, name));
                }
                body.push_str("# EOF\n");
                let counted = |f: u8, g: u8| members.iter().any(|member| (member.0, member.1) == (f, g));
                let bad = refused.iter().filter(|((f, g), always)| **always || counted(*f, *g)).count();
                for (f, g, name) in members {
                    let all = model.entry(name).or_default();
                    // What was said before holds until something else is said.
                    let before = all.last().copied().unwrap_or(0);
                    all.push(said.get(&(f, g)).copied().unwrap_or(before));
                }
                let report = scrape(&mut with, &store, at, Format::OpenMetrics, &body);
                prop_assert_eq!(report.bad_starts, bad, "{}", body);
                let found = starts(&store);
                prop_assert_eq!(&found, &model, "{}", body);
            }
        }
    }
}
