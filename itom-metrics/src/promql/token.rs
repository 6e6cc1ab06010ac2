//! The words of the language.

use super::Span;
use super::ast::{AggregateOp, BinaryOp};

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Identifier,
    /// With a colon in it.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    Equal,
    EqualRegex,
    NotEqualRegex,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Offset,
    Anchored,
    Smoothed,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Bool,
    Fill,
    FillLeft,
    FillRight,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Words that mean something outside of braces, in any case.
const WORDS: [(&str, Kind); 39] = [
    ("and", Kind::Op(BinaryOp::And)),
    ("or", Kind::Op(BinaryOp::Or)),
    ("unless", Kind::Op(BinaryOp::Unless)),
    ("atan2", Kind::Op(BinaryOp::Atan2)),
    ("sum", Kind::Aggregate(AggregateOp::Sum)),
    ("avg", Kind::Aggregate(AggregateOp::Avg)),
    ("count", Kind::Aggregate(AggregateOp::Count)),
    ("min", Kind::Aggregate(AggregateOp::Min)),
    ("max", Kind::Aggregate(AggregateOp::Max)),
    ("group", Kind::Aggregate(AggregateOp::Group)),
    ("stddev", Kind::Aggregate(AggregateOp::Stddev)),
    ("stdvar", Kind::Aggregate(AggregateOp::Stdvar)),
    ("topk", Kind::Aggregate(AggregateOp::Topk)),
    ("bottomk", Kind::Aggregate(AggregateOp::Bottomk)),
    ("count_values", Kind::Aggregate(AggregateOp::CountValues)),
    ("quantile", Kind::Aggregate(AggregateOp::Quantile)),
    ("limitk", Kind::Aggregate(AggregateOp::Limitk)),
    ("limit_ratio", Kind::Aggregate(AggregateOp::LimitRatio)),
    ("offset", Kind::Keyword(Keyword::Offset)),
    ("anchored", Kind::Keyword(Keyword::Anchored)),
    ("smoothed", Kind::Keyword(Keyword::Smoothed)),
    ("by", Kind::Keyword(Keyword::By)),
    ("without", Kind::Keyword(Keyword::Without)),
    ("on", Kind::Keyword(Keyword::On)),
    ("ignoring", Kind::Keyword(Keyword::Ignoring)),
    ("group_left", Kind::Keyword(Keyword::GroupLeft)),
    ("group_right", Kind::Keyword(Keyword::GroupRight)),
    ("bool", Kind::Keyword(Keyword::Bool)),
    ("fill", Kind::Keyword(Keyword::Fill)),
    ("fill_left", Kind::Keyword(Keyword::FillLeft)),
    ("fill_right", Kind::Keyword(Keyword::FillRight)),
    ("start", Kind::Keyword(Keyword::Start)),
    ("end", Kind::Keyword(Keyword::End)),
    ("step", Kind::Keyword(Keyword::Step)),
    ("range", Kind::Keyword(Keyword::Range)),
    ("min_of", Kind::Keyword(Keyword::MinOf)),
    ("max_of", Kind::Keyword(Keyword::MaxOf)),
    ("inf", Kind::Number),
    ("nan", Kind::Number),
];

/// What a word outside of braces is.
pub(super) fn word(text: &str) -> Kind {
    // The longest is `count_values`.
    if text.len() <= 12 {
        for (name, kind) in WORDS {
            if name.eq_ignore_ascii_case(text) {
                return kind;
            }
        }
    }
    if text.contains(':') { Kind::MetricIdentifier } else { Kind::Identifier }
}

/// The words that stand between or behind expressions, for suggestions.
pub(super) fn joining_words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().filter(|(_, kind)| !matches!(kind, Kind::Aggregate(_) | Kind::Number)).map(|(name, _)| *name)
}

impl Token {
    /// As Prometheus's errors call it.
    pub(super) fn describe(self, text: &str) -> String {
        let written = text.get(self.span.start..self.span.end).unwrap_or("");
        match self.kind {
            Kind::End => "end of input".into(),
            Kind::Identifier => format!("identifier {written:?}"),
            Kind::MetricIdentifier => format!("metric identifier {written:?}"),
            Kind::Number => format!("number {}", cut(written)),
            Kind::Duration => format!("duration {}", cut(written)),
            Kind::String => format!("string {}", cut(written)),
            Kind::Op(_) | Kind::EqualRegex | Kind::NotEqualRegex | Kind::At => format!("<op:{written}>"),
            Kind::Aggregate(_) => format!("<aggr:{written}>"),
            Kind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) => {
                format!("{written:?}")
            }
            Kind::Keyword(_) => format!("<{written}>"),
            _ => format!("{written:?}"),
        }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= 10 {
        format!("{text:?}")
    } else {
        format!("{:?}...", text.chars().take(10).collect::<String>())
    }
}
