//! One line for each notice, to anything that can be written to.

use std::fmt::{self, Debug};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use itom_core::Text;

use super::{Idempotence, Notice, NoticeKind, Notifier, NotifyError};

/// Writes one line for each notice to a [`Write`].
///
/// ```
/// use itom_alert::notify::LogNotifier;
/// let notifier = LogNotifier::new("console", std::io::stderr());
/// # let _ = notifier;
/// ```
pub struct LogNotifier {
    name: Text,
    sink: Mutex<Box<dyn Write + Send>>,
}

impl LogNotifier {
    /// Writes to `sink`; `name` stands in errors.
    #[must_use]
    pub fn new(name: impl Into<Text>, sink: impl Write + Send + 'static) -> Self {
        Self { name: name.into(), sink: Mutex::new(Box::new(sink)) }
    }

    /// The line for a notice, without the line break. Control characters in texts of others are written as spaces, so
    /// that nobody can forge a line.
    #[must_use]
    pub fn line(notice: &Notice) -> String {
        let kind = match notice.kind {
            NoticeKind::Open => "OPEN",
            NoticeKind::Update => "UPDATE",
            NoticeKind::Close => "CLOSE",
        };
        let mut line =
            format!("{} {kind} {} {}: {}", notice.at, notice.severity, notice.rule, notice.summary);
        if !notice.reasons.is_empty() {
            let reasons: Vec<&str> = notice.reasons.iter().map(Text::as_str).collect();
            line.push_str(&format!(" [{}]", reasons.join("; ")));
        }
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

impl Debug for LogNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogNotifier").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut line = Self::line(notice);
        line.push('\n');
        // A writer that panicked before may still be able to write.
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(line.as_bytes())
            .and_then(|()| sink.flush())
            .map_err(|source| NotifyError::Unavailable { receiver: self.name.clone(), source: source.into() })
    }

    fn idempotence(&self) -> Idempotence {
        Idempotence::None
    }
}
