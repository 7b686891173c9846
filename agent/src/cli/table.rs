//! How is a table printed that a person can read, on any terminal and in a file?
//!
//! Columns as wide as their widest cell; the last one takes what is left and is cut with `…` on a terminal, and only
//! there: in a pipe nothing is lost. Colour is a hint, never the only sign.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// One cell: what it says and how it looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// The cell with a look.
    #[must_use]
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { style, ..Self::from(text.into()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        // What comes from outside must neither break the columns nor talk to the terminal.
        let text = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        Self { text, style: Style::new() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// Good news.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Something goes on.
pub(super) const BUSY: Style = AnsiColor::Yellow.on_default();
/// Bad news.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// Not so important.
pub(super) const FAINT: Style = Style::new().dimmed();
/// A heading.
pub(super) const BOLD: Style = Style::new().bold();

/// Rows of cells under headings.
#[derive(Debug, Default)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), ..Self::default() }
    }

    /// The table, set off from the left.
    #[must_use]
    pub(super) fn indent(mut self, by: usize) -> Self {
        self.indent = by;
        self
    }

    /// One more row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; `width` is the terminal's, where there is one. Columns that are empty throughout are left out.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let kept: Vec<usize> = (0..self.headings.len())
            .filter(|nth| self.rows.iter().any(|row| row.get(*nth).is_some_and(|cell| !cell.text.is_empty())))
            .collect();
        let head: Vec<Cell> = self.headings.iter().map(|name| Cell::styled(*name, FAINT)).collect();
        let widths: Vec<usize> = kept
            .iter()
            .map(|nth| {
                let cells = std::iter::once(&head).chain(&self.rows).filter_map(|row| row.get(*nth));
                cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            text.push_str(&self.line(row, &kept, &widths, width));
        }
        text
    }

    fn line(&self, row: &[Cell], kept: &[usize], widths: &[usize], limit: Option<usize>) -> String {
        let mut line = " ".repeat(self.indent);
        let mut used = self.indent;
        for (nth, (column, width)) in kept.iter().zip(widths).enumerate() {
            let Some(cell) = row.get(*column) else { continue };
            let last = nth + 1 == kept.len();
            let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(used).max(8));
            let shown = cut(&cell.text, room);
            let pad = if last { 0 } else { (width + 2).saturating_sub(shown.chars().count()) };
            // Writing to a string cannot fail.
            let _ = write!(line, "{}{shown}{}{:pad$}", cell.style, cell.style.render_reset(), "");
            used += width + 2;
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// A text in at most `room` characters.
pub(super) fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The terminal's width, where standard output is one.
pub(super) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_only_a_terminal_cuts() {
        let mut table = Table::new(&["STACK", "GONE", "WHY"]);
        table.row(["web".into(), "".into(), "waits for the mount /mnt/data".into()]);
        table.row(["database".into(), "".into(), "fine\nand \x1b[31mdandy".into()]);
        let plain = |width| anstream::adapter::strip_str(&table.render(width)).to_string();
        assert_eq!(
            plain(None),
            "STACK     WHY\nweb       waits for the mount /mnt/data\ndatabase  fine and  [31mdandy\n"
        );
        assert_eq!(plain(Some(24)), "STACK     WHY\nweb       waits for the…\ndatabase  fine and  [31…\n");
    }
}
