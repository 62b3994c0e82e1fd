//! What was lost, and whether it had to be.

use super::world::{Happening, Stream};
use crate::lab::traffic::Pinged;
use crate::lab::{Stamp, ms, patience};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// A kind of thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    RouteMoves,
    WanDies,
    WanReturns,
    Renumbered,
    SpokeKilled,
    SpokeHandsOver,
    SpokeReloads,
    HubKilled,
    HubHandsOver,
    HubReloads,
    StationMoves,
    /// Counted apart, and not among those that are chosen.
    HubReboots,
}

impl Kind {
    /// Those to choose from.
    pub const ALL: [Kind; 11] = [
        Kind::RouteMoves,
        Kind::WanDies,
        Kind::WanReturns,
        Kind::Renumbered,
        Kind::SpokeKilled,
        Kind::SpokeHandsOver,
        Kind::SpokeReloads,
        Kind::HubKilled,
        Kind::HubHandsOver,
        Kind::HubReloads,
        Kind::StationMoves,
    ];

    pub fn at(self, site: u8) -> Happening {
        Happening { kind: self, site, choice: 0 }
    }

    fn words(self) -> &'static str {
        match self {
            Kind::RouteMoves => "default route moves to the other WAN",
            Kind::WanDies => "WAN dies",
            Kind::WanReturns => "WAN returns and is preferred",
            Kind::Renumbered => "WAN gets another address",
            Kind::SpokeKilled => "spoke's daemon is killed, starts again",
            Kind::SpokeHandsOver => "spoke's daemon hands over to the next",
            Kind::SpokeReloads => "spoke's daemon reloads",
            Kind::HubKilled => "hub's daemon is killed, starts again",
            Kind::HubHandsOver => "hub's daemon hands over to the next",
            Kind::HubReloads => "hub's daemon reloads",
            Kind::StationMoves => "station moves to another site",
            Kind::HubReboots => "hub's machine reboots (counted apart)",
        }
    }

    /// How long it may be dark: where the place of a site or a station in the network is another one, nothing can
    /// arrive until that is known. All else has no excuse.
    fn excuse(self) -> Option<Duration> {
        match self {
            Kind::RouteMoves | Kind::WanDies | Kind::WanReturns | Kind::Renumbered | Kind::StationMoves => {
                Some(Duration::from_secs(1))
            }
            Kind::HubReboots => Some(Duration::MAX),
            _ => None,
        }
    }

    /// Whether it concerns the stream.
    fn concerns(self, site: u8, stream: &Stream) -> bool {
        match self {
            Kind::StationMoves => stream.to == super::world::ROAMER,
            _ => site == 0 || stream.sites.contains(&site),
        }
    }
}

/// A round: what happened, and what became of the pings.
pub struct Round {
    pub began: Stamp,
    pub happenings: Vec<Happening>,
    pub pinged: Vec<(Stream, Pinged)>,
    /// What else was found to be wrong afterwards.
    pub wrong: Vec<String>,
}

/// Of a kind.
#[derive(Default)]
struct Row {
    times: usize,
    lost: usize,
    /// The longest gap of each round.
    gaps: Vec<Duration>,
}

/// All rounds.
#[derive(Default)]
pub struct Tally {
    rows: BTreeMap<Kind, Row>,
    sent: usize,
    failed: usize,
}

impl Tally {
    /// Adds a round; whether it was as it should be. What was not is printed.
    pub fn add(&mut self, round: &Round) -> bool {
        let mut wrong = round.wrong.clone();
        let mut gaps: BTreeMap<Kind, Duration> =
            round.happenings.iter().map(|h| (h.kind, Duration::ZERO)).collect();
        for (stream, pinged) in &round.pinged {
            self.sent += pinged.echoes.len();
            let lost = pinged.echoes.len() - pinged.answered();
            if lost == 0 {
                continue;
            }
            let concerned = round.happenings.iter().filter(|h| h.kind.concerns(h.site, stream));
            // Of two, the one with the better excuse.
            let cause = concerned.map(|h| h.kind).max_by_key(|kind| kind.excuse());
            let (gap, early) = darkest(pinged, round.began);
            if let Some(kind) = cause {
                self.rows.entry(kind).or_default().lost += lost;
                let longest = gaps.entry(kind).or_default();
                *longest = gap.max(*longest);
            }
            let limit = cause.filter(|_| !early).and_then(Kind::excuse).unwrap_or_default();
            if gap > limit.saturating_mul(patience()) {
                wrong.push(format!("{} -> {}: {lost} lost, dark for {}", stream.from, stream.to, ms(gap)));
            }
        }
        for (kind, gap) in gaps {
            let row = self.rows.entry(kind).or_default();
            row.times += 1;
            row.gaps.push(gap);
        }
        self.failed += usize::from(!wrong.is_empty());
        let what: Vec<_> =
            round.happenings.iter().map(|h| format!("{} ({})", h.kind.words(), h.site)).collect();
        if !wrong.is_empty() {
            println!("- {}: {}", what.join(", "), wrong.join("; "));
        }
        wrong.is_empty()
    }

    pub fn holds(&self) -> bool {
        self.failed == 0 && self.sent > 0
    }

    pub fn table(&self) -> String {
        let mut text =
            format!("{:<40} {:>5} {:>6} {:>12} {:>12}\n", "", "times", "lost", "gap, median", "longest");
        for (kind, row) in &self.rows {
            let mut gaps = row.gaps.clone();
            gaps.sort_unstable();
            let (median, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
            let _ = writeln!(
                text,
                "{:<40} {:>5} {:>6} {:>12} {:>12}",
                kind.words(),
                row.times,
                row.lost,
                ms(median),
                ms(longest)
            );
        }
        let _ = write!(text, "{} pings; rounds that were not as they should be: {}", self.sent, self.failed);
        text
    }
}

/// The longest time without an answer, and whether something was lost before anything happened.
fn darkest(pinged: &Pinged, began: Stamp) -> (Duration, bool) {
    let mut longest = Duration::ZERO;
    let mut dark_since = None;
    let mut early = false;
    for echo in &pinged.echoes {
        match (echo.reply, dark_since) {
            (None, None) => {
                dark_since = Some(echo.sent);
                // One that is on its way when it happens may be lost to it.
                early |= echo.sent + Duration::from_millis(20) < began;
            }
            (Some(_), Some(since)) => {
                longest = longest.max(echo.sent - since);
                dark_since = None;
            }
            _ => {}
        }
    }
    let last = pinged.echoes.last().map(|echo| echo.sent).unwrap_or_default();
    // What was dark at the end was so for as long as was looked, and nobody knows how much longer.
    let open = dark_since.map(|since| (last - since).max(Duration::from_secs(3600)));
    (longest.max(open.unwrap_or_default()), early)
}
