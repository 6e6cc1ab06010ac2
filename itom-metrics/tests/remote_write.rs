//! Remote write to real receivers, to one that decodes by other means, and through crashes.

#[expect(dead_code, reason = "other tests use more of it")]
mod peer;

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use itom_core::{Buckets, Histogram, SampleValue, Schema, SystemClock};
use itom_metrics::LabelSet;
use itom_metrics::http::Endpoint;
use itom_metrics::remote_write::{
    Backoff, Protocol, Queue, QueueConfig, RemoteWriter, WriteConfig, WriteSample,
};
use prost::Message as _;

use peer::{Folder, Server, encoded, get, get_json};

/// What remote write sends, written down anew from its definition.
mod messages {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Label {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Sample {
        #[prost(double, tag = "1")]
        pub(crate) value: f64,
        #[prost(int64, tag = "2")]
        pub(crate) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Span {
        #[prost(sint32, tag = "1")]
        pub(crate) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(crate) length: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Histogram {
        #[prost(oneof = "Count", tags = "1, 2")]
        pub(crate) count: Option<Count>,
        #[prost(double, tag = "3")]
        pub(crate) sum: f64,
        #[prost(sint32, tag = "4")]
        pub(crate) schema: i32,
        #[prost(double, tag = "5")]
        pub(crate) zero_threshold: f64,
        #[prost(message, repeated, tag = "11")]
        pub(crate) positive_spans: Vec<Span>,
        #[prost(sint64, repeated, tag = "12")]
        pub(crate) positive_deltas: Vec<i64>,
        #[prost(double, repeated, tag = "13")]
        pub(crate) positive_counts: Vec<f64>,
        #[prost(int64, tag = "15")]
        pub(crate) timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Count {
        #[prost(uint64, tag = "1")]
        Whole(u64),
        #[prost(double, tag = "2")]
        Float(f64),
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct SeriesV1 {
        #[prost(message, repeated, tag = "1")]
        pub(crate) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) histograms: Vec<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct RequestV1 {
        #[prost(message, repeated, tag = "1")]
        pub(crate) timeseries: Vec<SeriesV1>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct SeriesV2 {
        #[prost(uint32, repeated, tag = "1")]
        pub(crate) labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub(crate) samples: Vec<Sample>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) histograms: Vec<Histogram>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct RequestV2 {
        #[prost(string, repeated, tag = "4")]
        pub(crate) symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub(crate) timeseries: Vec<SeriesV2>,
    }
}
use messages::{Count, RequestV1, RequestV2};

/// One received message: its headers, and times and values by labels.
#[derive(Debug, Clone)]
struct Received {
    head: String,
    samples: BTreeMap<String, Vec<(i64, f64)>>,
    histograms: Vec<messages::Histogram>,
}

/// A receiver that answers with the statuses it is given, then with 204.
#[derive(Debug)]
struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    /// The status of all answers from now on; 0: as given.
    status: Arc<AtomicU16>,
}

impl Receiver {
    fn new(statuses: &[(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(0));
        let (into, always) = (Arc::clone(&received), Arc::clone(&status));
        let mut statuses: std::collections::VecDeque<_> = statuses.iter().copied().collect();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some((head, body)) = stream.ok().and_then(|stream| read(&stream)) else { continue };
                let (code, more) = match always.load(Ordering::SeqCst) {
                    0 => statuses.pop_front().unwrap_or((204, "")),
                    code => (code, ""),
                };
                let answer =
                    format!("HTTP/1.1 {code} X\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n");
                if code == 204 {
                    into.lock().unwrap().push(decode(&head, &body.1));
                }
                let _ = (&body.0).write_all(answer.as_bytes());
            }
        });
        Self { port, received, status }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::builder(format!("http://127.0.0.1:{}/push", self.port)).build().unwrap()
    }

    /// All samples by labels, in the order they came.
    fn samples(&self) -> BTreeMap<String, Vec<(i64, f64)>> {
        let mut all: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for one in self.received.lock().unwrap().iter() {
            for (labels, samples) in &one.samples {
                all.entry(labels.clone()).or_default().extend(samples);
            }
        }
        all
    }
}

fn read(stream: &TcpStream) -> Option<(String, (TcpStream, Vec<u8>))> {
    let mut reader = std::io::BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, (stream.try_clone().ok()?, body)))
}

fn decode(head: &str, body: &[u8]) -> Received {
    let bytes = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
    let mut received = Received { head: head.to_owned(), samples: BTreeMap::new(), histograms: Vec::new() };
    let mut put = |labels: Vec<(String, String)>,
                   samples: Vec<messages::Sample>,
                   histograms: Vec<messages::Histogram>| {
        assert!(labels.is_sorted(), "{labels:?}");
        let labels = LabelSet::from_pairs(labels).to_string();
        let samples = samples.iter().map(|sample| (sample.timestamp, sample.value));
        received.samples.entry(labels).or_default().extend(samples);
        received.histograms.extend(histograms);
    };
    if head.contains("version: 2.0.0") {
        let request = RequestV2::decode(bytes.as_slice()).expect("a message of 2.0");
        assert_eq!(request.symbols[0], "");
        for one in request.timeseries {
            let text = |place: u32| request.symbols[place as usize].clone();
            let labels = one.labels_refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
            put(labels, one.samples, one.histograms);
        }
    } else {
        let request = RequestV1::decode(bytes.as_slice()).expect("a message of 1.0");
        for one in request.timeseries {
            put(
                one.labels.into_iter().map(|label| (label.name, label.value)).collect(),
                one.samples,
                one.histograms,
            );
        }
    }
    received
}

fn labels(job: &str) -> LabelSet {
    LabelSet::from_pairs([("__name__", "itom_test"), ("job", job), ("é", "ü")])
}

/// Runs a writer until the condition holds.
fn run_until(writer: &RemoteWriter, done: impl Fn() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let watch = async {
            let mut passed = 0;
            while !done() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                passed += 1;
                assert!(passed < 6_000, "not sent in two minutes: {:?}", writer.stats());
            }
        };
        tokio::select! {
            () = writer.run() => {}
            () = watch => {}
        }
    });
}

