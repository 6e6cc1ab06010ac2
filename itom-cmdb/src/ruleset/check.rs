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
            self.check_parts(kind, rule)?;
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
        for kind in self.identity.key_kinds() {
            let Some(rule) = self.identity.inherited(kind) else { continue };
            let path = format!("identity.keys.{kind}.inherited");
            if rule.at_least == 0 {
                return Err(RuleSetError::new(
                    path,
                    "`at_least` 0 would join what has nothing in common; give 1 or more",
                ));
            }
            let shares = [Some(("share", rule.share)), rule.apart_below.map(|own| ("apart_below", own))];
            for (name, share) in shares.into_iter().flatten() {
                if share.out_of == 0 || share.of > share.out_of {
                    let reason = format!("{} out of {} is no share", share.of, share.out_of);
                    return Err(RuleSetError::new(format!("{path}.{name}"), reason));
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

    /// What a kind inherits comes along a relation to a part, and there is a rule to compare it by.
    fn check_parts(&self, kind: &CiKind, rule: &KindRule) -> Result<(), RuleSetError> {
        for (at, parts) in rule.from_children.iter().flatten().enumerate() {
            let wrong = |field: &str, reason: String| {
                Err(RuleSetError::new(format!("kinds.{kind}.from_children.{at}.{field}"), reason))
            };
            let relation = &parts.relation;
            match self.relations.get(relation) {
                None => return wrong("relation", format!("there is no kind of relation `{relation}`")),
                Some(own) if !own.contains => {
                    return wrong(
                        "relation",
                        format!("`{relation}` does not lead to parts; say `contains: true` there"),
                    );
                }
                Some(_) => {}
            }
            if !self.kinds.contains_key(&parts.child) {
                return wrong("child", format!("there is no kind `{}`", parts.child));
            }
            if parts.keys.is_empty() {
                return wrong("keys", "name at least one kind of key".to_owned());
            }
            if let Some(key) = parts.keys.iter().find(|key| self.identity.inherited(key).is_none()) {
                return wrong(
                    "keys",
                    format!(
                        "how inherited values of `{key}` are compared is not said; add `identity.keys.{key}.inherited`"
                    ),
                );
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
