//! What may stand in a message?
//!
//! A [`Message`] is made of fixed words and of parts that know what may be shown of them: [`message!`](crate::message!)
//! takes no plain string, so that a value that came from a secret cannot get into one unmasked.

use std::{fmt, io, ops::Deref};

use crate::{
    Text,
    doc::{Key, Path},
};

/// A sentence for a person, in which what came from a secret is masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message(String);

impl Message {
    /// What [`message!`](crate::message!) puts together.
    #[doc(hidden)]
    pub fn of(parts: fmt::Arguments<'_>) -> Self {
        Self(parts.to_string())
    }

    /// Words of the program itself with `between` between them.
    pub fn list(words: &[&'static str], between: &'static str) -> Self {
        Self(words.join(between))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for Message {
    fn from(words: &'static str) -> Self {
        Self(words.to_owned())
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// What may be a part of a message: it shows nothing that came from a secret.
pub trait Part: fmt::Display {}

impl<P: Part + ?Sized> Part for &P {}
impl Part for Text {}
impl Part for Key {}
impl Part for Path {}
impl Part for Message {}
/// Words of the program itself.
impl Part for &'static str {}
/// A character, such as the one that must not stand in a name.
impl Part for char {}
/// The operating system's word.
impl Part for io::ErrorKind {}
impl Part for i64 {}
impl Part for u32 {}
impl Part for u64 {}
impl Part for usize {}
impl Part for f64 {}

/// The part itself: only what is one has a way through here.
#[doc(hidden)]
pub fn part<P: Part>(part: &P) -> &P {
    part
}

/// A [`Message`] of a format string and its parts, each of which is a [`Part`].
///
/// ```compile_fail
/// let password = String::from("hunter2");
/// specs::message!("'{}' is no port", password);
/// ```
#[macro_export]
macro_rules! message {
    // `concat!` keeps names out of the braces, where they would get past `part`.
    ($words:literal $(, $part:expr)* $(,)?) => {
        $crate::Message::of(format_args!(concat!($words), $($crate::part(&$part)),*))
    };
}

/// These texts with `between` between them, as secret as the most secret of them.
pub fn join<'t>(texts: impl IntoIterator<Item = &'t Text>, between: &str) -> Text {
    let mut secret = false;
    let exposed: Vec<&str> = texts
        .into_iter()
        .map(|text| {
            secret |= text.is_secret();
            text.expose()
        })
        .collect();
    Text::with_secrecy(exposed.join(between), secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_secret_is_masked() {
        let (plain, secret) = (Text::plain("web"), Text::secret("hunter2"));
        assert_eq!(message!("{} wants '{}', {} times", plain, secret, 3_usize), "web wants '***', 3 times");
        assert_eq!(join([&plain, &secret], " → ").to_string(), crate::MASK);
    }
}
