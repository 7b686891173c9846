//! Which nodes does a YAML text consist of, and which comments has each of them? Tokens become nodes; a comment stays
//! pending until a node takes it.

use super::{
    super::tree::Secret,
    comments::Place,
    scan::{Failure, Kind, Scanner, Style},
};
use crate::secrets::MAX_DEPTH;

/// The comments of a node, each with its `#`s.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) head: String,
    pub(super) line: String,
    pub(super) foot: String,
}

pub(super) enum Shape {
    Scalar { text: Secret, style: Style, tag: Option<String> },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) notes: Notes,
    pub(super) line: usize,
}

/// One document: `None` for the content that a `---` without any has.
pub(super) struct Document {
    pub(super) notes: Notes,
    pub(super) content: Node,
}

/// All documents of a text.
pub(super) fn documents(chars: &[char]) -> Result<Vec<Document>, Failure> {
    let mut composer = Composer {
        scanner: Scanner::new(chars),
        pending: Notes::default(),
        stem: None,
        next_comment: 0,
        depth: 0,
    };
    composer.stream()
}

struct Composer<'t> {
    scanner: Scanner<'t>,
    pending: Notes,
    /// What stood above a list item that turns out to be a collection: a head of the collection, not of its start.
    stem: Option<String>,
    next_comment: usize,
    depth: usize,
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

