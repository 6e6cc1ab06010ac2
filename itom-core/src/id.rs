//! Typed identifiers, derived from content so that the same facts give the same ids on every machine.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace under which every id of the SDK is derived (UUID version 5, RFC 9562 section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6974_6f6d_7c1d_5c2a_9b57_0d1f_53e8_a001);

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $tag:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id of this content: equal parts give equal ids, `["ab", "c"]` and `["a", "bc"]` differ.
            #[must_use]
            pub fn derive(parts: &[&str]) -> Self {
                let mut material = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
                material.extend_from_slice($tag.as_bytes());
                for part in parts {
                    material.extend_from_slice(&(part.len() as u64).to_le_bytes());
                    material.extend_from_slice(part.as_bytes());
                }
                Self(Uuid::new_v5(&NAMESPACE, &material))
            }

            /// The id from its 16 bytes, as a store keeps it.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id as a UUID of crate `uuid` 1.
            #[must_use]
            pub const fn uuid_v1_crate(self) -> Uuid {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = crate::NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if text.is_empty() {
                    return Err(crate::NameError::Empty { what: stringify!($name) });
                }
                Uuid::parse_str(text).map(Self).map_err(|_| crate::NameError::Character {
                    what: stringify!($name),
                    text: text.chars().take(80).collect(),
                    found: text.chars().next().unwrap_or(' '),
                    at: 0,
                    rule: "a UUID such as 69746f6d-7c1d-5c2a-9b57-0d1f53e8a001",
                })
            }
        }
    };
}

id_type! {
    /// A configuration item.
    CiId, "ci"
}
id_type! {
    /// One run of one collector.
    RunId, "run"
}
id_type! {
    /// An alert: rule, labels and configuration item.
    AlertId, "alert"
}
id_type! {
    /// A cluster of alerts with one cause.
    IncidentId, "incident"
}
id_type! {
    /// A ticket of the help desk.
    TicketId, "ticket"
}
