//! Text in columns and lines that fit a screen.

use core::fmt::{Result, Write};

/// Where text goes: how wide it is.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns; `None` when it is no screen but a file or another program, which takes lines of any length.
    pub width: Option<usize>,
}

impl Screen {
    /// Sentences are wrapped, even in a file.
    const SENTENCES: usize = 80;
    /// Nothing readable fits less.
    const LEAST: usize = 20;

    fn sentences(self) -> usize {
        self.width.unwrap_or(Screen::SENTENCES).max(Screen::LEAST)
    }

    fn tables(self) -> usize {
        self.width.map_or(usize::MAX, |width| width.max(Screen::LEAST))
    }
}

/// How a column is aligned.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table's header and the widths of its columns. Rows are made twice, to be measured and to be written, so that a
/// long table is never held as text.
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    widths: [usize; N],
    screen: usize,
}

/// What begins a line that continues a row.
const CONTINUED: usize = 4;

impl<const N: usize> Table<N> {
    /// Writes the table of `rows`: columns two spaces apart, no spaces at the end of a line. A row too long for the screen
    /// is continued in another line, all rows at the same column.
    pub(super) fn write<R>(
        out: &mut dyn Write,
        screen: Screen,
        columns: [(&'static str, Align); N],
        rows: impl Iterator<Item = R> + Clone,
        cells: impl Fn(R) -> [String; N],
    ) -> Result {
        let widths = columns.map(|(name, _)| name.len());
        let mut table = Table { columns, widths, screen: screen.tables() };
        for row in rows.clone() {
            for (width, cell) in table.widths.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.len());
            }
        }
        let mut line = String::new();
        table.line(out, &mut line, &columns.map(|(name, _)| name))?;
        for row in rows {
            let cells = cells(row);
            table.line(out, &mut line, &cells.each_ref().map(String::as_str))?;
        }
        Ok(())
    }

    fn line(&self, out: &mut dyn Write, line: &mut String, cells: &[&str; N]) -> Result {
        line.clear();
        for ((cell, width), (_, align)) in cells.iter().zip(&self.widths).zip(&self.columns) {
            if !line.is_empty() && line.len() + width > self.screen {
                end_line(out, line)?;
                pad(line, CONTINUED);
            }
            let padding = width - cell.len();
            if let Align::Right = align {
                pad(line, padding);
            }
            line.push_str(cell);
            if let Align::Left = align {
                pad(line, padding);
            }
            line.push_str("  ");
        }
        end_line(out, line)
    }
}

/// A line `head` with `items` behind it, separated by commas and continued under the first item where the screen ends:
/// between items where that is possible, otherwise between words.
/// Items start at `column` or a space behind `head`, whichever is further right.
pub(super) fn wrapped(
    out: &mut dyn Write,
    screen: Screen,
    head: &str,
    column: usize,
    items: &[String],
) -> Result {
    let width = screen.sentences();
    let mut line = String::from(head);
    let head = if head.is_empty() { 0 } else { (head.len() + 1).max(column) };
    let padding = head.saturating_sub(line.len());
    pad(&mut line, padding);
    // What is continued stands under the items, unless the head takes half of the screen.
    let indent = if head > width / 2 { CONTINUED } else { head };
    let mut empty = true;
    for (i, item) in items.iter().enumerate() {
        let comma = if i + 1 == items.len() { "" } else { "," };
        let mut needed = item.len();
        for word in item.split(' ') {
            let whole = needed <= width - indent;
            let needs = if whole { needed.max(word.len()) } else { word.len() } + comma.len();
            if !empty && line.len() + 1 + needs > width {
                end_line(out, &mut line)?;
                pad(&mut line, indent);
            } else if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
            needed = 0;
        }
        line.push_str(comma);
    }
    end_line(out, &mut line)
}

fn pad(line: &mut String, spaces: usize) {
    line.extend(core::iter::repeat_n(' ', spaces));
}

fn end_line(out: &mut dyn Write, line: &mut String) -> Result {
    out.write_str(line.trim_end_matches(' '))?;
    line.clear();
    out.write_char('\n')
}
