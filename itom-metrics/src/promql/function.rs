//! The functions of PromQL with their types.

use super::ast::ValueType;

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    /// The fewest.
    pub least: usize,
    /// The most; `None` is any number.
    pub most: Option<usize>,
}

/// The types of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The types of the arguments; further ones have the type of the last.
    pub arguments: &'static [ValueType],
    /// How many arguments there may be.
    pub arity: Arity,
    /// What it returns.
    pub returns: ValueType,
    /// Whether Prometheus asks for a feature flag.
    pub experimental: bool,
}

impl Signature {
    /// The type the n-th argument (from 0) must have.
    #[must_use]
    pub fn argument(&self, index: usize) -> Option<ValueType> {
        self.arguments.get(index).or_else(|| self.arguments.last()).copied()
    }
}

macro_rules! functions {
    ($($variant:ident $name:literal ($($argument:ident),*) $least:literal .. $most:expr, $returns:ident, $experimental:literal;)*) => {
        /// A function of PromQL.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Function {
            /// All of them, by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in an expression.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The function of that name; names are case-sensitive.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Its types.
            #[must_use]
            pub const fn signature(self) -> Signature {
                match self {
                    $(Self::$variant => Signature {
                        arguments: &[$(ValueType::$argument),*],
                        arity: Arity { least: $least, most: $most },
                        returns: ValueType::$returns,
                        experimental: $experimental,
                    },)*
                }
            }
        }
    };
}

