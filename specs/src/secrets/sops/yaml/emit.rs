//! How does sops write a YAML document? Byte for byte as its library does, four spaces a level, never wrapped: what a
//! service gets must not depend on who decrypted it.

mod text;

use zeroize::Zeroizing;

use super::{
    super::buffer::Buffer,
    compose::{Node, Notes, Shape},
    scan::{Style, is_break},
    style::Facts,
};

/// Spaces a level.
const INDENT: isize = 4;

/// Writes documents one behind the other.
pub(super) fn documents(roots: &[Node]) -> Zeroizing<Vec<u8>> {
    let mut emitter = Emitter::new();
    for (index, root) in roots.iter().enumerate() {
        emitter.document(root, index == 0);
    }
    emitter.out.into_bytes()
}

/// One scalar alone, as if it were a document.
pub(super) fn scalar(text: &str, style: Style) -> Zeroizing<Vec<u8>> {
    let shape = Shape::Scalar { text: Zeroizing::new(text.to_owned()), style, tag: None };
    documents(&[Node { shape, notes: Notes::default(), line: 0 }])
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    Value,
    SimpleKey,
    ComplexKey,
}

struct Emitter {
    out: Buffer,
    column: isize,
    indent: isize,
    /// The last thing was white space.
    whitespace: bool,
    /// Nothing but indentation is in the line yet.
    indention: bool,
    /// A foot comment stood at this indentation: what follows there keeps an empty line from it.
    foot_indent: isize,
    /// Comments that were met and not written yet.
    notes: Notes,
    tail: String,
}

impl Emitter {
    fn new() -> Self {
        Self {
            out: Buffer::new(),
            column: 0,
            indent: -1,
            whitespace: true,
            indention: true,
            foot_indent: -1,
            notes: Notes::default(),
            tail: String::new(),
        }
    }

    fn put(&mut self, char: char) {
        self.out.push(char.encode_utf8(&mut [0; 4]));
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push("\n");
        self.column = 0;
        self.indention = true;
    }

    /// A break that stands in a text.
    fn write_break(&mut self, char: char) {
        if char == '\n' {
            self.put_break();
        } else {
            self.put(char);
            self.column = 0;
            self.indention = true;
        }
    }

