//! Of which tokens does a YAML text consist, and where do its comments stand? A scanner that sees comments as the
//! library inside sops does: the path that an encrypted comment is bound to depends on which node it is given to.
//!
//! Kept apart from the loader's parser, which drops comments. What sops never writes (anchors, aliases, directives)
//! is refused by name, so that the caller can hand the file to the program.

mod blocks;

use self::blocks::{SimpleKey, column_of};
use super::{
    super::tree::Secret,
    comments::{Comment, Place},
};

/// How deep collections may nest before the scanner refuses; the tree has a lower bound of its own.
const MAX_OPEN: usize = 1000;

/// Why a text is not read.
pub(super) struct Failure {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: &'static str,
    /// It is YAML, but nothing that sops writes.
    pub(super) foreign: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Tag(String),
    Scalar(Secret, Style),
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: Mark,
}

pub(super) struct Scanner<'t> {
    pub(super) chars: &'t [char],
    pub(super) mark: Mark,
    /// Line breaks since the last character that is neither blank nor a break.
    pub(super) newlines: usize,
    /// All tokens so far; those before `head` were taken.
    pub(super) tokens: Vec<Token>,
    pub(super) head: usize,
    pub(super) comments: Vec<Comment>,
    /// -1 outside of every block.
    pub(super) indent: isize,
    indents: Vec<isize>,
    pub(super) flow_level: usize,
    pub(super) simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
}

pub(super) fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

