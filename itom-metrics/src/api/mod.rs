//! The query API of Prometheus over any store: what Grafana and `promtool query` speak.
//!
//! `query`, `query_range`, `series`, `labels`, `label/…/values`, `metadata`, `rules`, `alerts`, `query_exemplars`,
//! `format_query` and `status/buildinfo` below `/api/v1`, by `GET` or as a form by `POST`, and `/-/healthy` and
//! `/-/ready`, as [documented](https://prometheus.io/docs/prometheus/latest/querying/api/). Evaluations run on the
//! runtime's threads for blocking work, end at their time, and end when the client hangs up.

mod answer;
mod failure;
mod json;
mod params;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use itom_core::Clock;
use tokio::sync::Semaphore;

use self::failure::{Failure, FailureKind};
use self::params::Params;
use crate::eval::{Engine, Interruption};
use crate::promql::ParseOptions;

pub use source::{AlertView, Browsable, RuleGroupView, RuleView, Rules, value_text};

/// Most bytes of a form.
const FORM: usize = 10 << 20;

/// Most requests that are evaluated at a time.
const CONCURRENCY: usize = 20;

/// An answer that says yes.
#[derive(Debug, Default)]
struct Reply {
    /// JSON.
    data: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl From<String> for Reply {
    fn from(data: String) -> Self {
        Self { data, ..Self::default() }
    }
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn Browsable>,
    engine: Engine,
    clock: Arc<dyn Clock>,
    rules: Arc<dyn Rules>,
    options: ParseOptions,
    timeout: Duration,
    /// One for each evaluation that may go on.
    turns: Arc<Semaphore>,
    speaks: String,
}

/// The API over a store.
///
/// ```
/// use std::sync::Arc;
/// use itom_core::SystemClock;
/// use itom_metrics::api::Api;
/// use itom_metrics::eval::Engine;
/// use itom_metrics::{SeriesStore, StoreConfig};
///
/// let store = Arc::new(SeriesStore::new(StoreConfig::default()));
/// let router: axum::Router = Api::new(store, Engine::default(), Arc::new(SystemClock::new())).router();
/// # drop(router);
/// ```
#[derive(Debug)]
pub struct Api(Shared);

impl Api {
    /// Over a store, evaluated by an engine; the clock says what time it is when a request does not.
    #[must_use]
    pub fn new(store: Arc<dyn Browsable>, engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self(Shared {
            store,
            engine,
            clock,
            rules: Arc::new(source::NoRules),
            options: ParseOptions::default(),
            timeout: Duration::from_secs(120),
            turns: Arc::new(Semaphore::new(CONCURRENCY)),
            speaks: "3.0.0".to_owned(),
        })
    }

    /// Where rules and alerts are read. Default: there are none.
    #[must_use]
    pub fn rules(mut self, rules: Arc<dyn Rules>) -> Self {
        self.0.rules = rules;
        self
    }

    /// The language of queries.
    #[must_use]
    pub fn parse_options(mut self, options: ParseOptions) -> Self {
        self.0.options = options;
        self
    }

    /// How long a query may take; a request may ask for less. Default: two minutes.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// How many requests are evaluated at a time, at least one; others wait, and their waiting counts as part of their
    /// time. Default: 20, as Prometheus.
    #[must_use]
    pub fn concurrency(mut self, most: usize) -> Self {
        self.0.turns = Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        self
    }

    /// The version of Prometheus whose API `status/buildinfo` says is spoken; clients decide by it what to ask for.
    /// Default: 3.0.0.
    #[must_use]
    pub fn speaks(mut self, version: impl Into<String>) -> Self {
        self.0.speaks = version.into();
        self
    }

