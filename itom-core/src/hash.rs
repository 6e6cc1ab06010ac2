//! A hash that is the same on every machine, in every run and in every release.

/// 64-bit FNV-1a with a final avalanche, over a length-prefixed encoding: stable, allocation-free, not for
/// adversaries. Content addresses use UUID v5 instead.
///
/// ```
/// use itom_core::StableHasher;
/// let mut hasher = StableHasher::new();
/// hasher.text("a");
/// hasher.int(7);
/// assert_eq!(hasher.finish(), { let mut h = StableHasher::new(); h.text("a"); h.int(7); h.finish() });
/// ```
#[derive(Debug, Clone)]
pub struct StableHasher(u64);

impl StableHasher {
    /// A hasher over nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds raw bytes without a length: callers that join several fields use [`text`](Self::text).
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Adds a text with its length, so that neighbours cannot run together.
    pub fn text(&mut self, text: &str) {
        self.int(text.len() as i64);
        self.bytes(text.as_bytes());
    }

    /// Adds an integer.
    pub fn int(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    /// The hash so far.
    #[must_use]
    pub const fn finish(&self) -> u64 {
        // splitmix64's finalizer: FNV alone leaves the low bits of short inputs poorly mixed.
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

impl Default for StableHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be hashed the same way everywhere.
pub trait StableHash {
    /// Adds this value to `hasher`; equal values add equal bytes.
    fn stable_hash(&self, hasher: &mut StableHasher);

    /// The hash of this value alone.
    fn stable_fingerprint(&self) -> u64 {
        let mut hasher = StableHasher::new();
        self.stable_hash(&mut hasher);
        hasher.finish()
    }
}

impl StableHash for str {
    fn stable_hash(&self, hasher: &mut StableHasher) {
        hasher.text(self);
    }
}
