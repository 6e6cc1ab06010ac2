//! Measures text exposition → stored samples, fetching over HTTP included, beside Prometheus and VictoriaMetrics that
//! scrape the same page at the same time.
//!
//! `cargo run --release -p itom-benches --bin exposition_rate [SERIES [SCRAPES]]`
//!
//! CPU seconds of each process (of ours: of the thread that fetches and stores), without the first scrapes, in which
//! series are made. A peer that is not installed is left out.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use itom::core::{Labels, Timestamp};
use itom::metrics::exposition::{Format, Limits, ScrapeOptions, Scraper, families};
use itom::metrics::{SeriesStore, StoreConfig};
use itom_benches::process::cpu_seconds;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A page as an exporter of many devices would write it.
fn page(series: usize) -> String {
    let mut text = String::new();
    let metrics = [
        "node_cpu_seconds_total",
        "node_network_receive_bytes_total",
        "node_filesystem_avail_bytes",
        "if_speed",
    ];
    let each = series.div_ceil(metrics.len());
    for (place, metric) in metrics.iter().enumerate() {
        let kind = if metric.ends_with("_total") { "counter" } else { "gauge" };
        text.push_str(&format!("# HELP {metric} What {metric} is, in a sentence.\n# TYPE {metric} {kind}\n"));
        for number in 0..each {
            let (device, port) = (number / 48, number % 48);
            let value = (number * 7_919 + place) as f64 * if place % 2 == 0 { 0.01 } else { 1_024.0 };
            text.push_str(&format!(
                "{metric}{{device=\"switch-{device:04}.example.com\",port=\"GigabitEthernet0/{port}\",site=\"site-{}\"}} {value}\n",
                device % 12
            ));
        }
    }
    text
}

/// Serves a page to whoever asks; counts how often, by path.
fn serve(page: Arc<String>, counts: Arc<[AtomicUsize; 3]>) -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (page, counts) = (Arc::clone(&page), Arc::clone(&counts));
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut piece = [0; 4_096];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
                        _ => return,
                    }
                }
                let length = page.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let sent =
                    stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
                let who = head.get(5).map_or(0, |byte| usize::from(byte.wrapping_sub(b'0')));
                if let (Ok(()), Some(count)) = (sent, counts.get(who)) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    Ok(port)
}

/// Ends the program it started.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    fn start(command: &mut Command) -> Option<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok().map(Peer)
    }

    fn cpu(&self) -> f64 {
        cpu_seconds(self.0.id()).unwrap_or(f64::NAN)
    }
}

/// Of this thread alone: another one of this process serves what the peers scrape.
fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn fetch(port: u16, body: &mut Vec<u8>) -> Outcome<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    body.clear();
    stream.read_to_end(body)?;
    let end = body.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")?;
    Ok(end + 4)
}

fn peers(folder: &Path, port: u16) -> Outcome<[Option<Peer>; 2]> {
    std::fs::create_dir_all(folder)?;
    let config = |path: usize| {
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: j\n  metrics_path: /{path}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        )
    };
    let free = || -> std::io::Result<u16> { Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port()) };
    let (prometheus, victoria) = (folder.join("prometheus.yml"), folder.join("victoria.yml"));
    std::fs::write(&prometheus, config(1))?;
    std::fs::write(&victoria, config(2))?;
    let prometheus = Peer::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", prometheus.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", free()?)),
    );
    let victoria = Peer::start(
        Command::new("victoria-metrics")
            .arg(format!("-promscrape.config={}", victoria.display()))
            .arg(format!("-storageDataPath={}", folder.join("victoria").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{}", free()?)),
    );
    Ok([prometheus, victoria])
}

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let series = words.next().transpose()?.unwrap_or(50_000);
    let scrapes = words.next().transpose()?.unwrap_or(30);
    let page = Arc::new(page(series));
    let samples = page.lines().filter(|line| !line.starts_with('#')).count();
    println!("{samples} samples a page of {} bytes, {scrapes} scrapes", page.len());
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)]);
    let port = serve(Arc::clone(&page), Arc::clone(&counts))?;
    let folder = std::env::temp_dir().join(format!("itom-exposition-rate-{}", std::process::id()));
    let peers = peers(&folder, port)?;

    let store = SeriesStore::new(StoreConfig::default());
    let target = Labels::from_pairs([("job", "j"), ("instance", &format!("127.0.0.1:{port}"))])?;
    let mut scraper = Scraper::new(target, ScrapeOptions::default());
    let mut body = Vec::new();
    let mut at = Timestamp::from_secs(1_700_000_000);
    let mut scrape = |body: &mut Vec<u8>| -> Outcome<()> {
        let start = fetch(port, body)?;
        let report = scraper.store(&store, at, Duration::from_millis(1), Format::Text, &body[start..]);
        at = at + Duration::from_secs(15);
        if report.scraped != samples || report.appended.refused_total() > 0 {
            return Err(format!("{report:?}").into());
        }
        Ok(())
    };
    let before = own_cpu();
    scrape(&mut body)?;
    let first = own_cpu() - before;

    // The peers make their series first.
    let served = |who: usize| counts.get(who).map_or(0, |count| count.load(Ordering::SeqCst));
    let wait = |rounds: usize| {
        let begun = [served(1), served(2)];
        for _ in 0..rounds * 40 {
            let there = peers
                .iter()
                .enumerate()
                .all(|(place, peer)| peer.is_none() || served(place + 1) >= begun[place] + rounds);
            if there {
                break;
            }
            itom_benches::peer::pause(Duration::from_millis(100));
        }
    };
    wait(4);
    let begun: Vec<_> = peers
        .iter()
        .enumerate()
        .map(|(place, peer)| (served(place + 1), peer.as_ref().map(Peer::cpu)))
        .collect();
    let mut own = 0.0;
    for _ in 0..scrapes {
        let before = own_cpu();
        scrape(&mut body)?;
        own += own_cpu() - before;
        wait(1);
    }
    let per_million = |cpu: f64, scrapes: usize| cpu / (scrapes * samples) as f64 * 1e6;
    let ours = per_million(own, scrapes);
    println!("itom              {ours:.3} CPU s a million samples ({:.1} million/s)", 1.0 / ours);
    println!("itom, first       {:.3} CPU s a million samples", per_million(first, 1));
    for ((place, peer), (count, cpu)) in peers.iter().enumerate().zip(begun) {
        let name = ["prometheus", "victoria-metrics"][place];
        let (Some(peer), Some(cpu)) = (peer, cpu) else {
            println!("{name}: not installed");
            continue;
        };
        let scrapes = served(place + 1) - count;
        let theirs = per_million(peer.cpu() - cpu, scrapes);
        println!(
            "{name:17} {theirs:.3} CPU s a million samples in {scrapes} scrapes: {:.1} times ours",
            theirs / ours
        );
    }

    // The parts: parsing alone into families, as a naive ingestion would, and storing without fetching.
    let before = own_cpu();
    families(page.as_bytes(), Format::Text, &Limits::default())?;
    println!("parsing anew      {:.3} CPU s a million samples", per_million(own_cpu() - before, 1));
    drop(peers);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
