//! Rule files: read, checked, and compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use itom_core::{LabelName, Labels, RuleExpression, RuleLanguage, Text};

use super::document::{At, Place, Texts, fields, nearest, read_first};
use super::duration::model_duration;
use super::template::Template;

/// Longer files are refused.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// How strictly a rule file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FileOptions {
    /// Whether names of labels, annotations and recorded metrics must have Prometheus's classic form (letters, digits
    /// and `_`), as before version 3. Otherwise they are any UTF-8.
    pub legacy_names: bool,
    /// Whether fields that rule files do not have are ignored rather than refused.
    pub ignore_unknown_fields: bool,
}

/// What is wrong in a rule file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileError {
    /// The file, as it was named.
    pub file: Text,
    /// Where in it.
    pub place: Place,
    /// The group, if it is in one.
    pub group: Option<Text>,
    /// Which rule of the group, from 1, and its name, if it is in one.
    pub rule: Option<(usize, Text)>,
    /// What is wrong.
    pub reason: String,
}

impl FileError {
    /// What is wrong with a file as a whole: it cannot be read, say.
    #[must_use]
    pub fn of_file(file: impl Into<Text>, reason: impl Into<String>) -> Self {
        let (file, reason) = (file.into(), reason.into());
        Self { file, place: Place::default(), group: None, rule: None, reason }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.place.line > 0 {
            write!(f, "{}:{}:", self.place.line, self.place.column)?;
        }
        if let Some(group) = &self.group {
            write!(f, " group {group:?},")?;
        }
        if let Some((number, name)) = &self.rule {
            write!(f, " rule {number}, {name:?}:")?;
        }
        write!(f, " {}", self.reason)
    }
}
impl std::error::Error for FileError {}
impl itom_core::Classify for FileError {
    fn kind(&self) -> itom_core::ErrorKind {
        itom_core::ErrorKind::Invalid
    }
}

/// Rule groups of one file, checked and compiled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuleFile {
    /// The file, as it was named.
    pub file: Text,
    /// Its groups, in their order.
    pub groups: Vec<RuleGroup>,
}

/// A group of rules that are evaluated one after the other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuleGroup {
    /// Its name, unique in its file.
    pub name: Text,
    /// The file it is from.
    pub file: Text,
    /// How often it is evaluated; `None` where the engine's default holds.
    pub interval: Option<Duration>,
    /// How far in the past its expressions are evaluated; `None` where the engine's default holds.
    pub query_offset: Option<Duration>,
    /// How many series or alerts one rule may give; 0 for any number.
    pub limit: usize,
    /// Its rules, in their order.
    pub rules: Vec<GroupRule>,
}

/// One rule of a group.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GroupRule {
    /// The name of the recorded metric or of the alert.
    pub name: Text,
    /// What is evaluated.
    pub expression: Arc<dyn RuleExpression>,
    /// Its labels, those of the group among them. An empty value takes a label away.
    pub labels: BTreeMap<LabelName, Text>,
    /// What becomes of the result.
    pub kind: RuleKind,
    /// Where in the file it stands.
    pub place: Place,
}

/// What becomes of what a rule's expression gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RuleKind {
    /// It is stored under the rule's name.
    Recording,
    /// Each sample is an alert.
    Alerting(Box<Alerting>),
}

/// What an alerting rule says beside its expression.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Alerting {
    /// How long an alert is pending before it fires.
    pub hold: Duration,
    /// How long it goes on firing after its series is gone.
    pub keep_firing_for: Duration,
    /// The templates of the rule's labels.
    pub labels: BTreeMap<LabelName, Template>,
    /// The templates of its annotations.
    pub annotations: BTreeMap<LabelName, Template>,
}

impl PartialEq for GroupRule {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl GroupRule {
    /// What sets an alerting rule apart; `None` for a recording rule.
    #[must_use]
    pub fn alerting(&self) -> Option<&Alerting> {
        match &self.kind {
            RuleKind::Recording => None,
            RuleKind::Alerting(alerting) => Some(alerting),
        }
    }

