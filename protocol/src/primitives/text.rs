//! Strings that are slices of the frame they came in.

use bytes::Bytes;
use bytestring::ByteString;
use std::{borrow::Borrow, fmt, ops::Deref, str::Utf8Error};

/// A UTF-8 string that shares its bytes with the frame it was decoded from.
///
/// As long as it lives the whole frame stays in memory: what is kept beyond the request is taken with
/// [`Str::detached`] or `to_owned()`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    /// The empty string.
    pub const EMPTY: Self = Self(ByteString::new());

    /// A string of the program itself.
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// Takes `bytes` if they are valid UTF-8.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that does not hold on to the frame.
    pub fn detached(&self) -> Self {
        Self::from(self.as_str())
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    #[test]
    fn maps_of_it_can_be_asked_with_what_it_reads() {
        let entries = || ["a", "ä", ""].map(|text| (Str::from(text), text.len()));
        let (hashed, ordered) = (HashMap::from(entries()), BTreeMap::from(entries()));
        for text in ["a", "ä", ""] {
            assert_eq!(
                (hashed.get(text), ordered.get(text)),
                (Some(&text.len()), Some(&text.len()))
            );
        }
        assert_eq!(hashed.get("b"), None);
    }
}
