//! Counters, named after the NHRP MIB (RFC 2677) where it has the object.

macro_rules! counters {
    ($(#[$about:meta])* $name:ident: $($(#[doc = $doc:literal])* $counter:ident),* $(,)?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $counter: u32,)*
        }

        impl $name {
            /// Names and values, in a fixed order.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u32)> {
                [$((stringify!($counter), self.$counter)),*].into_iter()
            }

            /// What each of the rows counts, in the same order.
            pub fn help() -> impl Iterator<Item = &'static str> {
                [$(concat!($($doc),*)),*].into_iter().map(str::trim)
            }

            /// Adds what somebody else counted.
            pub fn add(&mut self, other: &$name) {
                $(self.$counter = self.$counter.wrapping_add(other.$counter);)*
            }
        }
    };
}

/// One more.
pub(in super::super) fn increment(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

counters! {
    /// What an engine counted since it was made, or a VN of it. Counters wrap at 2^32, as the MIB's do.
    Statistics:
    /// Resolution Requests sent (first tries).
    tx_resolve_req,
    /// Resolution Requests received.
    rx_resolve_req,
    /// Resolution Replies with an answer sent.
    tx_resolve_reply_ack,
    /// Resolution Replies with NAK 4 sent.
    tx_resolve_reply_nak_prohibited,
    /// Resolution Replies with NAK 5 sent.
    tx_resolve_reply_nak_resources,
    /// Resolution Replies with NAK 12 sent.
    tx_resolve_reply_nak_no_binding,
    /// Resolution Replies with NAK 13 sent.
    tx_resolve_reply_nak_not_unique,
    /// Resolution Replies with an answer received.
    rx_resolve_reply_ack,
    /// Resolution Replies with a NAK received.
    rx_resolve_reply_nak,
    /// Registration Requests sent.
    tx_register_req,
    /// Registration Requests received.
    rx_register_req,
    /// Registration Replies without a NAK sent.
    tx_register_ack,
    /// Registration Replies with NAK 4 sent.
    tx_register_nak_prohibited,
    /// Registration Replies with NAK 5 sent.
    tx_register_nak_resources,
    /// Registration Replies with NAK 14 sent.
    tx_register_nak_already_registered,
    /// Registration Replies without a NAK received.
    rx_register_ack,
    /// Registration Replies with a NAK received.
    rx_register_nak,
    /// Purge Requests sent.
    tx_purge_req,
    /// Purge Requests received.
    rx_purge_req,
    /// Purge Replies sent.
    tx_purge_reply,
    /// Purge Replies received.
    rx_purge_reply,
    /// Error Indications sent.
    tx_error,
    /// Error Indications received.
    rx_error,
    /// Traffic Indications sent: a client of another maker's sends to another one by way of this hub.
    tx_indications,
    /// Requests sent again because no answer came.
    retransmits,
    /// Received packets that were malformed.
    rx_malformed,
    /// Received packets in the format of the dmevpn in C, which is not understood.
    rx_old_format,
    /// Received requests with a compulsory extension that is not known here.
    rx_unknown_extension,
    /// Received packets that no key of the VN signed, or without its password; dropped.
    rx_unauthenticated,
    /// Received replies that nobody waited for.
    rx_unsolicited,
    /// Received packets, but for registrations, without the tags of their session; not acted on.
    rx_wrong_tags,
    /// Received registrations of MACs in no session, refused.
    rx_untagged,
    /// Challenges sent: NAKs with a cookie that is to be returned.
    tx_challenge,
    /// Challenges received.
    rx_challenge,
    /// Sessions that clients began.
    sessions,
    /// Received packets that named no VN of this node.
    rx_unknown_vpn,
    /// Received packets above the rate limit, dropped.
    rx_rate_limited,
    /// Questions put off by the rate limit.
    tx_rate_limited,
    /// Shortcuts installed.
    shortcuts_up,
    /// Shortcuts taken out.
    shortcuts_down,
    /// MACs seen at another place than before.
    mac_moves,
    /// Loops found: what was sent by a tunnel came back by a local port.
    loops,
    /// MACs not followed since the table was full.
    macs_refused,
    /// Spokes refused since the table was full.
    spokes_refused,
    /// Spokes refused since as many sites as may be have their address.
    vnis_refused,
    /// Registrations refused since the address of the spoke was translated (NAT) on the way.
    registrations_translated,
    /// Registrations refused since the spoke's address is not one of those that may register.
    registrations_not_allowed,
    /// Probes of paths sent.
    tx_probe,
    /// Answers to probes received.
    rx_probe_reply,
    /// Probes of others received.
    rx_probe,
    /// Answers to them sent.
    tx_probe_reply,
    /// Probes of others not answered, since there were too many of one path or client.
    rx_probe_limited,
    /// Purges left out, since one of all addresses stands for them.
    purges_dropped,
    /// Purges nobody confirmed.
    purges_unanswered,
    /// Claims of spokes that another hub was not told of yet, since too many were not confirmed; its port passes nothing until
    /// it is.
    claims_put_off,
}

counters! {
    /// What a hub counted of one of its clients, since that registered.
    ClientStatistics:
    /// Registration Requests received from it.
    rx_register_req,
    /// Resolution Requests received from it.
    rx_resolve_req,
    /// Replies with a NAK sent to it.
    tx_nak,
    /// Purge Requests sent to it.
    tx_purge_req,
    /// Error Indications received from it or sent to it.
    errors,
    /// Packets received from it above the rate limit, dropped.
    rx_rate_limited,
}