    /// Whether both are the same rule in all that a file says.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let texts = |templates: &BTreeMap<LabelName, Template>| -> Vec<(LabelName, Text)> {
            templates.iter().map(|(name, template)| (name.clone(), template.text().clone())).collect()
        };
        let kind = match (self.alerting(), other.alerting()) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                a.hold == b.hold
                    && a.keep_firing_for == b.keep_firing_for
                    && texts(&a.annotations) == texts(&b.annotations)
            }
            _ => false,
        };
        kind && self.name == other.name
            && self.labels == other.labels
            && self.expression.normal_form() == other.expression.normal_form()
    }
}

fields!(RawFile, "a rule file" { groups "groups": Vec<At<super::document::FieldsOf<RawGroup>>> });
fields!(RawGroup, "a rule group" {
    name "name": At<String>,
    interval "interval": At<String>,
    query_offset "query_offset": At<String>,
    limit "limit": At<i64>,
    labels "labels": Texts,
    rules "rules": Vec<At<super::document::FieldsOf<RawRule>>>,
});
fields!(RawRule, "a rule" {
    record "record": At<String>,
    alert "alert": At<String>,
    expr "expr": At<String>,
    hold "for": At<String>,
    keep "keep_firing_for": At<String>,
    labels "labels": Texts,
    annotations "annotations": Texts,
});

impl RuleFile {
    /// Reads a rule file in Prometheus's format (its first document). `file` names it in messages and takes part in the
    /// identity of groups.
    ///
    /// # Errors
    /// Everything that is wrong, each with file, line, column, group and rule.
    pub fn parse(
        text: &str,
        file: impl Into<Text>,
        language: &dyn RuleLanguage,
        options: FileOptions,
    ) -> Result<Self, Vec<FileError>> {
        let mut check =
            Check { file: file.into(), language, options, errors: Vec::new(), group: None, rule: None };
        if text.len() > MAX_FILE_BYTES {
            let reason = format!("it has {} bytes, at most {MAX_FILE_BYTES} are read; split it", text.len());
            check.error(Place::default(), reason);
            return Err(check.errors);
        }
        let raw = match read_first::<RawFile>(text) {
            Ok(raw) => raw.unwrap_or_default(),
            Err(unreadable) => {
                check.error(unreadable.place, unreadable.reason);
                return Err(check.errors);
            }
        };
        check.unknown(&raw.unknown, &["groups"]);
        let mut names = BTreeSet::new();
        let groups = raw.groups.unwrap_or_default();
        let groups =
            groups.into_iter().map(|group| check.group(&mut names, group.place, group.value.0)).collect();
        if check.errors.is_empty() { Ok(Self { file: check.file, groups }) } else { Err(check.errors) }
    }

    /// How many rules its groups have.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// Rules that are there more than once: the same name and labels, whatever they compute. Sorted by name and labels,
    /// each once.
    #[must_use]
    pub fn duplicates<'a>(
        files: impl IntoIterator<Item = &'a Self>,
    ) -> Vec<(Text, BTreeMap<LabelName, Text>)> {
        let mut seen: BTreeMap<(Text, BTreeMap<LabelName, Text>), usize> = BTreeMap::new();
        for rule in files.into_iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules) {
            *seen.entry((rule.name.clone(), rule.labels.clone())).or_default() += 1;
        }
        seen.into_iter().filter(|(_, times)| *times > 1).map(|(rule, _)| rule).collect()
    }
}

struct Check<'a> {
    file: Text,
    language: &'a dyn RuleLanguage,
    options: FileOptions,
    errors: Vec<FileError>,
    group: Option<Text>,
    rule: Option<(usize, Text)>,
}