pub(super) fn is_break(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `\0` stands for the end of the text.
pub(super) fn is_end_of_line(char: char) -> bool {
    char == '\0' || is_break(char)
}

pub(super) fn is_blank_or_end(char: char) -> bool {
    is_blank(char) || is_end_of_line(char)
}

impl<'t> Scanner<'t> {
    pub(super) fn new(chars: &'t [char]) -> Self {
        Self {
            chars,
            mark: Mark::default(),
            newlines: 0,
            tokens: vec![Token { kind: Kind::StreamStart, start: Mark::default() }],
            head: 0,
            comments: Vec::new(),
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
        }
    }

    pub(super) fn fail<T>(&self, what: &'static str) -> Result<T, Failure> {
        Err(Failure { line: self.mark.line + 1, what, foreign: false })
    }

    fn foreign<T>(&self, what: &'static str) -> Result<T, Failure> {
        Err(Failure { line: self.mark.line + 1, what, foreign: true })
    }

    pub(super) fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.mark.index + ahead).copied().unwrap_or('\0')
    }

    pub(super) fn skip(&mut self) {
        if !is_blank(self.peek(0)) {
            self.newlines = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
    }

    pub(super) fn skip_line(&mut self) {
        self.mark.index += if self.peek(0) == '\r' && self.peek(1) == '\n' { 2 } else { 1 };
        self.mark.line += 1;
        self.mark.column = 0;
        self.newlines += 1;
    }

    pub(super) fn read(&mut self, into: &mut String) {
        into.push(self.peek(0));
        self.skip();
    }

    /// Reads a line break in its normal form.
    pub(super) fn read_line(&mut self, into: &mut String) {
        into.push(match self.peek(0) {
            wide @ ('\u{2028}' | '\u{2029}') => wide,
            _ => '\n',
        });
        self.skip_line();
    }

    /// Whether `---` or `...` stands here, alone in its line.
    pub(super) fn at_document_indicator(&self) -> bool {
        let first = self.peek(0);
        self.mark.column == 0
            && matches!(first, '-' | '.')
            && self.peek(1) == first
            && self.peek(2) == first
            && is_blank_or_end(self.peek(3))
    }

    /// Scans until the token at `head` is certain, and two more: comments behind a token may belong to it.
    pub(super) fn fill(&mut self) -> Result<(), Failure> {
        loop {
            if self.head + 2 < self.tokens.len() {
                let head = self.head;
                let open = self.simple_keys.iter().position(|key| key.possible && key.token == head);
                match open {
                    None => return Ok(()),
                    Some(at) if !self.is_still_key(at)? => return Ok(()),
                    Some(_) => {}
                }
            }
            self.fetch()?;
        }
    }

    fn push(&mut self, kind: Kind, start: Mark) {
        self.tokens.push(Token { kind, start });
    }

    /// A token of `width` characters.
    fn indicator(&mut self, kind: Kind, width: usize) {
        let start = self.mark;
        for _ in 0..width {
            self.skip();
        }
        self.push(kind, start);
    }

    fn fetch(&mut self) -> Result<(), Failure> {
        let scanned_from = self.mark;
        self.skip_to_next_token()?;
        self.unroll(column_of(self.mark), scanned_from);
        let (char, next) = (self.peek(0), self.peek(1));
        if char == '\0' {
            return self.stream_end();
        }
        if self.mark.column == 0 && char == '%' {
            return self.foreign("it has a directive");
        }
        if self.at_document_indicator() {
            self.unroll(-1, self.mark);
            self.remove_simple_key()?;
            self.simple_key_allowed = false;
            let kind = if char == '-' { Kind::DocumentStart } else { Kind::DocumentEnd };
            self.indicator(kind, 3);
            return Ok(());
        }
        let belongs_to_prior = if self.flow_level == 0 { char == ':' } else { char == ',' };
        let comment_of = match self.tokens.last() {
            Some(prior) if belongs_to_prior => prior.start,
            _ => self.mark,
        };
        self.fetch_content(char, next)?;
        // An indicator of a list has no comment of its own: it is one of what follows.
        if !matches!(self.tokens.last(), Some(Token { kind: Kind::BlockEntry, .. })) {
            self.line_comment(comment_of);
        }
        Ok(())
    }

    fn fetch_content(&mut self, char: char, next: char) -> Result<(), Failure> {
        let in_flow = self.flow_level > 0;
        let indicates = is_blank_or_end(next);
        match char {
            '[' => self.flow_start(Kind::FlowSequenceStart),
            '{' => self.flow_start(Kind::FlowMappingStart),
            ']' => self.flow_end(Kind::FlowSequenceEnd),
            '}' => self.flow_end(Kind::FlowMappingEnd),
            ',' => {
                self.remove_simple_key()?;
                self.simple_key_allowed = true;
                self.indicator(Kind::FlowEntry, 1);
                Ok(())
            }
            '-' if indicates => self.block_entry(),
            '?' if in_flow || indicates => self.key(),
            ':' if in_flow || indicates => self.value(),
            '*' | '&' => self.foreign("it has an anchor or an alias"),
            '!' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.tag();
                Ok(())
            }
            '|' | '>' if !in_flow => {
                self.remove_simple_key()?;
                self.simple_key_allowed = true;
                self.scan_scalar(Self::block_scalar, char)
            }
            '\'' | '"' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                self.scan_scalar(Self::quoted_scalar, char)
            }
            '-' if !is_blank(next) => self.plain(),
            '?' | ':' if !in_flow && !indicates => self.plain(),
            '-' | '?' | ':' | '#' | '|' | '>' | '%' | '@' | '`' => {
                self.fail("a character that cannot start anything")
            }
            char if is_blank_or_end(char) => self.fail("a tab where an indentation space is expected"),
            _ => self.plain(),
        }
    }

    fn scan_scalar(
        &mut self,
        scan: fn(&mut Self, char, &mut Secret) -> Result<Style, Failure>,
        char: char,
    ) -> Result<(), Failure> {
        let start = self.mark;
        let mut text = Secret::default();
        let style = scan(self, char, &mut text)?;
        self.push(Kind::Scalar(text, style), start);
        Ok(())
    }

    fn plain(&mut self) -> Result<(), Failure> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_scalar(Self::plain_scalar, '\0')
    }

    fn tag(&mut self) {
        let start = self.mark;
        let mut tag = String::new();
        while !(is_blank_or_end(self.peek(0)) || self.flow_level > 0 && self.peek(0) == ',') {
            self.read(&mut tag);
        }
        self.push(Kind::Tag(tag), start);
    }

    fn stream_end(&mut self) -> Result<(), Failure> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(Kind::StreamEnd, self.mark);
        Ok(())
    }

    fn flow_start(&mut self, kind: Kind) -> Result<(), Failure> {
        self.save_simple_key()?;
        if self.flow_level >= MAX_OPEN {
            return self.fail("nested too deeply");
        }
        self.simple_keys.push(SimpleKey::default());
        self.flow_level += 1;
        self.simple_key_allowed = true;
        self.indicator(kind, 1);
        Ok(())
    }

    fn flow_end(&mut self, kind: Kind) -> Result<(), Failure> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.indicator(kind, 1);
        Ok(())
    }

    fn block_entry(&mut self) -> Result<(), Failure> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fail("a list item is not allowed here");
            }
            self.roll(self.mark, None, Kind::BlockSequenceStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(Kind::BlockEntry, 1);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Failure> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fail("a mapping key is not allowed here");
            }
            self.roll(self.mark, None, Kind::BlockMappingStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(Kind::Key, 1);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Failure> {
        let last = self.simple_keys.len() - 1;
        if self.is_still_key(last)? {
            let key = self.simple_keys.get(last).copied().unwrap_or_default();
            self.tokens.insert(key.token, Token { kind: Kind::Key, start: key.mark });
            self.roll(key.mark, Some(key.token), Kind::BlockMappingStart)?;
            if let Some(key) = self.simple_keys.last_mut() {
                key.possible = false;
            }
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.fail("a mapping value is not allowed here");
                }
                self.roll(self.mark, None, Kind::BlockMappingStart)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.indicator(Kind::Value, 1);
        Ok(())
    }

    /// Eats blanks, breaks and comments.
    fn skip_to_next_token(&mut self) -> Result<(), Failure> {
        let scanned_from = self.mark;
        loop {
            if self.mark.column == 0 && self.peek(0) == '\u{feff}' {
                self.skip();
            }
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            while self.peek(0) == ' ' || (tabs && self.peek(0) == '\t') {
                self.skip();
            }
            self.head_of_nested_list();
            if self.peek(0) == '#' {
                self.block_comments(scanned_from);
            }
            if !is_break(self.peek(0)) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// A comment in the line above the first item of a nested list is a head of that item.
    fn head_of_nested_list(&mut self) {
        let [.., Token { kind: Kind::BlockSequenceStart, .. }, Token { kind: Kind::BlockEntry, .. }] =
            self.tokens.as_slice()
        else {
            return;
        };
        if is_break(self.peek(0)) {
            return;
        }
        let mark = self.mark;
        if let Some(comment) = self.comments.last_mut().filter(|comment| comment.place == Place::Line) {
            comment.place = Place::Head;
            if comment.start.line + 1 == mark.line {
                comment.token = mark.index;
            }
        }
    }
}
