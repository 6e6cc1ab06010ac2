//! Whether a rule set makes sense as a whole.

use std::collections::BTreeSet;

use itom_core::CiKind;

use super::{RuleSet, RuleSetError};

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
