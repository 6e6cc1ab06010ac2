//! Where an HTTP service is and how it is asked: what the client of the query API and remote write share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use itom_core::{BoxError, Classify, ErrorKind, Secret};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Why a service cannot be asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The settings are wrong.
    #[error("setting up the client of an HTTP service: {reason}")]
    Setup {
        /// What is wrong.
        reason: String,
    },
    /// There was no answer.
    #[error("the service at {host} gave no answer")]
    Unavailable {
        /// The host that was asked.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The answer is too large.
    #[error("the answer of {host} has more than {limit} bytes; ask for less or raise the limit")]
    TooLarge {
        /// The host that was asked.
        host: String,
        /// How large it may be.
        limit: usize,
    },
}

impl Classify for HttpError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Setup { .. } => ErrorKind::Invalid,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::Exhausted,
        }
    }
}

/// An answer with any status.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    /// Seconds of `Retry-After`.
    #[cfg_attr(not(feature = "remote-write"), expect(dead_code, reason = "read by remote write only"))]
    pub(crate) retry_after: Option<Duration>,
    #[cfg_attr(
        not(feature = "prom-api"),
        expect(dead_code, reason = "read by the client of the query API only")
    )]
    pub(crate) body: Vec<u8>,
}

/// A service: its address, the headers it wants, how long to wait for it.
///
/// ```
/// use itom_core::Secret;
/// use itom_metrics::http::Endpoint;
/// let endpoint = Endpoint::builder("https://mimir.example.com/prometheus")
///     .bearer(&Secret::new("token".to_owned()))
///     .header("X-Scope-OrgID", Secret::new("team-a".to_owned()))
///     .build()?;
/// assert!(!format!("{endpoint:?}").contains("token"));
/// # Ok::<(), itom_metrics::http::HttpError>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    client: Client,
    headers: Vec<(HeaderName, HeaderValue)>,
    most_bytes: usize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host()).finish_non_exhaustive()
    }
}

/// Sets up an [`Endpoint`].
#[derive(Debug)]
pub struct EndpointBuilder {
    url: String,
    headers: Vec<(String, Secret)>,
    timeout: Duration,
    most_bytes: usize,
}

impl EndpointBuilder {
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

    /// How long to wait for an answer. Default: 30 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How large an answer may be. Default: 256 MiB.
    #[must_use]
    pub const fn most_bytes(mut self, bytes: usize) -> Self {
        self.most_bytes = bytes;
        self
    }

    /// Checks everything; nothing is sent yet.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when the address is not http(s), a header is not one, or no certificates can be read.
    pub fn build(self) -> Result<Endpoint, HttpError> {
        let setup = |reason: String| HttpError::Setup { reason };
        let url = Url::parse(&self.url).map_err(|error| setup(format!("the address is wrong: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
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
        Ok(Endpoint { url, client, headers, most_bytes: self.most_bytes })
    }
}

impl Endpoint {
    /// A service at an address; what is asked of it is added to the path.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> EndpointBuilder {
        EndpointBuilder {
            url: url.into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            most_bytes: 256 << 20,
        }
    }

    /// The host, for errors: the rest of an address may hold secrets.
    #[must_use]
    pub fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// Posts a body to a path below the address.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Received, HttpError> {
        let mut url = self.url.clone();
        if !path.is_empty() {
            let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
            url.set_path(&joined);
        }
        let mut request = self.client.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let unavailable = |error: reqwest::Error| HttpError::Unavailable {
            host: self.host(),
            source: error.without_url().into(),
        };
        let mut response = request.send().await.map_err(unavailable)?;
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unavailable)? {
            if body.len() + piece.len() > self.most_bytes {
                return Err(HttpError::TooLarge { host: self.host(), limit: self.most_bytes });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Received { status, retry_after, body })
    }
}
