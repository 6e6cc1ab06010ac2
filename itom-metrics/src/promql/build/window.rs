//! Windows, and the functions that look at them.

use std::time::Duration;

use super::super::ast::{Expr, MatrixSelector, Real, VectorSelector};
use super::super::{At as Place, Function};
use super::{Query, Series, length, number};

/// The window of functions that are told none.
const DEFAULT: Duration = Duration::from_secs(300);

/// Samples of a stretch of time: `up[5m]`, or `(…)[1h:1m]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window(pub(super) Expr);

impl Window {
    pub(super) fn of(selector: VectorSelector, range: Duration) -> Self {
        Self(Expr::Matrix(MatrixSelector { selector, range: length(range), at: Place::default() }))
    }
}

/// Five minutes.
impl From<Series> for Window {
    fn from(series: Series) -> Self {
        series.range(DEFAULT)
    }
}
/// Five minutes of the metric of that name.
impl From<&str> for Window {
    fn from(name: &str) -> Self {
        Series::from(name).into()
    }
}

/// A function of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranged {
    function: Function,
    before: Option<Real>,
    window: Window,
    after: Option<Real>,
}

impl Ranged {
    fn new(function: Function, window: impl Into<Window>) -> Self {
        Self { function, before: None, window: window.into(), after: None }
    }

    /// Sets how long the window is: five minutes if not set.
    #[must_use]
    pub fn range(mut self, range: Duration) -> Self {
        match &mut self.window.0 {
            Expr::Matrix(matrix) => matrix.range = length(range),
            Expr::Subquery(subquery) => subquery.range = length(range),
            _ => {}
        }
        self
    }
}

impl From<Ranged> for Query {
    fn from(Ranged { function, before, window, after }: Ranged) -> Self {
        let mut args: Vec<Expr> = before.map(|value| number(value.0)).into_iter().collect();
        args.push(window.0);
        args.extend(after.map(|value| number(value.0)));
        Self::call(function, args)
    }
}

macro_rules! ranged {
    ($($name:ident $function:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "(…[5m])`")]
            pub fn $name(window: impl Into<Window>) -> Ranged {
                Ranged::new(Function::$function, window)
            }
        )*
    };
}

ranged! {
    absent_over_time AbsentOverTime;
    avg_over_time AvgOverTime;
    changes Changes;
    count_over_time CountOverTime;
    delta Delta;
    deriv Deriv;
    increase Increase;
    irate Irate;
    last_over_time LastOverTime;
    max_over_time MaxOverTime;
    min_over_time MinOverTime;
    present_over_time PresentOverTime;
    rate Rate;
    resets Resets;
    stddev_over_time StddevOverTime;
    sum_over_time SumOverTime;
}

/// `predict_linear(…[5m], …)`: the value after so long, if it goes on like this.
pub fn predict_linear(window: impl Into<Window>, after: Duration) -> Ranged {
    let after = Some(Real(after.as_secs_f64()));
    Ranged { after, ..Ranged::new(Function::PredictLinear, window) }
}

/// `quantile_over_time(…, …[5m])`
pub fn quantile_over_time(q: f64, window: impl Into<Window>) -> Ranged {
    let before = Some(Real(q));
    Ranged { before, ..Ranged::new(Function::QuantileOverTime, window) }
}
