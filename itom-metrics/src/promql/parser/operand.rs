//! Operands: literals, selectors, calls, aggregations, parentheses, and the modifiers behind them.

use itom_core::{MatchOp, Text};

use super::super::ast::{
    Aggregate, AggregateOp, BinaryOp, Call, Edges, Expr, Grouping, Matcher, MatrixSelector, Moment, Number,
    Paren, Real, Shift, StringLiteral, Subquery, VectorSelector,
};
use super::super::error::nearest;
use super::super::token::{Keyword, Kind, Token};
use super::super::{Function, ParseError, RawText, Span, literal};
use super::{Parser, Tree};

impl Parser<'_> {
    /// An operand with all that follows it: ranges, `offset`, `@`, `anchored`.
    pub(super) fn postfixed(&mut self) -> Result<Tree, ParseError> {
        let mut tree = self.operand()?;
        loop {
            match self.peek().kind {
                Kind::LeftBracket => tree = self.brackets(tree)?,
                Kind::Keyword(Keyword::Offset) => self.offset(&mut tree.expr)?,
                Kind::At => self.moment(&mut tree.expr)?,
                Kind::Keyword(Keyword::Anchored) => self.edges(&mut tree.expr, Edges::Anchored)?,
                Kind::Keyword(Keyword::Smoothed) => self.edges(&mut tree.expr, Edges::Smoothed)?,
                _ => return Ok(tree),
            }
        }
    }

    fn operand(&mut self) -> Result<Tree, ParseError> {
        let token = self.peek();
        let call = self.ahead(1).kind == Kind::LeftParen;
        let expr = match token.kind {
            Kind::Number | Kind::Duration => Expr::Number(self.number()?),
            Kind::String => {
                let value = self.string(token)?;
                self.next();
                Expr::String(StringLiteral { value, at: token.span.into() })
            }
            Kind::LeftParen => {
                self.next();
                let inner = self.expression()?;
                let close = self.expect(Kind::RightParen, "", "")?;
                let height = self.limit(inner.height + 1, token.span)?;
                let at = token.span.to(close.span).into();
                return Ok(Tree { expr: Expr::Paren(Paren { expr: Box::new(inner.expr), at }), height });
            }
            Kind::Aggregate(op) => match self.ahead(1).kind {
                Kind::LeftParen | Kind::Keyword(Keyword::By | Keyword::Without) => {
                    return self.aggregate(op);
                }
                _ => Expr::Vector(self.selector()?),
            },
            Kind::Identifier if call => return self.call(),
            Kind::Keyword(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MinOf
                | Keyword::MaxOf,
            ) if call => return self.call(),
            _ => Expr::Vector(self.selector()?),
        };
        Ok(Tree { expr, height: 1 })
    }

    pub(super) fn number(&mut self) -> Result<Number, ParseError> {
        let token = self.next();
        let written = self.written(token);
        let duration = token.kind == Kind::Duration;
        let value = if duration {
            literal::duration(written).map(|milliseconds| milliseconds as f64 / 1_000.0)
        } else {
            literal::number(written)
        };
        let value = Real(value.map_err(|message| self.error(token.span, message))?);
        Ok(Number { value, duration, at: token.span.into() })
    }

    pub(super) fn signed_number(&mut self, context: &str, expected: &str) -> Result<f64, ParseError> {
        let negative = self.accept(Kind::Op(BinaryOp::Sub)).is_some();
        if !negative {
            self.accept(Kind::Op(BinaryOp::Add));
        }
        if !matches!(self.peek().kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected(context, expected));
        }
        let Real(value) = self.number()?.value;
        Ok(if negative && !value.is_nan() { -value } else { value })
    }

    pub(super) fn string(&self, token: Token) -> Result<RawText, ParseError> {
        literal::string(self.written(token)).map_err(|(at, message)| {
            let start = token.span.start + 1 + at;
            self.error(Span::new(start, token.span.end), message)
        })
    }

    pub(super) fn utf8_string(&self, token: Token, what: &str) -> Result<Text, ParseError> {
        let value = self.string(token)?;
        let text = value.to_str().map(Text::from);
        text.ok_or_else(|| self.error(token.span, format!("the {what} {} is not UTF-8", value.quoted())))
    }

    /// `name`, `name{…}` or `{…}`.
    pub(super) fn selector(&mut self) -> Result<VectorSelector, ParseError> {
        let first = self.peek();
        let mut name = match first.kind {
            Kind::Identifier
            | Kind::MetricIdentifier
            | Kind::Aggregate(_)
            | Kind::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => Some(self.written(first)),
            Kind::Keyword(
                Keyword::On | Keyword::Ignoring | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Bool,
            ) => None,
            Kind::Keyword(_) => Some(self.written(first)),
            _ => None,
        }
        .map(Text::from);
        let mut matchers = Vec::new();
        let mut span = first.span;
        if name.is_some() {
            self.next();
        }
        if let Some(open) = self.accept(Kind::LeftBrace) {
            let close = self.matchers(&mut name, &mut matchers)?;
            span = if open.span.start > first.span.start { first.span } else { open.span }.to(close.span);
        } else if name.is_none() {
            return Err(self.unexpected("", ""));
        }
        Ok(VectorSelector { name, matchers, shift: Shift::default(), edges: None, at: span.into() })
    }

    /// The inside of braces; returns the closing one.
    fn matchers(
        &mut self,
        name: &mut Option<Text>,
        matchers: &mut Vec<Matcher>,
    ) -> Result<Token, ParseError> {
        const CONTEXT: &str = "label matching";
        loop {
            if let Some(close) = self.accept(Kind::RightBrace) {
                return Ok(close);
            }
            let token = self.peek();
            let label = match token.kind {
                Kind::Identifier => Text::from(self.written(token)),
                Kind::String => self.utf8_string(token, "name")?,
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            self.next();
            let op = match self.peek().kind {
                Kind::Equal => Some(MatchOp::Equal),
                Kind::Op(BinaryOp::NotEqual) => Some(MatchOp::NotEqual),
                Kind::EqualRegex => Some(MatchOp::Regex),
                Kind::NotEqualRegex => Some(MatchOp::NotRegex),
                _ => None,
            };
            match op {
                Some(op) => {
                    self.next();
                    let value = self.peek();
                    if value.kind != Kind::String {
                        return Err(self.unexpected(CONTEXT, "string"));
                    }
                    let text = self.utf8_string(value, "value")?;
                    self.next();
                    matchers.push(Matcher { name: label, op, value: text });
                }
                // A quoted metric name.
                None if token.kind == Kind::String => match name {
                    None => *name = Some(label),
                    Some(first) => {
                        let message = format!("metric name must not be set twice: {first:?} or {label:?}");
                        return Err(self.error(token.span, message));
                    }
                },
                None => return Err(self.unexpected(CONTEXT, "label matching operator")),
            }
            if self.accept(Kind::Comma).is_none() && self.peek().kind != Kind::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Tree, ParseError> {
        let operator = self.next();
        let mut grouping = self.grouping()?;
        if self.peek().kind != Kind::LeftParen {
            return Err(self.unexpected("aggregation", "\"(\""));
        }
        let (mut args, height, close) = self.arguments()?;
        let mut span = operator.span.to(close.span);
        if grouping.is_none() {
            grouping = self.grouping()?;
            if grouping.is_some()
                && let Some(last) = self.at.checked_sub(1).and_then(|at| self.tokens.get(at))
            {
                span = span.to(last.span);
            }
        }
        if op.experimental() && !self.options.experimental_functions {
            let message = format!("{}() is experimental and must be enabled", op.name());
            return Err(self.error(span, message));
        }
        let wanted = 1 + usize::from(op.parameter().is_some());
        let got = args.len();
        let (Some(expr), true) = (args.pop(), got == wanted) else {
            let message = if got == 0 {
                "no arguments for aggregate expression provided".to_owned()
            } else {
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"
                )
            };
            return Err(self.error(span, message));
        };
        let param = args.pop().map(Box::new);
        let grouping = grouping.unwrap_or_else(|| Grouping::By(Vec::new()));
        let at = span.into();
        let expr = Expr::Aggregate(Aggregate { op, expr: Box::new(expr), param, grouping, at });
        Ok(Tree { expr, height: self.limit(height + 1, operator.span)? })
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        if self.accept(Kind::Keyword(Keyword::By)).is_some() {
            return Ok(Some(Grouping::By(self.label_list()?)));
        }
        if self.accept(Kind::Keyword(Keyword::Without)).is_some() {
            return Ok(Some(Grouping::Without(self.label_list()?)));
        }
        Ok(None)
    }

    fn call(&mut self) -> Result<Tree, ParseError> {
        let token = self.next();
        let name = self.written(token);
        let found = match token.kind {
            // These are keywords too, and those are known in any case.
            Kind::Keyword(_) => Function::by_name(&name.to_ascii_lowercase()),
            _ => Function::by_name(name),
        };
        let Some(function) = found else {
            let known = Function::ALL.iter().map(|function| function.name());
            let aggregations = AggregateOp::ALL.iter().map(|op| op.name());
            let meant = nearest(name, known.chain(aggregations));
            let message = format!("unknown function with name {name:?}");
            return Err(self.error(token.span, message).meaning(meant));
        };
        if function.signature().experimental && !self.options.experimental_functions {
            return Err(self.error(token.span, format!("function {name:?} is not enabled")));
        }
        let (args, height, close) = self.arguments()?;
        let at = token.span.to(close.span).into();
        let height = self.limit(height + 1, token.span)?;
        Ok(Tree { expr: Expr::Call(Call { function, args, at }), height })
    }

    /// Arguments in parentheses, the height of the highest, and the closing parenthesis.
    fn arguments(&mut self) -> Result<(Vec<Expr>, usize, Token), ParseError> {
        self.expect(Kind::LeftParen, "", "")?;
        let (mut args, mut height) = (Vec::new(), 0);
        loop {
            if args.is_empty()
                && let Some(close) = self.accept(Kind::RightParen)
            {
                return Ok((args, height, close));
            }
            let argument = self.expression()?;
            height = height.max(argument.height);
            args.push(argument.expr);
            if let Some(close) = self.accept(Kind::RightParen) {
                return Ok((args, height, close));
            }
            let comma = self.expect(Kind::Comma, "", "")?;
            if self.peek().kind == Kind::RightParen {
                return Err(self.error(comma.span, "trailing commas not allowed in function call args"));
            }
        }
    }

    /// `[5m]` or `[1h:5m]` behind an operand.
    fn brackets(&mut self, tree: Tree) -> Result<Tree, ParseError> {
        let open = self.next();
        let range = self.positive_length("subquery or range selector")?;
        let start = tree.expr.span();
        if self.accept(Kind::Colon).is_some() {
            let step = match self.peek().kind {
                Kind::RightBracket => None,
                _ => Some(self.positive_length("subquery selector")?),
            };
            let close = self.expect(Kind::RightBracket, "subquery selector", "\"]\"")?;
            let height = self.limit(tree.height + 1, open.span)?;
            let (expr, shift, at) = (Box::new(tree.expr), Shift::default(), start.to(close.span).into());
            return Ok(Tree { expr: Expr::Subquery(Subquery { expr, range, step, shift, at }), height });
        }
        let close = self.expect(Kind::RightBracket, "subquery or range", "\":\" or \"]\"")?;
        let wrong = match tree.expr {
            Expr::Vector(selector) if selector.shift.is_none() && selector.edges.is_none() => {
                let at = start.to(close.span).into();
                return Ok(Tree { expr: Expr::Matrix(MatrixSelector { selector, range, at }), height: 1 });
            }
            Expr::Vector(selector) if selector.shift.offset.is_some() => {
                "no offset modifiers allowed before range"
            }
            Expr::Vector(selector) if selector.shift.at.is_some() => "no @ modifiers allowed before range",
            Expr::Vector(_) => "no anchored or smoothed modifiers allowed before range",
            _ => "ranges only allowed for vector selectors",
        };
        let error = self.error(open.span.to(close.span), wrong);
        let written = self.text.get(start.start..close.span.start).unwrap_or("");
        let subquery = (wrong.starts_with("ranges") && written.len() < 60).then(|| format!("{written}:]"));
        Err(error.meaning(subquery.as_deref()))
    }

    fn offset(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.next();
        let length = self.offset_length()?;
        let Some(shift) = self.shift(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(expr.span(), message));
        };
        if shift.offset.is_some() {
            return Err(self.error(expr.span(), "offset may not be set multiple times"));
        }
        // An offset of nothing is none.
        shift.offset = (length != super::super::ast::Length::Fixed(0)).then_some(length);
        Ok(())
    }

    fn moment(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.next();
        let token = self.peek();
        let moment = match token.kind {
            Kind::Keyword(keyword @ (Keyword::Start | Keyword::End)) => {
                self.next();
                self.expect(Kind::LeftParen, "@", "timestamp")?;
                self.expect(Kind::RightParen, "@", "timestamp")?;
                if keyword == Keyword::Start { Moment::Start } else { Moment::End }
            }
            _ => {
                let seconds = self.signed_number("@", "timestamp")?;
                // As in Prometheus, which also keeps room for seconds.
                if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds:.6}");
                    return Err(self.error(expr.span(), message));
                }
                Moment::At((seconds * 1_000.0).round() as i64)
            }
        };
        let Some(shift) = self.shift(expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(expr.span(), message));
        };
        if shift.at.is_some() {
            return Err(self.error(expr.span(), "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(moment);
        Ok(())
    }

    /// Where the modifiers of an expression are kept; its span grows to the word just read.
    fn shift<'e>(&self, expr: &'e mut Expr) -> Option<&'e mut Shift> {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let end = last.map_or(0, |token| token.span.end);
        match expr {
            Expr::Vector(node) => {
                node.at.0.end = end;
                Some(&mut node.shift)
            }
            Expr::Matrix(node) => {
                node.at.0.end = end;
                Some(&mut node.selector.shift)
            }
            Expr::Subquery(node) => {
                node.at.0.end = end;
                Some(&mut node.shift)
            }
            _ => None,
        }
    }

    fn edges(&mut self, expr: &mut Expr, edges: Edges) -> Result<(), ParseError> {
        let token = self.next();
        let word = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
        if !self.options.extended_range_selectors {
            let message = format!("{word} modifier is experimental and not enabled");
            return Err(self.error(token.span, message));
        }
        let selector = match expr {
            Expr::Vector(selector) => {
                selector.at.0.end = token.span.end;
                selector
            }
            Expr::Matrix(matrix) => {
                matrix.at.0.end = token.span.end;
                &mut matrix.selector
            }
            Expr::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return Err(self.error(token.span, message));
            }
            _ => return Err(self.error(token.span, format!("{word} modifier not implemented"))),
        };
        if selector.edges.is_some_and(|set| set != edges) {
            return Err(self.error(token.span, "anchored and smoothed modifiers cannot be used together"));
        }
        selector.edges = Some(edges);
        Ok(())
    }
}
