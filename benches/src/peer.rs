//! Other programs that store and query series, started for a measurement and ended with it.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use itom::core::{Clock as _, SystemClock};

use crate::fleet::Fleet;
use crate::process::{cpu_seconds, resident_bytes};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// `prometheus`, which fetches from targets.
    Prometheus,
    /// `victoria-metrics`, which is sent text.
    VictoriaMetrics,
}

/// A running one.
#[derive(Debug)]
pub struct Peer {
    sort: Sort,
    child: Child,
    port: u16,
    folder: PathBuf,
    targets: Vec<(TcpListener, u16)>,
}

const TARGETS: usize = 20;
/// Ticks in one page of a target.
const PAGE: i64 = 8;

/// Waits for another program.
pub fn pause(long: Duration) {
    let clock = SystemClock::new();
    futures::executor::block_on(clock.sleep_until(clock.now() + long));
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Peer {
    /// Starts it in a folder of its own; `None` when it is not installed.
    ///
    /// # Errors
    /// When it does not come up within half a minute.
    pub fn start(sort: Sort) -> Outcome<Option<Self>> {
        let port = free_port()?;
        let folder = std::env::temp_dir().join(format!("itom-peer-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut targets = Vec::new();
        let data = folder.join("data");
        let mut command = match sort {
            Sort::Prometheus => {
                for _ in 0..TARGETS {
                    let listener = TcpListener::bind("127.0.0.1:0")?;
                    let port = listener.local_addr()?.port();
                    targets.push((listener, port));
                }
                let list: Vec<String> =
                    targets.iter().map(|(_, port)| format!("\"127.0.0.1:{port}\"")).collect();
                let config = folder.join("prometheus.yml");
                std::fs::write(
                    &config,
                    format!(
                        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: load\n  honor_labels: true\n  static_configs: [{{targets: [{}]}}]\n",
                        list.join(",")
                    ),
                )?;
                let mut command = Command::new("prometheus");
                // Its head takes samples that are at most half a block older than the newest, which is its own `up` of
                // now: blocks of four hours let the oldest of our hour in.
                command.arg("--storage.tsdb.min-block-duration=4h");
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
                command.arg("--web.enable-admin-api");
                command
            }
            Sort::VictoriaMetrics => {
                let mut command = Command::new("victoria-metrics");
                command.arg(format!("-storageDataPath={}", data.display()));
                command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
                command.arg("-search.maxUniqueTimeseries=5000000");
                command.arg("-search.latencyOffset=0s");
                command
            }
        };
        let log = std::fs::File::create(folder.join("log"))?;
        let child = match command.stdout(Stdio::null()).stderr(log).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::remove_dir_all(&folder)?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let peer = Self { sort, child, port, folder, targets };
        let since = SystemClock::new().now();
        let path = if sort == Sort::Prometheus { "/-/ready" } else { "/health" };
        while peer.request("GET", path, "").is_err() {
            if SystemClock::new().now().since(since) > Duration::from_secs(30) {
                return Err(format!("{} does not come up; see {}", peer.name(), peer.folder.display()).into());
            }
            pause(Duration::from_millis(100));
        }
        Ok(Some(peer))
    }

    /// Which program it is.
    #[must_use]
    pub const fn sort(&self) -> Sort {
        self.sort
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.sort {
            Sort::Prometheus => "Prometheus",
            Sort::VictoriaMetrics => "VictoriaMetrics",
        }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Outcome<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.starts_with("HTTP/1.0 2") && !head.starts_with("HTTP/1.1 2") {
            return Err(format!("{}: {path}: {head}: {body}", self.name()).into());
        }
        Ok(body.to_owned())
    }

    /// Gives it all samples of a fleet. CPU seconds it took, and its resident bytes then.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn load(&mut self, fleet: &Fleet, start: i64, step: i64, samples: i64) -> Outcome<(f64, u64)> {
        let used = cpu_seconds(self.child.id())?;
        let names: Vec<String> = (0..fleet.len()).map(|number| fleet.text(number)).collect();
        let page = |from: usize, to: usize, tick: i64| {
            use std::fmt::Write as _;
            let mut text = String::new();
            for (number, name) in names.iter().enumerate().take(to).skip(from) {
                for tick in tick..(tick + PAGE).min(samples) {
                    let (value, at) = (fleet.value(number, tick), start + tick * step);
                    let _ = writeln!(text, "{name} {value} {at}");
                }
            }
            text
        };
        match self.sort {
            Sort::Prometheus => {
                let share = fleet.len().div_ceil(TARGETS);
                std::thread::scope(|scope| {
                    for (number, (listener, _)) in self.targets.iter().enumerate() {
                        let page = &page;
                        scope.spawn(move || {
                            let (from, to) = (number * share, ((number + 1) * share).min(fleet.len()));
                            for tick in (0..samples).step_by(PAGE as usize) {
                                let text = page(from, to, tick);
                                if let Ok((stream, _)) = listener.accept() {
                                    let _ = answer(stream, &text);
                                }
                            }
                        });
                    }
                });
                // Nobody asks for more, and the last pages are still being stored.
                self.targets.clear();
                let mut before = 0.0;
                loop {
                    pause(Duration::from_secs(2));
                    let used = cpu_seconds(self.child.id())?;
                    if used - before < 0.2 {
                        break;
                    }
                    before = used;
                }
            }
            Sort::VictoriaMetrics => {
                for tick in (0..samples).step_by(PAGE as usize) {
                    for from in (0..fleet.len()).step_by(5_000) {
                        let text = page(from, (from + 5_000).min(fleet.len()), tick);
                        self.request("POST", "/api/v1/import/prometheus", &text)?;
                    }
                }
                self.request("GET", "/internal/force_flush", "")?;
            }
        }
        Ok((cpu_seconds(self.child.id())? - used, resident_bytes(self.child.id())?))
    }

    /// Evaluates expressions at a time: CPU seconds, and for each how many samples came and their sum.
    ///
    /// # Errors
    /// When it refuses one.
    pub fn evaluate(&mut self, rules: &[&str], at: i64) -> Outcome<(f64, Vec<(usize, f64)>)> {
        let mut answers = Vec::with_capacity(rules.len());
        let used = cpu_seconds(self.child.id())?;
        for rule in rules {
            let query: String = rule.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let body = format!("query={query}&time={}.{:03}&nocache=1", at / 1_000, at % 1_000);
            answers.push(self.request("POST", "/api/v1/query", &body)?);
        }
        let used = cpu_seconds(self.child.id())? - used;
        let mut sums = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer: serde_json::Value = serde_json::from_str(&answer)?;
            let result = answer["data"]["result"].as_array().ok_or("no result")?;
            let value = |one: &serde_json::Value| one["value"][1].as_str()?.parse::<f64>().ok();
            let values = result.iter().filter_map(value);
            sums.push((result.len(), values.filter(|value| value.is_finite()).sum()));
        }
        Ok((used, sums))
    }

    /// Bytes of everything it holds on disk once it has written it compactly.
    ///
    /// # Errors
    /// When it does not write.
    pub fn disk_bytes(&self) -> Outcome<u64> {
        let folder = match self.sort {
            Sort::Prometheus => {
                let answer = self.request("POST", "/api/v1/admin/tsdb/snapshot", "")?;
                let answer: serde_json::Value = serde_json::from_str(&answer)?;
                let name = answer["data"]["name"].as_str().ok_or("no snapshot")?;
                self.folder.join("data/snapshots").join(name)
            }
            Sort::VictoriaMetrics => {
                self.request("GET", "/internal/force_merge", "")?;
                let mut before = 0;
                loop {
                    pause(Duration::from_secs(3));
                    let now = bytes_below(&self.folder.join("data"))?;
                    if now == before {
                        break;
                    }
                    before = now;
                }
                self.folder.join("data")
            }
        };
        bytes_below(&folder)
    }
}

fn bytes_below(folder: &std::path::Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { bytes_below(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    let mut request = [0_u8; 4_096];
    let _ = stream.read(&mut request)?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    )?;
    stream.write_all(text.as_bytes())
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