fn quick() -> WriteConfig {
    WriteConfig::default()
        .backoff(Backoff::default().between(Duration::from_millis(1), Duration::from_millis(20)))
        .batch(100)
}

fn open(folder: &Folder, endpoint: Endpoint, config: WriteConfig) -> RemoteWriter {
    RemoteWriter::open(&folder.0.join("queue"), endpoint, Arc::new(SystemClock::new()), config).unwrap()
}

#[test]
fn both_protocols_are_decoded_by_another_decoder() {
    for protocol in [Protocol::V1, Protocol::V2] {
        let folder = Folder::new(&format!("write-{protocol:?}"));
        let receiver = Receiver::new(&[]);
        let writer = open(&folder, receiver.endpoint(), quick().protocol(protocol));
        let mut whole = Histogram::exponential(Schema::new(3).unwrap());
        (whole.count, whole.sum) = (7.0, 9.5);
        whole.positive = Buckets::dense(-1, &[2.0, 5.0]).unwrap();
        let mut fraction = whole.clone();
        fraction.positive = Buckets::dense(-1, &[2.5, 4.5]).unwrap();
        let mut samples: Vec<_> = (0..250)
            .map(|at| WriteSample::float(labels(if at % 2 == 0 { "a" } else { "b" }), at, at as f64))
            .collect();
        samples.push(WriteSample { labels: labels("a"), at: 1_000, value: SampleValue::STALE });
        samples.push(WriteSample::histogram(labels("h"), 1_000, Arc::new(whole)));
        samples.push(WriteSample::histogram(labels("h"), 1_001, Arc::new(fraction)));
        writer.push(&samples).unwrap();
        run_until(&writer, || writer.stats().queued == 0);
        let found = receiver.samples();
        assert_eq!(found[&labels("b").to_string()].len(), 125);
        let a = &found[&labels("a").to_string()];
        assert!(a.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
        assert_eq!(a.last().map(|(at, value)| (*at, value.to_bits())), Some((1_000, 0x7ff0_0000_0000_0002)));
        let received = receiver.received.lock().unwrap();
        let histograms: Vec<_> = received.iter().flat_map(|one| &one.histograms).collect();
        assert_eq!(histograms[0].count, Some(Count::Whole(7)));
        assert_eq!(histograms[0].positive_deltas, [2, 3]);
        assert_eq!((histograms[0].positive_spans[0].offset, histograms[0].positive_spans[0].length), (-1, 2));
        assert_eq!((histograms[1].count.clone(), histograms[1].schema), (Some(Count::Float(7.0)), 3));
        assert_eq!(histograms[1].positive_counts, [2.5, 4.5]);
        assert!(received.iter().all(|one| one.head.contains("content-encoding: snappy")));
        let stats = writer.stats();
        assert_eq!((stats.sent, stats.refused, stats.retries), (253, 0, 0));
    }
}

#[test]
fn a_receiver_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let folder = Folder::new("write-busy");
    let receiver = Receiver::new(&[(503, ""), (429, "Retry-After: 1\r\n"), (500, ""), (204, ""), (400, "")]);
    let writer = open(&folder, receiver.endpoint(), quick());
    for batch in 0..3_i64 {
        let samples: Vec<_> =
            (0..100).map(|at| WriteSample::float(labels("a"), batch * 100 + at, 1.0)).collect();
        writer.push(&samples).unwrap();
    }
    let started = itom_core::Clock::now(&SystemClock::new());
    run_until(&writer, || writer.stats().queued == 0);
    assert!(
        itom_core::Clock::now(&SystemClock::new()).since(started) >= Duration::from_secs(1),
        "Retry-After is heeded"
    );
    let stats = writer.stats();
    assert_eq!((stats.sent, stats.refused, stats.retries), (200, 100, 3));
    let times: Vec<_> = receiver.samples()[&labels("a").to_string()].iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..100).chain(200..300).collect::<Vec<_>>(), "the second batch was refused for good");
}