    /// The routes, to be served or nested. Needs a tokio runtime.
    pub fn router(self) -> axum::Router {
        let healthy = || async { "Prometheus Server is Healthy.\n" };
        let ready = || async { "Prometheus Server is Ready.\n" };
        axum::Router::new()
            .route("/api/v1/query", route(answer::query))
            .route("/api/v1/query_range", route(answer::query_range))
            .route("/api/v1/query_exemplars", route(answer::query_exemplars))
            .route("/api/v1/format_query", route(answer::format_query))
            .route("/api/v1/series", route(answer::series))
            .route("/api/v1/labels", route(answer::labels))
            .route("/api/v1/label/{name}/values", get(label_values))
            .route("/api/v1/metadata", route(answer::metadata))
            .route("/api/v1/rules", route(answer::rules))
            .route("/api/v1/alerts", route(answer::alerts))
            .route("/api/v1/status/buildinfo", route(answer::buildinfo))
            .route("/-/healthy", get(healthy))
            .route("/-/ready", get(ready))
            .with_state(Arc::new(self.0))
    }
}

type Handler = fn(&Shared, &Params, &Patience<'_>) -> Result<Reply, Failure>;

fn route(handler: Handler) -> MethodRouter<Arc<Shared>> {
    let answer = move |State(shared): State<Arc<Shared>>, request: Request| async move {
        match read(request).await {
            Ok(params) => run(shared, params, handler).await,
            Err(failure) => refuse(&failure),
        }
    };
    get(answer).post(answer)
}

async fn label_values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    match read(request).await {
        Ok(mut params) => {
            params.put_first(answer::LABEL, name);
            run(shared, params, answer::label_values).await
        }
        Err(failure) => refuse(&failure),
    }
}

async fn read(request: Request) -> Result<Params, Failure> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or("");
    if parts.method != Method::POST {
        return Ok(Params::new(b"", query));
    }
    let form = axum::body::to_bytes(body, FORM).await;
    let form = form.map_err(|error| Failure::bad(format!("error parsing form values: {error}")))?;
    Ok(Params::new(&form, query))
}

/// Until when a request waits for its answer.
struct Patience<'a> {
    clock: &'a dyn Clock,
    deadline: itom_core::Timestamp,
    canceled: &'a AtomicBool,
}

impl crate::eval::Watch for Patience<'_> {
    fn interrupted(&self) -> Option<Interruption> {
        if self.canceled.load(Ordering::Relaxed) {
            Some(Interruption::Canceled)
        } else {
            (self.clock.now() >= self.deadline).then_some(Interruption::TimedOut)
        }
    }
}

/// Says that nobody waits any more when the request is dropped.
struct HangUp(Arc<AtomicBool>);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn run(shared: Arc<Shared>, params: Params, handler: Handler) -> Response {
    let timeout = match params.timeout(shared.timeout) {
        Ok(timeout) => timeout,
        Err(failure) => return refuse(&failure),
    };
    let canceled = Arc::new(AtomicBool::new(false));
    let hang_up = HangUp(Arc::clone(&canceled));
    // Waiting for a turn counts, and nobody needs the answer to what waited too long.
    let deadline = shared.clock.now() + timeout;
    let turn = match Arc::clone(&shared.turns).acquire_owned().await {
        Ok(turn) => turn,
        Err(error) => return refuse(&Failure { kind: FailureKind::Internal, error: error.to_string() }),
    };
    let outcome = tokio::task::spawn_blocking(move || {
        // Held until the evaluation has ended, whether or not somebody waits for it still.
        let _turn = turn;
        handler(&shared, &params, &Patience { clock: &*shared.clock, deadline, canceled: &canceled })
    });
    let outcome = outcome.await;
    drop(hang_up);
    match outcome {
        Ok(Ok(reply)) => accept(&reply),
        Ok(Err(failure)) => refuse(&failure),
        Err(error) => refuse(&Failure { kind: FailureKind::Internal, error: error.to_string() }),
    }
}

fn accept(reply: &Reply) -> Response {
    let mut out = format!("{{\"status\":\"success\",\"data\":{}", reply.data);
    for (name, remarks) in [("warnings", &reply.warnings), ("infos", &reply.infos)] {
        if !remarks.is_empty() {
            out.push_str(&format!(",\"{name}\":"));
            json::list(&mut out, remarks, |out, remark| json::text(out, remark));
        }
    }
    out.push('}');
    ([(header::CONTENT_TYPE, "application/json")], Body::from(out)).into_response()
}

fn refuse(failure: &Failure) -> Response {
    let mut out = format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", failure.word());
    json::text(&mut out, &failure.error);
    out.push('}');
    (failure.status(), [(header::CONTENT_TYPE, "application/json")], Body::from(out)).into_response()
}
