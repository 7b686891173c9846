//! Whose is a comment? Of the line that it ends, of what follows, or of what came before: told from empty lines and
//! indentation, by the rules of the YAML library that sops is built on.

use super::scan::{Kind, Mark, Scanner, is_blank, is_break, is_end_of_line};

/// How far ahead blanks are looked over for the next line of a comment.
const LOOK_AHEAD: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Head,
    Line,
    Foot,
    /// It was given to a node.
    Taken,
}

#[derive(Debug)]
pub(super) struct Comment {
    pub(super) place: Place,
    /// Its lines, each with its `#`.
    pub(super) text: String,
    /// It is given to the first token that does not start before this.
    pub(super) token: usize,
    pub(super) scanned_from: usize,
    /// The column is counted from 1 here.
    pub(super) start: Mark,
    pub(super) end: usize,
}

impl Scanner<'_> {
    /// A comment behind something in the same line.
    pub(super) fn line_comment(&mut self, of: Mark) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..LOOK_AHEAD).take_while(|ahead| is_blank(self.peek(*ahead))).count();
        if self.peek(blanks) != '#' || blanks == LOOK_AHEAD {
            return;
        }
        for _ in 0..blanks {
            self.skip();
        }
        let start = self.mark;
        let text = self.rest_of_line();
        let token = of.index;
        self.comments.push(Comment { place: Place::Line, text, token, scanned_from: 0, start, end: 0 });
    }

    fn rest_of_line(&mut self) -> String {
        let mut text = String::new();
        while !is_end_of_line(self.peek(0)) {
            self.read(&mut text);
        }
        text
    }

    /// Comments in lines of their own, from the first `#` on; ends behind the last of them.
    pub(super) fn block_comments(&mut self, scanned_from: Mark) {
        let mut run = Run::new(self, scanned_from);
        let mut ahead = 0;
        while ahead < LOOK_AHEAD {
            run.column += 1;
            let char = self.peek(ahead);
            if is_blank(char) {
                ahead += 1;
                continue;
            }
            let closes_flow = self.flow_level > 0 && matches!(char, ']' | '}');
            if closes_flow || is_end_of_line(char) {
                if closes_flow || !run.after_empty {
                    run.empty_line(self, ahead, char, closes_flow);
                }
                if !is_break(char) {
                    break;
                }
                run.first_empty = false;
                run.after_empty = true;
                run.column = 0;
                run.line += 1;
                ahead += 1;
                continue;
            }
            if run.dedents(self) {
                run.foot(self, ahead);
            }
            if char != '#' {
                break;
            }
            run.take_line(self, ahead);
            // The break behind the comment is no empty line.
            ahead = 1;
        }
        run.head(self, ahead);
    }

    /// The indentation that content of the current block has at least.
    fn block_column(&self) -> usize {
        usize::try_from(self.indent).unwrap_or(0)
    }
}

/// Comment lines that follow one another.
struct Run {
    text: String,
    start: Mark,
    scanned_from: usize,
    token: usize,
    after_value: bool,
    /// A comment that starts in this line can still belong to what came before.
    foot_line: Option<usize>,
    first_empty: bool,
    after_empty: bool,
    line: usize,
    column: usize,
}

impl Run {
    fn new(scanner: &Scanner<'_>, scanned_from: Mark) -> Self {
        let prior = match scanner.tokens.as_slice() {
            [.., before, last] if last.kind == Kind::FlowEntry => Some(before),
            tokens => tokens.last(),
        };
        let foot_line = (scanned_from.line > 0).then(|| {
            let below_content = scanner.newlines == 0 && scanner.mark.column > 1;
            scanner.mark.line + 1 + usize::from(below_content) - scanner.newlines
        });
        Self {
            text: String::new(),
            start: Mark::default(),
            scanned_from: scanned_from.index,
            token: prior.map_or(0, |token| token.start.index),
            after_value: prior.is_some_and(|token| token.kind == Kind::Value),
            foot_line,
            first_empty: scanner.newlines <= 1,
            after_empty: false,
            line: scanner.mark.line,
            column: scanner.mark.column,
        }
    }

    /// An empty line parts a foot of what came before from a head of what follows.
    fn empty_line(&mut self, scanner: &mut Scanner<'_>, ahead: usize, char: char, closes_flow: bool) {
        let dedented = self.start.column < scanner.block_column() + 1;
        let below = self.foot_line == Some(self.start.line) && !self.after_value;
        if closes_flow || self.first_empty && (below || dedented) {
            if !self.text.is_empty() {
                if dedented {
                    self.token = self.start.index;
                }
                self.foot(scanner, ahead);
            }
        } else if !self.text.is_empty() && char != '\0' {
            self.text.push('\n');
        }
    }

    fn dedents(&self, scanner: &Scanner<'_>) -> bool {
        !self.text.is_empty() && self.column < scanner.block_column() + 1 && self.column != self.start.column
    }

    fn foot(&mut self, scanner: &mut Scanner<'_>, ahead: usize) {
        let end = scanner.mark.index + ahead;
        self.put(scanner, Place::Foot, self.token, end);
        (self.scanned_from, self.token) = (end, end);
    }

    fn head(&mut self, scanner: &mut Scanner<'_>, ahead: usize) {
        if !self.text.is_empty() {
            let end = (scanner.mark.index + ahead).saturating_sub(1);
            self.put(scanner, Place::Head, self.start.index, end);
        }
    }

    fn put(&mut self, scanner: &mut Scanner<'_>, place: Place, token: usize, end: usize) {
        let (text, scanned_from, start) = (std::mem::take(&mut self.text), self.scanned_from, self.start);
        scanner.comments.push(Comment { place, text, token, scanned_from, start, end });
    }

    /// Takes the comment line that starts `ahead` of here.
    fn take_line(&mut self, scanner: &mut Scanner<'_>, ahead: usize) {
        let at = scanner.mark.index + ahead;
        if self.text.is_empty() {
            self.start = Mark { index: at, line: self.line, column: self.column };
        } else {
            self.text.push('\n');
        }
        self.after_empty = false;
        while scanner.mark.index < at {
            if is_break(scanner.peek(0)) { scanner.skip_line() } else { scanner.skip() }
        }
        self.text.push_str(&scanner.rest_of_line());
        self.column = 0;
        self.line = scanner.mark.line;
    }
}