#[test]
fn a_receiver_that_does_not_know_the_newer_protocol_gets_the_older() {
    let folder = Folder::new("write-older");
    let receiver = Receiver::new(&[(415, "")]);
    let writer = open(&folder, receiver.endpoint(), quick().protocol(Protocol::V2));
    writer.push(&[WriteSample::float(labels("a"), 1, 1.0)]).unwrap();
    run_until(&writer, || writer.stats().queued == 0);
    assert!(receiver.received.lock().unwrap()[0].head.contains("version: 0.1.0"));
}

/// The child of the next test: pushes and says what is acknowledged, until it is killed.
#[test]
fn a_child_that_pushes_until_it_is_killed() {
    let Some(folder) = std::env::var_os("ITOM_WRITE_CHILD") else { return };
    let mut queue = Queue::open(folder.as_ref(), QueueConfig::default().file_bytes(20_000)).unwrap();
    for number in 0.. {
        queue.push(&[WriteSample::float(labels("a"), number, 1.0)]).unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn l9_a_kill_at_any_moment_loses_nothing_acknowledged() {
    let folder = Folder::new("write-kill");
    let queue = folder.0.join("queue");
    let receiver = Receiver::new(&[]);
    let mut acknowledged = -1;
    for round in 0..4_u64 {
        // Each round begins anew with number 0 of its own series of acknowledgements.
        let _ = std::fs::remove_dir_all(&queue);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_child_that_pushes_until_it_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env("ITOM_WRITE_CHILD", &queue)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = -1;
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(number) =
                line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok())
            {
                last = number;
            }
            if last >= 40 + 37 * round as i64 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        // Two writers after each other: the first is dropped in the middle of its work.
        let first = open(&folder, receiver.endpoint(), quick().batch(10));
        run_until(&first, || first.stats().sent >= 10);
        drop(first);
        let second = open(&folder, receiver.endpoint(), quick().batch(10));
        run_until(&second, || second.stats().queued == 0);
        let mut times: Vec<_> =
            receiver.samples()[&labels("a").to_string()].iter().map(|(at, _)| *at).collect();
        times.dedup();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() as i64 > last, "acknowledged up to {last}, received {}", times.len());
        assert!((0..=last).all(|number| times.binary_search(&number).is_ok()));
        receiver.received.lock().unwrap().clear();
        acknowledged += last + 1;
    }
    println!("{acknowledged} acknowledged, none lost");
}

