//! Loading series into a Prometheus by remote write: no text says a marker of staleness, whose bits arrive so as they are.

use itom_core::is_stale_nan;
use itom_metrics::LabelSet;
use prost::Message as _;

use crate::peer;

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Series>,
}

/// Series that are to be loaded, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    series: Vec<Series>,
    /// How many markers of staleness they have.
    pub(crate) markers: usize,
}

impl Loaded {
    pub(crate) fn add(&mut self, labels: &LabelSet, values: &[(i64, f64)]) {
        self.markers += values.iter().filter(|(_, value)| is_stale_nan(*value)).count();
        // They come sorted by name, as the protocol demands.
        let labels =
            labels.iter().map(|(name, value)| Label { name: name.to_string(), value: value.to_string() });
        let samples = values.iter().map(|(at, value)| Sample { value: *value, timestamp: *at });
        self.series.push(Series { labels: labels.collect(), samples: samples.collect() });
    }

    /// Sends all to a server that takes remote write.
    pub(crate) fn send(self, port: u16) {
        for one in self.series {
            let message = Request { timeseries: vec![one] }.encode_to_vec();
            let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
            let (status, said) = peer::post(port, "/api/v1/write", "application/x-protobuf", &body).unwrap();
            assert!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&said));
        }
    }
}
