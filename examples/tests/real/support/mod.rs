//! What the tests of the reference tools share: real child processes and a plain HTTP client.

pub(crate) mod lab;
pub(crate) mod verdict;
pub(crate) mod webdriver;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use itom::core::{Clock as _, SystemClock};

use serde_json::Value;

/// A child process that ends with the test.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program; `None` when it is not installed.
pub(crate) fn start(program: &str, args: &[&str]) -> Option<Running> {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
        .map(Running)
}

/// A loopback port nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// The built example `name` beside this test's binary; `None` when only this test was built.
pub(crate) fn example(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let path = test.parent()?.parent()?.join("examples").join(name);
    path.is_file().then_some(path)
}

/// An installed program, looked up as a shell would, with the places Debian keeps daemons.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/chromium"].iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Asks again every 50 ms until `probe` answers or `patience` is over.
pub(crate) fn eventually<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let step = Duration::from_millis(50);
    for _ in 0..(patience.as_millis() / step.as_millis()).max(1) {
        if let Some(found) = probe() {
            return Some(found);
        }
        wait(step);
    }
    None
}

fn wait(span: Duration) {
    let clock = SystemClock::new();
    futures::executor::block_on(clock.sleep_until(clock.now() + span));
}

/// One at a time: these tests look at the whole machine, and would see each other's servers.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed in its turn leaves nothing behind that the next could trip over.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One HTTP/1.1 exchange: status and body.
pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    if !body.is_empty() {
        request.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(&body);
    stream.write_all(request.as_bytes())?;
    let raw = answer(&mut stream)?;
    let text = String::from_utf8_lossy(&raw);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunk(body) } else { body.to_owned() }))
}

/// Everything up to the end of the answer. A server that says how long it is may keep the connection open.
fn answer(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut piece)?;
        raw.extend_from_slice(&piece[..read]);
        if read == 0 || declared_end(&raw).is_some_and(|end| raw.len() >= end) {
            return Ok(raw);
        }
    }
}

/// Where the answer ends by its own account.
fn declared_end(raw: &[u8]) -> Option<usize> {
    let head = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&raw[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
    Some(head + 4 + length)
}

fn unchunk(body: &str) -> String {
    let mut rest = body;
    let mut whole = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        let Some(chunk) = tail.get(..size) else { break };
        whole.push_str(chunk);
        rest = tail.get(size..).unwrap_or_default().trim_start_matches("\r\n");
    }
    whole
}

/// The answer to a GET as JSON; `None` when there is none yet.
pub(crate) fn get_json(address: SocketAddr, path: &str) -> Option<Value> {
    let (status, body) = http(address, "GET", path, &[], None).ok()?;
    if status != 200 { None } else { serde_json::from_str(&body).ok() }
}

/// A fresh folder under the build directory.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the build directory is writable");
    path
}