#[test]
fn a_receiver_that_is_away_for_a_while_gets_everything_in_order() {
    let folder = Folder::new("write-away");
    let receiver = Receiver::new(&[]);
    receiver.status.store(503, Ordering::SeqCst);
    let writer = open(&folder, receiver.endpoint(), quick());
    for at in 0..500_i64 {
        writer.push(&[WriteSample::float(labels(["a", "b", "c"][at as usize % 3]), at, 1.0)]).unwrap();
    }
    run_until(&writer, || writer.stats().retries >= 3);
    assert_eq!(writer.stats().queued, 500);
    receiver.status.store(0, Ordering::SeqCst);
    run_until(&writer, || writer.stats().queued == 0);
    let found = receiver.samples();
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 500);
    assert!(found.values().all(|samples| samples.windows(2).all(|pair| pair[0].0 < pair[1].0)));
}

fn now() -> i64 {
    itom_core::Clock::now(&SystemClock::new()).as_millis()
}

/// Waits until a query has an answer.
fn wait_for(port: u16, query: &str) -> serde_json::Value {
    let (_never, wait) = sync_channel::<()>(0);
    for _ in 0..300 {
        let (_, answer) = get_json(port, &format!("/api/v1/query?query={}", encoded(query)));
        if answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
            return answer["data"]["result"].clone();
        }
        let _ = wait.recv_timeout(Duration::from_millis(100));
    }
    panic!("{query} has no answer");
}

fn send_to(port: u16, path: &str, with_histogram: bool) -> i64 {
    let folder = Folder::new(&format!("write-to-{port}"));
    let endpoint = Endpoint::builder(format!("http://127.0.0.1:{port}{path}")).build().unwrap();
    let writer = open(&folder, endpoint, quick());
    let start = now() - 299_000;
    for number in 0..300_i64 {
        let plain = LabelSet::from_pairs([("__name__", "itom_test"), ("job", "a")]);
        writer.push(&[WriteSample::float(plain, start + number * 1_000, number as f64)]).unwrap();
    }
    if with_histogram {
        let mut histogram = Histogram::exponential(Schema::new(3).unwrap());
        (histogram.count, histogram.sum) = (7.0, 9.5);
        histogram.positive = Buckets::dense(-1, &[2.0, 5.0]).unwrap();
        let named = LabelSet::from_pairs([("__name__", "itom_sizes")]);
        writer.push(&[WriteSample::histogram(named, now() - 1_000, Arc::new(histogram))]).unwrap();
    }
    run_until(&writer, || writer.stats().queued == 0);
    assert_eq!(writer.stats().refused, 0);
    start
}

#[test]
fn conformance_remote_write_to_prometheus() {
    if !peer::is_there("prometheus") {
        return;
    }
    let folder = Folder::new("write-prometheus");
    let server = Server::prometheus(
        &folder.0,
        &["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"],
    );
    let start = send_to(server.port, "/api/v1/write", true);
    let found = wait_for(server.port, "itom_test[10m]");
    let values = found[0]["values"].as_array().unwrap();
    assert_eq!(values.len(), 300);
    assert_eq!(values[7][1], "7");
    assert_eq!((values[0][0].as_f64().unwrap() * 1_000.0).round() as i64, start);
    let counted = wait_for(server.port, "histogram_count(itom_sizes)");
    assert_eq!(counted[0]["value"][1], "7");
}

#[test]
fn conformance_remote_write_to_victoria_metrics() {
    if !peer::is_there("victoria-metrics") {
        return;
    }
    let folder = Folder::new("write-victoria");
    let server = Server::victoria_metrics(&folder.0);
    let start = send_to(server.port, "/api/v1/write", false);
    assert_eq!(get(server.port, "/internal/force_flush").unwrap().0, 200);
    let (_, body) = get(server.port, "/api/v1/export?match[]=itom_test").unwrap();
    let exported: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(exported["values"].as_array().map(Vec::len), Some(300));
    assert_eq!(exported["timestamps"][0].as_i64(), Some(start));
}
