//! From the daemon's reports to what is read: text for people, JSON for programs, metrics for Prometheus.
//!
//! Pure: what is known comes in as a report, what is shown goes out piece by piece into a [`core::fmt::Write`], so that
//! a long list is never held twice. `docs/json.md` and `docs/metrics.md` describe what comes out.

pub mod json;
pub mod metrics;
pub mod standing;
mod table;
pub mod text;
mod writer;

pub use table::Screen;

use core::fmt::{self, Write};

/// Lets lines and columns through, and shows every other control character as what it is: what daemons, files and
/// arguments say shall not command the terminal of who looks at it.
pub struct Harmless<W>(pub W);

impl<W: Write> Write for Harmless<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let mut rest = text;
        while let Some(at) = rest.find(harmful) {
            let (clean, odd) = rest.split_at(at);
            self.0.write_str(clean)?;
            let mut behind = odd.chars();
            behind.next().into_iter().try_for_each(|c| write!(self.0, "{}", c.escape_default()))?;
            rest = behind.as_str();
        }
        self.0.write_str(rest)
    }
}
