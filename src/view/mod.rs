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