    fn write_indent(&mut self) {
        let indent = self.indent.max(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        if self.foot_indent == indent {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.foot_indent = -1;
    }

    fn indicator(&mut self, text: &str, spaced: bool, is_white: bool, is_indention: bool) {
        if spaced && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|char| self.put(char));
        self.whitespace = is_white;
        self.indention = self.indention && is_indention;
    }

    /// Goes a level deeper, and answers the level to go back to.
    fn deeper(&mut self, in_list: bool, flow: bool) -> isize {
        let before = self.indent;
        self.indent = match before {
            -1 if flow => INDENT,
            -1 => 0,
            // Only the width of the `- `.
            _ if in_list => before + 2,
            _ => INDENT * ((before + INDENT) / INDENT),
        };
        before
    }

    fn document(&mut self, root: &Node, first: bool) {
        if !first {
            self.write_indent();
            self.indicator("---", true, false, false);
            self.write_indent();
        }
        self.take_start(root, "");
        self.write_head();
        self.begin(root, Context::Root);
        self.write_line_comment();
        self.write_foot();
        self.content(root, Context::Root);
        self.foot_indent = 0;
        self.write_foot();
        self.foot_indent = -1;
        self.write_indent();
    }

    /// What a node has to say before it: the foot and the line of a collection come with its end.
    fn take_start(&mut self, node: &Node, tail: &str) {
        replace(&mut self.notes.head, &node.notes.head);
        if matches!(node.shape, Shape::Scalar { .. }) {
            replace(&mut self.notes.line, &node.notes.line);
            replace(&mut self.notes.foot, &node.notes.foot);
        }
        replace(&mut self.tail, tail);
    }

    fn take_end(&mut self, node: &Node, tail: &str) {
        replace(&mut self.notes.line, &node.notes.line);
        replace(&mut self.notes.foot, &node.notes.foot);
        replace(&mut self.tail, tail);
    }

    /// A whole scalar; of a collection nothing, since it has no tag and no anchor.
    fn begin(&mut self, node: &Node, context: Context) {
        if let Shape::Scalar { text, style, tag } = &node.shape {
            self.scalar(text, *style, tag.as_deref(), context);
        }
    }

    fn content(&mut self, node: &Node, context: Context) {
        let in_list = context == Context::Item;
        match &node.shape {
            Shape::Scalar { .. } => {}
            Shape::List(items) if items.is_empty() => self.empty_list(node, in_list),
            Shape::Map(pairs) if pairs.is_empty() => self.empty_map(node, in_list),
            Shape::List(items) => {
                let before = self.deeper(in_list, false);
                for item in items {
                    self.take_start(item, "");
                    self.write_head();
                    self.write_indent();
                    self.indicator("-", true, false, true);
                    self.begin(item, Context::Item);
                    self.write_line_comment();
                    self.write_foot();
                    self.content(item, Context::Item);
                }
                self.take_end(node, "");
                self.indent = before;
            }
            Shape::Map(pairs) => {
                let before = self.deeper(in_list, false);
                let mut tail = "";
                for (key, value) in pairs {
                    self.pair(key, value, tail);
                    tail = &key.notes.foot;
                }
                self.take_end(node, tail);
                self.write_head();
                self.indent = before;
            }
        }
    }

    fn pair(&mut self, key: &Node, value: &Node, tail: &str) {
        replace(&mut self.notes.head, &key.notes.head);
        replace(&mut self.tail, tail);
        self.write_head();
        self.write_indent();
        if is_simple_key(key) {
            self.begin(key, Context::SimpleKey);
            self.take_start(value, "");
            self.indicator(":", false, false, false);
        } else {
            self.indicator("?", true, false, true);
            self.begin(key, Context::ComplexKey);
            self.take_start(value, "");
            self.write_indent();
            self.indicator(":", true, false, true);
        }
        self.begin(value, Context::Value);
        self.write_line_comment();
        self.write_foot();
        self.content(value, Context::Value);
    }

    fn empty_list(&mut self, node: &Node, in_list: bool) {
        self.take_end(node, "");
        self.indicator("[", true, true, false);
        let before = self.deeper(in_list, true);
        self.indent = before;
        if self.column == 0 {
            self.write_indent();
        }
        self.indicator("]", false, false, false);
        self.write_line_comment();
        self.write_foot();
    }

    fn empty_map(&mut self, node: &Node, in_list: bool) {
        self.take_end(node, "");
        self.indicator("{", true, true, false);
        let before = self.deeper(in_list, true);
        self.write_head();
        self.indent = before;
        self.indicator("}", false, false, false);
        self.write_line_comment();
        self.write_foot();
    }

    fn write_head(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.write_indent();
            self.comment(&tail);
            self.foot_indent = self.indent.max(0);
        }
        if !self.notes.head.is_empty() {
            let head = std::mem::take(&mut self.notes.head);
            self.write_indent();
            self.comment(&head);
        }
    }

    fn write_foot(&mut self) {
        if !self.notes.foot.is_empty() {
            let foot = std::mem::take(&mut self.notes.foot);
            self.write_indent();
            self.comment(&foot);
            self.foot_indent = self.indent.max(0);
        }
    }

    fn write_line_comment(&mut self) {
        if !self.notes.line.is_empty() {
            let line = std::mem::take(&mut self.notes.line);
            if !self.whitespace {
                self.put(' ');
            }
            self.comment(&line);
        }
    }

    /// Writes text, each of its lines indented; gives whether it ended in a break.
    fn lines(&mut self, text: &str, mut after_break: bool) -> bool {
        for char in text.chars() {
            if is_break(char) {
                self.write_break(char);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                self.put(char);
                self.indention = false;
                after_break = false;
            }
        }
        after_break
    }

    fn comment(&mut self, text: &str) {
        if !self.lines(text, false) {
            self.put_break();
        }
        self.whitespace = true;
    }
}

fn replace(pending: &mut String, with: &str) {
    if !with.is_empty() {
        with.clone_into(pending);
    }
}

/// Whether a key needs no `?`.
fn is_simple_key(key: &Node) -> bool {
    match &key.shape {
        Shape::Scalar { text, tag, .. } => {
            !Facts::of(text).multiline && text.len() + tag.as_ref().map_or(0, String::len) <= 128
        }
        Shape::List(items) => items.is_empty(),
        Shape::Map(pairs) => pairs.is_empty(),
    }
}
