//! Telling people and programs: one attempt at a time, errors classified; the [outbox](crate::outbox) retries.

mod log;
mod memory;
mod notice;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "webhook")]
mod webhook;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use itom_core::{BoxError, Classify, ErrorKind, Retry, Text};

pub use log::LogNotifier;
pub use memory::MemoryNotifier;
pub use notice::{Notice, NoticeKind};
#[cfg(feature = "webhook")]
pub use webhook::{WebhookBuilder, WebhookNotifier};

/// What happens when the same notice (the same [`Notice::key`]) arrives twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotence {
    /// The second is recognized and does nothing.
    ByKey,
    /// It acts twice. After a crash that may happen.
    None,
}

/// Tells one receiver. Object safe.
///
/// Contract: one attempt, no retries and no waiting inside beyond the attempt's own timeout; dropping the future at any
/// await leaves at most the doubt whether the notice arrived. Run `notify::testing::check_notifier` (feature `testing`)
/// over your own.
///
/// ```
/// use itom_alert::notify::{Idempotence, Notice, Notifier, NotifyError};
///
/// #[derive(Debug)]
/// struct Bell;
///
/// #[async_trait::async_trait]
/// impl Notifier for Bell {
///     async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
///         println!("\x07{}: {}", notice.severity, notice.summary);
///         Ok(())
///     }
///
///     fn idempotence(&self) -> Idempotence {
///         Idempotence::None
///     }
/// }
/// ```
#[async_trait]
pub trait Notifier: Send + Sync + Debug + 'static {
    /// Makes one attempt.
    ///
    /// # Errors
    /// [`NotifyError`], classified: whether trying again can help, and when.
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError>;

    /// What a repeated notice does.
    fn idempotence(&self) -> Idempotence;
}

const _: Option<&dyn Notifier> = None;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The receiver understood and refused; the same notice is refused again.
    #[error("{receiver} refused the notice: {reason}")]
    Refused {
        /// Who.
        receiver: Text,
        /// What it said, cut.
        reason: String,
    },
    /// The receiver has too much to do.
    #[error("{receiver} is busy ({reason})")]
    Busy {
        /// Who.
        receiver: Text,
        /// What it said, cut.
        reason: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
    /// The receiver could not be reached or did not work.
    #[error("{receiver} could not be told")]
    Unavailable {
        /// Who.
        receiver: Text,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// No answer in time; it may have arrived.
    #[error("{receiver} did not answer within {after:?}")]
    Timeout {
        /// Who.
        receiver: Text,
        /// How long was waited.
        after: Duration,
    },
    /// The notifier cannot be built like this.
    #[error("the notifier `{receiver}` is set up wrongly: {reason}")]
    Setup {
        /// Which.
        receiver: Text,
        /// What is wrong.
        reason: String,
    },
}

impl Classify for NotifyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } | Self::Setup { .. } => ErrorKind::Invalid,
            Self::Busy { .. } => ErrorKind::Exhausted,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Busy { after: Some(after), .. } => Retry::After(*after),
            other => other.kind().retry(),
        }
    }
}
