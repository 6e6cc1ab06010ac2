//! The webhook against a real HTTP server, and the conformance suite over every notifier.
#![cfg(all(feature = "webhook", feature = "testing"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use itom_alert::notify::testing::{check_notifier, sample_notices};
use itom_alert::notify::{Idempotence, LogNotifier, MemoryNotifier, Notice, Notifier, WebhookNotifier};
use itom_core::{Classify, ErrorKind, Retry, Secret};

#[derive(Debug, Clone)]
struct Seen {
    head: String,
    body: String,
}

/// Answers every request with this, in a thread that ends with the test.
fn server(answer: &'static str) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/s3cr3t", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() || head.is_empty() {
                continue;
            }
            shared.lock().unwrap().push(Seen { head, body: String::from_utf8(body).unwrap() });
            if !answer.is_empty() {
                let _ = stream.write_all(answer.as_bytes());
            } else {
                // Never answers: hold the connection until the client goes away.
                let _ = stream.read(&mut [0]);
            }
        }
    });
    (url, seen)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const OK: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[test]
fn a_notice_is_posted_with_token_and_key() {
    let (url, seen) = server(OK);
    let token = Secret::new("t0ken".into());
    let hook = WebhookNotifier::builder("chat", url).bearer(&token).build().unwrap();
    let notice = &sample_notices()[0];
    run(hook.notify(notice)).unwrap();
    let seen = seen.lock().unwrap().remove(0);
    let head = seen.head.to_ascii_lowercase();
    assert!(head.starts_with("post /hook/s3cr3t http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer t0ken"), "{head}");
    assert!(head.contains("idempotency-key: conformance/0"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(&serde_json::from_str::<Notice>(&seen.body).unwrap(), notice);
}

#[test]
fn answers_are_classified() {
    let post = |answer: &'static str| {
        let hook = WebhookNotifier::builder("chat", server(answer).0).build().unwrap();
        run(hook.notify(&sample_notices()[0])).unwrap_err()
    };
    let refused = post("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!((refused.kind(), refused.retry()), (ErrorKind::Invalid, Retry::Never));
    let broken = post("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(broken.retry(), Retry::Backoff);
    let busy = post("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(busy.retry(), Retry::After(Duration::from_secs(7)));
    let moved = post(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(moved.retry(), Retry::Never, "redirects are not followed");
}

#[test]
fn silence_is_a_timeout_and_nobody_there_is_unavailable() {
    let hook =
        WebhookNotifier::builder("chat", server("").0).timeout(Duration::from_millis(100)).build().unwrap();
    let error = run(hook.notify(&sample_notices()[0])).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Backoff));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/s3cr3t", listener.local_addr().unwrap());
    drop(listener);
    let hook = WebhookNotifier::builder("chat", url).build().unwrap();
    let error = run(hook.notify(&sample_notices()[0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = format!("{} {hook:?}", itom_core::ErrorChain(&error));
    assert!(!text.contains("s3cr3t"), "addresses hold passwords: {text}");
}

#[test]
fn setup_is_checked() {
    assert!(WebhookNotifier::builder("chat", "ftp://x/").build().is_err());
    assert!(WebhookNotifier::builder("chat", "what").build().is_err());
    let header = WebhookNotifier::builder("chat", "http://x/").header("a b", Secret::new("v".into()));
    assert!(header.build().is_err());
}

#[test]
fn every_notifier_conforms() {
    let memory = MemoryNotifier::new(100);
    let keys = memory.clone();
    let arrived = move || keys.notices().iter().map(|notice| notice.key.to_string()).collect::<Vec<_>>();
    run(check_notifier(&memory, Some(&arrived))).unwrap();
    run(check_notifier(&LogNotifier::new("log", std::io::sink()), None)).unwrap();
    let (url, seen) = server(OK);
    let hook = WebhookNotifier::builder("chat", url).idempotence(Idempotence::None).build().unwrap();
    let arrived = move || {
        let bodies = seen.lock().unwrap();
        bodies
            .iter()
            .map(|seen| serde_json::from_str::<Notice>(&seen.body).unwrap().key.to_string())
            .collect()
    };
    run(check_notifier(&hook, Some(&arrived))).unwrap();
}

/// Says that it knows keys, and does not.
#[derive(Debug)]
struct Forgetful(Mutex<Vec<String>>);
#[async_trait::async_trait]
impl Notifier for Forgetful {
    async fn notify(&self, notice: &Notice) -> Result<(), itom_alert::notify::NotifyError> {
        self.0.lock().unwrap().push(notice.key.to_string());
        Ok(())
    }
    fn idempotence(&self) -> Idempotence {
        Idempotence::ByKey
    }
}

#[test]
fn the_suite_finds_a_liar() {
    let liar = Arc::new(Forgetful(Mutex::default()));
    let shared = Arc::clone(&liar);
    let arrived = move || shared.0.lock().unwrap().clone();
    assert!(run(check_notifier(&*liar, Some(&arrived))).unwrap_err().contains("idempotent"));
}

#[test]
fn the_golden_notices_are_the_wire_format() {
    let golden = include_str!("golden/notices.json");
    let notices = sample_notices();
    if std::env::var_os("ITOM_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/notices.json");
        std::fs::write(path, serde_json::to_string_pretty(&notices).unwrap() + "\n").unwrap();
        return;
    }
    assert_eq!(serde_json::to_string_pretty(&notices).unwrap().trim(), golden.trim());
    assert_eq!(serde_json::from_str::<Vec<Notice>>(golden).unwrap(), notices);
}

#[test]
fn a_log_line_cannot_be_forged() {
    let line = LogNotifier::line(&sample_notices()[0]);
    assert!(!line.contains('\n'));
    assert!(line.contains("OPEN warning conformance: a text"), "{line}");
}
