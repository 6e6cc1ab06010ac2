//! What is made when somebody first looks at it.

use std::fmt;
use std::sync::{Arc, LazyLock};

type Make<T> = Box<dyn FnOnce() -> T + Send>;

/// A value that is there, or that is made when somebody first looks; clones share the making.
pub(crate) enum Later<T> {
    Here(T),
    Late(Arc<LazyLock<T, Make<T>>>),
}

impl<T> Later<T> {
    pub(crate) fn new(make: impl FnOnce() -> T + Send + 'static) -> Self {
        Self::Late(Arc::new(LazyLock::new(Box::new(make))))
    }

    pub(crate) fn get(&self) -> &T {
        match self {
            Self::Here(value) => value,
            Self::Late(late) => late,
        }
    }
}

impl<T: Clone> Clone for Later<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(value) => Self::Here(value.clone()),
            Self::Late(late) => Self::Late(Arc::clone(late)),
        }
    }
}

impl<T: Default> Default for Later<T> {
    fn default() -> Self {
        Self::Here(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(value) => value.fmt(f),
            Self::Late(late) => late.fmt(f),
        }
    }
}
