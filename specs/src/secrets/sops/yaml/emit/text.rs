//! How is a text written as a scalar? Plain, quoted, or as a literal block; a text is never broken into lines.

use zeroize::Zeroizing;

use super::{
    super::{
        scan::{Style, is_break},
        style::{Facts, is_printable},
    },
    Context, Emitter,
};

impl Emitter {
    pub(super) fn scalar(&mut self, text: &str, asked: Style, tag: Option<&str>, context: Context) {
        let style = Facts::of(text).choose(asked, text, context == Context::SimpleKey);
        if let Some(tag) = tag {
            self.indicator(tag, true, false, false);
        }
        let before = self.deeper(context == Context::Item, true);
        match style {
            Style::Plain => self.plain(text),
            Style::Single => self.single_quoted(text),
            Style::Double => self.double_quoted(text),
            Style::Literal | Style::Folded => self.literal(text),
        }
        self.indent = before;
    }

    fn plain(&mut self, text: &str) {
        if !text.is_empty() {
            if !self.whitespace {
                self.put(' ');
            }
            text.chars().for_each(|char| self.put(char));
            self.whitespace = false;
        }
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str) {
        self.indicator("'", true, false, false);
        let mut after_break = false;
        for char in text.chars() {
            if is_break(char) {
                if !after_break && char == '\n' {
                    self.put_break();
                }
                self.write_break(char);
                after_break = true;
                continue;
            }
            if char != ' ' {
                if after_break {
                    self.write_indent();
                }
                self.indention = false;
                after_break = false;
            }
            if char == '\'' {
                self.put('\'');
            }
            self.put(char);
        }
        self.indicator("'", false, false, false);
        self.indention = false;
    }

    fn double_quoted(&mut self, text: &str) {
        self.indicator("\"", true, false, false);
        for char in text.chars() {
            if is_printable(char) && !is_break(char) && char != '"' && char != '\\' {
                self.put(char);
            } else {
                self.escape(char);
            }
        }
        self.indicator("\"", false, false, false);
        self.indention = false;
    }

    fn escape(&mut self, char: char) {
        let short = match char {
            '\0' => "0",
            '\u{7}' => "a",
            '\u{8}' => "b",
            '\t' => "t",
            '\n' => "n",
            '\u{b}' => "v",
            '\u{c}' => "f",
            '\r' => "r",
            '\u{1b}' => "e",
            '"' => "\"",
            '\\' => "\\",
            '\u{85}' => "N",
            '\u{a0}' => "_",
            '\u{2028}' => "L",
            '\u{2029}' => "P",
            _ => "",
        };
        let code = u32::from(char);
        let text = Zeroizing::new(match (short, code) {
            ("", 0..=0xff) => format!("\\x{code:02X}"),
            ("", 0x100..=0xffff) => format!("\\u{code:04X}"),
            ("", _) => format!("\\U{code:08X}"),
            (short, _) => format!("\\{short}"),
        });
        text.chars().for_each(|char| self.put(char));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(|char| char == ' ' || is_break(char)) {
            self.indicator("4", false, false, false);
        }
        let mut ends = text.chars().rev();
        match (ends.next().is_some_and(is_break), ends.next()) {
            (false, _) => self.indicator("-", false, false, false),
            (true, None) => self.indicator("+", false, false, false),
            (true, Some(before)) if is_break(before) => self.indicator("+", false, false, false),
            (true, Some(_)) => {}
        }
        if self.notes.line.is_empty() {
            self.put_break();
        } else {
            self.write_line_comment();
        }
        self.whitespace = true;
        self.lines(text, true);
    }
}
