//! Real servers to compare with, and a small HTTP client for them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::Value;

/// A folder that is removed in the end.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("itom-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a program can be started; says that the test is skipped if not.
pub(crate) fn is_there(program: &str) -> bool {
    let started = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if started.is_err() {
        println!("skipped: {program} is not installed");
    }
    started.is_ok()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A server that was started here and is ended here.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, port: u16, ready: &str) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: command.spawn().unwrap(), port };
        // Nothing else can be waited for: the program tells nobody when it is ready.
        let (_never, wait) = sync_channel::<()>(0);
        for _ in 0..1_200 {
            if get(port, ready).is_ok_and(|(status, _)| status == 200) {
                return server;
            }
            let _ = wait.recv_timeout(Duration::from_millis(100));
        }
        panic!("{command:?} does not become ready");
    }

    /// A Prometheus over the blocks in a folder that scrapes nothing.
    pub(crate) fn prometheus(folder: &Path, more: &[&str]) -> Self {
        let config = folder.join("prometheus.yml");
        if !config.exists() {
            std::fs::write(&config, "global: {}\n").unwrap();
        }
        let port = free_port();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(more);
        Self::start(command, port, "/-/ready")
    }

    /// A VictoriaMetrics with an empty folder.
    pub(crate) fn victoria_metrics(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", folder.join("vm").display()))
            .arg("-retentionPeriod=100y")
            .arg("-search.latencyOffset=0s")
            .arg("-search.disableCache")
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"));
        Self::start(command, port, "/health")
    }
}

/// Makes blocks out of OpenMetrics text with times, in `folder/data`.
pub(crate) fn backfill(folder: &Path, open_metrics: &str) {
    let file = folder.join("backfill.om");
    std::fs::write(&file, open_metrics).unwrap();
    let output = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
        .args([&file, &folder.join("data")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) type Answered = std::io::Result<(u16, Vec<u8>)>;

pub(crate) fn get(port: u16, path: &str) -> Answered {
    talk(port, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"), b"")
}

pub(crate) fn post(port: u16, path: &str, content_type: &str, body: &[u8]) -> Answered {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    talk(port, &head, body)
}

fn talk(port: u16, head: &str, body: &[u8]) -> Answered {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let bad = || std::io::Error::other("no HTTP answer");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(bad)?;
    let status =
        std::str::from_utf8(all.get(9..12).unwrap_or_default()).ok().and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(bad)?, all.split_off(end + 4)))
}

/// A text as it stands in a URL or form.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// Status and JSON of a request.
pub(crate) fn get_json(port: u16, path: &str) -> (u16, Value) {
    let (status, body) = get(port, path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let json = serde_json::from_slice(&body);
    (status, json.unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body))))
}