impl Composer<'_> {
    /// The kind of the next token; comments that stand before it become pending.
    fn peek(&mut self) -> Result<&Kind, Failure> {
        self.scanner.fill()?;
        let Some(token) = self.scanner.tokens.get(self.scanner.head) else {
            return self.scanner.fail("more was expected");
        };
        while let Some(comment) = self.scanner.comments.get_mut(self.next_comment) {
            if token.start.index < comment.token {
                break;
            }
            match comment.place {
                // An end has no head: it is one of what follows.
                Place::Head if token.kind == Kind::BlockEnd => break,
                Place::Head => join(&mut self.pending.head, &comment.text),
                Place::Foot => join(&mut self.pending.foot, &comment.text),
                Place::Line => join(&mut self.pending.line, &comment.text),
                Place::Taken => {}
            }
            comment.place = Place::Taken;
            (comment.end, comment.start.column) = (0, 0);
            self.next_comment += 1;
        }
        Ok(&token.kind)
    }

    fn next(&mut self) {
        self.scanner.head += 1;
    }

    fn is(&mut self, kind: &Kind) -> Result<bool, Failure> {
        Ok(self.peek()? == kind)
    }

    fn is_one_of(&mut self, kinds: &[Kind]) -> Result<bool, Failure> {
        let kind = self.peek()?;
        Ok(kinds.iter().any(|one| one == kind))
    }

    fn line(&self) -> usize {
        self.scanner.tokens.get(self.scanner.head).map_or(0, |token| token.start.line + 1)
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Failure> {
        Err(Failure { line: self.line(), what, foreign: false })
    }

    fn take_notes(&mut self) -> Notes {
        self.stem = None;
        std::mem::take(&mut self.pending)
    }

    fn stream(&mut self) -> Result<Vec<Document>, Failure> {
        let mut documents = Vec::new();
        self.peek()?;
        self.next();
        loop {
            let first = documents.is_empty();
            while !first && self.is(&Kind::DocumentEnd)? {
                self.next();
            }
            if self.is(&Kind::StreamEnd)? {
                return Ok(documents);
            }
            let explicit = self.is(&Kind::DocumentStart)?;
            let mut notes = Notes::default();
            let content = if explicit {
                self.next();
                let ends = [Kind::DocumentStart, Kind::DocumentEnd, Kind::StreamEnd];
                if self.is_one_of(&ends)? { self.empty() } else { self.node(true, false)? }
            } else if first {
                notes.head = self.head_of_document();
                self.node(true, false)?
            } else {
                return self.fail("a document without `---`");
            };
            let end = self.document_end()?;
            notes.foot = if end.foot.is_empty() { end.head } else { end.foot };
            documents.push(Document { notes, content });
        }
    }

    fn document_end(&mut self) -> Result<Notes, Failure> {
        if self.is(&Kind::DocumentEnd)? {
            self.next();
        }
        Ok(self.take_notes())
    }

    /// What stands above the last empty line of the first comments belongs to the document.
    fn head_of_document(&mut self) -> String {
        let text = self.pending.head.as_str();
        let breaks = text.char_indices().rev().filter(|(at, char)| *char == '\n' && *at > 0);
        for (at, _) in breaks {
            let (above, below) = text.split_at(at);
            let above = if at + 1 == text.len() { Some(above) } else { above.strip_suffix('\n') };
            if let Some(above) = above {
                let head = above.to_owned();
                self.pending.head = below.strip_prefix('\n').unwrap_or(below).to_owned();
                return head;
            }
        }
        String::new()
    }

    /// A value that was left out; it takes no comments.
    fn empty(&self) -> Node {
        let shape = Shape::Scalar { text: Secret::default(), style: Style::Plain, tag: None };
        Node { shape, notes: Notes::default(), line: self.line() }
    }

    fn node(&mut self, block: bool, list_may_stand_below: bool) -> Result<Node, Failure> {
        self.depth += 1;
        if self.depth > MAX_DEPTH + 2 {
            return self.fail("nested too deeply");
        }
        let node = self.node_below(block, list_may_stand_below);
        self.depth -= 1;
        node
    }

    fn node_below(&mut self, block: bool, list_may_stand_below: bool) -> Result<Node, Failure> {
        let mut tag = None;
        if let Kind::Tag(name) = self.peek()? {
            tag = Some(name.clone());
            self.next();
            self.peek()?;
        }
        let line = self.line();
        let kind = self.peek()?.clone();
        let mut node = Node { shape: Shape::List(Vec::new()), notes: Notes::default(), line };
        match kind {
            Kind::BlockEntry if list_may_stand_below => node.shape = self.block_list(true)?,
            Kind::Scalar(text, style) => {
                node.notes = self.take_notes();
                node.shape = Shape::Scalar { text, style, tag };
                self.next();
            }
            Kind::FlowSequenceStart => {
                node.notes.head = self.take_notes().head;
                let (shape, end) = self.flow_list()?;
                node.shape = shape;
                (node.notes.line, node.notes.foot) = (end.line, end.foot);
            }
            Kind::FlowMappingStart => {
                node.notes.head = self.take_notes().head;
                let (shape, end) = self.flow_map()?;
                node.shape = shape;
                (node.notes.line, node.notes.foot) = (end.line, end.foot);
            }
            Kind::BlockSequenceStart if block => {
                node.notes.head = self.stem.take().unwrap_or_default();
                self.next();
                node.shape = self.block_list(false)?;
            }
            Kind::BlockMappingStart if block => {
                node.notes.head = self.stem.take().unwrap_or_default();
                self.next();
                self.block_map(&mut node)?;
            }
            _ if tag.is_some() => {
                node.shape = Shape::Scalar { text: Secret::default(), style: Style::Plain, tag };
            }
            _ => return self.fail("a value was expected"),
        }
        Ok(node)
    }

    /// The items of a list: one with a block of its own, or one that stands right below its key's column.
    fn block_list(&mut self, below_key: bool) -> Result<Shape, Failure> {
        let mut items = Vec::new();
        let ends: &[Kind] = if below_key {
            &[Kind::BlockEntry, Kind::Key, Kind::Value, Kind::BlockEnd]
        } else {
            &[Kind::BlockEntry, Kind::BlockEnd]
        };
        while self.is(&Kind::BlockEntry)? {
            let above = self.pending.head.len();
            self.next();
            self.split_stem(above)?;
            items.push(if self.is_one_of(ends)? { self.empty() } else { self.node(true, false)? });
        }
        if !below_key {
            if !self.is(&Kind::BlockEnd)? {
                return self.fail("a `-` was expected");
            }
            self.next();
        }
        Ok(Shape::List(items))
    }

    fn split_stem(&mut self, above: usize) -> Result<(), Failure> {
        if above > 0 && self.is_one_of(&[Kind::BlockSequenceStart, Kind::BlockMappingStart])? {
            let below = self.pending.head.split_off(above);
            let stem = std::mem::replace(&mut self.pending.head, below.chars().skip(1).collect());
            self.stem = Some(stem);
        }
        Ok(())
    }

    fn block_map(&mut self, node: &mut Node) -> Result<(), Failure> {
        let mut pairs: Vec<(Node, Node)> = Vec::new();
        while self.is(&Kind::Key)? {
            self.next();
            let no_key = [Kind::Key, Kind::Value, Kind::BlockEnd];
            let mut key = if self.is_one_of(&no_key)? { self.empty() } else { self.node(true, true)? };
            // The foot of a key that follows another is the other's.
            if let Some((prior, _)) = pairs.last_mut().filter(|_| !key.notes.foot.is_empty()) {
                prior.notes.foot = std::mem::take(&mut key.notes.foot);
            }
            let mut value = self.block_value()?;
            if key.notes.foot.is_empty() {
                key.notes.foot = std::mem::take(&mut value.notes.foot);
            }
            pairs.push((key, value));
        }
        if !self.is(&Kind::BlockEnd)? {
            return self.fail("a key was expected");
        }
        let end = self.take_notes();
        self.next();
        (node.notes.line, node.notes.foot) = (end.line, end.foot);
        if let Some((last, _)) = pairs.last_mut().filter(|_| !node.notes.foot.is_empty()) {
            last.notes.foot = std::mem::take(&mut node.notes.foot);
        }
        node.shape = Shape::Map(pairs);
        Ok(())
    }

    fn block_value(&mut self) -> Result<Node, Failure> {
        if !self.is(&Kind::Value)? {
            return Ok(self.empty());
        }
        self.next();
        let no_value = [Kind::Key, Kind::Value, Kind::BlockEnd];
        if self.is_one_of(&no_value)? { Ok(self.empty()) } else { self.node(true, true) }
    }

    fn flow_list(&mut self) -> Result<(Shape, Notes), Failure> {
        self.next();
        let mut items = Vec::new();
        while !self.is(&Kind::FlowSequenceEnd)? {
            self.flow_separator(items.is_empty())?;
            if self.is(&Kind::FlowSequenceEnd)? {
                break;
            }
            if self.is(&Kind::Key)? {
                let line = self.line();
                let pair = self.flow_pair(&Kind::FlowSequenceEnd)?;
                items.push(Node { shape: Shape::Map(vec![pair]), notes: Notes::default(), line });
            } else {
                items.push(self.node(false, false)?);
            }
        }
        let end = self.take_notes();
        self.next();
        Ok((Shape::List(items), end))
    }

    fn flow_map(&mut self) -> Result<(Shape, Notes), Failure> {
        self.next();
        let mut pairs: Vec<(Node, Node)> = Vec::new();
        while !self.is(&Kind::FlowMappingEnd)? {
            self.flow_separator(pairs.is_empty())?;
            if self.is(&Kind::FlowMappingEnd)? {
                break;
            }
            let (mut key, mut value) = if self.is(&Kind::Key)? {
                self.flow_pair(&Kind::FlowMappingEnd)?
            } else {
                (self.node(false, false)?, self.empty())
            };
            if key.notes.foot.is_empty() {
                key.notes.foot = std::mem::take(&mut value.notes.foot);
            }
            pairs.push((key, value));
        }
        let end = self.take_notes();
        self.next();
        Ok((Shape::Map(pairs), end))
    }

    fn flow_separator(&mut self, first: bool) -> Result<(), Failure> {
        if !first {
            if !self.is(&Kind::FlowEntry)? {
                return self.fail("a `,` was expected");
            }
            self.next();
        }
        self.peek().map(drop)
    }

    fn flow_pair(&mut self, end: &Kind) -> Result<(Node, Node), Failure> {
        self.next();
        let none = [Kind::Value, Kind::FlowEntry, end.clone()];
        let key = if self.is_one_of(&none)? { self.empty() } else { self.node(false, false)? };
        if !self.is(&Kind::Value)? {
            return Ok((key, self.empty()));
        }
        self.next();
        let none = [Kind::FlowEntry, end.clone()];
        let value = if self.is_one_of(&none)? { self.empty() } else { self.node(false, false)? };
        Ok((key, value))
    }
}
