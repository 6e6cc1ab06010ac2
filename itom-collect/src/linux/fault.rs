//! The place that every read of the machine passes, so that tests can let each of them fail in turn.

use rustix::io::Errno;

/// Asked before each read: outside of tests, nothing is in the way.
#[cfg(not(test))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "in tests, any read can fail")]
pub(crate) const fn may_read() -> Result<(), Errno> {
    Ok(())
}

#[cfg(test)]
pub(crate) use plan::may_read;

#[cfg(test)]
pub(crate) mod plan {
    use std::cell::Cell;

    use super::Errno;

    thread_local! {
        /// Reads until the one that fails, and how.
        static PLAN: Cell<Option<(usize, Errno)>> = const { Cell::new(None) };
    }

    pub(crate) fn may_read() -> Result<(), Errno> {
        match PLAN.get() {
            Some((0, error)) => {
                PLAN.set(None);
                Err(error)
            }
            Some((left, error)) => {
                PLAN.set(Some((left - 1, error)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Lets one read of this thread fail while `run` runs. Also tells whether there were so many.
    pub(crate) fn failing<R>(read: usize, error: Errno, run: impl FnOnce() -> R) -> (R, bool) {
        PLAN.set(Some((read, error)));
        let result = run();
        (result, PLAN.replace(None).is_none())
    }
}
