//! What does `${…}` in a value become?
//!
//! Compose Specification, "Interpolation", as Compose 2.40 does it: the alternative of every form is expanded, whether it
//! is used or not; a `$` that starts nothing stays as it is. What is built from a secret is secret.

use crate::{
    Problem, Text,
    doc::{Node, Span, Trail, Value},
    message,
};

/// Where variables come from.
pub trait Lookup {
    /// The value of a variable, where it is set.
    fn get(&self, name: &str) -> Option<Text>;
}

impl<F: Fn(&str) -> Option<Text>> Lookup for F {
    fn get(&self, name: &str) -> Option<Text> {
        self(name)
    }
}

/// How deep `${A:-${B:-…}}` may nest.
const MAX_DEPTH: usize = 64;
/// How long an expanded value may get, in bytes.
const MAX_LENGTH: usize = 4 << 20;

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// `${1}`, `${A`, `${A!b}`.
    Format,
    /// `${A:?why}` where `A` is not set.
    Required {
        /// The variable.
        name: Text,
        /// What the file says about it.
        message: Text,
    },
    /// Nested too deep or grown too long.
    TooLarge,
}

/// Expands every string value below `node`; keys are left alone.
pub fn expand_document(node: &mut Node, path: &Trail<'_>, lookup: &dyn Lookup, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Str(text) if text.expose().contains('$') => {
            let (mut unset, secret) = (Vec::new(), text.is_secret());
            match expand(text, lookup, &mut |name| unset.push(name.to_owned())) {
                Ok(expanded) => *text = expanded,
                Err(failure) => problems.push(failure.problem(node.span, path, text)),
            }
            unset.sort();
            unset.dedup();
            problems.extend(unset.into_iter().map(|name| {
                // A dollar sign in a password seems to name a variable.
                let name = Text::with_secrecy(name, secret);
                let message = message!("the variable {} is not set and becomes an empty string", name);
                Problem::warning("unset-variable", node.span, path, message)
                    .hint(message!("set it, or write ${{{}:-DEFAULT}}", name))
            }));
        }
        Value::Seq(items) => {
            for (nth, item) in items.iter_mut().enumerate() {
                expand_document(item, &path.index(nth), lookup, problems);
            }
        }
        Value::Map(map) => {
            for (key, entry) in map.iter_mut() {
                expand_document(&mut entry.node, &path.key(key), lookup, problems);
            }
        }
        _ => {}
    }
}

impl Failure {
    fn problem(&self, at: Span, path: &Trail<'_>, text: &Text) -> Problem {
        match self {
            Self::Format => {
                let message = message!("invalid interpolation format in '{}'", text);
                Problem::error("interpolation", at, path, message)
                    .hint("write $$ for a dollar sign that stays")
            }
            Self::Required { name, message } => Problem::error(
                "required-variable",
                at,
                path,
                message!("required variable {} is missing a value: {}", name, message),
            )
            .hint(message!("set {} in .env, in an env file, or in the environment", name)),
            Self::TooLarge => {
                Problem::error("interpolation", at, path, "the expanded value is too long or nests too deep")
            }
        }
    }
}

/// Expands one text. `unset` hears of every variable that had no value and no default.
///
/// # Errors
/// A malformed form, or a required variable without a value.
pub fn expand(text: &Text, lookup: &dyn Lookup, unset: &mut dyn FnMut(&str)) -> Result<Text, Failure> {
    let secret = text.is_secret();
    let open = secret.then_some(0);
    let mut expansion = Expansion { lookup, unset, out: String::new(), open, secret, depth: 0 };
    expansion.run(text.expose())?;
    Ok(expansion.text())
}

struct Expansion<'a> {
    lookup: &'a dyn Lookup,
    unset: &'a mut dyn FnMut(&str),
    out: String,
    /// How much of `out` was written in the open, where something secret follows.
    open: Option<usize>,
    /// Whether the text itself came from a secret, with the names of the variables in it.
    secret: bool,
    depth: usize,
}

