//! How may a text be written as a YAML scalar? Measured on what sops writes: plain where nothing speaks against it, a
//! literal block for several lines, else quoted.

use super::scan::{Style, is_blank, is_break};

/// What a text allows.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one text")]
pub(super) struct Facts {
    pub(super) multiline: bool,
    plain: bool,
    single: bool,
    block: bool,
}

/// Whether it is written as it is; everything beyond the basic plane is escaped, too.
pub(super) fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && char != '\u{feff}'
}

impl Facts {
    pub(super) fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { multiline: false, plain: true, single: true, block: false };
        }
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut breaks, mut special, mut tabs) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut after_space, mut after_break, mut after_white) = (false, false, true);
        let mut chars = text.chars().enumerate().peekable();
        while let Some((at, char)) = chars.next() {
            let next = chars.peek().map(|(_, char)| *char);
            // A break is no blank to this rule.
            let before_blank = next.is_none_or(is_blank);
            indicators |= match char {
                '#' => at == 0 || after_white,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    at == 0
                }
                '?' | '-' => at == 0 && before_blank,
                ':' => before_blank,
                _ => false,
            };
            tabs |= char == '\t';
            special |= char != '\t' && !is_printable(char);
            break_space |= char == ' ' && after_break;
            space_break |= is_break(char) && after_space;
            breaks |= is_break(char);
            (after_space, after_break) = (char == ' ', is_break(char));
            after_white = is_blank(char) || is_break(char);
        }
        let is_space = |char: char| char == ' ';
        let edges = text.starts_with(|char| is_space(char) || is_break(char))
            || text.ends_with(|char| is_space(char) || is_break(char));
        let escapes = space_break || special;
        Self {
            multiline: breaks,
            plain: !(edges || break_space || escapes || tabs || breaks || indicators),
            single: !(break_space || escapes || tabs),
            block: !(text.ends_with(is_space) || escapes),
        }
    }

    /// The style that is used for one that is asked for.
    pub(super) fn choose(&self, asked: Style, text: &str, simple_key: bool) -> Style {
        let mut style = if simple_key && self.multiline { Style::Double } else { asked };
        if style == Style::Plain && (!self.plain || (text.is_empty() && simple_key)) {
            style = Style::Single;
        }
        if style == Style::Single && !self.single {
            style = Style::Double;
        }
        if matches!(style, Style::Literal | Style::Folded) && (!self.block || simple_key) {
            style = Style::Double;
        }
        style
    }
}
