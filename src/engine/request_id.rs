//! Request IDs that grow over restarts (RFC 2332 sections 5.2.0.1 and 5.2.3).

use super::contract::effect::{Effect, Effects};

/// How many IDs are used before non-volatile memory is written again: flash wears.
const BLOCK: u32 = 1024;
/// So many are left when it is: writing takes its time, and nobody waits for it.
const LEFT: u32 = BLOCK / 2;

/// The counter. Before an ID is used, a number above it was handed out to be saved; before all but the first of a run,
/// at least [`LEFT`] IDs ago.
#[derive(Clone, Debug)]
pub struct RequestIds {
    next: u32,
    first: u32,
    reserved: u32,
}

impl RequestIds {
    /// Continues after an earlier run that saved `first`; 0 at the very first start.
    pub const fn new(first: u32) -> RequestIds {
        RequestIds { next: first, first, reserved: first }
    }

    /// A new ID.
    pub fn take(&mut self, out: &mut Effects) -> u32 {
        if self.reserved.wrapping_sub(self.next) <= LEFT {
            self.reserved = self.next.wrapping_add(LEFT + BLOCK);
            out.push(Effect::SaveRequestId(self.reserved));
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The one that comes next.
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Whether this run has used `id`.
    pub const fn used(&self, id: u32) -> bool {
        id.wrapping_sub(self.first) < self.next.wrapping_sub(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_goes_on_above_every_id_used() {
        let mut saved = 0;
        let mut highest = None;
        for _ in 0..3 {
            let mut ids = RequestIds::new(saved);
            for _ in 0..1500 {
                let mut out = Effects::default();
                let id = ids.take(&mut out);
                assert!(highest.is_none_or(|h| id > h));
                highest = Some(id);
                if let Some(Effect::SaveRequestId(n)) = out.iter().next() {
                    saved = *n;
                }
                assert!(saved > id, "saved before used");
            }
            assert!(ids.used(highest.unwrap()) && !ids.used(saved));
        }
    }

    /// Once in a block, and in time: what is saved half a block later is still above what is used.
    #[test]
    fn a_number_is_saved_long_before_it_is_reached() {
        let mut ids = RequestIds::new(u32::MAX - 5000);
        let mut saved = Vec::new();
        let mut saved_late = u32::MAX - 5000;
        for n in 0..10 * BLOCK {
            let mut out = Effects::default();
            let id = ids.take(&mut out);
            if let Some(Effect::SaveRequestId(number)) = out.iter().next() {
                saved.push((n, *number));
            }
            if let Some((_, number)) = saved.iter().find(|(at, _)| n == at + LEFT - 1) {
                saved_late = *number;
            }
            // But for the first ones of a run: nothing was saved in it.
            assert!(n < LEFT || (saved_late.wrapping_sub(id) as i32) > 0, "{n}");
        }
        let times: Vec<_> = saved.iter().map(|(n, _)| *n).collect();
        assert_eq!(times, (0..10).map(|n| n * BLOCK).collect::<Vec<_>>());
    }
}
