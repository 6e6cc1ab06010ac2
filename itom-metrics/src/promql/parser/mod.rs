//! From words to trees: operators by precedence, everything else by descent.

mod check;
mod lengths;
mod operand;

use super::ast::{
    Binary, BinaryOp, Cardinality, Expr, MatchLabels, Number, Real, Unary, VectorMatching, VectorSelector,
};
use super::error::nearest;
use super::lexer::tokens;
use super::token::{Keyword, Kind, Token, joining_words};
use super::{ParseError, ParseOptions, Span};
use itom_core::Text;

/// An expression with the height of its tree.
struct Tree {
    expr: Expr,
    height: usize,
}

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    options: &'a ParseOptions,
    /// How many calls deep the descent is.
    nesting: usize,
}

/// Parses a whole expression and checks its types.
pub(super) fn expression(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, options)?;
    if parser.peek().kind == Kind::End {
        return Err(ParseError::new(text, Span::new(0, 0), "no expression found in input"));
    }
    let mut tree = parser.expression()?;
    parser.end()?;
    check::check(text, &mut tree.expr)?;
    Ok(tree.expr)
}

/// Parses a selector without modifiers, as the `match[]` of the HTTP API.
pub(super) fn selector(text: &str, options: &ParseOptions) -> Result<VectorSelector, ParseError> {
    let mut parser = Parser::new(text, options)?;
    let selector = parser.selector()?;
    parser.end()?;
    check::selector(text, &selector)?;
    Ok(selector)
}

