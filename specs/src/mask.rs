//! Does a message of somebody else's (the Engine's, a program's) quote a secret? Then it is masked before it is shown.

use std::{borrow::Cow, fmt::Write as _};

use zeroize::Zeroizing;

use crate::{MASK, Text};

/// What is shorter is found everywhere, and masking it would only make messages unreadable.
const SHORTEST: usize = 4;

/// The secrets that somebody may quote.
#[derive(Default)]
pub struct Mask(Vec<Zeroizing<String>>);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mask").field(&self.0.len()).finish()
    }
}

impl Mask {
    /// Of the secret ones among these texts.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t Text>) -> Self {
        let secret = texts.into_iter().filter(|text| text.is_secret());
        let mut all: Vec<_> = secret.flat_map(|text| spellings(text.expose())).collect();
        // The longest first: a part of it would leave the rest to be read.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self(all)
    }

    /// The message without them.
    pub fn mask<'m>(&self, message: &'m str) -> Cow<'m, str> {
        self.0.iter().fold(Cow::Borrowed(message), |message, secret| match without(&message, secret) {
            Some(masked) => Cow::Owned(masked),
            None => message,
        })
    }
}

/// The text without a secret, whose letters may have been made large or small; `None` where it is not in it.
fn without(text: &str, secret: &str) -> Option<String> {
    // Neither moves a byte.
    let (lower, secret) = (text.to_ascii_lowercase(), Zeroizing::new(secret.to_ascii_lowercase()));
    let mut masked = None::<String>;
    let mut from = 0;
    for (at, found) in lower.match_indices(secret.as_str()) {
        let masked = masked.get_or_insert_default();
        masked.push_str(&text[from..at]);
        masked.push_str(MASK);
        from = at + found.len();
    }
    masked.map(|masked| masked + &text[from..])
}

/// A value as it is, as Go and JSON quote it, as an URL has it, and each of its lines.
fn spellings(value: &str) -> Vec<Zeroizing<String>> {
    let quoted = value.chars().fold(String::new(), |mut quoted, letter| {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter => quoted.push(letter),
        }
        quoted
    });
    let encoded = value.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    });
    let lines = value.lines().map(|line| line.trim().to_owned());
    let all = lines.chain([value.to_owned(), quoted, encoded]);
    all.filter(|text| text.len() >= SHORTEST).map(Zeroizing::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_secret_is_masked_in_each_spelling_and_nothing_else_is() {
        let texts = [
            Text::secret("p4ss\"w/rd"),
            Text::secret("p4ss\"w/rd-2"),
            Text::plain("open"),
            Text::secret("80"),
        ];
        let mask = Mask::of(&texts);
        let said = r#"bad p4ss"w/rd-2, "p4ss\"w/rd", P4SS"W/RD é and p4ss%22w%2frd in open port 80"#;
        assert_eq!(mask.mask(said), r#"bad ***, "***", *** é and *** in open port 80"#);
        assert!(!format!("{mask:?}").contains("p4ss"));
        let key = Mask::of(&[Text::secret("first line\nsecond line\n")]);
        assert_eq!(key.mask("x second line y"), "x *** y");
    }
}
