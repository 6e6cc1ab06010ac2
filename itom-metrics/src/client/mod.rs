//! Stores elsewhere, asked through Prometheus's query API: Prometheus, Mimir, Thanos, VictoriaMetrics.
//!
//! [`PromApi`] asks; [`PromApiRules`] makes rule groups run there. As a [`Queryable`] it hands out raw samples, so that
//! our own engine evaluates over them. Two things are lost on that way, since the API does not show them: markers of
//! staleness (a series that ended seems to go on for the lookback) and the schema of native histograms (which are
//! refused).

mod answer;
mod rules;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use itom_core::{Classify, ErrorKind, MatchOp};
use tokio::runtime::{Builder, Runtime};

pub use self::answer::RemoteAnswer;
pub use self::rules::PromApiRules;
use crate::eval::QueryValue;
use crate::http::{Endpoint, HttpError};
use crate::{LabelMatcher, Queryable, QueryableError, SelectHints, SelectedSeries, TimeRange};

/// Why a service did not answer a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// It could not be asked, or gave no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It says no.
    #[error("the service refused the query ({kind}, HTTP {status}): {error}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The kind of error, as the API names it; empty when it does not.
        kind: String,
        /// Why.
        error: String,
    },
    /// The answer is none of this API.
    #[error("the answer is none of Prometheus's query API: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// The answer holds native histograms, whose schema the API does not show.
    #[error(
        "the series are native histograms, which the query API does not show whole; evaluate at the service"
    )]
    Histograms,
}

impl Classify for ApiError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Http(error) => error.kind(),
            Self::Refused { status: 400..=499, .. } => ErrorKind::Invalid,
            Self::Refused { .. } => ErrorKind::Unavailable,
            Self::Answer { .. } => ErrorKind::Bug,
            Self::Histograms => ErrorKind::Unsupported,
        }
    }
}

/// A service that speaks Prometheus's query API. Calls wait for the answer; they may be made from any thread, that of
/// an asynchronous runtime included, which is then blocked.
///
/// ```no_run
/// use itom_metrics::client::PromApi;
/// use itom_metrics::http::Endpoint;
/// let api = PromApi::new(Endpoint::builder("http://prometheus.example.com:9090").build()?)?;
/// let answer = api.instant("sum by (job) (up)", 1_700_000_000_000)?;
/// println!("{:?}", answer.value);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PromApi {
    endpoint: Arc<Endpoint>,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for PromApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromApi").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Drop for PromApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it is not allowed on the thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Queries that are under way at a time.
const AT_ONCE: usize = 8;

type Form<'a> = Vec<(&'static str, std::borrow::Cow<'a, str>)>;

fn seconds(at: i64) -> String {
    format!("{}.{:03}", at.div_euclid(1_000), at.rem_euclid(1_000))
}

impl PromApi {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when no thread can be started.
    pub fn new(endpoint: Endpoint) -> Result<Self, HttpError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("prom-api").enable_all().build();
        let runtime = runtime.map_err(|error| HttpError::Setup { reason: error.to_string() })?;
        Ok(Self { endpoint: Arc::new(endpoint), runtime: Some(runtime) })
    }

    /// Evaluates at a time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn instant(&self, query: &str, at: i64) -> Result<RemoteAnswer, ApiError> {
        let gone = || Err(ApiError::Answer { reason: "there is none".to_owned() });
        self.instants(&[query], at).pop().unwrap_or_else(gone)
    }

    /// Evaluates several expressions at one time, some at once; the answers are in their order.
    pub fn instants(&self, queries: &[&str], at: i64) -> Vec<Result<RemoteAnswer, ApiError>> {
        let forms =
            queries.iter().map(|query| vec![("query", (*query).into()), ("time", seconds(at).into())]);
        self.ask("api/v1/query", &forms.collect::<Vec<_>>())
    }

    /// Evaluates at every time from `start` to `end` by `step`, in milliseconds.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn range(&self, query: &str, (start, end, step): (i64, i64, i64)) -> Result<RemoteAnswer, ApiError> {
        let form = vec![
            ("query", query.into()),
            ("start", seconds(start).into()),
            ("end", seconds(end).into()),
            ("step", seconds(step).into()),
        ];
        let gone = || Err(ApiError::Answer { reason: "there is none".to_owned() });
        self.ask("api/v1/query_range", &[form]).pop().unwrap_or_else(gone)
    }

    fn ask(&self, path: &'static str, forms: &[Form<'_>]) -> Vec<Result<RemoteAnswer, ApiError>> {
        let mut answers: Vec<Option<Result<RemoteAnswer, ApiError>>> = forms.iter().map(|_| None).collect();
        for (chunk, places) in forms.chunks(AT_ONCE).zip(answers.chunks_mut(AT_ONCE)) {
            let (sender, receiver) = sync_channel(chunk.len());
            for (place, form) in chunk.iter().enumerate() {
                let mut body = form_urlencoded::Serializer::new(String::new());
                body.extend_pairs(form);
                let (endpoint, sender, body) = (Arc::clone(&self.endpoint), sender.clone(), body.finish());
                let Some(runtime) = &self.runtime else { continue };
                runtime.spawn(async move {
                    let content = [("content-type", "application/x-www-form-urlencoded")];
                    let received = endpoint.post(path, &content, body.into_bytes()).await;
                    let answer = received
                        .map_err(ApiError::from)
                        .and_then(|received| answer::read(received.status, &received.body));
                    // Whoever asked waits for as many answers as there are questions.
                    let _ = sender.send((place, answer));
                });
            }
            drop(sender);
            for (place, answer) in receiver {
                if let Some(slot) = places.get_mut(place) {
                    *slot = Some(answer);
                }
            }
        }
        let gone = || Err(ApiError::Answer { reason: "the client was stopped".to_owned() });
        answers.into_iter().map(|answer| answer.unwrap_or_else(gone)).collect()
    }
}

/// A selector as text.
fn selector(matchers: &[LabelMatcher]) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let parts = matchers.iter().map(|matcher| {
        let symbol = match matcher.op() {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        let name = matcher.name().as_str();
        let plain = name.bytes().enumerate().all(|(at, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
        });
        let name = if plain && !name.is_empty() { name.to_owned() } else { quoted(name) };
        format!("{name}{symbol}{}", quoted(matcher.value()))
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

impl Queryable for PromApi {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        // The window is open at its beginning in Prometheus 3 and closed before; what is too early is dropped.
        let window = range.to.saturating_sub(range.from).saturating_add(1);
        let query = format!("{}[{window}ms]", selector(matchers));
        let unavailable = |error: ApiError| QueryableError::Unavailable(error.into());
        let answer = self.instant(&query, range.to).map_err(unavailable)?;
        if answer.histograms > 0 {
            return Err(unavailable(ApiError::Histograms));
        }
        let QueryValue::Matrix(series) = answer.value else {
            return Err(unavailable(ApiError::Answer { reason: "it is no range vector".to_owned() }));
        };
        let limit = hints.max_samples.unwrap_or(u64::MAX);
        let mut read = 0;
        let mut found = Vec::with_capacity(series.len());
        for one in series {
            let mut samples = one.points;
            samples.floats.retain(|point| point.t >= range.from);
            read += samples.floats.len() as u64;
            if read > limit {
                return Err(QueryableError::Limit { what: "samples", limit });
            }
            if !samples.is_empty() {
                found.push(SelectedSeries { labels: one.labels, samples });
            }
        }
        Ok(found)
    }
}