/// What binds tighter than a sign does: `-x ^ 2` is `-(x ^ 2)`.
const ABOVE_SIGN: u8 = 6;

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: &'a ParseOptions) -> Result<Self, ParseError> {
        if text.len() > options.max_bytes {
            let message = format!("the expression has {} bytes, more than {}", text.len(), options.max_bytes);
            return Err(ParseError::new(text, Span::new(0, 0), message));
        }
        let tokens = tokens(text, options.max_tokens)?;
        Ok(Self { text, tokens, at: 0, options, nesting: 0 })
    }

    fn ahead(&self, count: usize) -> Token {
        let end = Token { kind: Kind::End, span: Span::new(self.text.len(), self.text.len()) };
        self.tokens.get(self.at + count).copied().unwrap_or(end)
    }

    fn peek(&self) -> Token {
        self.ahead(0)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn accept(&mut self, kind: Kind) -> Option<Token> {
        let token = self.peek();
        (token.kind == kind).then(|| {
            self.at += 1;
            token
        })
    }

    fn written(&self, token: Token) -> &'a str {
        self.text.get(token.span.start..token.span.end).unwrap_or("")
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// The next word does not belong here.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        let mut message = format!("unexpected {}", token.describe(self.text));
        for (joint, part) in [(" in ", context), (", expected ", expected)] {
            if !part.is_empty() {
                message.push_str(joint);
                message.push_str(part);
            }
        }
        let meant = match token.kind {
            Kind::Identifier if context.is_empty() => nearest(self.written(token), joining_words()),
            Kind::Equal => Some("=="),
            _ => None,
        };
        self.error(token.span, message).meaning(meant)
    }

    fn expect(&mut self, kind: Kind, context: &str, expected: &str) -> Result<Token, ParseError> {
        self.accept(kind).ok_or_else(|| self.unexpected(context, expected))
    }

    fn end(&self) -> Result<(), ParseError> {
        if self.peek().kind == Kind::End { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    /// Refuses what would make the stack too deep for those who walk the tree.
    fn limit(&self, height: usize, span: Span) -> Result<usize, ParseError> {
        let most = self.options.max_depth;
        if height <= most {
            return Ok(height);
        }
        Err(self.error(span, format!("the expression is nested deeper than {most} levels")))
    }

    fn descend<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.nesting += 1;
        self.limit(self.nesting, self.peek().span)?;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn expression(&mut self) -> Result<Tree, ParseError> {
        self.descend(|parser| parser.binary(1))
    }

    /// Operands joined by operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Result<Tree, ParseError> {
        let mut left = self.unary()?;
        while let Kind::Op(op) = self.peek().kind {
            let level = op.precedence();
            if level < least {
                break;
            }
            let operator = self.next();
            let (return_bool, matching) = self.modifiers()?;
            // All but `^` associate to the left.
            let least_right = if op == BinaryOp::Pow { level } else { level + 1 };
            let right = self.descend(|parser| parser.binary(least_right))?;
            let height = self.limit(left.height.max(right.height) + 1, operator.span)?;
            let at = left.expr.span().to(right.expr.span()).into();
            let (lhs, rhs) = (Box::new(left.expr), Box::new(right.expr));
            let expr = Expr::Binary(Binary { op, lhs, rhs, return_bool, matching: Some(matching), at });
            left = Tree { expr, height };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, ParseError> {
        let negative = match self.peek().kind {
            Kind::Op(BinaryOp::Sub) => true,
            Kind::Op(BinaryOp::Add) => false,
            _ => return self.postfixed(),
        };
        let sign = self.next();
        let of = self.descend(|parser| parser.binary(ABOVE_SIGN))?;
        let at = sign.span.to(of.expr.span()).into();
        if let Expr::Number(number) = of.expr {
            let value = if negative { negate(number.value) } else { number.value };
            return Ok(Tree { expr: Expr::Number(Number { value, at, ..number }), height: of.height });
        }
        let height = self.limit(of.height + 1, sign.span)?;
        Ok(Tree { expr: Expr::Unary(Unary { negative, expr: Box::new(of.expr), at }), height })
    }

    /// What may stand between an operator and its right side.
    fn modifiers(&mut self) -> Result<(bool, VectorMatching), ParseError> {
        let return_bool = self.accept(Kind::Keyword(Keyword::Bool)).is_some();
        let mut matching = VectorMatching {
            cardinality: Cardinality::OneToOne,
            labels: MatchLabels::Ignoring(Vec::new()),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        if self.accept(Kind::Keyword(Keyword::On)).is_some() {
            matching.labels = MatchLabels::On(self.label_list()?);
            self.group(&mut matching)?;
        } else if self.accept(Kind::Keyword(Keyword::Ignoring)).is_some() {
            matching.labels = MatchLabels::Ignoring(self.label_list()?);
            self.group(&mut matching)?;
        }
        self.fill(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn group(&mut self, matching: &mut VectorMatching) -> Result<(), ParseError> {
        matching.cardinality = match self.peek().kind {
            Kind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            Kind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.next();
        if self.peek().kind == Kind::LeftParen {
            matching.include = self.label_list()?;
        }
        Ok(())
    }

    /// `fill (v)`, or `fill_left (v)` and `fill_right (v)` in any order. A metric may be called so too.
    fn fill(&mut self, matching: &mut VectorMatching) -> Result<(), ParseError> {
        loop {
            let token = self.peek();
            let (left, right) = match token.kind {
                Kind::Keyword(Keyword::Fill) => (true, true),
                Kind::Keyword(Keyword::FillLeft) => (true, false),
                Kind::Keyword(Keyword::FillRight) => (false, true),
                _ => return Ok(()),
            };
            if self.ahead(1).kind != Kind::LeftParen {
                return Ok(());
            }
            if !self.options.fill_modifiers {
                let message = "binop fill modifiers are experimental and not enabled";
                return Err(self.error(token.span, message));
            }
            if (left && matching.fill_left.is_some()) || (right && matching.fill_right.is_some()) {
                return Err(self.unexpected("fill modifiers", "an expression; the value is set already"));
            }
            self.at += 2;
            let value = Some(Real(self.signed_number("fill modifier", "number")?));
            self.expect(Kind::RightParen, "fill modifier", "\")\"")?;
            if left {
                matching.fill_left = value;
            }
            if right {
                matching.fill_right = value;
            }
        }
    }

    /// Names in parentheses.
    fn label_list(&mut self) -> Result<Vec<Text>, ParseError> {
        self.expect(Kind::LeftParen, "grouping opts", "\"(\"")?;
        let mut labels = Vec::new();
        loop {
            if labels.is_empty() && self.accept(Kind::RightParen).is_some() {
                return Ok(labels);
            }
            labels.push(self.label()?);
            if self.accept(Kind::Comma).is_some() {
                if self.accept(Kind::RightParen).is_some() {
                    return Ok(labels);
                }
            } else {
                self.expect(Kind::RightParen, "grouping opts", "\",\" or \")\"")?;
                return Ok(labels);
            }
        }
    }

    fn label(&mut self) -> Result<Text, ParseError> {
        let token = self.peek();
        let name = match token.kind {
            Kind::String => {
                let text = self.utf8_string(token, "label name")?;
                if text.is_empty() {
                    return Err(self.unexpected("grouping opts", "label"));
                }
                text
            }
            Kind::Identifier
            | Kind::MetricIdentifier
            | Kind::Aggregate(_)
            | Kind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => {
                Text::from(self.written(token))
            }
            // Prometheus does not take this one.
            Kind::Keyword(keyword) if keyword != Keyword::Without => Text::from(self.written(token)),
            _ => return Err(self.unexpected("grouping opts", "label")),
        };
        self.next();
        Ok(name)
    }
}

/// The other sign; NaN has none.
fn negate(value: Real) -> Real {
    if value.0.is_nan() { value } else { Real(-value.0) }
}
