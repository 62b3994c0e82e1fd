//! Text in columns and lines that fit a screen.

/// Where text goes: how wide it is.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns; `None` when it is no screen but a file or another program, which takes lines of any length.
    pub width: Option<usize>,
}

impl Screen {
    /// One of so many columns; 0: none.
    pub fn of(columns: u16) -> Screen {
        Screen { width: (columns > 0).then_some(columns.into()) }
    }

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
#[derive(Clone, Copy, Debug)]
pub enum Align {
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// A table of which rows are first measured and then written, one at a time.
#[derive(Debug)]
pub struct Columns {
    columns: &'static [(&'static str, Align)],
    widths: Vec<usize>,
    screen: usize,
    line: String,
}

/// What begins a line that continues a row.
const CONTINUED: usize = 4;

impl Columns {
    /// As wide as the names of the columns.
    pub(super) fn new(screen: Screen, columns: &'static [(&'static str, Align)]) -> Columns {
        let widths = columns.iter().map(|(name, _)| name.len()).collect();
        Columns { columns, widths, screen: screen.tables(), line: String::new() }
    }

    /// Makes room for a row.
    pub(super) fn measure(&mut self, cells: &[String]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.len());
        }
    }

    /// The names of the columns.
    pub(super) fn head(&mut self, out: &mut String) {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.line(out, &names);
    }

    /// Writes a row: columns two spaces apart, no spaces at the end of a line. A row too long for the screen is continued
    /// in another line, all rows at the same column.
    pub(super) fn line(&mut self, out: &mut String, cells: &[String]) {
        let line = &mut self.line;
        for ((cell, width), (_, align)) in cells.iter().zip(&self.widths).zip(self.columns) {
            if !line.is_empty() && line.len() + width > self.screen {
                end_line(out, line);
                pad(line, CONTINUED);
            }
            // What came after the measuring may be longer.
            let padding = width.saturating_sub(cell.len());
            if let Align::Right = align {
                pad(line, padding);
            }
            line.push_str(cell);
            if let Align::Left = align {
                pad(line, padding);
            }
            line.push_str("  ");
        }
        end_line(out, line);
    }
}

/// A line `head` with `items` behind it, separated by commas and continued under the first item where the screen ends:
/// between items where that is possible, otherwise between words.
/// Items start at `column` or a space behind `head`, whichever is further right.
pub(super) fn wrapped(out: &mut String, screen: Screen, head: &str, column: usize, items: &[String]) {
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
                end_line(out, &mut line);
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
    end_line(out, &mut line);
}

fn pad(line: &mut String, spaces: usize) {
    line.extend(core::iter::repeat_n(' ', spaces));
}

fn end_line(out: &mut String, line: &mut String) {
    out.push_str(line.trim_end_matches(' '));
    out.push('\n');
    line.clear();
}
