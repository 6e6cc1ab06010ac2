//! Random expressions.

use std::fmt;

use crate::data::{Random, START};

/// An expression: text, and the expressions within it.
#[derive(Debug, Clone)]
pub(crate) struct Query(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Part(Query),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Part(query) => query.fmt(f),
        })
    }
}

impl Query {
    /// The expressions directly within it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Self> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Part(query) => Some(query),
            Piece::Text(_) => None,
        })
    }

    fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    fn around(before: impl Into<String>, part: Self, after: impl Into<String>) -> Self {
        Self(vec![Piece::Text(before.into()), Piece::Part(part), Piece::Text(after.into())])
    }

    fn between(before: impl Into<String>, a: Self, middle: impl Into<String>, b: Self, after: &str) -> Self {
        let (before, middle) = (Piece::Text(before.into()), Piece::Text(middle.into()));
        Self(vec![before, Piece::Part(a), middle, Piece::Part(b), Piece::Text(after.to_owned())])
    }
}

pub(crate) fn random(random: &mut Random) -> Query {
    let depth = 1 + random.below(4);
    if random.one_in(25) { scalar(random, depth) } else { vector(random, depth) }
}

const MATCHERS: [&str; 12] = [
    "",
    "",
    "",
    "",
    r#"a="x""#,
    r#"a!="x""#,
    r#"a=~"x|y""#,
    r#"b!~"2|3""#,
    r#"c="""#,
    r#"c=~".+""#,
    r#"a="x",b="1""#,
    r#"nothing="at all""#,
];
const RANGES: [&str; 5] = ["1m", "2m30s", "5m", "10m", "30m"];
const LABELS: [&str; 6] = ["", "a", "b", "a,b", "c", "a,c"];

fn selector(random: &mut Random, metrics: &[&str]) -> String {
    format!("{}{{{}}}", random.pick(metrics), random.pick(&MATCHERS))
}

/// Where in time a selector looks.
fn shifted(random: &mut Random) -> String {
    match random.below(10) {
        0 => format!(" offset {}", random.pick(&["30s", "5m", "1h", "-2m"])),
        1 => format!(" @ {}", START / 1_000 + 30 * random.below(130) as i64 + 7),
        2 => (*random.pick(&[" @ start()", " @ end()"])).to_owned(),
        _ => String::new(),
    }
}

const ALL: [&str; 5] = ["c1_total", "c2_total", "g1", "g2", "r1"];

fn number(random: &mut Random) -> String {
    (*random.pick(&["0", "1", "2", "-3", "0.5", "100", "20000", "1e3", "-0.25"])).to_owned()
}

fn scalar(random: &mut Random, depth: u64) -> Query {
    if depth == 0 {
        return Query::text(number(random));
    }
    match random.below(6) {
        0 => Query::text("time()"),
        1 => Query::around("scalar(", vector(random, depth - 1), ")"),
        2 => {
            let op = *random.pick(&[" + ", " * ", " - ", " / ", " > bool ", " == bool "]);
            Query::between("(", scalar(random, depth - 1), op, scalar(random, depth - 1), ")")
        }
        3 => Query::around("-", scalar(random, depth - 1), ""),
        _ => Query::text(number(random)),
    }
}

/// A window: of a selector, or of an expression.
fn window(random: &mut Random, depth: u64, metrics: &[&str]) -> Query {
    let range = *random.pick(&RANGES);
    if depth > 0 && random.one_in(4) {
        let step = *random.pick(&["30s", "1m", "", "90s"]);
        let inner = vector(random, depth - 1);
        // Within another subquery it is asked at whole steps: a whole range would begin at one, too.
        let range = format!("{}3s", range.trim_end_matches("30s"));
        return Query::around("(", inner, format!(")[{range}:{step}]{}", shifted(random)));
    }
    Query::text(format!("{}[{range}]{}", selector(random, metrics), shifted(random)))
}

/// Functions of windows.
fn over_time(random: &mut Random, depth: u64) -> Query {
    if random.below(2) == 0 {
        let function = *random.pick(&["rate", "increase", "irate", "resets", "changes", "delta", "idelta"]);
        let range = *random.pick(&RANGES);
        let metrics = ["c1_total", "c2_total"];
        return Query::text(format!(
            "{function}({}[{range}]{})",
            selector(random, &metrics),
            shifted(random)
        ));
    }
    let inner = window(random, depth, &ALL);
    match random.below(16) {
        0 => Query::around(
            format!("quantile_over_time({}, ", random.pick(&["0.5", "0.9", "0", "1"])),
            inner,
            ")",
        ),
        1 => {
            let (range, seconds) = (*random.pick(&RANGES), *random.pick(&["60", "3600"]));
            Query::text(format!("predict_linear({}[{range}], {seconds})", selector(random, &ALL)))
        }
        2 => Query::around("absent_over_time(", inner, ")"),
        _ => {
            let function = *random.pick(&[
                "avg_over_time",
                "min_over_time",
                "max_over_time",
                "sum_over_time",
                "count_over_time",
                "last_over_time",
                "present_over_time",
                "stddev_over_time",
                "stdvar_over_time",
                "changes",
                "deriv",
                "delta",
                "idelta",
            ]);
            Query::around(format!("{function}("), inner, ")")
        }
    }
}