impl Expansion<'_> {
    fn run(&mut self, mut rest: &str) -> Result<(), Failure> {
        while let Some(at) = rest.find('$') {
            self.out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                self.out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing(after).ok_or(Failure::Format)?;
                self.braced(&after[..end])?;
                rest = &after[end + 1..];
            } else {
                let length = name_length(rest);
                if length == 0 {
                    self.out.push('$');
                } else {
                    self.variable(&rest[..length]);
                    rest = &rest[length..];
                }
            }
            if self.out.len() > MAX_LENGTH {
                return Err(Failure::TooLarge);
            }
        }
        self.out.push_str(rest);
        Ok(())
    }

    fn variable(&mut self, name: &str) {
        match self.lookup.get(name) {
            Some(value) => self.push(&value),
            None => (self.unset)(name),
        }
    }

    fn push(&mut self, value: &Text) {
        if let (None, Text::Secret { open, .. }) = (self.open, value) {
            self.open = Some(self.out.len() + open);
        }
        self.out.push_str(value.expose());
    }

    fn braced(&mut self, inside: &str) -> Result<(), Failure> {
        let length = name_length(inside);
        if length == 0 {
            return Err(Failure::Format);
        }
        let (name, form) = inside.split_at(length);
        if form.is_empty() {
            self.variable(name);
            return Ok(());
        }
        let (colon, form) = form.strip_prefix(':').map_or((false, form), |form| (true, form));
        let operator = form.chars().next().filter(|c| matches!(c, '-' | '+' | '?')).ok_or(Failure::Format)?;
        // Docker Compose's pattern for an alternative ends with the line.
        if form.contains('\n') {
            return Err(Failure::Format);
        }
        let alternative = self.nested(&form[1..])?;
        let value = self.lookup.get(name);
        let counts = value.as_ref().is_some_and(|value| !(colon && value.is_empty()));
        match (operator, value) {
            ('-' | '?', Some(value)) if counts => self.push(&value),
            ('-', _) => self.push(&alternative),
            ('+', _) if counts => self.push(&alternative),
            ('+', _) => {}
            _ => {
                let name = Text::with_secrecy(name, self.secret);
                return Err(Failure::Required { name, message: alternative });
            }
        }
        Ok(())
    }

    fn nested(&mut self, text: &str) -> Result<Text, Failure> {
        if self.depth >= MAX_DEPTH {
            return Err(Failure::TooLarge);
        }
        let mut inner = Expansion {
            lookup: self.lookup,
            unset: &mut *self.unset,
            out: String::new(),
            open: self.secret.then_some(0),
            secret: self.secret,
            depth: self.depth + 1,
        };
        inner.run(text)?;
        Ok(inner.text())
    }

    fn text(self) -> Text {
        match self.open {
            Some(open) => Text::secret_after(open, self.out),
            None => Text::plain(self.out),
        }
    }
}

/// The place of the `}` that closes a form whose `{` has been read.
pub(crate) fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

pub(crate) fn name_length(text: &str) -> usize {
    let good = |(nth, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || nth > 0 && c.is_ascii_digit();
    text.char_indices().take_while(|pair| good(*pair)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let lookup = |name: &str| match name {
            "V" => Some(Text::plain("v")),
            "E" => Some(Text::plain("")),
            "S" => Some(Text::secret("hush")),
            _ => None,
        };
        match expand(&Text::plain(text), &lookup, &mut |_| {}) {
            Ok(text) => text.expose().to_owned(),
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn every_form() {
        for (text, expanded) in [
            ("$$ $V ${V}", "$ v v"),
            ("${U:-d}${E:-d}${V:-d}", "ddv"),
            ("${U-d}|${E-d}|${V-d}", "d||v"),
            ("${U:+r}|${E:+r}|${V:+r}", "||r"),
            ("${U+r}|${E+r}|${V+r}", "|r|r"),
            ("${V:?m}${E?m}", "v"),
            ("${U:-d${V:-e}f}", "dvf"),
            ("${U:-http://x:80/?a=b}", "http://x:80/?a=b"),
            ("${U:-a}b}c", "ab}c"),
            ("$1 $- $(date) 5$", "$1 $- $(date) 5$"),
            ("${1}", "Format"),
            ("${V", "Format"),
            ("${V!x}", "Format"),
            ("${E:?why}", "Required { name: \"E\", message: \"why\" }"),
        ] {
            assert_eq!(shown(text), expanded, "{text}");
        }
    }

    #[test]
    fn secrecy_follows() {
        let lookup = |_: &str| Some(Text::secret("hush"));
        let text = expand(&Text::plain("postgres://u:${PW}@db"), &lookup, &mut |_| {}).unwrap();
        assert_eq!(text.to_string(), "***");
        assert_eq!(text.expose(), "postgres://u:hush@db");
        let pair = expand(&Text::plain("PW=${PW:-x${PW}}"), &lookup, &mut |_| {}).unwrap();
        assert_eq!(pair.split_once('=').unwrap().0.to_string(), "PW");
    }
}
