//! What does a YAML scalar say? Block scalars, quoted ones with their escapes, and plain ones, with lines folded as the
//! YAML library that sops is built on folds them.

use super::{
    super::tree::Secret,
    scan::{Failure, Scanner, Style, is_blank, is_blank_or_end, is_break, is_end_of_line},
};

/// Blanks and breaks between two words: kept, or folded into a space.
#[derive(Default)]
struct Gap {
    blanks: String,
    first_break: String,
    more_breaks: String,
    broken: bool,
}

impl Gap {
    /// Reads a run of blanks and breaks.
    fn read(&mut self, scanner: &mut Scanner<'_>) {
        if is_blank(scanner.peek(0)) {
            if self.broken { scanner.skip() } else { scanner.read(&mut self.blanks) }
        } else if self.broken {
            scanner.read_line(&mut self.more_breaks);
        } else {
            self.blanks.clear();
            scanner.read_line(&mut self.first_break);
            self.broken = true;
        }
    }

    fn fold_into(&mut self, text: &mut String) {
        if self.broken {
            match (self.first_break.as_str(), self.more_breaks.is_empty()) {
                ("\n", true) => text.push(' '),
                ("\n", false) => text.push_str(&self.more_breaks),
                _ => text.extend([self.first_break.as_str(), self.more_breaks.as_str()]),
            }
        } else {
            text.push_str(&self.blanks);
        }
        *self = Self::default();
    }
}

