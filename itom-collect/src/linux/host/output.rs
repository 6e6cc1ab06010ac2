//! Where samples and faults go, and the label sets that are kept between runs.

use std::collections::BTreeMap;
use std::io;

use itom_core::{
    Batch, ErrorKind, Key, LabelName, Labels, MetricName, Realm, SampleKind, SampleObservation, Subject, Text,
};

use super::super::identity::is_absent;
use super::super::read::Reader;
use super::scan::{Garbled, text};

/// The host's native id.
pub(super) const HOST: &str = "host";

/// Most label sets or names kept; a machine whose interfaces come and go all day starts over now and then.
const MAX_KEPT: usize = 65_536;

/// Whether a file must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Every Linux has it: not finding it is a fault.
    Always,
    /// Kernels and machines exist without it.
    IfPresent,
}

/// The labels and the subject of a group of series.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) labels: Labels,
    pub(super) subject: Subject,
}

/// How the subjects of samples are written.
#[derive(Debug)]
enum Naming {
    /// By native ids of this source.
    Native,
    /// By keys, for items that another source describes.
    Keys { host: Key, realm: Realm },
}

/// What is kept between runs so that a steady run builds no strings: names, label sets, subjects.
#[derive(Debug)]
pub(super) struct Series {
    naming: Naming,
    host: Subject,
    tags: BTreeMap<Box<[u8]>, Tag>,
    names: BTreeMap<Box<[u8]>, Option<MetricName>>,
    scratch: Vec<u8>,
}

/// The realm in which a machine's own ids are unique.
pub(super) fn machine_realm(host: &Key) -> Realm {
    // A host name of the kernel may hold anything; what cannot be a realm falls back to its visible characters.
    Realm::new(host.to_string()).unwrap_or_else(|_| {
        let visible: String =
            host.to_string().chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(128).collect();
        Realm::new(visible).unwrap_or(Realm::GLOBAL)
    })
}

/// The key of a part of the machine, for sources that do not share its native ids.
pub(super) fn part_key(realm: &Realm, native: &str) -> Key {
    Key::native(realm.clone(), native)
}

impl Series {
    /// Subjects are native ids.
    pub(super) fn named_natively() -> Self {
        Self::new(Naming::Native, Subject::Native(Text::literal(HOST)))
    }

    /// Subjects are keys.
    pub(super) fn named_by_keys(host: &Key) -> Self {
        let naming = Naming::Keys { host: host.clone(), realm: machine_realm(host) };
        Self::new(naming, Subject::Key(host.clone()))
    }

    fn new(naming: Naming, host: Subject) -> Self {
        Self { naming, host, tags: BTreeMap::new(), names: BTreeMap::new(), scratch: Vec::new() }
    }

    /// What the samples of a part of the machine are about.
    fn subject(&self, native: &str) -> Subject {
        match &self.naming {
            Naming::Native => Subject::from(native),
            Naming::Keys { host, .. } if native == HOST => Subject::Key(host.clone()),
            Naming::Keys { realm, .. } => Subject::Key(part_key(realm, native)),
        }
    }

    /// The tag kept under `parts`, made on first sight from native id and labels.
    pub(super) fn tag(&mut self, parts: &[&[u8]], make: impl FnOnce() -> (String, Labels)) -> Tag {
        self.compose(parts);
        if let Some(tag) = self.tags.get(self.scratch.as_slice()) {
            return tag.clone();
        }
        let (native, labels) = make();
        let tag = Tag { labels, subject: self.subject(&native) };
        if self.tags.len() >= MAX_KEPT {
            self.tags.clear();
        }
        self.tags.insert(self.scratch.as_slice().into(), tag.clone());
        tag
    }

    /// The metric name kept under `parts`, made on first sight; `None` when the series is not wanted or its name cannot
    /// be one.
    pub(super) fn name(
        &mut self,
        parts: &[&[u8]],
        make: impl FnOnce() -> Option<String>,
    ) -> Option<MetricName> {
        self.compose(parts);
        if let Some(name) = self.names.get(self.scratch.as_slice()) {
            return name.clone();
        }
        let name = make().and_then(|text| MetricName::new(text).ok()).filter(MetricName::is_classic);
        if self.names.len() >= MAX_KEPT {
            self.names.clear();
        }
        self.names.insert(self.scratch.as_slice().into(), name.clone());
        name
    }

