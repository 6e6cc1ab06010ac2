//! Posts notices as JSON to an HTTP endpoint.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use itom_core::{Secret, Text};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::{Idempotence, Notice, Notifier, NotifyError};

/// Posts each notice as JSON. Needs a tokio runtime with I/O and time around it.
///
/// Answers: 2xx is success; 429 and 503 with `Retry-After` (in seconds) are tried again then; 408, 429 and 5xx are
/// tried again with growing pauses; everything else is a refusal. Redirects are not followed. The header
/// `Idempotency-Key` carries the notice's key.
pub struct WebhookNotifier {
    name: Text,
    url: Url,
    client: Client,
    timeout: Duration,
    idempotence: Idempotence,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Sets up a [`WebhookNotifier`].
#[derive(Debug)]
pub struct WebhookBuilder {
    name: Text,
    url: String,
    timeout: Duration,
    idempotence: Idempotence,
    headers: Vec<(String, Secret)>,
}

impl WebhookNotifier {
    /// A notifier that posts to `url`; `name` stands in errors (addresses often hold secrets and never do).
    #[must_use]
    pub fn builder(name: impl Into<Text>, url: impl Into<String>) -> WebhookBuilder {
        WebhookBuilder {
            name: name.into(),
            url: url.into(),
            timeout: Duration::from_secs(10),
            idempotence: Idempotence::None,
            headers: Vec::new(),
        }
    }
}

impl WebhookBuilder {
    /// How long one attempt may take: 10 s if nothing is said.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        let value = Secret::new(format!("Bearer {}", token.expose()));
        self.header(AUTHORIZATION.as_str(), value)
    }

    /// Sends a header; its value is never shown.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.headers.push((name.into(), value));
        self
    }

    /// The receiver knows keys it has seen (`Idempotency-Key` or the field `key`).
    #[must_use]
    pub const fn idempotence(mut self, idempotence: Idempotence) -> Self {
        self.idempotence = idempotence;
        self
    }

    /// Checks everything; nothing is sent yet.
    ///
    /// # Errors
    /// [`NotifyError::Setup`] when the address is not http(s), a header is not one, or no certificates can be read.
    pub fn build(self) -> Result<WebhookNotifier, NotifyError> {
        let setup = |reason: String| NotifyError::Setup { receiver: self.name.clone(), reason };
        let url = Url::parse(&self.url).map_err(|error| setup(format!("the address is wrong: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(setup("give an http or https address".into()));
        }
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| setup("a header's name is not one".into()))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
                setup(format!("the value of header `{name}` has characters it must not have"))
            })?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_platform_verifier())
            .map_err(|error| setup(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.timeout)
            .build()
            .map_err(|error| setup(format!("the HTTP client cannot be set up: {}", error.without_url())))?;
        let (name, timeout, idempotence) = (self.name.clone(), self.timeout, self.idempotence);
        Ok(WebhookNotifier { name, url, client, timeout, idempotence, headers })
    }
}

impl fmt::Debug for WebhookNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of a webhook is often its password.
        f.debug_struct("WebhookNotifier")
            .field("name", &self.name)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut request = self.client.post(self.url.clone()).json(notice);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Ok(key) = HeaderValue::from_str(&notice.key) {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            if error.is_timeout() {
                NotifyError::Timeout { receiver: self.name.clone(), after: self.timeout }
            } else {
                NotifyError::Unavailable { receiver: self.name.clone(), source: error.into() }
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let reason = format!("HTTP {status}");
        let receiver = self.name.clone();
        let again = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        Err(if again {
            NotifyError::Busy { receiver, reason, after }
        } else {
            NotifyError::Refused { receiver, reason }
        })
    }

    fn idempotence(&self) -> Idempotence {
        self.idempotence
    }
}
