//! What must not be shown.

use zeroize::Zeroizing;

/// A text that never prints: no `Display`, no `Serialize`, `Debug` says only that there is one, and the memory is
/// cleared when it is dropped.
///
/// ```
/// use itom_core::Secret;
/// let token = Secret::new("s3cret".into());
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// assert!(token.matches("s3cret") && !token.matches("s3cre"));
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this secret, in a time that depends on the length of `given` only.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        let (have, given) = (self.0.as_bytes(), given.as_bytes());
        let mut difference = u8::from(have.len() != given.len());
        for (index, byte) in given.iter().enumerate() {
            let other = if have.is_empty() { 0 } else { have[index % have.len()] };
            difference |= byte ^ other;
        }
        // Two empty texts never match: an empty secret is a missing one.
        difference == 0 && !have.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
