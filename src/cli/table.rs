//! Text in columns and lines that fit a screen.

/// The width of a screen.
const WIDTH: usize = 80;

/// How a column is aligned.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a header line.
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) const fn new(columns: [(&'static str, Align); N]) -> Table<N> {
        Table { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table as text: columns two spaces apart, no spaces at the end of a line.
    pub(super) fn text(&self) -> String {
        let mut widths = self.columns.map(|(name, _)| name.len());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let mut out = String::new();
        self.line(&mut out, &widths, self.columns.iter().map(|(name, _)| *name));
        for row in &self.rows {
            self.line(&mut out, &widths, row.iter().map(String::as_str));
        }
        out
    }

    fn line<'a>(&self, out: &mut String, widths: &[usize; N], cells: impl Iterator<Item = &'a str>) {
        for ((cell, width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            let padding = width - cell.len();
            match align {
                Align::Left => {
                    out.push_str(cell);
                    pad(out, padding);
                }
                Align::Right => {
                    pad(out, padding);
                    out.push_str(cell);
                }
            }
            out.push_str("  ");
        }
        end_line(out);
    }
}

/// A line `head` with `items` behind it, separated by commas and continued under the first item where the screen ends:
/// between items where that is possible, otherwise between words.
/// Items start at `column` or two spaces behind `head`, whichever is further right.
pub(super) fn wrapped(out: &mut String, head: &str, column: usize, items: &[String]) {
    let indent = if head.is_empty() { 0 } else { column.max(head.len() + 2) };
    out.push_str(head);
    pad(out, indent - head.len());
    let mut at = indent;
    for (i, item) in items.iter().enumerate() {
        let comma = if i + 1 == items.len() { "" } else { "," };
        let mut needed = item.len();
        for word in item.split(' ') {
            if at > indent && at + 1 + needed.max(word.len()) + comma.len() > WIDTH {
                end_line(out);
                pad(out, indent);
                at = indent;
            } else if at > indent {
                out.push(' ');
                at += 1;
            }
            out.push_str(word);
            at += word.len();
            needed = 0;
        }
        out.push_str(comma);
        at += comma.len();
    }
    end_line(out);
}

fn pad(out: &mut String, spaces: usize) {
    for _ in 0..spaces {
        out.push(' ');
    }
}

fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}