impl Check<'_> {
    fn error(&mut self, place: Place, reason: impl Into<String>) {
        let (file, group, rule) = (self.file.clone(), self.group.clone(), self.rule.clone());
        self.errors.push(FileError { file, place, group, rule, reason: reason.into() });
    }

    fn unknown(&mut self, unknown: &[At<String>], known: &[&str]) {
        if self.options.ignore_unknown_fields {
            return;
        }
        for At { value, place } in unknown {
            let name: String = value.chars().take(80).collect();
            let hint = nearest(&name, known).map(|other| format!("; did you mean `{other}`?"));
            self.error(*place, format!("field `{name}` is not known here{}", hint.unwrap_or_default()));
        }
    }

    fn duration(&mut self, what: &str, text: Option<At<String>>) -> Option<Duration> {
        let At { value, place } = text?;
        match model_duration(&value) {
            Ok(span) => Some(span),
            Err(reason) => {
                self.error(place, format!("`{what}`: {reason}"));
                None
            }
        }
    }

    fn name_is_valid(&self, name: &str) -> Option<LabelName> {
        let name = LabelName::new(name).ok()?;
        (!self.options.legacy_names || name.is_classic()).then_some(name)
    }

    fn labels(&mut self, labels: &Texts) -> BTreeMap<LabelName, Text> {
        let mut out = BTreeMap::new();
        for (name, At { value, place }) in &labels.0 {
            match self.name_is_valid(name).filter(|name| name.as_str() != "__name__") {
                Some(name) => drop(out.insert(name, Text::from(value.as_str()))),
                None => self.error(*place, format!("invalid label name: {name}")),
            }
        }
        out
    }

    fn group(&mut self, names: &mut BTreeSet<String>, place: Place, raw: RawGroup) -> RuleGroup {
        let At { value: name, place: at } = raw.name.unwrap_or(At { value: String::new(), place });
        self.group = Some(Text::from(name.as_str()));
        if name.is_empty() {
            self.group = None;
            self.error(place, "a group needs a name that is not empty");
        } else if !names.insert(name.clone()) {
            self.group = None;
            self.error(at, format!("groupname: {name:?} is repeated in the same file"));
        }
        self.unknown(&raw.unknown, <RawGroup as super::document::Fields>::NAMES);
        let interval = self.duration("interval", raw.interval).filter(|span| !span.is_zero());
        let query_offset = self.duration("query_offset", raw.query_offset);
        let limit = raw.limit.map_or(0, |limit| usize::try_from(limit.value).unwrap_or(0));
        let labels = self.labels(&raw.labels.unwrap_or_default());
        let rules = raw.rules.unwrap_or_default();
        let rules = rules
            .into_iter()
            .enumerate()
            .filter_map(|(index, rule)| self.one_rule(index, rule.place, &labels, rule.value.0))
            .collect();
        let (name, file) = (Text::from(name), self.file.clone());
        self.group = None;
        RuleGroup { name, file, interval, query_offset, limit, rules }
    }

    fn one_rule(
        &mut self,
        index: usize,
        place: Place,
        group: &BTreeMap<LabelName, Text>,
        raw: RawRule,
    ) -> Option<GroupRule> {
        let text = |at: &Option<At<String>>| at.as_ref().map_or("", |at| at.value.as_str()).to_owned();
        let (record, alert) = (text(&raw.record), text(&raw.alert));
        let name = Text::from(if alert.is_empty() { record.as_str() } else { alert.as_str() });
        self.rule = Some((index + 1, name.clone()));
        let before = self.errors.len();
        self.unknown(&raw.unknown, <RawRule as super::document::Fields>::NAMES);
        let name_at = raw.alert.as_ref().or(raw.record.as_ref()).map_or(place, |at| at.place);
        match (record.is_empty(), alert.is_empty()) {
            (false, false) => self.error(name_at, "only one of `record` and `alert` must be set"),
            (true, true) => self.error(place, "one of `record` or `alert` must be set"),
            _ => {}
        }
        let expression = match &raw.expr {
            Some(At { value, place }) if !value.is_empty() => match self.language.compile(value) {
                Ok(expression) => Some(expression),
                Err(error) => {
                    self.error(*place, format!("could not parse expression: {error}"));
                    None
                }
            },
            _ => {
                self.error(place, "field `expr` must be set in a rule");
                None
            }
        };
        let annotations = raw.annotations.unwrap_or_default();
        if !record.is_empty() {
            if let Some((_, At { place, .. })) = annotations.0.first_key_value() {
                self.error(*place, "invalid field `annotations` in a recording rule");
            }
            self.record_name(&record, name_at);
        }
        for (what, field) in [("for", &raw.hold), ("keep_firing_for", &raw.keep)] {
            let set = |at: &At<String>| model_duration(&at.value).map_or(true, |span| !span.is_zero());
            if let Some(at) = field.as_ref().filter(|at| !record.is_empty() && set(at)) {
                self.error(at.place, format!("invalid field `{what}` in a recording rule"));
            }
        }
        let (hold, keep) = (self.duration("for", raw.hold), self.duration("keep_firing_for", raw.keep));
        let raw_labels = raw.labels.unwrap_or_default();
        let mut labels = self.labels(&raw_labels);
        for (name, value) in group {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let kind = if alert.is_empty() {
            RuleKind::Recording
        } else {
            let labels_at = |name: &str| raw_labels.0.get(name).map_or(place, |at| at.place);
            let named =
                |name: &LabelName, value: &Text| (name.clone(), labels_at(name.as_str()), value.to_string());
            let sources = labels.iter().map(|(name, value)| named(name, value)).collect();
            let label_templates = self.templates("label", &alert, sources);
            let mut sources = Vec::new();
            for (name, At { value, place }) in annotations.0 {
                match self.name_is_valid(&name) {
                    Some(name) => sources.push((name, place, value)),
                    None => self.error(place, format!("invalid annotation name: {name}")),
                }
            }
            let annotations = self.templates("annotation", &alert, sources);
            let (hold, keep_firing_for) = (hold.unwrap_or_default(), keep.unwrap_or_default());
            RuleKind::Alerting(Box::new(Alerting {
                hold,
                keep_firing_for,
                labels: label_templates,
                annotations,
            }))
        };
        self.rule = None;
        let expression = expression.filter(|_| self.errors.len() == before)?;
        Some(GroupRule { name, expression, labels, kind, place })
    }

    fn record_name(&mut self, record: &str, place: Place) {
        if record.contains(['{', '}']) {
            let reason =
                format!("braces present in the recording rule name; should it be in expr?: {record}");
            return self.error(place, reason);
        }
        let classic = itom_core::MetricName::new(record).is_ok_and(|name| name.is_classic());
        if self.options.legacy_names && !classic {
            self.error(place, format!("invalid recording rule name: {record}"));
        }
    }

    fn templates(
        &mut self,
        what: &str,
        alert: &str,
        sources: Vec<(LabelName, Place, String)>,
    ) -> BTreeMap<LabelName, Template> {
        let mut out = BTreeMap::new();
        for (name, place, text) in sources {
            match Template::parse(alert, &text) {
                Ok(template) => drop(out.insert(name, template)),
                Err(reason) => self.error(place, format!("{what} {:?}: {reason}", name.as_str())),
            }
        }
        out
    }
}

/// Lays a rule's labels over those of a sample; an empty value takes a label away.
pub(crate) fn overlay<'a>(
    labels: &Labels,
    name: Option<&Text>,
    rule: impl IntoIterator<Item = (&'a LabelName, Text)>,
) -> Labels {
    const NAME: LabelName = LabelName::literal("__name__");
    let mut builder = labels.to_builder().remove("__name__");
    if let Some(name) = name {
        builder = builder.set(NAME, name.clone());
    }
    for (name, value) in rule {
        builder = builder.set(name.clone(), value);
    }
    builder.build()
}
