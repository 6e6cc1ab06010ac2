//! The few calls of the W3C WebDriver protocol that the page tests need, over plain HTTP to `chromedriver`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Running, eventually, free_port, http, installed, start};

/// A headless browser with one window.
#[derive(Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    _driver: Running,
}

impl Browser {
    /// Starts one; the reason when that is not possible here.
    pub(crate) fn start(profile: &Path) -> Result<Self, String> {
        let chromium = installed("chromium").ok_or("chromium is not installed")?;
        let driver = installed("chromedriver").ok_or("chromedriver is not installed")?;
        let port = free_port();
        let driver = start(&driver.to_string_lossy(), &[&format!("--port={port}")])
            .ok_or("chromedriver does not start")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        eventually(Duration::from_secs(20), || {
            http(address, "GET", "/status", &[], None).ok().filter(|(status, _)| *status == 200)
        })
        .ok_or("chromedriver does not answer")?;
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--force-device-scale-factor=1",
            "--window-size=1600,1000",
        ];
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium.to_string_lossy(), "args": args},
        }}});
        let (status, body) =
            http(address, "POST", "/session", &[], Some(&wanted)).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        match answer["value"]["sessionId"].as_str() {
            Some(session) if status == 200 => {
                Ok(Self { address, session: session.to_owned(), _driver: driver })
            }
            _ => Err(format!("the browser does not start: {}", answer["value"]["message"])),
        }
    }

    fn call(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        let (status, body) =
            http(self.address, "POST", &path, &[], Some(body)).expect("chromedriver answers");
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(status, 200, "WebDriver {path}: {answer}");
        answer["value"].clone()
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        self.call("url", &json!({"url": url}));
    }

    /// Runs a function body in the page; its promise is awaited.
    pub(crate) fn run(&self, script: &str, args: &[Value]) -> Value {
        self.call("execute/sync", &json!({"script": script, "args": args}))
    }

    /// What the window shows, as PNG in base64.
    pub(crate) fn screenshot(&self) -> String {
        let path = format!("/session/{}/screenshot", self.session);
        let (_, body) = http(self.address, "GET", &path, &[], None).expect("chromedriver answers");
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        answer["value"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = http(self.address, "DELETE", &format!("/session/{}", self.session), &[], None);
    }
}
