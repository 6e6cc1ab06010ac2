//! The HTTP server: the guard before everything, the API, live events, the page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt};
use itom::{Delivery, EngineEvent, EngineHandle};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{api, assets, rules};
use itom_examples::guard::{COOKIE, Guard, query_token};

/// What every request may use.
#[derive(Debug, Clone)]
struct Shared {
    engine: EngineHandle,
    /// The threshold rules, as JSON.
    rules: Arc<Value>,
}

/// The whole site; `rules` are the threshold rules as they are shown.
pub(crate) fn site(engine: &EngineHandle, rules: Value, guard: Guard) -> Router {
    let guard = Arc::new(guard);
    Router::new()
        .route("/api/overview", get(overview))
        .route("/api/map", get(map))
        .route("/api/cis", get(cis))
        .route("/api/ci/{id}", get(ci))
        .route("/api/ci/{id}/impact", get(impact))
        .route("/api/alerts", get(alerts))
        .route("/api/alerts/{id}", get(alert))
        .route("/api/alerts/{id}/ack", post(acknowledge))
        .route("/api/changes", get(changes))
        .route("/api/metrics", get(metrics))
        .route("/api/series", get(series))
        .route("/api/quality", get(quality))
        .route("/api/rules", get(rule_list))
        .route("/api/events", get(events))
        .with_state(Shared { engine: engine.clone(), rules: Arc::new(rules) })
        .merge(engine.api().router())
        .fallback(assets::serve)
        .layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let guard = Arc::clone(&guard);
            async move { admit(&guard, request, next).await }
        }))
}

/// Lets a request in or says why not, and sets the headers that keep other pages out.
async fn admit(guard: &Guard, request: Request, next: Next) -> Response {
    let query = request.uri().query().map(str::to_owned);
    if let Err((status, why)) = guard.check(request.method(), request.headers(), query.as_deref()) {
        return (status, format!("{why}\n")).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        ),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The first visit with `?token=` leaves a cookie, so that the page's own requests are let in.
    if let Some(token) = query_token(query.as_deref())
        && let Ok(value) =
            HeaderValue::from_str(&format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"))
    {
        headers.insert(header::SET_COOKIE, value);
    }
    response
}

/// An answer that is an error: a status and one sentence.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

pub(crate) fn parse<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal(StatusCode::BAD_REQUEST, format!("`{text}` is not {what}")))
}

async fn quality(State(shared): State<Shared>) -> Json<Value> {
    Json(crate::quality::quality(&shared.engine))
}

async fn overview(State(shared): State<Shared>) -> Json<Value> {
    Json(api::overview(&shared.engine))
}

#[derive(Deserialize)]
struct MapQuery {
    detail: Option<String>,
}

async fn map(State(shared): State<Shared>, Query(query): Query<MapQuery>) -> Result<Json<Value>, Refusal> {
    api::map_json(&shared.engine, query.detail.as_deref().unwrap_or("services")).map(Json)
}

#[derive(Deserialize)]
pub(crate) struct CisQuery {
    pub(crate) kind: Option<String>,
    pub(crate) q: Option<String>,
    pub(crate) limit: Option<usize>,
}

async fn cis(State(shared): State<Shared>, Query(query): Query<CisQuery>) -> Json<Value> {
    Json(api::cis(&shared.engine, &query))
}

async fn ci(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    api::ci(&shared.engine, parse("the id of an item", &id)?).map(Json)
}

async fn impact(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    api::impact(&shared.engine, parse("the id of an item", &id)?).map(Json)
}

async fn alerts(State(shared): State<Shared>) -> Json<Value> {
    Json(api::alerts(&shared.engine))
}

async fn alert(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    api::alert(&shared.engine, parse("the id of an alert", &id)?).await.map(Json)
}

#[derive(Deserialize)]
struct Acknowledgement {
    by: String,
}

async fn acknowledge(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Json(body): Json<Acknowledgement>,
) -> Result<Json<Value>, Refusal> {
    api::acknowledge(&shared.engine, parse("the id of an alert", &id)?, &body.by).await.map(Json)
}

#[derive(Deserialize)]
struct ChangesQuery {
    limit: Option<usize>,
}

async fn changes(State(shared): State<Shared>, Query(query): Query<ChangesQuery>) -> Json<Value> {
    Json(api::changes(&shared.engine, query.limit.unwrap_or(200).min(5_000)))
}

#[derive(Deserialize)]
struct MetricsQuery {
    q: Option<String>,
}

async fn metrics(State(shared): State<Shared>, Query(query): Query<MetricsQuery>) -> Json<Value> {
    Json(api::metrics(&shared.engine, query.q.as_deref().unwrap_or_default()))
}

#[derive(Deserialize)]
pub(crate) struct SeriesQuery {
    pub(crate) metric: String,
    pub(crate) ci: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) points: Option<usize>,
    pub(crate) rate: Option<String>,
}

async fn series(
    State(shared): State<Shared>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<Value>, Refusal> {
    api::series(&shared.engine, &query).map(Json)
}

async fn rule_list(State(shared): State<Shared>) -> Json<Value> {
    Json(rules::rules(&shared.engine, &shared.rules))
}

/// How many events a slow browser may lag behind before it is told to load again.
const EVENT_QUEUE: usize = 256;

async fn events(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = shared.engine.subscribe(EVENT_QUEUE).filter_map(|delivery| async move {
        let (name, data) = match delivery {
            Delivery::Event(EngineEvent::Ingested { at, source, changes, .. }) if changes.is_empty() => {
                ("round", json!({"at": at, "source": source}))
            }
            Delivery::Event(EngineEvent::Ingested { at, source, changes, .. }) => {
                ("change", json!({"at": at, "source": source, "changes": changes.len()}))
            }
            Delivery::Event(EngineEvent::Alert { at, transition }) => {
                ("alert", json!({"at": at, "alert": transition.alert}))
            }
            Delivery::Event(EngineEvent::Store { at, error }) => {
                ("store", json!({"at": at, "error": error.map(|(_, text)| text)}))
            }
            // The page reads everything again.
            Delivery::Lagged(missed) => ("change", json!({"missed": missed})),
            _ => return None,
        };
        Some(Ok(Event::default().event(name).data(data.to_string())))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
