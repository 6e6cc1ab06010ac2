//! The rules that come with the SDK.

use super::{Rule, parse_rules};

const PACK: &str = include_str!("default_rules.json");

/// Rules for hosts, file systems, network, services, units and the collectors themselves, over the metric names of
/// node_exporter and the kinds of `itom-core`. They need no expression language.
///
/// Limits are chosen so that a healthy, busy machine stays quiet: they look at minutes, not moments.
///
/// ```
/// let rules = itom_alert::rule::default_rules();
/// assert!(rules.iter().all(|rule| rule.compile(None).is_ok()));
/// ```
#[must_use]
pub fn default_rules() -> Vec<Rule> {
    // Embedded and tested: it parses.
    parse_rules(PACK).unwrap_or_default()
}
