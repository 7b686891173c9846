//! What is wrong with a spec, where, and what should be written instead?

use std::{fmt, path::PathBuf};

use crate::{
    Message, Text,
    doc::{FileId, Path, Span},
};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Docker Compose takes it, an operator may regret it.
    Warning,
    /// The stack cannot be loaded.
    Error,
}

/// Which rule a problem breaks: a stable, kebab-case name for machines (`unknown-key`, `unset-variable` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule(pub &'static str);

/// One thing that is wrong, in one place. Holds no secret: a [`Message`] masks what came from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The rule that it breaks.
    pub rule: Rule,
    /// Where, if anybody wrote it anywhere.
    pub at: Option<Span>,
    /// Where in the document, `services.web.ports[0]`; empty for the document as a whole.
    pub path: Path,
    /// What is wrong and what was expected: lower case, one sentence, no full stop.
    pub message: Message,
    /// What to write instead, where that is known.
    pub hint: Option<Message>,
    /// Other places that belong to it, each with its words (`first defined here`).
    pub related: Vec<(Span, Message)>,
}

impl Problem {
    /// An error that stops the load of this stack.
    pub fn error(rule: &'static str, at: Span, path: impl Into<Path>, message: impl Into<Message>) -> Self {
        Self::new(Severity::Error, rule, at, path.into(), message.into())
    }

    /// Something to know that stops nothing.
    pub fn warning(rule: &'static str, at: Span, path: impl Into<Path>, message: impl Into<Message>) -> Self {
        Self::new(Severity::Warning, rule, at, path.into(), message.into())
    }

    fn new(severity: Severity, rule: &'static str, at: Span, path: Path, message: Message) -> Self {
        let at = at.is_written().then_some(at);
        Self { severity, rule: Rule(rule), at, path, message, hint: None, related: Vec::new() }
    }

    /// The same problem with advice on what to write.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Message>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem with another place that belongs to it.
    #[must_use]
    pub fn related(mut self, at: Span, words: impl Into<Message>) -> Self {
        self.related.push((at, words.into()));
        self
    }
}

/// The files that a load has read: their paths for messages, and their text for the line under the caret.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<SourceFile>);

/// One file that a load has read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its path, as it was asked for.
    pub path: PathBuf,
    /// Its text; `None` for a decrypted file, whose lines are never shown.
    pub text: Option<String>,
}

impl Sources {
    /// Remembers a file, by what may be shown of its path.
    pub fn add(&mut self, path: &Text, text: Option<String>) -> FileId {
        self.0.push(SourceFile { path: PathBuf::from(&*path.shown()), text });
        FileId(u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX))
    }

    /// A file that was read.
    pub fn get(&self, file: FileId) -> Option<&SourceFile> {
        self.0.get(file.0 as usize)
    }

    /// All files, in the order of reading.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter()
    }

    /// `file:line:column`, the form that editors and terminals link.
    pub fn place(&self, span: Span) -> String {
        let path =
            self.get(span.file).map_or_else(|| "<input>".into(), |file| file.path.display().to_string());
        format!("{path}:{}:{}", span.line, span.column)
    }
}

/// Why a stack cannot be loaded: all problems that were found, errors and warnings, and the files they point into.
#[derive(Debug, Clone)]
pub struct Problems {
    /// In the order of finding; at least one is an error.
    pub list: Vec<Problem>,
    /// The files that the spans point into.
    pub sources: Sources,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.list.iter().filter(|p| p.severity == Severity::Error).enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            if let Some(at) = problem.at {
                write!(f, "{}: ", self.sources.place(at))?;
            }
            if !problem.path.0.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            write!(f, "{}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "; {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
