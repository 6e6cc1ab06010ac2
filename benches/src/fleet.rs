//! Series as a fleet of servers with a web application has them, their values a fixed function of number and time.

use itom::core::{Labels, SampleKind};

/// A hundred series an instance.
#[derive(Debug)]
pub struct Fleet {
    instances: usize,
    shapes: Vec<Shape>,
}

/// One series of an instance.
#[derive(Debug)]
struct Shape {
    metric: &'static str,
    labels: Vec<(&'static str, String)>,
    kind: SampleKind,
    moves: Moves,
}

/// How its values go.
#[derive(Debug, Clone, Copy)]
enum Moves {
    /// By whole numbers up to this.
    Requests(u64),
    /// Seconds in hundredths, up to so many hundredths.
    Hundredths(u64),
    /// Around the value.
    Around(u64),
    /// The value.
    Still(u64),
    /// A load: hundredths around one.
    Load,
}

const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

impl Fleet {
    /// So many instances.
    #[must_use]
    pub fn new(instances: usize) -> Self {
        let mut shapes = Vec::new();
        let mut add = |metric, labels: Vec<(&'static str, String)>, kind, moves| {
            shapes.push(Shape { metric, labels, kind, moves });
        };
        for path in 0..10 {
            for (code, most) in [("200", 900), ("404", 30), ("500", 4)] {
                let labels = vec![("code", code.to_owned()), ("path", format!("/api/v1/resource-{path}"))];
                add("http_requests_total", labels, SampleKind::Counter, Moves::Requests(most));
            }
        }
        for path in 0..3 {
            for (place, bound) in (1_u64..).zip(BOUNDS) {
                let labels = vec![("le", bound.to_owned()), ("path", format!("/api/v1/resource-{path}"))];
                let moves = Moves::Requests(place * 40);
                add("http_request_duration_seconds_bucket", labels, SampleKind::Counter, moves);
            }
        }
        for cpu in 0..2 {
            for (mode, most) in [
                ("idle", 1_400),
                ("iowait", 9),
                ("irq", 1),
                ("nice", 1),
                ("softirq", 12),
                ("steal", 3),
                ("system", 160),
                ("user", 700),
            ] {
                let labels = vec![("cpu", cpu.to_string()), ("mode", mode.to_owned())];
                add("node_cpu_seconds_total", labels, SampleKind::Counter, Moves::Hundredths(most));
            }
        }
        for mount in 0..4_u64 {
            let labels = vec![("mountpoint", format!("/srv/data-{mount}"))];
            let size = (mount + 1) * 200_000_000_000;
            let avail = Moves::Around(size / 3);
            add("node_filesystem_avail_bytes", labels.clone(), SampleKind::Gauge, avail);
            add("node_filesystem_size_bytes", labels, SampleKind::Gauge, Moves::Still(size));
        }
        for interface in 0..3 {
            let labels = vec![("device", format!("eth{interface}"))];
            let moves = Moves::Requests(3_000_000);
            add("node_network_receive_bytes_total", labels, SampleKind::Counter, moves);
        }
        let none = Vec::new;
        add("node_memory_MemAvailable_bytes", none(), SampleKind::Gauge, Moves::Around(16_000_000_000));
        add("node_memory_MemTotal_bytes", none(), SampleKind::Gauge, Moves::Still(33_000_000_000));
        add("node_load1", none(), SampleKind::Gauge, Moves::Load);
        add("node_load5", none(), SampleKind::Gauge, Moves::Load);
        add("node_load15", none(), SampleKind::Gauge, Moves::Load);
        add("node_boot_time_seconds", none(), SampleKind::Gauge, Moves::Still(1_700_000_000));
        add("up", none(), SampleKind::Gauge, Moves::Still(1));
        Self { instances, shapes }
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instances * self.shapes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many instances there are.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// How many series an instance has.
    #[must_use]
    pub fn series_each(&self) -> usize {
        self.shapes.len()
    }

    /// Metric, labels and kind of each series, those of an instance together.
    pub fn series(&self) -> impl Iterator<Item = (&'static str, Labels, SampleKind)> + '_ {
        (0..self.len()).map(|number| {
            let shape = &self.shapes[number % self.shapes.len()];
            let labels = Labels::from_pairs(self.labels(number)).unwrap_or_default();
            (shape.metric, labels, shape.kind)
        })
    }

    fn labels(&self, number: usize) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let instance = number / self.shapes.len();
        let shape = &self.shapes[number % self.shapes.len()];
        let own = shape.labels.iter().map(|(name, value)| (*name, value.clone()));
        own.chain([
            ("instance", format!("host-{instance:05}.example.com:9100")),
            ("job", ["web", "api", "batch", "db"][instance % 4].to_owned()),
        ])
    }

    /// A series in the text format, without value.
    #[must_use]
    pub fn text(&self, number: usize) -> String {
        let labels: Vec<String> =
            self.labels(number).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("{}{{{}}}", self.shapes[number % self.shapes.len()].metric, labels.join(","))
    }

    /// The value of a series at a tick.
    #[must_use]
    pub fn value(&self, number: usize, tick: i64) -> f64 {
        let tick = tick.unsigned_abs();
        let noise = mix((number as u64) << 20 | tick);
        let whole = number as u64 % 1_000;
        match self.shapes[number % self.shapes.len()].moves {
            // Uneven but never falling: what is added to the even growth is less than a step of it.
            Moves::Requests(most) => (whole * 100 + tick * most + noise % most.max(1)) as f64,
            Moves::Hundredths(most) => (whole * 10 + tick * most + noise % most) as f64 / 100.0,
            Moves::Around(value) => (value / 4_096 * 4_096 + noise % 4_096 * 4_096) as f64,
            Moves::Still(value) => value as f64,
            Moves::Load => (noise % 200) as f64 / 100.0,
        }
    }
}

/// Bits that look like chance and are the same on every run (splitmix64).
const fn mix(seed: u64) -> u64 {
    let a = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (c ^ (c >> 31)) >> 16
}
