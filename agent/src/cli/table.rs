//! How is a table printed that a person can read, on any terminal and in a file?
//!
//! Columns as wide as their widest cell; on a terminal the widest ones are cut with `…` until all fit, and only there: in a
//! pipe nothing is lost. Colour is a hint, never the only sign.

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
        let widths = fit(widths, width.map(|width| width.saturating_sub(self.indent)));
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            text.push_str(&self.line(row, &kept, &widths));
        }
        text
    }

    fn line(&self, row: &[Cell], kept: &[usize], widths: &[usize]) -> String {
        let mut line = " ".repeat(self.indent);
        for (nth, (column, width)) in kept.iter().zip(widths).enumerate() {
            let Some(cell) = row.get(*column) else { continue };
            let last = nth + 1 == kept.len();
            let shown = cut(&cell.text, *width);
            let pad = if last { 0 } else { (width + 2).saturating_sub(shown.chars().count()) };
            // Writing to a string cannot fail.
            let _ = write!(line, "{}{shown}{}{:pad$}", cell.style, cell.style.render_reset(), "");
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// No column is made narrower than this.
const NARROWEST: usize = 8;

/// The columns' widths, the widest ones made narrower until all of them fit.
fn fit(mut widths: Vec<usize>, room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    let between = widths.len().saturating_sub(1) * 2;
    while widths.iter().sum::<usize>() + between > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => break,
        }
    }
    widths
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

    #[test]
    fn a_long_value_in_the_middle_leaves_room_for_what_comes_after_it() {
        let mut table = Table::new(&["WHAT", "FOUND", "VERDICT"]);
        table.row([
            "app-1".into(),
            format!("sha256:{}", "a1".repeat(32)).into(),
            "left: so says the policy".into(),
        ]);
        let text = anstream::adapter::strip_str(&table.render(Some(50))).to_string();
        let row = text.lines().nth(1).expect("a row");
        assert!(row.starts_with("app-1  sha256:a1a1") && row.contains("  left: so says"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 50), "{text}");
    }
}
