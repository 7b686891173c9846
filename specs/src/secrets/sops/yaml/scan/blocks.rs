//! Where do blocks begin and end, and what may be a key without `?` before it? Both are known only later: a key at its
//! `:`, a block at the first line that is less indented.

use super::{Failure, Kind, MAX_OPEN, Mark, Scanner, Token};

/// A place where a key without `?` may have begun.
#[derive(Clone, Copy, Default)]
pub(super) struct SimpleKey {
    pub(super) possible: bool,
    pub(super) required: bool,
    pub(super) token: usize,
    pub(super) mark: Mark,
}

pub(super) fn column_of(mark: Mark) -> isize {
    isize::try_from(mark.column).unwrap_or(isize::MAX)
}

impl Scanner<'_> {
    pub(super) fn is_still_key(&mut self, at: usize) -> Result<bool, Failure> {
        let mark = self.mark;
        let Some(key) = self.simple_keys.get_mut(at).filter(|key| key.possible) else { return Ok(false) };
        if key.mark.line < mark.line || key.mark.index + 1024 < mark.index {
            if key.required {
                return self.fail("a key without its `:`");
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn save_simple_key(&mut self) -> Result<(), Failure> {
        let required = self.flow_level == 0 && self.indent == column_of(self.mark);
        if self.simple_key_allowed {
            self.remove_simple_key()?;
            let key = SimpleKey { possible: true, required, token: self.tokens.len(), mark: self.mark };
            if let Some(slot) = self.simple_keys.last_mut() {
                *slot = key;
            }
        }
        Ok(())
    }

    pub(super) fn remove_simple_key(&mut self) -> Result<(), Failure> {
        match self.simple_keys.last_mut() {
            Some(key) if key.possible && key.required => self.fail("a key without its `:`"),
            Some(key) => {
                key.possible = false;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Opens a block where the column is beyond the current one's.
    pub(super) fn roll(&mut self, start: Mark, token: Option<usize>, kind: Kind) -> Result<(), Failure> {
        if self.flow_level > 0 || self.indent >= column_of(start) {
            return Ok(());
        }
        if self.indents.len() >= MAX_OPEN {
            return self.fail("nested too deeply");
        }
        self.indents.push(self.indent);
        self.indent = column_of(start);
        self.tokens.insert(token.unwrap_or(self.tokens.len()), Token { kind, start });
        Ok(())
    }

    /// Closes the blocks that lie beyond `column`. Comments at the indentation of a block that ends belong behind it.
    pub(super) fn unroll(&mut self, column: isize, scanned_from: Mark) {
        if self.flow_level > 0 {
            return;
        }
        // One before where scanning began; at the very start there is no block to close.
        let mut end = Mark { index: scanned_from.index.saturating_sub(1), ..scanned_from };
        while self.indent > column {
            let mut reached = end.index;
            for comment in self.comments.iter().rev() {
                if comment.end < reached {
                    break;
                }
                if isize::try_from(comment.start.column).is_ok_and(|at| at == self.indent + 1) {
                    end = comment.start;
                }
                reached = comment.scanned_from;
            }
            self.push(Kind::BlockEnd, end);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }
}
