//! Ranges, steps and offsets: literals or arithmetic on durations.

use super::super::ast::{BinaryOp, DurationExpr, DurationKind, Length, Real};
use super::super::duration::MAX_SECONDS;
use super::super::token::{Keyword, Kind};
use super::super::{ParseError, Span};
use super::{ABOVE_SIGN, Parser, negate};

/// An expression with the height of its tree.
struct Tree {
    expr: DurationExpr,
    height: usize,
}

impl Parser<'_> {
    /// A range or a step.
    pub(super) fn positive_length(
        &mut self,
        context: &'static str,
    ) -> Result<super::super::ast::Length, ParseError> {
        let expr = self.descend(|parser| parser.length_binary(1, context))?.expr;
        let span = expr.at.0;
        if let DurationKind::Literal { seconds, .. } = expr.kind {
            let length = fixed(seconds);
            if length <= 0 {
                return Err(self.error(span, "duration must be greater than 0"));
            }
            return Ok(Length::Fixed(length));
        }
        Ok(Length::Computed(Box::new(expr)))
    }

    /// Behind `offset`: one literal, call or expression in parentheses, with at most one sign, so that
    /// `x offset 2 ^ 2` is `(x offset 2) ^ 2`.
    pub(super) fn offset_length(&mut self) -> Result<Length, ParseError> {
        const CONTEXT: &str = "offset";
        let sign = self.peek();
        let expr = match sign.kind {
            Kind::Op(op @ (BinaryOp::Sub | BinaryOp::Add)) => {
                self.next();
                let of = self.length_operand(CONTEXT)?;
                self.signed(sign.span, op == BinaryOp::Sub, of)?
            }
            _ => self.length_operand(CONTEXT)?,
        }
        .expr;
        match expr.kind {
            DurationKind::Literal { seconds, .. } => Ok(Length::Fixed(fixed(seconds))),
            _ => Ok(Length::Computed(Box::new(expr))),
        }
    }

    fn length_binary(&mut self, least: u8, context: &'static str) -> Result<Tree, ParseError> {
        let sign = self.peek();
        let mut left = match sign.kind {
            Kind::Op(op @ (BinaryOp::Sub | BinaryOp::Add)) => {
                self.next();
                let of = self.descend(|parser| parser.length_binary(ABOVE_SIGN, context))?;
                self.signed(sign.span, op == BinaryOp::Sub, of)?
            }
            _ => self.length_operand(context)?,
        };
        while let Kind::Op(op) = self.peek().kind {
            use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
            let level = op.precedence();
            if !matches!(op, Add | Sub | Mul | Div | Mod | Pow) || level < least {
                break;
            }
            let operator = self.next();
            let least_right = if op == Pow { level } else { level + 1 };
            let right = self.descend(|parser| parser.length_binary(least_right, context))?;
            self.experimental(left.expr.at.0)?;
            if let (Div | Mod, DurationKind::Literal { seconds: Real(0.0), .. }) = (op, &right.expr.kind) {
                let what = if op == Div { "division by zero" } else { "modulo by zero" };
                return Err(self.error(operator.span, what));
            }
            let height = self.limit(left.height.max(right.height) + 1, operator.span)?;
            let at = left.expr.at.0.to(right.expr.at.0).into();
            let kind = DurationKind::Binary(op, Box::new(left.expr), Box::new(right.expr));
            left = Tree { expr: DurationExpr { kind, at }, height };
        }
        Ok(left)
    }

    fn signed(&self, sign: Span, negative: bool, of: Tree) -> Result<Tree, ParseError> {
        let at = sign.to(of.expr.at.0).into();
        let (kind, height) = match of.expr.kind {
            DurationKind::Literal { seconds, duration } => {
                let seconds = if negative { negate(seconds) } else { seconds };
                (DurationKind::Literal { seconds, duration }, of.height)
            }
            _ if negative => (DurationKind::Negate(Box::new(of.expr)), self.limit(of.height + 1, sign)?),
            kind => (kind, of.height),
        };
        Ok(Tree { expr: DurationExpr { kind, at }, height })
    }

    fn length_operand(&mut self, context: &'static str) -> Result<Tree, ParseError> {
        let token = self.peek();
        match token.kind {
            Kind::Number | Kind::Duration => {
                let number = self.number()?;
                let (seconds, duration) = (number.value, number.duration);
                if seconds.0.is_nan() || seconds.0.abs() > MAX_SECONDS {
                    return Err(self.error(token.span, "duration out of range"));
                }
                let kind = DurationKind::Literal { seconds, duration };
                Ok(Tree { expr: DurationExpr { kind, at: number.at }, height: 1 })
            }
            Kind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
                self.next();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                let close = self.expect(Kind::RightParen, context, "\")\"")?;
                let kind = if keyword == Keyword::Step { DurationKind::Step } else { DurationKind::Range };
                let at = token.span.to(close.span).into();
                Ok(Tree { expr: DurationExpr { kind, at }, height: 1 })
            }
            Kind::Keyword(keyword @ (Keyword::MinOf | Keyword::MaxOf)) => {
                self.next();
                self.expect(Kind::LeftParen, context, "\"(\"")?;
                let a = self.descend(|parser| parser.length_binary(1, context))?;
                self.expect(Kind::Comma, context, "\",\"")?;
                let b = self.descend(|parser| parser.length_binary(1, context))?;
                let close = self.expect(Kind::RightParen, context, "\")\"")?;
                self.experimental(token.span)?;
                let height = self.limit(a.height.max(b.height) + 1, token.span)?;
                let (a, b) = (Box::new(a.expr), Box::new(b.expr));
                let kind = match keyword {
                    Keyword::MinOf => DurationKind::Min(a, b),
                    _ => DurationKind::Max(a, b),
                };
                let at = token.span.to(close.span).into();
                Ok(Tree { expr: DurationExpr { kind, at }, height })
            }
            Kind::LeftParen => {
                self.next();
                let of = self.descend(|parser| parser.length_binary(1, context))?;
                let close = self.expect(Kind::RightParen, context, "\")\"")?;
                self.experimental(token.span)?;
                let height = self.limit(of.height + 1, token.span)?;
                let at = token.span.to(close.span).into();
                Ok(Tree { expr: DurationExpr { kind: DurationKind::Paren(Box::new(of.expr)), at }, height })
            }
            _ => Err(self.unexpected(context, "number, duration, step(), or range()")),
        }
    }

    fn experimental(&self, span: Span) -> Result<(), ParseError> {
        if self.options.duration_expressions {
            return Ok(());
        }
        Err(self.error(span, "experimental duration expression is not enabled"))
    }
}

/// Seconds as whole milliseconds: by way of nanoseconds, as in Prometheus.
fn fixed(Real(seconds): Real) -> i64 {
    (seconds * 1e9).round() as i64 / 1_000_000
}
