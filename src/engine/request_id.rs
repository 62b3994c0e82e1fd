//! Request IDs that grow over restarts (RFC 2332 sections 5.2.0.1 and 5.2.3).

use super::contract::effect::{Effect, Effects};

/// How many IDs are used before non-volatile memory is written again: flash wears.
const BLOCK: u32 = 1024;

/// The counter. Before an ID is used, a number above it was handed out to be saved.
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
        if self.next == self.reserved {
            self.reserved = self.next.wrapping_add(BLOCK);
            out.push(Effect::SaveRequestId(self.reserved));
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
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
}
