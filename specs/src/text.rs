//! What is a string that may have come from a secret?
//!
//! Every string of a document and of the typed model is a [`Text`]: it knows whether any part of it was
//! decrypted. Printing it by any formatting trait masks it; only [`Text::expose`] gives the content out, so that
//! `git grep expose` lists every place where a secret can leave the program.

use std::{borrow::Cow, cmp::Ordering, fmt, hash, ops::Range, sync::Arc};

use zeroize::Zeroizing;

/// What stands in for a secret wherever a person or a program looks.
pub const MASK: &str = "***";

/// A string that knows whether it holds (a part of) a secret. One that was written in the open is cheap to copy.
///
/// Equality and order look at the content, not at the secrecy: the same value read from a plain file and from an
/// encrypted one is the same value.
#[derive(Clone)]
pub enum Text {
    /// Written in the open.
    Plain(Arc<str>),
    /// Decrypted, or built from something decrypted.
    Secret {
        /// The content; wiped when dropped.
        value: Zeroizing<String>,
        /// How many bytes of its beginning were written in the open: `PASSWORD=` of `PASSWORD=${PW}`.
        open: usize,
    },
}

impl Text {
    /// A value that was written in the open.
    pub fn plain<'v>(value: impl Into<Cow<'v, str>>) -> Self {
        Self::Plain(value.into().into())
    }

    /// A value that came out of an encrypted file.
    pub fn secret(value: impl Into<String>) -> Self {
        Self::secret_after(0, value)
    }

    /// A value of which only the first `open` bytes were written in the open.
    pub fn secret_after(open: usize, value: impl Into<String>) -> Self {
        Self::Secret { value: Zeroizing::new(value.into()), open }
    }

    /// `open` and then `rest`, as secret as `rest` is.
    pub fn after(open: &str, rest: &Self) -> Self {
        let value = format!("{open}{}", rest.expose());
        match rest {
            Self::Plain(_) => Self::plain(value),
            Self::Secret { open: more, .. } => Self::secret_after(open.len() + more, value),
        }
    }

    /// `value`, as secret as `secret` says: for pieces cut out of another text.
    pub fn with_secrecy<'v>(value: impl Into<Cow<'v, str>>, secret: bool) -> Self {
        let value = value.into();
        if secret { Self::secret(value) } else { Self::plain(value) }
    }

    /// The content, for the Engine, for hashing and for comparing; never for a message.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(value) => value,
            Self::Secret { value, .. } => value,
        }
    }

    /// Whether any part came from a secret.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret { .. })
    }

    /// What may be shown: the content, or [`MASK`].
    pub fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Plain(value) => Cow::Borrowed(value),
            Self::Secret { .. } => Cow::Borrowed(MASK),
        }
    }

    /// A changed content with the same secrecy.
    pub fn map(&self, change: impl FnOnce(&str) -> String) -> Self {
        Self::with_secrecy(change(self.expose()), self.is_secret())
    }

    /// A piece of it, secret where it holds bytes that were not written in the open.
    pub fn piece(&self, range: Range<usize>) -> Self {
        match self {
            Self::Plain(value) => Self::plain(&value[range]),
            Self::Secret { value, open } if range.end <= *open => Self::plain(&value[range]),
            Self::Secret { value, open } => {
                Self::secret_after(open.saturating_sub(range.start), &value[range])
            }
        }
    }

    /// What stands before and after the first `sign`.
    pub fn split_once(&self, sign: char) -> Option<(Self, Self)> {
        let text = self.expose();
        let at = text.find(sign)?;
        Some((self.piece(0..at), self.piece(at + sign.len_utf8()..text.len())))
    }

    /// Whether the content is empty.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::plain("")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => fmt::Debug::fmt(value, f),
            Self::Secret { .. } => f.write_str(MASK),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.expose() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.expose() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.expose().cmp(other.expose())
    }
}

impl hash::Hash for Text {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Self {
        Self::plain(value)
    }
}

impl From<Zeroizing<String>> for Text {
    fn from(value: Zeroizing<String>) -> Self {
        Self::Secret { value, open: 0 }
    }
}

impl From<String> for Text {
    fn from(value: String) -> Self {
        Self::plain(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatting_trait_shows_a_secret() {
        let text = Text::secret("hunter2");
        assert_eq!(format!("{text} {text:?} {:?}", vec![Some(&text)]), "*** *** [Some(***)]");
        assert_eq!(text.map(|value| format!("{value}!")).to_string(), MASK);
    }

    #[test]
    fn a_name_before_a_secret_is_none() {
        let pair = Text::after("PASSWORD=", &Text::secret("a=b"));
        let (name, value) = pair.split_once('=').unwrap();
        assert_eq!((name.to_string().as_str(), value.to_string().as_str()), ("PASSWORD", MASK));
        assert_eq!(value.expose(), "a=b");
        let (inside, _) = value.split_once('=').unwrap();
        assert!(inside.is_secret());
    }

    #[test]
    fn equality_looks_at_the_content() {
        assert_eq!(Text::secret("a"), Text::plain("a"));
        assert_ne!(Text::plain("a"), Text::plain("b"));
    }
}
