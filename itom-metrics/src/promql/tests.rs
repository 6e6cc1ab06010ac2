use std::path::PathBuf;

use proptest::prelude::*;

use super::ast::ValueType;
use super::*;

/// Whatever is printed must parse back to an equal tree, on one line and over several.
fn round_trip(text: &str) -> Expr {
    let options = ParseOptions::EXPERIMENTAL;
    let parsed = parse_with(text, &options).unwrap_or_else(|error| panic!("{text}\n{error}"));
    for printed in [parsed.to_string(), parsed.pretty()] {
        let again =
            parse_with(&printed, &options).unwrap_or_else(|error| panic!("{text}\n{printed}\n{error}"));
        assert_eq!(parsed, again, "{text}\n{printed}");
    }
    parsed
}

#[test]
fn expressions_print_as_prometheus_prints_them() {
    for (text, printed) in [
        ("1", "1"),
        ("+Inf", "Inf"),
        ("-inf", "-Inf"),
        ("nan", "NaN"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e9", "1000000000"),
        ("0x1f", "31"),
        ("017", "15"),
        ("08", "8"),
        ("1_000.5", "1000.5"),
        ("5m", "5m"),
        ("-1h30m", "-1h30m"),
        ("1w1d", "8d"),
        (r#""a\n\"b\x41\u00e9""#, r#""a\n\"bAé""#),
        (r"'it\'s'", r#""it's""#),
        (r"`a\b`", r#""a\\b""#),
        (r#""\xff""#, r#""\xff""#),
        ("foo", "foo"),
        ("foo:bar", "foo:bar"),
        (r#"{"foo.bar", "a.b"='c'}"#, r#"{"foo.bar","a.b"="c"}"#),
        (r#"{"foo"}"#, "foo"),
        (r#"foo{}"#, "foo"),
        (r#"{"bool"}"#, r#"{"bool"}"#),
        ("sum{a=\"b\"}", "sum{a=\"b\"}"),
        ("by + offset offset 5m", "by + offset offset 5m"),
        ("foo offset -5m @ 1.5", "foo @ 1.500 offset -5m"),
        ("foo offset 1m30s", "foo offset 1m30s"),
        ("foo offset 90", "foo offset 1m30s"),
        ("foo[5m] @ end() offset 1w", "foo[5m] @ end() offset 1w"),
        ("foo[300]", "foo[5m]"),
        ("foo[2*5m] smoothed", "foo[2 * 5m] smoothed"),
        ("foo offset (step()+1s)", "foo offset (step() + 1s)"),
        ("foo offset -min_of(step(), 5m)", "foo offset -min_of(step(), 5m)"),
        ("rate(foo[5m])[1h:]", "rate(foo[5m])[1h:]"),
        ("rate(foo[5m])[1h:30s] offset 5m", "rate(foo[5m])[1h:30s] offset 5m"),
        ("SUM BY (a, b,) (foo)", "sum by (a, b) (foo)"),
        ("sum(foo) without(a)", "sum without (a) (foo)"),
        ("topk(3, foo)", "topk(3, foo)"),
        ("count_values by(\"x.y\")('v', foo)", r#"count_values by ("x.y") ("v", foo)"#),
        ("a+b*c^d^e", "a + b * c ^ d ^ e"),
        ("-a ^ 2", "-a ^ 2"),
        ("a == bool on(x) group_left(y) b", "a == bool on (x) group_left (y) b"),
        ("a * ignoring() group_right b", "a * ignoring () group_right () b"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + on(x) fill_right(1) fill_left(-2) b", "a + on (x) fill_left (-2) fill_right (1) b"),
        ("a + fill", "a + fill"),
        ("a AND b or c unless d", "a and b or c unless d"),
        ("a </ 5", "a </ 5"),
        ("a >/ 1", "a >/ 1"),
        ("a atan2 b", "a atan2 b"),
        ("foo # a comment\n + 1", "foo + 1"),
        ("start() + STEP()", "start() + step()"),
        ("info(foo, {a=~\".+\"})", "info(foo, {a=~\".+\"})"),
    ] {
        assert_eq!(round_trip(text).to_string(), printed, "{text}");
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (text, parenthesized) in [
        ("1 + 2 * 3 ^ 4", "1 + (2 * (3 ^ 4))"),
        ("2 ^ 3 ^ 4", "2 ^ (3 ^ 4)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("a or b and c", "a or (b and c)"),
        ("a unless b and c", "(a unless b) and c"),
        ("a + b > bool c - d", "(a + b) > bool (c - d)"),
        ("-x ^ 2", "-(x ^ 2)"),
        ("-x * y", "(-x) * y"),
        ("2 ^ -x * 3", "(2 ^ (-x)) * 3"),
        ("x offset 2 ^ 2", "(x offset 2) ^ 2"),
        ("x offset -2 * 2", "(x offset -2) * 2"),
        ("x offset step() + 1", "(x offset step()) + 1"),
        ("x offset -min_of(step(), 1s) + 8000", "(x offset -min_of(step(), 1s)) + 8000"),
        ("a % b / c atan2 d", "((a % b) / c) atan2 d"),
    ] {
        fn bare(expr: &Expr) -> String {
            // Without parentheses, with the operator in front.
            let children: Vec<String> = expr.children().map(bare).collect();
            match expr {
                Expr::Paren(_) => children.concat(),
                Expr::Binary(node) => format!("({} {})", node.op.symbol(), children.join(" ")),
                Expr::Unary(_) => format!("(sign {})", children.concat()),
                other => other.to_string(),
            }
        }
        assert_eq!(bare(&round_trip(text)), bare(&round_trip(parenthesized)), "{text}");
    }
}

#[test]
fn errors_point_and_suggest() {
    for (text, shown) in [
        ("", "1:1: parse error: no expression found in input"),
        ("# only", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("1)", "1:2: parse error: unexpected right parenthesis ')'"),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("foo nd bar", "1:5: parse error: unexpected identifier \"nd\"; did you mean `and`?"),
        ("foo = 1", "1:5: parse error: unexpected \"=\"; did you mean `==`?"),
        ("foo\n  + rat(x[5m])", "2:5: parse error: unknown function with name \"rat\"; did you mean `rate`?"),
        ("summ(x)", "1:1: parse error: unknown function with name \"summ\"; did you mean `sum`?"),
        (
            "rate(foo)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector; did you mean `foo[5m]`?",
        ),
        ("foo[5m", "1:7: parse error: unexpected end of input in duration expression"),
        ("foo[0]", "1:5: parse error: duration must be greater than 0"),
        ("foo[5x]", "1:5: parse error: bad number or duration syntax: \"5x\""),
        ("foo[5m1h]", "1:5: parse error: not a valid duration string: \"5m1h\""),
        (
            "sum(x)[5m]",
            "1:7: parse error: ranges only allowed for vector selectors; did you mean `sum(x)[5m:]`?",
        ),
        ("foo offset 5m [1h]", "1:15: parse error: no offset modifiers allowed before range"),
        ("foo offset 5m offset 5m", "1:1: parse error: offset may not be set multiple times"),
        ("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("foo{a~\"b\"}", "1:6: parse error: unexpected character inside braces: '~'"),
        ("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string"),
        (
            "foo{a=\"b\" c=\"d\"}",
            "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
        ),
        ("foo{__name__=\"bar\"}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        (
            "topk(x)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        ("sum(x,)", "1:6: parse error: trailing commas not allowed in function call args"),
        (
            "sum by (x y) (z)",
            "1:11: parse error: unexpected identifier \"y\" in grouping opts, expected \",\" or \")\"",
        ),
        ("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
        ("a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"),
        (
            "a + on(x) group_left(x) b",
            "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once",
        ),
        ("1 + on(x) 2", "1:1: parse error: vector matching only allowed between instant vectors"),
        (
            "\"a\" + 1",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
        (
            "-\"a\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        (
            "x[5m][5m:]",
            "1:1: parse error: subquery is only allowed on instant vector, got range vector instead",
        ),
        ("round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0"),
        ("abs(a, b)", "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 2"),
        ("\"a", "1:1: parse error: unterminated quoted string"),
        (r#""\q""#, "1:3: parse error: unknown escape sequence 'q'; write `\\\\` for a backslash"),
        ("foo[5m] anchored", "1:9: parse error: anchored modifier is experimental and not enabled"),
        ("foo[5m+5m]", "1:5: parse error: experimental duration expression is not enabled"),
        ("a + fill(0) b", "1:5: parse error: binop fill modifiers are experimental and not enabled"),
        ("mad_over_time(x[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"),
        ("limitk(1, x)", "1:1: parse error: limitk() is experimental and must be enabled"),
    ] {
        let error = parse(text).map(|expr| expr.to_string()).expect_err(text);
        assert_eq!(error.to_string(), shown, "{text}");
    }
}

#[test]
fn regular_expressions_are_compiled_when_parsed() {
    let error = parse("up{job=~\"a(b\"}").expect_err("not closed");
    assert!(error.to_string().starts_with("1:1: parse error: error parsing regexp: "), "{error}");
}

#[test]
fn spans_are_those_of_the_text() {
    let text = "sum by (a) (rate(foo{b=\"c\"}[5m] offset 1h)) > -bar @ 5";
    let expr = parse(text).expect("right");
    let mut spans = Vec::new();
    fn visit<'a>(expr: &Expr, text: &'a str, spans: &mut Vec<&'a str>) {
        spans.push(&text[expr.span().start..expr.span().end]);
        expr.children().for_each(|child| visit(child, text, spans));
    }
    visit(&expr, text, &mut spans);
    assert_eq!(
        spans,
        [
            text,
            "sum by (a) (rate(foo{b=\"c\"}[5m] offset 1h))",
            "rate(foo{b=\"c\"}[5m] offset 1h)",
            "foo{b=\"c\"}[5m] offset 1h",
            "-bar @ 5",
            "bar @ 5",
        ]
    );
    assert_eq!(expr.value_type(), ValueType::Vector);
}

#[test]
fn hostile_expressions_are_refused() {
    for text in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "x",
        "x+".repeat(5_000) + "x",
        "x^".repeat(50_000) + "x",
        "sum(".repeat(50_000),
        format!("x[{}", "(".repeat(90_000)),
        format!("x offset {}", "-(".repeat(40_000)),
        "x[5m:]".to_owned() + &"[5m:]".repeat(10_000),
        "x,".repeat(1 << 20),
        "1 ".repeat(200_000),
        format!("x{{a=~\"{}\"}}", "(a{1000}){1000}"),
    ] {
        let error = parse_with(&text, &ParseOptions::EXPERIMENTAL).expect_err("too much");
        assert!(error.span.start <= text.len() && !error.message.is_empty());
    }
}

#[test]
fn computed_lengths_are_those_of_prometheus() {
    let resolve = |text: &str| {
        let Expr::Matrix(node) = round_trip(&format!("x[{text}]")) else { panic!("{text}") };
        node.range.resolve_positive(Evaluated { step: 10_000, range: 60_000 })
    };
    assert_eq!(resolve("24m+((1.5*2m)+2m)"), Ok(29 * 60_000));
    assert_eq!(resolve("1h30m % 1h"), Ok(30 * 60_000));
    assert_eq!(resolve("-5m+35m"), Ok(30 * 60_000));
    assert_eq!(resolve("2 ^ 3 ^ 2 * 1"), Ok(512_000));
    assert_eq!(resolve("step() + 1ms"), Ok(10_001));
    assert_eq!(resolve("max_of(min_of(range(), 1h), 1ms)"), Ok(60_000));
    assert_eq!(resolve("1s / (step() - 10)"), Err(LengthError::DivisionByZero(Span::new(7, 20))));
    assert_eq!(resolve("step() - 10"), Err(LengthError::NotPositive(Span::new(2, 13))));
}

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("ITOM_CONFORMANCE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if root.exists() {
        return Some(root);
    }
    println!("skipped: {} is not there", root.display());
    None
}

#[test]
fn conformance_every_query_of_the_corpus_parses_and_prints_back() {
    let Some(root) = data() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("promql/testdata")).expect("readable").flatten() {
        if entry.path().extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("readable");
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("eval")) {
            // `eval instant at T QUERY`, `eval range from A to B step S QUERY`
            let words = if line.contains(" instant ") { 4 } else { 8 };
            let query = line.splitn(words + 1, char::is_whitespace).nth(words).expect("a query").trim();
            round_trip(query);
            count += 1;
        }
    }
    assert!(count > 1_900, "{count}");
}

#[test]
fn conformance_every_published_rule_parses_and_prints_back() {
    let Some(root) = data() else { return };
    let mut count = 0;
    let mut folders = vec![root.join("rules/published")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"));
    for path in files {
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(expr) = line.trim_start().trim_start_matches("- ").strip_prefix("expr:") else {
                continue;
            };
            let expr = expr.trim();
            // Quoted and folded scalars are YAML's business; the rest is the expression as it stands.
            let folded = matches!(expr, "|" | ">" | "|-" | ">-" | "");
            if folded {
                let indent = |line: &str| line.len() - line.trim_start().len();
                let body: Vec<&str> = lines[index + 1..]
                    .iter()
                    .take_while(|next| next.trim().is_empty() || indent(next) > indent(line))
                    .copied()
                    .collect();
                round_trip(&body.join("\n"));
            } else if let Some(quoted) = expr.strip_prefix('\'').and_then(|e| e.strip_suffix('\'')) {
                round_trip(&quoted.replace("''", "'"));
            } else if !expr.starts_with('"') {
                round_trip(expr);
            }
            count += 1;
        }
    }
    assert!(count > 500, "{count}");
}

/// Texts made of the words of the language: most are wrong, many nearly right.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "foo",
        "sum",
        "by",
        "without",
        "(",
        ")",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "5m",
        "1",
        "0x1f",
        "1e3",
        ":",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        "!=",
        "<",
        ">",
        "</",
        ">/",
        "and",
        "or",
        "unless",
        "atan2",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "offset",
        "@",
        "start",
        "end",
        "step()",
        "range()",
        "min_of",
        "rate",
        "a=\"b\"",
        "a=~\"b.*\"",
        "\"str\"",
        "anchored",
        "smoothed",
        "inf",
        "#x\n",
        "topk",
        "é",
        "=",
        "!",
        "`r`",
        "vector",
        "abs",
    ]);
    prop::collection::vec(word, 0..20).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn l10_any_text_parses_or_says_where_it_is_wrong(text in ".{0,60}") {
        let text = text.as_str();
        match parse_with(text, &ParseOptions::EXPERIMENTAL) {
            Ok(_) => { round_trip(text); }
            Err(error) => prop_assert!(error.span.start <= text.len() && error.span.end <= text.len()),
        }
    }

    #[test]
    fn l10_any_words_parse_or_say_where_they_are_wrong(text in words()) {
        match parse_with(&text, &ParseOptions::EXPERIMENTAL) {
            Ok(_) => { round_trip(&text); }
            Err(error) => {
                prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len());
                prop_assert!(text.is_char_boundary(error.span.start));
            }
        }
    }

    #[test]
    fn l10_any_bytes_in_a_string_read_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let quoted = RawText::from(bytes.clone()).quoted();
        let Expr::String(node) = parse(&quoted).expect("quoted") else { panic!("no string: {quoted}") };
        prop_assert_eq!(node.value.as_bytes(), bytes.as_slice());
    }

    #[test]
    fn l10_any_duration_reads_back(milliseconds in 0..9_223_372_036_854_i64) {
        prop_assert_eq!(literal::duration(&literal::show_duration(milliseconds)), Ok(milliseconds));
    }
}
