//! Which values of this file are encrypted, and which stand in the open? The one rule that the file names.

use regex::{Regex, RegexBuilder};

use super::super::{Format, Kind, ProgramCall, SecretError};

pub(crate) enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(Box<Regex>),
    EncryptedRegex(Box<Regex>),
    UnencryptedCommentRegex(Box<Regex>),
    EncryptedCommentRegex(Box<Regex>),
}

/// What stands above a value: for each level, the comments since the last value.
pub(super) type Comments = Vec<Vec<String>>;

impl Rule {
    /// Reads the rule out of the metadata; sops refuses a file with two, and takes a default suffix for none.
    pub(super) fn read<'a>(
        field: impl Fn(&str) -> Option<&'a str>,
        format: Format,
    ) -> Result<Self, SecretError> {
        type Make = fn(&str) -> Option<Rule>;
        const KINDS: [(&str, Make); 6] = [
            ("unencrypted_suffix", |text| Some(Rule::UnencryptedSuffix(text.to_owned()))),
            ("encrypted_suffix", |text| Some(Rule::EncryptedSuffix(text.to_owned()))),
            ("unencrypted_regex", |text| Some(Rule::UnencryptedRegex(Box::new(compile(text)?)))),
            ("encrypted_regex", |text| Some(Rule::EncryptedRegex(Box::new(compile(text)?)))),
            ("unencrypted_comment_regex", |text| {
                Some(Rule::UnencryptedCommentRegex(Box::new(compile(text)?)))
            }),
            ("encrypted_comment_regex", |text| Some(Rule::EncryptedCommentRegex(Box::new(compile(text)?)))),
        ];
        let mut rule = None;
        for (name, make) in KINDS {
            let Some(text) = field(name) else { continue };
            if rule.is_some() {
                let what = "it names more than one rule of what is encrypted";
                return Err(SecretError::malformed(Kind::Sops(format), None, what));
            }
            rule = Some(make(text).ok_or_else(|| SecretError::Unsupported {
                what: format!(
                    "the `{name}` of the sops file, `{text}`: it is no regular expression known here"
                ),
                call: Some(ProgramCall::new(format)),
            })?);
        }
        Ok(rule.unwrap_or_else(|| Self::UnencryptedSuffix("_unencrypted".to_owned())))
    }

    /// Whether the leaf (a comment or a value) at `path`, below `comments`, is encrypted.
    pub(super) fn encrypts(&self, path: &[String], comments: &Comments, is_comment: bool) -> bool {
        match self {
            Self::UnencryptedSuffix(suffix) => !path.iter().any(|key| key.ends_with(suffix.as_str())),
            Self::EncryptedSuffix(suffix) => path.iter().any(|key| key.ends_with(suffix.as_str())),
            Self::UnencryptedRegex(regex) => !path.iter().any(|key| regex.is_match(key)),
            Self::EncryptedRegex(regex) => path.iter().any(|key| regex.is_match(key)),
            Self::UnencryptedCommentRegex(regex) => {
                !comments.iter().flatten().any(|text| regex.is_match(text))
            }
            Self::EncryptedCommentRegex(regex) => {
                // The comment that names the rule must stay readable, so that it does not encrypt itself.
                let last = comments.len().saturating_sub(1);
                comments.iter().enumerate().any(|(level, texts)| {
                    let itself = usize::from(is_comment && level == last);
                    texts.iter().take(texts.len().saturating_sub(itself)).any(|text| regex.is_match(text))
                })
            }
        }
    }

    /// Whether comments decide, so that they must be followed at all.
    pub(super) fn reads_comments(&self) -> bool {
        matches!(self, Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_))
    }
}

/// Compiles what Go's `regexp` means by `text`.
fn compile(text: &str) -> Option<Regex> {
    RegexBuilder::new(&translate(text)).size_limit(1 << 20).build().ok()
}

/// Go's classes are of ASCII only, and inside brackets `[`, `&` and `~` mean themselves.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    let mut in_class = false;
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('d') if in_class => out.push_str("0-9"),
                Some('w') if in_class => out.push_str("0-9A-Za-z_"),
                Some('s') if in_class => out.push_str(r"\t\n\f\r "),
                Some('d') => out.push_str("[0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('s') => out.push_str(r"[\t\n\f\r ]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class && chars.peek() == Some(&':') => {
                out.push('[');
                // The rest of `[:name:]`, up to and with its bracket.
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', char]),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that closes at once is meant as itself.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_expressions_mean_the_same_here() {
        let matches = |regex: &str, text: &str| compile(regex).is_some_and(|regex| regex.is_match(text));
        assert!(matches("^(data|stringData)$", "data"));
        assert!(!matches("^(data|stringData)$", "data2"));
        assert!(matches(r"^[[:alpha:]\d]+$", "a1"));
        assert!(matches(r"^[a[]$", "["));
        assert!(matches(r"^[]a]$", "]"));
        assert!(!matches(r"^\d$", "٣"));
        assert!(matches("(?i)PASSWORD", "db_password"));
        assert!(compile("(").is_none());
    }
}
