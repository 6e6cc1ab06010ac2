//! Alerts as consoles show them.

use itom_core::{AlertId, Text};
use serde::Serialize;

use crate::explain::{CauseText, Names, cause_text};
use crate::life::Alert;

/// One alert for a console.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlertView {
    /// The alert itself.
    #[serde(flatten)]
    pub alert: Alert,
    /// Whether it is open.
    pub open: bool,
    /// Whether it is open and nobody is told.
    pub hidden: bool,
    /// Why nobody is told, with names.
    pub hidden_by: Vec<CauseText>,
}

impl AlertView {
    pub(crate) fn new(alert: &Alert, names: &Names, alert_of: impl Fn(AlertId) -> Option<Text>) -> Self {
        let hidden_by = alert.causes.iter().map(|cause| cause_text(cause, names, &alert_of)).collect();
        Self { alert: alert.clone(), open: alert.is_open(), hidden: alert.is_hidden(), hidden_by }
    }
}
