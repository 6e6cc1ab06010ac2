//! Who may read the console: a browser page from elsewhere must not, nor anybody on the network without the token.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, header};
use itom::core::Secret;

/// Decides about requests. The `Host` header is checked so that a page of another origin cannot reach the console by
/// rebinding its own name to a loopback address.
#[derive(Debug, Clone)]
pub struct Guard {
    hosts: Vec<String>,
    any_address: bool,
    token: Option<Secret>,
}

/// The cookie that carries the token after the first visit with `?token=`.
pub const COOKIE: &str = "itom_token";

/// Why the console does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// Others can reach the address and no token was given.
    #[error(
        "{0} can be reached by others: give a token with --token-file FILE or the environment variable \
         ITOM_CONSOLE_TOKEN, or listen on a loopback address"
    )]
    TokenNeeded(SocketAddr),
    /// A token that could be guessed.
    #[error("the token has {0} characters; use at least 16")]
    TokenTooShort(usize),
}

impl Guard {
    /// A guard for a console that listens there.
    ///
    /// # Errors
    /// [`GuardError`] when others could reach it without a token, or the token is too short.
    pub fn new(
        listen: SocketAddr,
        allow_hosts: &[String],
        token: Option<Secret>,
    ) -> Result<Self, GuardError> {
        if let Some(token) = &token
            && token.expose().len() < 16
        {
            return Err(GuardError::TokenTooShort(token.expose().len()));
        }
        if !listen.ip().is_loopback() && token.is_none() {
            return Err(GuardError::TokenNeeded(listen));
        }
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "[::1]"].iter().map(|host| (*host).to_owned()).collect();
        hosts.push(match listen.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        hosts.extend(allow_hosts.iter().map(|host| host.to_ascii_lowercase()));
        Ok(Self { hosts, any_address: listen.ip().is_unspecified(), token })
    }

    /// Whether this request may be answered.
    ///
    /// # Errors
    /// The status and a sentence that says why not.
    pub fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<(), (StatusCode, &'static str)> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !self.host_allowed(host) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "unknown Host header; start with --allow-host NAME to allow it",
            ));
        }
        if let Some(token) = &self.token
            && !presented(headers, query).is_some_and(|given| token.matches(&given))
        {
            return Err((
                StatusCode::UNAUTHORIZED,
                "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN",
            ));
        }
        if *method != Method::GET && *method != Method::HEAD {
            // A form or script of another origin sends its own Origin.
            let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
            if origin.is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| from != host)) {
                return Err((StatusCode::FORBIDDEN, "requests from another origin are refused"));
            }
        }
        Ok(())
    }

    fn host_allowed(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        if self.hosts.contains(&name) {
            return true;
        }
        // Listening on every address: any literal address is one of ours, a name is not.
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        self.any_address && bare.parse::<IpAddr>().is_ok()
    }
}

fn presented(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        && let Some(token) = value.strip_prefix("Bearer ")
    {
        return Some(token.to_owned());
    }
    for cookies in headers.get_all(header::COOKIE) {
        for cookie in cookies.to_str().unwrap_or_default().split(';') {
            if let Some((COOKIE, value)) = cookie.trim().split_once('=') {
                return Some(value.to_owned());
            }
        }
    }
    query_token(query).map(str::to_owned)
}

/// The token of a first visit.
pub fn query_token(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    fn loopback() -> Guard {
        Guard::new("127.0.0.1:8642".parse().expect("an address"), &[], None).expect("loopback needs no token")
    }

    fn status(guard: &Guard, method: &Method, pairs: &[(header::HeaderName, &str)]) -> Option<StatusCode> {
        guard.check(method, &headers(pairs), None).err().map(|(status, _)| status)
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let guard = loopback();
        assert_eq!(status(&guard, &Method::GET, &[(header::HOST, "127.0.0.1:8642")]), None);
        assert_eq!(status(&guard, &Method::GET, &[(header::HOST, "LOCALHOST:8642")]), None);
        assert_eq!(status(&guard, &Method::GET, &[(header::HOST, "[::1]:8642")]), None);
        for evil in ["evil.example:8642", "", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1:8642"]
        {
            assert_eq!(
                status(&guard, &Method::GET, &[(header::HOST, evil)]),
                Some(StatusCode::MISDIRECTED_REQUEST),
                "{evil}"
            );
        }
    }

    #[test]
    fn another_origin_cannot_post() {
        let guard = loopback();
        let host = (header::HOST, "127.0.0.1:8642");
        let refused = Some(StatusCode::FORBIDDEN);
        assert_eq!(
            status(&guard, &Method::POST, &[host.clone(), (header::ORIGIN, "http://evil.example")]),
            refused
        );
        assert_eq!(status(&guard, &Method::POST, &[host.clone(), (header::ORIGIN, "null")]), refused);
        assert_eq!(status(&guard, &Method::POST, &[host, (header::ORIGIN, "http://127.0.0.1:8642")]), None);
    }

    #[test]
    fn listening_elsewhere_needs_a_token() {
        let everywhere: SocketAddr = "0.0.0.0:8642".parse().expect("an address");
        assert!(matches!(Guard::new(everywhere, &[], None), Err(GuardError::TokenNeeded(_))));
        let short = Secret::new("short".into());
        assert!(matches!(Guard::new(everywhere, &[], Some(short)), Err(GuardError::TokenTooShort(5))));
        let token = Secret::new("0123456789abcdef".into());
        let guard = Guard::new(everywhere, &[], Some(token)).expect("a token was given");
        let host = (header::HOST, "192.0.2.7:8642");
        assert_eq!(status(&guard, &Method::GET, std::slice::from_ref(&host)), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(
            status(&guard, &Method::GET, &[host.clone(), (header::AUTHORIZATION, "Bearer 0123456789abcdeX")]),
            Some(StatusCode::UNAUTHORIZED)
        );
        for good in [
            (header::AUTHORIZATION, "Bearer 0123456789abcdef"),
            (header::COOKIE, "a=b; itom_token=0123456789abcdef"),
        ] {
            assert_eq!(status(&guard, &Method::GET, &[host.clone(), good]), None);
        }
        assert!(guard.check(&Method::GET, &headers(&[host]), Some("x=1&token=0123456789abcdef")).is_ok());
        assert_eq!(
            status(
                &guard,
                &Method::GET,
                &[(header::HOST, "evil.example:8642"), (header::AUTHORIZATION, "Bearer 0123456789abcdef")]
            ),
            Some(StatusCode::MISDIRECTED_REQUEST)
        );
    }
}
