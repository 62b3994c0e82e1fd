//! How long the hub lets somebody wait: questions in a row, and the longest time until one was answered.

use crate::lab::Res;
use crate::packets::Site;
use crate::sites::{self, Heard, PROBES, Sites};
use dmevpn::wire::nhrp::ProtocolAddress;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A question every so often.
const EVERY: Duration = Duration::from_millis(5);
/// So that none of them comes near its rate limit.
const ASKERS: u32 = 4;

/// Spokes that ask.
pub struct Askers(Vec<Site>);

/// Questions on their way.
pub struct Probe {
    heard: Arc<Mutex<Heard>>,
    first: u32,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<Instant>, Duration)>,
}

/// How long questions waited.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// The longest wait, until the answer or that of a later question.
    pub longest: Duration,
    /// How many got no answer at all.
    pub lost: usize,
    /// How many were asked.
    pub asked: usize,
    /// How many were answered by a NAK.
    pub refused: usize,
    /// The longest time that the machine itself did not let the probe go on.
    pub machine: Duration,
}

impl Askers {
    /// Registers some spokes in the VN.
    pub fn register(sites: &Sites, vpn: u32) -> Res<Askers> {
        let all: Vec<Site> = (0..ASKERS).map(|n| Site::spoke(vpn, 16_000 + n)).collect();
        sites.register(&all, 600, Duration::from_secs(30))?;
        Ok(Askers(all))
    }

    /// Each asks for the place of the next, in turns, until told to stop.
    pub fn start(&self, sites: &Sites) -> Probe {
        let askers = self.0.clone();
        self.ask_for(sites, move |number| askers[(number + 1) % askers.len()].source())
    }

    /// They ask for whatever that is for the question of this number.
    pub fn ask_for(
        &self,
        sites: &Sites,
        wanted: impl Fn(usize) -> ProtocolAddress + Send + 'static,
    ) -> Probe {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let first = PROBES + (RUNS.fetch_add(1, Ordering::Relaxed) << 18);
        let (out, heard) = sites.shared();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (askers, stop) = (self.0.clone(), stop.clone());
            move || {
                let (mut sent, mut machine) = (Vec::new(), Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.len();
                    let asker = &askers[number % askers.len()];
                    let question = asker.question(first + number as u32, wanted(number));
                    sent.push(Instant::now());
                    sites::send(&out, &question);
                    let slept = Instant::now();
                    std::thread::sleep(EVERY);
                    machine = machine.max(slept.elapsed() - EVERY);
                }
                (sent, machine)
            }
        });
        Probe { heard, first, stop, thread }
    }
}

impl Probe {
    /// Asks until the hub has answered in time for a second, or for as long as this; then tells how long that took.
    pub fn finish(self, limit: Duration) -> Res<Waits> {
        let start = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let answered = sites::lock(&self.heard).answers.last().map(|answer| answer.at);
            let deaf = answered.is_none_or(|at| at.elapsed() > Duration::from_millis(60));
            if start.elapsed() > limit || (!deaf && start.elapsed() > Duration::from_secs(1)) {
                break;
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        let (sent, machine) = self.thread.join().map_err(|_| "the probe ended early")?;
        std::thread::sleep(Duration::from_millis(200));
        let now = Instant::now();
        let first = self.first;
        let mut heard = sites::lock(&self.heard);
        let answers: HashMap<u32, Instant> =
            heard.answers.iter().filter(|a| a.id >= first).map(|a| (a.id - first, a.at)).collect();
        let refused = heard.answers.iter().filter(|a| a.id >= first && !a.found).count();
        heard.answers.clear();
        let (mut longest, mut next) = (Duration::ZERO, now);
        for (number, sent) in sent.iter().enumerate().rev() {
            // Questions are read in their order: whoever is answered later was not deaf for longer.
            next = answers.get(&(number as u32)).map_or(next, |at| next.min(*at));
            longest = longest.max(next - *sent);
        }
        Ok(Waits { longest, lost: sent.len() - answers.len(), asked: sent.len(), refused, machine })
    }
}

impl Probe {
    /// Asks no more; how long the quickest of so many in a hundred took to be answered, if so many were.
    pub fn percentiles<const N: usize>(self, percents: [usize; N]) -> Res<[Option<Duration>; N]> {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, _) = self.thread.join().map_err(|_| "the probe ended early")?;
        std::thread::sleep(Duration::from_secs(1));
        let mut heard = sites::lock(&self.heard);
        let mine = heard.answers.iter().filter(|a| a.id >= self.first);
        let mut took: Vec<Duration> =
            mine.filter_map(|a| Some(a.at - *sent.get((a.id - self.first) as usize)?)).collect();
        heard.answers.clear();
        took.sort_unstable();
        Ok(percents.map(|percent| took.get((sent.len() * percent).div_ceil(100) - 1).copied()))
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time(self.longest))?;
        if self.lost > 0 {
            write!(f, ", {} of {} lost", self.lost, self.asked)?;
        }
        write!(f, " (machine {})", time(self.machine))
    }
}

/// A time as a person reads it.
pub fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        t if t >= 1.0 => format!("{t:.1} s"),
        t if t >= 0.01 => format!("{:.0} ms", t * 1e3),
        t if t >= 0.001 => format!("{:.1} ms", t * 1e3),
        t => format!("{:.0} us", t * 1e6),
    }
}
