//! Answers of the query API.

use std::collections::BTreeMap;

use itom_core::SampleValue;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ApiError;
use crate::eval::{MatrixSeries, QueryValue, VectorSample};
use crate::{FloatPoint, LabelSet, Points};

/// What a service answers to a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RemoteAnswer {
    /// The value. Native histograms are not in it: the API shows their buckets and not their schema.
    pub value: QueryValue,
    /// How many native histograms were left out.
    pub histograms: u64,
    /// What the service warns of.
    pub warnings: Vec<String>,
    /// What else the service has to say.
    pub infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Point),
    String(Point),
    Vector(Vec<Instant>),
    Matrix(Vec<Range>),
}

/// Seconds and a number as text.
type Point = (f64, String);

#[derive(Debug, Deserialize)]
struct Instant {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    value: Option<Point>,
}

#[derive(Debug, Deserialize)]
struct Range {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

fn number(text: &str) -> Result<f64, ApiError> {
    text.parse().map_err(|_| ApiError::Answer { reason: format!("`{text:.60}` is no number") })
}

fn labels(metric: BTreeMap<String, String>) -> LabelSet {
    LabelSet::from_pairs(metric)
}

/// Reads an answer with its status.
pub(super) fn read(status: u16, body: &[u8]) -> Result<RemoteAnswer, ApiError> {
    let envelope: Envelope = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(error) if (200..300).contains(&status) => {
            return Err(ApiError::Answer { reason: error.to_string() });
        }
        // Something between here and the service may answer in its own way.
        Err(_) => {
            let error = String::from_utf8_lossy(body).trim().chars().take(200).collect();
            return Err(ApiError::Refused { status, kind: String::new(), error });
        }
    };
    if envelope.status != "success" {
        return Err(ApiError::Refused { status, kind: envelope.error_type, error: envelope.error });
    }
    let missing = || ApiError::Answer { reason: "there is no `data`".to_owned() };
    let mut histograms = 0;
    let value = match envelope.data.ok_or_else(missing)? {
        Data::Scalar((at, value)) => QueryValue::Scalar(millis(at), number(&value)?),
        Data::String((_, text)) => QueryValue::String(text.into()),
        Data::Vector(samples) => {
            let mut found = Vec::with_capacity(samples.len());
            for sample in samples {
                let Some((at, value)) = sample.value else {
                    histograms += 1;
                    continue;
                };
                let value = SampleValue::Float(number(&value)?);
                found.push(VectorSample { labels: labels(sample.metric), t: millis(at), value });
            }
            QueryValue::Vector(found)
        }
        Data::Matrix(series) => {
            let mut found = Vec::with_capacity(series.len());
            for one in series {
                histograms += one.histograms.len() as u64;
                let point = |(at, value): &Point| Ok(FloatPoint { t: millis(*at), v: number(value)? });
                let floats = one.values.iter().map(point).collect::<Result<Vec<_>, ApiError>>()?;
                found.push(MatrixSeries { labels: labels(one.metric), points: Points::of_floats(floats) });
            }
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
            QueryValue::Matrix(found)
        }
    };
    Ok(RemoteAnswer { value, histograms, warnings: envelope.warnings, infos: envelope.infos })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_read() {
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1.5,"+Inf"]},
            {"metric":{"__name__":"h"},"histogram":[1.5,{"count":"1","sum":"2"}]}],"stats":{}},"warnings":["w"]}"#;
        let found = read(200, vector).unwrap();
        let QueryValue::Vector(samples) = &found.value else { panic!("a vector") };
        assert_eq!((samples.len(), samples[0].t, found.histograms), (1, 1_500, 1));
        assert_eq!(samples[0].value, SampleValue::Float(f64::INFINITY));
        assert_eq!(found.warnings, ["w"]);
        let error =
            read(422, br#"{"status":"error","errorType":"execution","error":"many-to-many"}"#).unwrap_err();
        assert_eq!(error.to_string(), "the service refused the query (execution, HTTP 422): many-to-many");
        let error = read(502, b"<html>bad gateway</html>").unwrap_err();
        assert!(matches!(error, ApiError::Refused { status: 502, .. }));
        assert!(matches!(read(200, b"{}"), Err(ApiError::Answer { .. })));
    }

    proptest! {
        #[test]
        fn l10_any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), status in 200..600_u16) {
            let _ = read(status, &bytes);
        }
    }
}
