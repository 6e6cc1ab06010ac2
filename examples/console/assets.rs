//! The page's files, compiled in: the console needs no network and no files beside it.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

macro_rules! assets {
    ($($path:literal => $mime:literal),* $(,)?) => {
        &[$(($path, $mime, include_bytes!(concat!("assets/", $path)) as &[u8])),*]
    };
}

const ASSETS: &[(&str, &str, &[u8])] = assets! {
    "index.html" => "text/html; charset=utf-8",
    "alerts.js" => "text/javascript; charset=utf-8",
    "api.js" => "text/javascript; charset=utf-8",
    "changes.js" => "text/javascript; charset=utf-8",
    "charts.js" => "text/javascript; charset=utf-8",
    "ci.js" => "text/javascript; charset=utf-8",
    "console.css" => "text/css; charset=utf-8",
    "console.js" => "text/javascript; charset=utf-8",
    "dom.js" => "text/javascript; charset=utf-8",
    "format.js" => "text/javascript; charset=utf-8",
    "health.js" => "text/javascript; charset=utf-8",
    "icon.svg" => "image/svg+xml",
    "impact.js" => "text/javascript; charset=utf-8",
    "items.js" => "text/javascript; charset=utf-8",
    "kinds.js" => "text/javascript; charset=utf-8",
    "layout.js" => "text/javascript; charset=utf-8",
    "map.js" => "text/javascript; charset=utf-8",
    "mapstyle.js" => "text/javascript; charset=utf-8",
    "metrics.js" => "text/javascript; charset=utf-8",
    "query.js" => "text/javascript; charset=utf-8",
    "rules.js" => "text/javascript; charset=utf-8",
    "vendor/VENDORED.md" => "text/plain; charset=utf-8",
    "vendor/cytoscape-dagre.LICENSE" => "text/plain; charset=utf-8",
    "vendor/cytoscape-dagre.min.js" => "text/javascript; charset=utf-8",
    "vendor/cytoscape.LICENSE" => "text/plain; charset=utf-8",
    "vendor/cytoscape.min.js" => "text/javascript; charset=utf-8",
    "vendor/dagre.LICENSE" => "text/plain; charset=utf-8",
    "vendor/uPlot.LICENSE" => "text/plain; charset=utf-8",
    "vendor/uPlot.iife.min.js" => "text/javascript; charset=utf-8",
    "vendor/uPlot.min.css" => "text/css; charset=utf-8",
};

/// Serves `/` and the files beside it.
pub(crate) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    match ASSETS.iter().find(|(name, _, _)| *name == path) {
        Some((_, mime, bytes)) => {
            let mut response = (*bytes).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
            response
        }
        None => (StatusCode::NOT_FOUND, "there is no such page").into_response(),
    }
}
