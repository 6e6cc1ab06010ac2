//! How bad something is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad something is, mildest first. The levels are those of ITU-T X.733 and RFC 8632 plus `Info` for what is worth
/// telling and no fault; `Cleared` says that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is over (X.733 `cleared`).
    Cleared,
    /// Worth knowing, no fault.
    Info,
    /// A potential or impending fault, no effect yet (X.733 `warning`).
    Warning,
    /// A fault without effect on service; mend it before it grows (X.733 `minor`).
    Minor,
    /// Service is degraded (X.733 `major`).
    Major,
    /// Service is down (X.733 `critical`).
    Critical,
}

/// A text that is not a severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a severity; use cleared, info, warning, minor, major or critical")]
pub struct ParseSeverityError(String);

impl crate::Classify for ParseSeverityError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

impl Severity {
    /// Every level, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Cleared, Self::Info, Self::Warning, Self::Minor, Self::Major, Self::Critical];

    /// The name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    /// From a syslog severity (RFC 5424 table 2): 0–2 critical, 3 major, 4 warning, 5–7 info. `None` above 7.
    #[must_use]
    pub const fn from_syslog(code: u8) -> Option<Self> {
        Some(match code {
            0..=2 => Self::Critical,
            3 => Self::Major,
            4 => Self::Warning,
            5..=7 => Self::Info,
            _ => return None,
        })
    }

    /// To a syslog severity (RFC 5424 table 2).
    #[must_use]
    pub const fn to_syslog(self) -> u8 {
        match self {
            Self::Critical => 2,
            Self::Major => 3,
            Self::Minor | Self::Warning => 4,
            Self::Cleared => 5,
            Self::Info => 6,
        }
    }

    /// From `ItuPerceivedSeverity` (RFC 3877, the numbers that SNMP alarms carry for the levels of ITU-T X.733):
    /// 1 cleared, 2 indeterminate (taken as warning), 3 critical, 4 major, 5 minor, 6 warning. RFC 8632 writes names
    /// instead, which [`from_label`](Self::from_label) reads.
    #[must_use]
    pub const fn from_x733(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Cleared,
            2 | 6 => Self::Warning,
            3 => Self::Critical,
            4 => Self::Major,
            5 => Self::Minor,
            _ => return None,
        })
    }

    /// From the `severity` label as Prometheus rules write it: our own names, and the usual `page`, `error`, `high`,
    /// `low`, `notice`, `none`, `ticket`, `emergency`.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        Some(match label.to_ascii_lowercase().as_str() {
            "cleared" | "ok" => Self::Cleared,
            "info" | "informational" | "notice" | "none" | "debug" => Self::Info,
            // RFC 8632's `indeterminate`: something is wrong, how bad is not known.
            "warning" | "warn" | "ticket" | "indeterminate" => Self::Warning,
            "minor" | "low" | "medium" => Self::Minor,
            "major" | "error" | "high" => Self::Major,
            "critical" | "page" | "emergency" | "fatal" | "disaster" => Self::Critical,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl std::str::FromStr for Severity {
    type Err = ParseSeverityError;
    fn from_str(text: &str) -> Result<Self, ParseSeverityError> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| ParseSeverityError(text.chars().take(80).collect()))
    }
}
