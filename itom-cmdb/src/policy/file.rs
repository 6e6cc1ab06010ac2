//! Policies as YAML.

use std::time::Duration;

use itom_core::time::serde_duration;
use itom_core::{CiKind, ErrorChain, RelationKind, Severity, Text, Timestamp};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{HOURLY, Needs, Policy, PolicyError, PolicySet, Waiver};
use crate::expr::Expression;

/// Most bytes of a file.
const MAX_FILE: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWire {
    #[serde(default)]
    policies: Vec<Spanned<PolicyWire>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyWire {
    name: Spanned<Text>,
    #[serde(default)]
    title: Option<Text>,
    applies_to: CiKind,
    #[serde(default)]
    when: Option<Spanned<String>>,
    check: Spanned<String>,
    #[serde(default = "warning")]
    severity: Severity,
    #[serde(default)]
    fix: Option<Text>,
    #[serde(default)]
    reference: Option<Text>,
    #[serde(default = "hourly", with = "serde_duration")]
    every: Duration,
    #[serde(default)]
    needs: NeedsWire,
    #[serde(default)]
    waivers: Vec<WaiverWire>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NeedsWire {
    #[serde(default)]
    relations: Vec<RelationKind>,
    #[serde(default)]
    kinds: Vec<CiKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverWire {
    items: Spanned<String>,
    owner: Text,
    reason: Text,
    #[serde(default)]
    until: Option<Timestamp>,
}

const fn warning() -> Severity {
    Severity::Warning
}
const fn hourly() -> Duration {
    HOURLY
}

struct Place<'a> {
    file: &'a str,
}

impl Place<'_> {
    fn refuse(&self, at: Option<Location>, reason: String) -> PolicyError {
        PolicyError::File {
            file: self.file.to_owned(),
            line: at.map_or(1, |at| at.line()),
            column: at.map_or(1, |at| at.column()),
            reason,
        }
    }

    fn expression(
        &self,
        policy: &Text,
        field: &str,
        text: &Spanned<String>,
    ) -> Result<Expression, PolicyError> {
        Expression::compile(&text.value).map_err(|error| {
            let reason = format!("policy `{policy}`, field `{field}`: {}", ErrorChain(&error));
            self.refuse(Some(text.referenced), reason)
        })
    }
}

pub(super) fn read(file: &str, text: &str) -> Result<PolicySet, PolicyError> {
    let place = Place { file };
    if text.len() > MAX_FILE {
        return Err(place.refuse(None, format!("the file is larger than {MAX_FILE} bytes; split it")));
    }
    let wire: FileWire = serde_saphyr::from_str(text)
        .map_err(|error| place.refuse(error.location(), error.without_snippet().to_string()))?;
    let mut policies: Vec<Policy> = Vec::with_capacity(wire.policies.len());
    for Spanned { value: wire, .. } in wire.policies {
        let name = wire.name.value.clone();
        if name.is_empty() || policies.iter().any(|policy| policy.name == name) {
            let reason = if name.is_empty() {
                "the name is empty".to_owned()
            } else {
                format!("a policy before is called `{name}` too; give one of them another name")
            };
            return Err(place.refuse(Some(wire.name.referenced), reason));
        }
        let waivers = wire
            .waivers
            .into_iter()
            .map(|waiver| {
                Ok(Waiver {
                    items: place.expression(&name, "waivers.items", &waiver.items)?,
                    owner: waiver.owner,
                    reason: waiver.reason,
                    until: waiver.until,
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        policies.push(Policy {
            title: wire.title.unwrap_or_else(|| name.clone()),
            kind: wire.applies_to,
            when: wire.when.as_ref().map(|text| place.expression(&name, "when", text)).transpose()?,
            check: place.expression(&name, "check", &wire.check)?,
            severity: wire.severity,
            fix: wire.fix.unwrap_or_default(),
            reference: wire.reference.unwrap_or_default(),
            every: wire.every.max(Duration::from_secs(1)),
            needs: Needs {
                relations: wire.needs.relations.into_iter().collect(),
                kinds: wire.needs.kinds.into_iter().collect(),
            },
            waivers,
            name,
        });
    }
    PolicySet::new(policies)
}
