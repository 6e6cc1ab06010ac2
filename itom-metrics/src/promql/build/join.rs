//! Operators between two sides.

use itom_core::Text;

use super::super::At as Place;
use super::super::ast::{Binary, BinaryOp, Cardinality, Expr, MatchLabels, ValueType, VectorMatching};
use super::{Query, labels, parens};

/// Two sides and the operator between them, with how their series find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Joined {
    op: BinaryOp,
    left: Query,
    right: Query,
    return_bool: bool,
    matching: VectorMatching,
}

impl Joined {
    pub(super) fn new(op: BinaryOp, left: Query, right: Query) -> Self {
        let cardinality = if op.is_set() { Cardinality::ManyToMany } else { Cardinality::OneToOne };
        let labels = MatchLabels::Ignoring(Vec::new());
        let (include, fill_left, fill_right) = (Vec::new(), None, None);
        let matching = VectorMatching { cardinality, labels, include, fill_left, fill_right };
        Self { op, left, right, return_bool: false, matching }
    }

    /// `on (…)`: these labels must be equal.
    pub fn on<L: Into<Text>>(mut self, on: impl IntoIterator<Item = L>) -> Self {
        self.matching.labels = MatchLabels::On(labels(on));
        self
    }

    /// `ignoring (…)`: all labels but these must be equal.
    pub fn ignoring<L: Into<Text>>(mut self, ignoring: impl IntoIterator<Item = L>) -> Self {
        self.matching.labels = MatchLabels::Ignoring(labels(ignoring));
        self
    }

    /// `group_left (…)`: many on the left match one on the right, and get these labels of it.
    pub fn group_left<L: Into<Text>>(mut self, include: impl IntoIterator<Item = L>) -> Self {
        (self.matching.cardinality, self.matching.include) = (Cardinality::ManyToOne, labels(include));
        self
    }

    /// `group_right (…)`: many on the right match one on the left, and get these labels of it.
    pub fn group_right<L: Into<Text>>(mut self, include: impl IntoIterator<Item = L>) -> Self {
        (self.matching.cardinality, self.matching.include) = (Cardinality::OneToMany, labels(include));
        self
    }

    /// `bool`: the comparison gives 0 or 1 for each sample instead of leaving samples out.
    pub const fn as_bool(mut self) -> Self {
        self.return_bool = true;
        self
    }
}

impl From<Joined> for Query {
    fn from(joined: Joined) -> Self {
        let Joined { op, left: Self(left), right: Self(right), return_bool, matching } = joined;
        let vectors = [&left, &right].iter().all(|side| side.value_type() == ValueType::Vector);
        Self(Expr::Binary(Binary {
            op,
            lhs: Box::new(side(left, op, Side::Left)),
            rhs: Box::new(side(right, op, Side::Right)),
            return_bool,
            matching: vectors.then_some(matching),
            at: Place::default(),
        }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// One side of an operator, in parentheses where it would be read otherwise without.
fn side(expr: Expr, op: BinaryOp, side: Side) -> Expr {
    let bare = match &expr {
        Expr::Binary(inner) => {
            let (own, outer) = (inner.op.precedence(), op.precedence());
            // `^` goes from right to left, all others from left to right.
            let first = if op == BinaryOp::Pow { Side::Right } else { Side::Left };
            own > outer || (own == outer && side == first)
        }
        // `-1 ^ 2` is `-(1 ^ 2)`.
        Expr::Number(number) => {
            !(side == Side::Left && op == BinaryOp::Pow && number.value.0.is_sign_negative())
        }
        _ => true,
    };
    if bare { expr } else { parens(expr) }
}
