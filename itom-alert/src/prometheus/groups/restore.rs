//! Taking up pending times again after a restart.

use std::time::Duration;

use itom_core::{SampleValue, Timestamp};

use super::alerts::Active;
use super::contract::StoredState;

/// Sets back since when alerts are active, as far as what was stored says so.
pub(super) fn restore(
    active: &mut Active,
    hold: Duration,
    grace: Duration,
    states: impl IntoIterator<Item = StoredState>,
    now: Timestamp,
) {
    for state in states {
        let Some(alert) = active.get_mut(&state.labels) else { continue };
        // The alert had ended before the restart, or what is stored is no time.
        if SampleValue::Float(state.value).is_stale() || !state.value.is_finite() {
            continue;
        }
        alert.active_at = active_at(Timestamp::from_secs(state.value as i64), state.at, hold, grace, now);
    }
}

/// Since when an alert counts as active that was active since `since` and last seen so at `down_at`.
fn active_at(
    since: Timestamp,
    down_at: Timestamp,
    hold: Duration,
    grace: Duration,
    now: Timestamp,
) -> Timestamp {
    let down_at = Timestamp::from_secs(down_at.as_secs());
    let spent = down_at.since(since);
    match hold.checked_sub(spent) {
        // It fired before the restart and fires again.
        None | Some(Duration::ZERO) => since,
        Some(left) if left < grace => now + grace - hold,
        Some(_) => since + now.since(down_at),
    }
}