impl Scanner<'_> {
    pub(super) fn plain_scalar(&mut self, _: char, text: &mut Secret) -> Result<Style, Failure> {
        let indent = usize::try_from(self.indent + 1).unwrap_or(0);
        let mut gap = Gap::default();
        while !self.at_document_indicator() && self.peek(0) != '#' {
            while !is_blank_or_end(self.peek(0)) {
                let char = self.peek(0);
                let ends = (char == ':' && is_blank_or_end(self.peek(1)))
                    || (self.flow_level > 0 && matches!(char, ',' | '?' | '[' | ']' | '{' | '}'));
                if ends {
                    break;
                }
                gap.fold_into(text);
                self.read(text);
            }
            if !is_blank(self.peek(0)) && !is_break(self.peek(0)) {
                break;
            }
            while is_blank(self.peek(0)) || is_break(self.peek(0)) {
                if gap.broken && self.mark.column < indent && self.peek(0) == '\t' {
                    return self.fail("a tab where an indentation space is expected");
                }
                gap.read(self);
            }
            if self.flow_level == 0 && self.mark.column < indent {
                break;
            }
        }
        if gap.broken {
            self.simple_key_allowed = true;
        }
        Ok(Style::Plain)
    }

    pub(super) fn quoted_scalar(&mut self, quote: char, text: &mut Secret) -> Result<Style, Failure> {
        self.skip();
        loop {
            if self.at_document_indicator() || self.peek(0) == '\0' {
                return self.fail("a quoted text without its end");
            }
            let mut gap = Gap::default();
            while !is_blank_or_end(self.peek(0)) {
                match (self.peek(0), self.peek(1)) {
                    ('\'', '\'') if quote == '\'' => {
                        text.push('\'');
                        self.skip();
                        self.skip();
                    }
                    (char, _) if char == quote => break,
                    ('\\', next) if quote == '"' && is_break(next) => {
                        self.skip();
                        self.skip_line();
                        gap.broken = true;
                        break;
                    }
                    ('\\', _) if quote == '"' => self.escape(text)?,
                    _ => self.read(text),
                }
            }
            if self.peek(0) == quote {
                self.skip();
                return Ok(if quote == '"' { Style::Double } else { Style::Single });
            }
            // An escaped break gives nothing, not a space.
            let escaped = gap.broken;
            while is_blank(self.peek(0)) || is_break(self.peek(0)) {
                gap.read(self);
            }
            if escaped {
                text.push_str(&gap.more_breaks);
            } else {
                gap.fold_into(text);
            }
        }
    }

    fn escape(&mut self, text: &mut Secret) -> Result<(), Failure> {
        let digits = match self.peek(1) {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                text.push(match other {
                    '0' => '\0',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    't' | '\t' => '\t',
                    'n' => '\n',
                    'v' => '\u{b}',
                    'f' => '\u{c}',
                    'r' => '\r',
                    'e' => '\u{1b}',
                    ' ' => ' ',
                    '"' => '"',
                    '\'' => '\'',
                    '\\' => '\\',
                    'N' => '\u{85}',
                    '_' => '\u{a0}',
                    'L' => '\u{2028}',
                    'P' => '\u{2029}',
                    _ => return self.fail("an unknown escape"),
                });
                0
            }
        };
        self.skip();
        self.skip();
        if digits > 0 {
            let mut code = 0;
            for _ in 0..digits {
                let Some(digit) = self.peek(0).to_digit(16) else {
                    return self.fail("an escape without its digits");
                };
                code = code * 16 + digit;
                self.skip();
            }
            match char::from_u32(code) {
                Some(char) => text.push(char),
                None => return self.fail("an escape of no character"),
            }
        }
        Ok(())
    }

    pub(super) fn block_scalar(&mut self, indicator: char, text: &mut Secret) -> Result<Style, Failure> {
        let start = self.mark;
        let literal = indicator == '|';
        self.skip();
        let (keeps, strips, increment) = self.block_header()?;
        while is_blank(self.peek(0)) {
            self.skip();
        }
        if self.peek(0) == '#' {
            self.line_comment(start);
        }
        if !is_end_of_line(self.peek(0)) {
            return self.fail("something behind the start of a block of text");
        }
        if self.peek(0) != '\0' {
            self.skip_line();
        }
        let parent = usize::try_from(self.indent).unwrap_or(0);
        let mut indent = increment.map_or(0, |more| parent + more);
        let (mut breaks, mut last_break) = (String::new(), String::new());
        self.block_breaks(&mut indent, &mut breaks)?;
        let mut after_blank = false;
        while self.mark.column == indent && self.peek(0) != '\0' {
            let blank = is_blank(self.peek(0));
            if !literal && !after_blank && !blank && last_break == "\n" {
                if breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&last_break);
            }
            last_break.clear();
            text.push_str(&breaks);
            breaks.clear();
            after_blank = blank;
            while !is_end_of_line(self.peek(0)) {
                self.read(text);
            }
            if self.peek(0) != '\0' {
                self.read_line(&mut last_break);
            }
            self.block_breaks(&mut indent, &mut breaks)?;
        }
        if !strips {
            text.push_str(&last_break);
        }
        if keeps {
            text.push_str(&breaks);
        }
        Ok(if literal { Style::Literal } else { Style::Folded })
    }

    /// `+` or `-`, and a digit, in any order.
    fn block_header(&mut self) -> Result<(bool, bool, Option<usize>), Failure> {
        let (mut keeps, mut strips, mut increment) = (false, false, None);
        for _ in 0..2 {
            match self.peek(0) {
                '+' if !keeps && !strips => keeps = true,
                '-' if !keeps && !strips => strips = true,
                '0' if increment.is_none() => return self.fail("an indentation of 0"),
                digit if increment.is_none() && digit.is_ascii_digit() => {
                    increment = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                }
                _ => break,
            }
            self.skip();
        }
        Ok((keeps, strips, increment))
    }

    /// Eats indentation and empty lines; finds the indentation where it is not known yet (0).
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Result<(), Failure> {
        let mut widest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.peek(0) == ' ' {
                self.skip();
            }
            widest = widest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.peek(0) == '\t' {
                return self.fail("a tab where an indentation space is expected");
            }
            if !is_break(self.peek(0)) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = widest.max(usize::try_from(self.indent + 1).unwrap_or(0)).max(1);
        }
        Ok(())
    }
}
