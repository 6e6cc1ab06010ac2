//! Whether a rule set makes sense as a whole.

use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::time::format_duration;
use itom_core::{CiKind, RelationKind};

use super::{KindRule, Lease, RuleSet, RuleSetError};

impl RuleSet {
    /// Whether it makes sense as a whole: every kind that is referred to is there, nothing inherits from itself, an
    /// attribute that replaces an inherited one says so.
    ///
    /// # Errors
    /// [`RuleSetError`] with the first place and the reason.
    pub fn check(&self) -> Result<(), RuleSetError> {
        if self.name.is_empty() {
            return Err(RuleSetError::new("name", "a rule set needs a name"));
        }
        if self.mass_percent > 100 {
            return Err(RuleSetError::new(
                "mass_percent",
                format!("{} is no share; give 0 to 100", self.mass_percent),
            ));
        }
        for (kind, rule) in &self.kinds {
            self.check_kind(kind)?;
            self.check_ageing(kind, rule)?;
            let unknown = |relation: &&RelationKind| !self.relations.contains_key(*relation);
            if let Some(relation) = rule.related_by.iter().flatten().find(unknown) {
                return Err(RuleSetError::new(
                    format!("kinds.{kind}.related_by"),
                    format!("there is no kind of relation `{relation}`"),
                ));
            }
            for (name, attribute) in &rule.attributes {
                let inherited = self
                    .lineage(kind)
                    .into_iter()
                    .skip(1)
                    .find(|(_, other)| other.attributes.contains_key(name));
                let path = || format!("kinds.{kind}.attributes.{name}");
                match inherited {
                    Some((from, _)) if !attribute.overrides => {
                        return Err(RuleSetError::new(
                            path(),
                            format!(
                                "`{from}` has this attribute already; say `overrides: true` to replace it"
                            ),
                        ));
                    }
                    None if attribute.overrides => {
                        return Err(RuleSetError::new(
                            path(),
                            "no kind that it inherits from has this attribute",
                        ));
                    }
                    _ => {}
                }
            }
        }
        for (relation, rule) in &self.relations {
            for (end, kinds) in [("from", &rule.from), ("to", &rule.to)] {
                if let Some(kind) = kinds.iter().find(|kind| !self.kinds.contains_key(*kind)) {
                    return Err(RuleSetError::new(
                        format!("relations.{relation}.{end}"),
                        format!("there is no kind `{kind}`"),
                    ));
                }
            }
        }
        for (at, rule) in self.precedence.iter().enumerate() {
            if let Some(kind) = rule.kind.as_ref().filter(|kind| !self.kinds.contains_key(*kind)) {
                let reason = format!("there is no kind `{kind}`");
                return Err(RuleSetError::new(format!("precedence.{at}.kind"), reason));
            }
        }
        Ok(())
    }

    /// A bound that a kind sets must come in the order of a life: stale, gone, purged.
    fn check_ageing(&self, kind: &CiKind, rule: &KindRule) -> Result<(), RuleSetError> {
        let own =
            [("lease", rule.lease), ("stale_after", rule.stale_after), ("purge_after", rule.purge_after)];
        for (field, span) in own {
            if span == Some(Lease::After(Duration::ZERO)) {
                return Err(RuleSetError::new(
                    format!("kinds.{kind}.{field}"),
                    "give a time longer than zero, or `never`",
                ));
            }
        }
        let line = self.lineage(kind);
        let lease = line.iter().find_map(|(_, rule)| rule.lease).unwrap_or(self.default_lease);
        let stale = line.iter().find_map(|(_, rule)| rule.stale_after);
        let (Some(Lease::After(stale)), Lease::After(lease)) = (stale, lease) else { return Ok(()) };
        if stale < lease {
            return Ok(());
        }
        // Whichever of the two the kind sets itself is what to change.
        let field = if rule.stale_after.is_none() && rule.lease.is_some() { "lease" } else { "stale_after" };
        Err(RuleSetError::new(
            format!("kinds.{kind}.{field}"),
            format!(
                "an item would be stale after {} and gone after {} already; make the first the shorter one",
                format_duration(stale),
                format_duration(lease),
            ),
        ))
    }

    fn check_kind(&self, kind: &CiKind) -> Result<(), RuleSetError> {
        let path = || format!("kinds.{kind}.extends");
        let mut seen = BTreeSet::from([kind]);
        let mut at = kind;
        loop {
            if let Some(extends) = self.kinds.get(at).and_then(|rule| rule.extends.as_ref())
                && !self.kinds.contains_key(extends)
            {
                return Err(RuleSetError::new(
                    format!("kinds.{at}.extends"),
                    format!("there is no kind `{extends}`"),
                ));
            }
            let Some(parent) = self.parent_of(at) else { return Ok(()) };
            if !seen.insert(parent) {
                return Err(RuleSetError::new(path(), format!("it inherits from `{parent}` in a circle")));
            }
            at = parent;
        }
    }
}