functions! {
    Abs "abs" (Vector) 1..Some(1), Vector, false;
    Absent "absent" (Vector) 1..Some(1), Vector, false;
    AbsentOverTime "absent_over_time" (Matrix) 1..Some(1), Vector, false;
    Acos "acos" (Vector) 1..Some(1), Vector, false;
    Acosh "acosh" (Vector) 1..Some(1), Vector, false;
    Asin "asin" (Vector) 1..Some(1), Vector, false;
    Asinh "asinh" (Vector) 1..Some(1), Vector, false;
    Atan "atan" (Vector) 1..Some(1), Vector, false;
    Atanh "atanh" (Vector) 1..Some(1), Vector, false;
    AvgOverTime "avg_over_time" (Matrix) 1..Some(1), Vector, false;
    Ceil "ceil" (Vector) 1..Some(1), Vector, false;
    Changes "changes" (Matrix) 1..Some(1), Vector, false;
    Clamp "clamp" (Vector, Scalar, Scalar) 3..Some(3), Vector, false;
    ClampMax "clamp_max" (Vector, Scalar) 2..Some(2), Vector, false;
    ClampMin "clamp_min" (Vector, Scalar) 2..Some(2), Vector, false;
    Cos "cos" (Vector) 1..Some(1), Vector, false;
    Cosh "cosh" (Vector) 1..Some(1), Vector, false;
    CountOverTime "count_over_time" (Matrix) 1..Some(1), Vector, false;
    DayOfMonth "day_of_month" (Vector) 0..Some(1), Vector, false;
    DayOfWeek "day_of_week" (Vector) 0..Some(1), Vector, false;
    DayOfYear "day_of_year" (Vector) 0..Some(1), Vector, false;
    DaysInMonth "days_in_month" (Vector) 0..Some(1), Vector, false;
    Deg "deg" (Vector) 1..Some(1), Vector, false;
    Delta "delta" (Matrix) 1..Some(1), Vector, false;
    Deriv "deriv" (Matrix) 1..Some(1), Vector, false;
    DoubleExponentialSmoothing "double_exponential_smoothing" (Matrix, Scalar, Scalar) 3..Some(3), Vector, true;
    End "end" () 0..Some(0), Scalar, true;
    Exp "exp" (Vector) 1..Some(1), Vector, false;
    FirstOverTime "first_over_time" (Matrix) 1..Some(1), Vector, true;
    Floor "floor" (Vector) 1..Some(1), Vector, false;
    HistogramAvg "histogram_avg" (Vector) 1..Some(1), Vector, false;
    HistogramCount "histogram_count" (Vector) 1..Some(1), Vector, false;
    HistogramFraction "histogram_fraction" (Scalar, Scalar, Vector) 3..Some(3), Vector, false;
    HistogramQuantile "histogram_quantile" (Scalar, Vector) 2..Some(2), Vector, false;
    HistogramQuantiles "histogram_quantiles" (Vector, String, Scalar, Scalar) 3..Some(12), Vector, true;
    HistogramStddev "histogram_stddev" (Vector) 1..Some(1), Vector, false;
    HistogramStdvar "histogram_stdvar" (Vector) 1..Some(1), Vector, false;
    HistogramSum "histogram_sum" (Vector) 1..Some(1), Vector, false;
    Hour "hour" (Vector) 0..Some(1), Vector, false;
    Idelta "idelta" (Matrix) 1..Some(1), Vector, false;
    Increase "increase" (Matrix) 1..Some(1), Vector, false;
    Info "info" (Vector, Vector) 1..Some(2), Vector, true;
    Irate "irate" (Matrix) 1..Some(1), Vector, false;
    LabelJoin "label_join" (Vector, String, String, String) 3..None, Vector, false;
    LabelReplace "label_replace" (Vector, String, String, String, String) 5..Some(5), Vector, false;
    LastOverTime "last_over_time" (Matrix) 1..Some(1), Vector, false;
    Ln "ln" (Vector) 1..Some(1), Vector, false;
    Log10 "log10" (Vector) 1..Some(1), Vector, false;
    Log2 "log2" (Vector) 1..Some(1), Vector, false;
    MadOverTime "mad_over_time" (Matrix) 1..Some(1), Vector, true;
    MaxOf "max_of" (Scalar, Scalar) 2..Some(2), Scalar, true;
    MaxOverTime "max_over_time" (Matrix) 1..Some(1), Vector, false;
    MinOf "min_of" (Scalar, Scalar) 2..Some(2), Scalar, true;
    MinOverTime "min_over_time" (Matrix) 1..Some(1), Vector, false;
    Minute "minute" (Vector) 0..Some(1), Vector, false;
    Month "month" (Vector) 0..Some(1), Vector, false;
    Pi "pi" () 0..Some(0), Scalar, false;
    PredictLinear "predict_linear" (Matrix, Scalar) 2..Some(2), Vector, false;
    PresentOverTime "present_over_time" (Matrix) 1..Some(1), Vector, false;
    QuantileOverTime "quantile_over_time" (Scalar, Matrix) 2..Some(2), Vector, false;
    Rad "rad" (Vector) 1..Some(1), Vector, false;
    Range "range" () 0..Some(0), Scalar, true;
    Rate "rate" (Matrix) 1..Some(1), Vector, false;
    Resets "resets" (Matrix) 1..Some(1), Vector, false;
    Round "round" (Vector, Scalar) 1..Some(2), Vector, false;
    Scalar "scalar" (Vector) 1..Some(1), Scalar, false;
    Sgn "sgn" (Vector) 1..Some(1), Vector, false;
    Sin "sin" (Vector) 1..Some(1), Vector, false;
    Sinh "sinh" (Vector) 1..Some(1), Vector, false;
    Sort "sort" (Vector) 1..Some(1), Vector, false;
    SortByLabel "sort_by_label" (Vector, String) 1..None, Vector, true;
    SortByLabelDesc "sort_by_label_desc" (Vector, String) 1..None, Vector, true;
    SortDesc "sort_desc" (Vector) 1..Some(1), Vector, false;
    Sqrt "sqrt" (Vector) 1..Some(1), Vector, false;
    Start "start" () 0..Some(0), Scalar, true;
    StartTimestamp "start_timestamp" (Vector) 1..Some(1), Vector, true;
    StddevOverTime "stddev_over_time" (Matrix) 1..Some(1), Vector, false;
    StdvarOverTime "stdvar_over_time" (Matrix) 1..Some(1), Vector, false;
    Step "step" () 0..Some(0), Scalar, true;
    SumOverTime "sum_over_time" (Matrix) 1..Some(1), Vector, false;
    Tan "tan" (Vector) 1..Some(1), Vector, false;
    Tanh "tanh" (Vector) 1..Some(1), Vector, false;
    Time "time" () 0..Some(0), Scalar, false;
    Timestamp "timestamp" (Vector) 1..Some(1), Vector, false;
    TsOfFirstOverTime "ts_of_first_over_time" (Matrix) 1..Some(1), Vector, true;
    TsOfLastOverTime "ts_of_last_over_time" (Matrix) 1..Some(1), Vector, true;
    TsOfMaxOverTime "ts_of_max_over_time" (Matrix) 1..Some(1), Vector, true;
    TsOfMinOverTime "ts_of_min_over_time" (Matrix) 1..Some(1), Vector, true;
    VectorOf "vector" (Scalar) 1..Some(1), Vector, false;
    Year "year" (Vector) 0..Some(1), Vector, false;
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
