//! The driver: queue, network and clock around the state machine.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{Either, select};
use itom_core::{Clock, Labels, Machine as _, MetricName, SampleKind};
use tokio::sync::Notify;

use super::{
    Backoff, Protocol, Queue, QueueConfig, QueueError, Sender, SenderInput, SenderOutput, Verdict,
    WriteSample, message,
};
use crate::http::Endpoint;

/// How a [`RemoteWriter`] sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteConfig {
    /// The version of the protocol. Default: 1.0.
    pub protocol: Protocol,
    /// Most samples of one message. Default: 2,000.
    pub batch: usize,
    /// When a batch is tried again.
    pub backoff: Backoff,
    /// How large the queue may be.
    pub queue: QueueConfig,
}

impl Default for WriteConfig {
    fn default() -> Self {
        let (backoff, queue) = (Backoff::default(), QueueConfig::default());
        Self { protocol: Protocol::V1, batch: 2_000, backoff, queue }
    }
}

impl WriteConfig {
    /// Sets the version of the protocol.
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the most samples of one message.
    #[must_use]
    pub const fn batch(mut self, samples: usize) -> Self {
        self.batch = samples;
        self
    }

    /// Sets when a batch is tried again.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how large the queue may be.
    #[must_use]
    pub const fn queue(mut self, queue: QueueConfig) -> Self {
        self.queue = queue;
        self
    }
}

/// What a writer did since it was made, and what waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteStats {
    /// Samples that wait.
    pub queued: u64,
    /// Bytes of the queue.
    pub queue_bytes: u64,
    /// Samples that the receiver has.
    pub sent: u64,
    /// Samples that the receiver refused for good: they are gone.
    pub refused: u64,
    /// Samples that the queue did not take because it was full.
    pub rejected: u64,
    /// Batches that were tried again.
    pub retries: u64,
    /// Failures of the queue's files.
    pub queue_failures: u64,
}

impl WriteStats {
    /// The figures as samples, to be stored or exposed like any other.
    #[must_use]
    pub fn samples_of_self(&self) -> Vec<(MetricName, SampleKind, Labels, f64)> {
        use SampleKind::{Counter, Gauge};
        [
            ("itom_remote_write_queued_samples", Gauge, self.queued),
            ("itom_remote_write_queue_bytes", Gauge, self.queue_bytes),
            ("itom_remote_write_sent_samples_total", Counter, self.sent),
            ("itom_remote_write_refused_samples_total", Counter, self.refused),
            ("itom_remote_write_rejected_samples_total", Counter, self.rejected),
            ("itom_remote_write_retries_total", Counter, self.retries),
            ("itom_remote_write_queue_failures_total", Counter, self.queue_failures),
        ]
        .into_iter()
        .map(|(name, kind, value)| (MetricName::literal(name), kind, Labels::empty(), value as f64))
        .collect()
    }
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

/// Sends samples to another store. [`push`](Self::push) returns when they are on the disk;
/// [`run`](Self::run) sends them, at least once, each series in its order.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
/// use std::sync::Arc;
/// use itom_core::SystemClock;
/// use itom_metrics::LabelSet;
/// use itom_metrics::http::Endpoint;
/// use itom_metrics::remote_write::{RemoteWriter, WriteConfig, WriteSample};
///
/// let endpoint = Endpoint::builder("https://mimir.example.com/api/v1/push").build()?;
/// let writer = RemoteWriter::open(Path::new("queue"), endpoint, Arc::new(SystemClock::new()), WriteConfig::default())?;
/// let up = LabelSet::from_pairs([("__name__", "up"), ("job", "web")]);
/// writer.push(&[WriteSample::float(up, 1_700_000_000_000, 1.0)])?;
/// writer.run().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RemoteWriter {
    queue: Mutex<Queue>,
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
    config: WriteConfig,
    /// The receiver does not know the newer protocol.
    older: AtomicBool,
    wake: Notify,
    counts: Counts,
}