    fn compose(&mut self, parts: &[&[u8]]) {
        self.scratch.clear();
        for part in parts {
            self.scratch.extend_from_slice(part);
            // No part contains it, so different parts cannot compose to the same key.
            self.scratch.push(0);
        }
    }
}

/// A label set from names that are literals.
pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .fold(Labels::empty().to_builder(), |builder, (name, value)| {
            builder.set(LabelName::literal(name), value)
        })
        .build()
}

/// Where one run writes.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) series: &'a mut Series,
}

impl Output<'_> {
    /// A gauge of the host without labels.
    pub(super) fn gauge(&mut self, metric: &'static str, value: f64) {
        self.host_sample(MetricName::literal(metric), SampleKind::Gauge, value);
    }

    /// A counter of the host without labels.
    pub(super) fn counter(&mut self, metric: &'static str, value: f64) {
        self.host_sample(MetricName::literal(metric), SampleKind::Counter, value);
    }

    /// A sample of the host without labels.
    pub(super) fn host_sample(&mut self, metric: MetricName, kind: SampleKind, value: f64) {
        let mut sample = SampleObservation::new(metric, kind, value);
        sample.subject = Some(self.series.host.clone());
        self.batch.sample(sample);
    }

    /// A gauge of the host whose labels were made for this run.
    pub(super) fn info(&mut self, metric: &'static str, value: f64, labels: Labels) {
        let tag = Tag { labels, subject: self.series.host.clone() };
        self.tagged(metric, SampleKind::Gauge, value, &tag);
    }

    /// A gauge with labels.
    pub(super) fn tagged_gauge(&mut self, metric: &'static str, value: f64, tag: &Tag) {
        self.tagged(metric, SampleKind::Gauge, value, tag);
    }

    /// A counter with labels.
    pub(super) fn tagged_counter(&mut self, metric: &'static str, value: f64, tag: &Tag) {
        self.tagged(metric, SampleKind::Counter, value, tag);
    }

    /// A sample with labels.
    pub(super) fn tagged(&mut self, metric: &'static str, kind: SampleKind, value: f64, tag: &Tag) {
        let mut sample = SampleObservation::new(MetricName::literal(metric), kind, value);
        sample.labels = tag.labels.clone();
        sample.subject = Some(tag.subject.clone());
        self.batch.sample(sample);
    }

    /// The content of a file; a fault if it cannot be read and should be.
    pub(super) fn read<'r>(&mut self, reader: &'r mut Reader, path: &str, need: Need) -> Option<&'r [u8]> {
        match reader.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                if need == Need::Always || !is_absent(&error) {
                    unreadable(self.batch, path, &error);
                }
                None
            }
        }
    }

    /// A file has lines that are not understood.
    pub(super) fn garbled(&mut self, path: &str) {
        garbled(self.batch, path);
    }

    /// The value, or a fault for the file.
    pub(super) fn good<T>(&mut self, path: &str, parsed: Result<T, Garbled>) -> Option<T> {
        parsed.map_err(|Garbled| self.garbled(path)).ok()
    }
}

/// Says that something could not be read.
pub(super) fn unreadable(batch: &mut Batch, path: &str, error: &io::Error) {
    let kind = ErrorKind::of_io(error);
    let advice = match kind {
        ErrorKind::Denied => "; run with more privileges or accept that it stays unknown",
        ErrorKind::NotFound => "; is the file system mounted?",
        _ => "",
    };
    batch.fault(format!("/{path}"), kind, format!("cannot be read: {error}{advice}"));
}

/// Says that a file has lines that are not understood. Equal faults are one with a count.
pub(super) fn garbled(batch: &mut Batch, path: &str) {
    let message = "has a line that is not in the documented format; the rest was read";
    batch.fault(format!("/{path}"), ErrorKind::Invalid, message);
}

/// The text of bytes, for a label.
pub(super) fn label(bytes: &[u8]) -> String {
    text(bytes).into_owned()
}