fn aggregation(random: &mut Random, depth: u64) -> Query {
    let inner = vector(random, depth - 1);
    let grouping = match random.below(3) {
        0 => String::new(),
        1 => format!(" by ({}) ", random.pick(&LABELS)),
        _ => format!(" without ({}) ", random.pick(&LABELS)),
    };
    match random.below(12) {
        0 => Query::around(
            format!("quantile{grouping}({}, ", random.pick(&["0.5", "0.25", "1", "-1"])),
            inner,
            ")",
        ),
        1 => Query::text(format!("count_values{grouping}(\"v\", {})", selector(random, &ALL))),
        // Counters: no two of them are equal.
        2 => {
            let op = *random.pick(&["topk", "bottomk"]);
            let (count, inner) =
                (*random.pick(&["1", "2", "5", "0"]), selector(random, &["c1_total", "c2_total"]));
            Query::text(format!("{op}{grouping}({count}, {inner})"))
        }
        3 => {
            let op = *random.pick(&["stddev", "stdvar"]);
            Query::text(format!("{op}{grouping}({})", selector(random, &["c1_total", "c2_total"])))
        }
        _ => {
            let op = *random.pick(&["sum", "avg", "min", "max", "count", "group"]);
            Query::around(format!("{op}{grouping}("), inner, ")")
        }
    }
}

fn matching(random: &mut Random) -> String {
    let labels = *random.pick(&LABELS);
    let on = *random.pick(&["on", "ignoring"]);
    match random.below(5) {
        0 => String::new(),
        1 => format!("{on}({labels}) group_left({}) ", random.pick(&["", "c"])),
        2 => format!("{on}({labels}) group_right() "),
        _ => format!("{on}({labels}) "),
    }
}

/// Values that have no last digit in doubt: what rounds, or takes remainders, would make much of one.
fn exact(random: &mut Random) -> Query {
    let (selector, shifted) = (selector(random, &ALL), shifted(random));
    if random.one_in(2) {
        return Query::text(format!("{selector}{shifted}"));
    }
    let function =
        *random.pick(&["min_over_time", "max_over_time", "last_over_time", "count_over_time", "changes"]);
    Query::text(format!("{function}({selector}[{}]{shifted})", random.pick(&RANGES)))
}

fn binary(random: &mut Random, depth: u64) -> Query {
    const ARITHMETIC: [&str; 5] = ["+", "-", "*", "/", "^"];
    const SMOOTH: [&str; 4] = ["+", "-", "*", "/"];
    const COMPARISON: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
    if random.one_in(24) {
        let (a, b) = (exact(random), Query::text(number(random)));
        let (a, b) = if random.one_in(2) { (a, b) } else { (b, a) };
        return Query::between("(", a, " % ", b, ")");
    }
    let (a, b) = (vector(random, depth - 1), depth - 1);
    match random.below(8) {
        0 => Query::between("(", a, format!(" {} ", random.pick(&ARITHMETIC)), scalar(random, b), ")"),
        1 => Query::between("(", scalar(random, b), format!(" {} ", random.pick(&ARITHMETIC)), a, ")"),
        2 => {
            let bool = *random.pick(&["", "bool "]);
            Query::between("(", a, format!(" {} {bool}", random.pick(&COMPARISON)), scalar(random, b), ")")
        }
        3 => {
            let on = match random.below(3) {
                0 => String::new(),
                1 => format!("on({}) ", random.pick(&LABELS)),
                _ => format!("ignoring({}) ", random.pick(&LABELS)),
            };
            let op = *random.pick(&["and", "or", "unless"]);
            Query::between("(", a, format!(" {op} {on}"), vector(random, b), ")")
        }
        4 => {
            let op = *random.pick(&COMPARISON);
            let matching = matching(random);
            let middle =
                if matching.is_empty() { format!(" {op} ") } else { format!(" {op} bool {matching}") };
            Query::between("(", a, middle, vector(random, b), ")")
        }
        _ => {
            let middle = format!(" {} {}", random.pick(&SMOOTH), matching(random));
            Query::between("(", a, middle, vector(random, b), ")")
        }
    }
}

fn function(random: &mut Random, depth: u64) -> Query {
    let inner = vector(random, depth - 1);
    match random.below(14) {
        0 => Query::around("round(", exact(random), format!(", {})", random.pick(&["1", "0.5", "10"]))),
        1 => Query::around("clamp(", inner, ", -10, 10)"),
        2 => Query::around("clamp_min(", inner, ", 5)"),
        3 => Query::around("label_replace(", inner, r#", "d", "$1-new", "a", "(x|y)")"#),
        4 => Query::around("label_join(", inner, r#", "d", "/", "a", "b")"#),
        5 => Query::around("absent(", inner, ")"),
        6 => Query::around("timestamp(", inner, ")"),
        7 => Query::around("-", inner, ""),
        8 => Query::around("vector(", scalar(random, depth - 1), ")"),
        // Of values that are times: no more than 64 bits hold.
        9 => {
            let function = *random.pick(&["minute", "hour", "day_of_week", "days_in_month"]);
            Query::text(format!("{function}({})", selector(random, &["c1_total", "c2_total"])))
        }
        10 => Query::around(format!("{}(", random.pick(&["ceil", "floor", "sgn"])), exact(random), ")"),
        _ => {
            let function = *random.pick(&["abs", "sqrt", "ln", "log2", "log10", "sort", "deg"]);
            Query::around(format!("{function}("), inner, ")")
        }
    }
}

fn vector(random: &mut Random, depth: u64) -> Query {
    if depth == 0 {
        return Query::text(format!("{}{}", selector(random, &ALL), shifted(random)));
    }
    match random.below(12) {
        0 => Query::text(format!("{}{}", selector(random, &ALL), shifted(random))),
        1..=3 => over_time(random, depth - 1),
        4..=5 => aggregation(random, depth),
        6..=7 => binary(random, depth),
        8 => {
            let (quantile, range) = (*random.pick(&["0.5", "0.99", "0", "1"]), *random.pick(&RANGES));
            let by = *random.pick(&["le", "a,le"]);
            Query::text(format!("histogram_quantile({quantile}, sum by ({by}) (rate(h_bucket[{range}])))"))
        }
        _ => function(random, depth),
    }
}