impl RemoteWriter {
    /// Opens the queue in a folder; nothing is sent yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub fn open(
        folder: &Path,
        endpoint: Endpoint,
        clock: Arc<dyn Clock>,
        config: WriteConfig,
    ) -> Result<Self, QueueError> {
        let queue = Mutex::new(Queue::open(folder, config.queue)?);
        let (older, wake, counts) = (AtomicBool::new(false), Notify::new(), Counts::default());
        Ok(Self { queue, endpoint, clock, config, older, wake, counts })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is believed only as far as its files are written, whatever happened while it was held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds samples to the queue, and returns when they are on the disk.
    ///
    /// # Errors
    /// [`QueueError::Full`] and [`QueueError::Io`]: none of them is queued.
    pub fn push(&self, samples: &[WriteSample]) -> Result<(), QueueError> {
        let mut queue = self.queue();
        // A record is a batch, or a part of one.
        for part in samples.chunks(self.config.batch.max(1)) {
            if let Err(error) = queue.push(part) {
                let count = if matches!(error, QueueError::Full { .. }) {
                    &self.counts.rejected
                } else {
                    &self.counts.failures
                };
                count.fetch_add(part.len() as u64, Ordering::Relaxed);
                return Err(error);
            }
        }
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// What it did, and what waits.
    #[must_use]
    pub fn stats(&self) -> WriteStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (queued, queue_bytes) = {
            let queue = self.queue();
            (queue.samples(), queue.bytes())
        };
        WriteStats {
            queued,
            queue_bytes,
            sent: read(&self.counts.sent),
            refused: read(&self.counts.refused),
            rejected: read(&self.counts.rejected),
            retries: read(&self.counts.retries),
            queue_failures: read(&self.counts.failures),
        }
    }

    /// Sends until it is dropped, which is allowed at any time: what was under way is sent again the next time. Runs
    /// once at a time, on a tokio runtime with I/O and time.
    pub async fn run(&self) {
        let mut sender = Sender::new(self.config.backoff);
        sender.handle(self.clock.now(), SenderInput::Queued);
        let mut end = None;
        loop {
            while let Some(output) = sender.poll_output() {
                match output {
                    SenderOutput::Send => {
                        let peeked = self.queue().peek(self.config.batch);
                        let input = match peeked {
                            Ok(Some((batch, to))) => {
                                let verdict = self.send(&batch).await;
                                end = Some((to, batch.len() as u64));
                                SenderInput::Answered(verdict)
                            }
                            Ok(None) => SenderInput::Empty,
                            Err(_) => {
                                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                                SenderInput::Answered(Verdict::Again(None))
                            }
                        };
                        sender.handle(self.clock.now(), input);
                    }
                    SenderOutput::Done { accepted } => {
                        let Some((to, samples)) = end.take() else { continue };
                        let count = if accepted { &self.counts.sent } else { &self.counts.refused };
                        count.fetch_add(samples, Ordering::Relaxed);
                        if self.queue().advance(to).is_err() {
                            self.counts.failures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
            let woken = Box::pin(self.wake.notified());
            match sender.poll_deadline() {
                Some(deadline) => match select(woken, self.clock.sleep_until(deadline.at)).await {
                    Either::Left(_) => sender.handle(self.clock.now(), SenderInput::Queued),
                    Either::Right(_) => sender.handle_deadline(self.clock.now()),
                },
                None => {
                    woken.await;
                    sender.handle(self.clock.now(), SenderInput::Queued);
                }
            }
        }
    }

    async fn send(&self, batch: &[WriteSample]) -> Verdict {
        let protocol = if self.older.load(Ordering::Relaxed) { Protocol::V1 } else { self.config.protocol };
        let message = message::request(batch, protocol);
        // Only messages of four gigabytes cannot be compressed.
        let Ok(body) = snap::raw::Encoder::new().compress_vec(&message) else { return Verdict::Refused };
        let (kind, version) = match protocol {
            Protocol::V1 => ("application/x-protobuf", "0.1.0"),
            Protocol::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        let headers = [
            ("content-encoding", "snappy"),
            ("content-type", kind),
            ("x-prometheus-remote-write-version", version),
            ("user-agent", concat!("itom/", env!("CARGO_PKG_VERSION"))),
        ];
        let verdict = match self.endpoint.post("", &headers, body).await {
            Ok(received) if received.status == 415 && protocol == Protocol::V2 => {
                self.older.store(true, Ordering::Relaxed);
                Verdict::Again(None)
            }
            Ok(received) => Verdict::of_status(received.status, received.retry_after),
            Err(_) => Verdict::Again(None),
        };
        if matches!(verdict, Verdict::Again(_)) {
            self.counts.retries.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }
}
