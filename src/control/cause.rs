//! Why something does not work on this router, and what to do about it: one source for status, log and metrics.

use crate::types::{Nbma, VlanId};
use std::borrow::Cow;

/// A reason that lies in this router or its surroundings, not in the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The VN's bridge is not there.
    NoBridge(String),
    /// What the VN's option `bridge` names is something else.
    NotABridge(String),
    /// What the VN's option `bridge` names is a VLAN of a bridge.
    VlanOf {
        /// The device of the VLAN.
        name: String,
        /// The bridge.
        bridge: String,
        /// The VLAN.
        vlan: u16,
    },
    /// The bridge of a hub's VN with option `vlan` is not there.
    NoFilteringBridge(String),
    /// The VN's option `vlan` asks for a VLAN of a bridge that keeps none apart.
    NotFiltering {
        /// The bridge.
        bridge: String,
        /// The VLAN.
        vlan: VlanId,
    },
    /// The tunnel is alone in its VLAN of a bridge that filters VLANs.
    NothingPasses {
        /// The bridge.
        bridge: String,
        /// The spoke's tunnel; none at a hub, whose ports are all alike.
        tunnel: Option<String>,
        /// The VLANs of that; empty when it is in none.
        vlans: String,
        /// Those of the other ports; empty when there are none.
        others: String,
    },
    /// The interface of option `interface` is not there.
    NoInterface(String),
    /// It is there, and switched off.
    InterfaceDown(String),
    /// It is up and has no address that could be used.
    NoAddress(String),
    /// It has addresses, of the other family than the hub's.
    OtherFamily {
        /// The hub.
        hub: Nbma,
    },
    /// No interface has the address of option `nbma`.
    NotOurs(Nbma),
    /// The hub's name has no address (yet).
    NoName {
        /// The name.
        name: String,
        /// What the resolver says.
        why: String,
    },
    /// The name is being looked up for the first time.
    LookingUp(String),
    /// No route leads to the hub.
    NoRoute(Nbma),
    /// The route to the hub leads into a VN of this router, and so back to its own tunnels.
    Inside {
        /// The hub.
        hub: Nbma,
        /// The device it leaves by.
        by: String,
    },
    /// Tunnelled packets leave by another interface than that of option `interface`.
    Elsewhere {
        /// Their source.
        from: Nbma,
        /// One of their destinations.
        to: Nbma,
        /// The other interface.
        by: String,
    },
    /// The hub's address is one of this router's own, or leads back to it.
    Itself {
        /// The address.
        hub: Nbma,
    },
    /// The GRE interface of transport `device` is not there, or is none.
    NoGre(String),
    /// The GRE interface is point-to-point, and leads to another one than the hub.
    OtherEnd {
        /// The interface.
        device: String,
        /// Whom it leads to.
        end: Nbma,
        /// The hub.
        hub: Nbma,
    },
    /// Linux does not tell who sent a packet on such a GRE interface.
    MultipointGre6(String),
    /// A socket or a device was refused, in words.
    Failed(String),
    /// A spoke's devices wait for the way to the hub.
    NoWay,
    /// Nothing keeps the frames of others from a hub's ports, and why.
    NoGuard {
        /// In words.
        why: String,
        /// What to do about it, if anything.
        hint: Option<&'static str>,
    },
    /// The kernel does not lock ports of a bridge, which several hubs of a VN want.
    NoLocks,
    /// What is to outlive the daemon cannot be written.
    NoState {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

impl Cause {
    /// What is wrong, as a sentence.
    pub fn text(&self) -> String {
        match self {
            Cause::NoBridge(name) | Cause::NoFilteringBridge(name) => {
                format!("bridge '{name}' does not exist")
            }
            Cause::NotABridge(name) => format!("'{name}' is not a bridge"),
            Cause::VlanOf { name, bridge, vlan } => {
                format!("'{name}' is no bridge, but VLAN {vlan} of bridge '{bridge}'")
            }
            Cause::NotFiltering { bridge, vlan } => {
                format!("bridge '{bridge}' does not filter VLANs, so VLAN {vlan} is not kept apart there")
            }
            Cause::NothingPasses { bridge, tunnel, vlans, .. } => {
                let (what, whose) = match tunnel {
                    Some(tunnel) => ("nothing can pass", format!("'{tunnel}' is")),
                    None => ("spokes do not reach what is behind it", "their ports are".to_owned()),
                };
                let place = match vlans.is_empty() {
                    true => "in none of them".to_owned(),
                    false => format!("in VLAN {vlans}, and nothing else is"),
                };
                format!("bridge '{bridge}' filters VLANs, and {what}: {whose} {place}")
            }
            Cause::NoInterface(name) => format!("interface '{name}' does not exist"),
            Cause::InterfaceDown(name) => format!("interface '{name}' is down"),
            Cause::NoAddress(name) => format!("interface '{name}' has no address"),
            Cause::OtherFamily { hub } => {
                format!("this router has no {} address, which hub {hub} needs", family(*hub))
            }
            Cause::NotOurs(nbma) => format!("no interface has the address {nbma}"),
            Cause::NoName { name, why } => format!("hub name '{name}' does not resolve: {why}"),
            Cause::LookingUp(name) => format!("hub name '{name}' is being looked up"),
            Cause::NoRoute(hub) => format!("no route to hub {hub}"),
            Cause::Inside { hub, by } => {
                format!("the route to hub {hub} leads through '{by}', into the VN itself")
            }
            Cause::Elsewhere { from, to, by } => {
                format!(
                    "frames from {from} to {to} leave by '{by}', not by the interface of option 'interface'"
                )
            }
            Cause::Itself { hub } => format!("the address of the hub, {hub}, is this router itself"),
            Cause::NoGre(name) => format!("transport device: '{name}' is not a GRE interface that is there"),
            Cause::OtherEnd { device, end, hub } => {
                format!("transport device: '{device}' leads to {end} alone, not to hub {hub}")
            }
            Cause::MultipointGre6(name) => format!(
                "transport device: '{name}' is GRE over IPv6 without a remote address, on which Linux does \
                 not tell who sent a packet"
            ),
            Cause::Failed(text) => text.clone(),
            Cause::NoWay => "the way to the hub is not known yet".into(),
            Cause::NoGuard { why, .. } => format!("anybody's frames are taken from the underlay: {why}"),
            Cause::NoLocks => "what a spoke sends while it comes over from another hub may arrive twice: \
                               this kernel does not lock ports of a bridge"
                .into(),
            Cause::NoState { file, why } => format!("{file}: {why}"),
        }
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Cause::VlanOf { bridge, vlan, .. } => {
                return Some(format!("write bridge '{bridge}' and vlan '{vlan}'").into());
            }
            Cause::NoBridge(name) => {
                if let Some((bridge, vlan)) = VlanId::of_name(name) {
                    let hint = format!(
                        "for VLAN {vlan} of bridge '{bridge}' write bridge '{bridge}' and vlan '{vlan}'"
                    );
                    return Some(hint.into());
                }
            }
            Cause::Elsewhere { from, .. } => {
                let ip = if from.ip().is_ipv4() { "ip" } else { "ip -6" };
                let hint = format!(
                    "lead them there: '{ip} rule add from {from} lookup TABLE', with that interface's default route in \
                     the table"
                );
                return Some(hint.into());
            }
            Cause::NothingPasses { others, .. } if !others.is_empty() => {
                return Some(format!("set option 'vlan' to the VN's VLAN (there are {others})").into());
            }
            _ => {}
        }
        self.fixed_hint().map(Cow::Borrowed)
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Cause::NoFilteringBridge(_) => {
                "with option 'vlan' dmevpn does not make it: make a bridge that filters VLANs"
            }
            Cause::NotFiltering { .. } => {
                "switch VLAN filtering on (in OpenWrt by bridge-vlan sections), or remove option 'vlan'"
            }
            Cause::NothingPasses { .. } => "set option 'vlan' to the VN's VLAN",
            Cause::NoBridge(_) => "make the bridge, or correct option 'bridge'; it is used once it is there",
            Cause::NotABridge(_) => "option 'bridge' takes the name of a bridge, such as br-lan",
            Cause::NoInterface(_) => "correct option 'interface', or bring that network up",
            Cause::InterfaceDown(_) => "bring the interface up, or check its cable and its network",
            Cause::NoAddress(_) => "check how the interface gets its address (DHCP, PPPoE, static)",
            Cause::OtherFamily { .. } => {
                "give this router such an address, or the hub one of the other family"
            }
            Cause::NotOurs(_) => {
                "correct option 'nbma', or use option 'interface' for an address that changes"
            }
            Cause::NoName { .. } => "check option 'address' of the hub, and this router's DNS",
            Cause::Itself { .. } => {
                "correct option 'address' of the hub, or what its name stands for here (DNS, /etc/hosts)"
            }
            Cause::Inside { .. } => {
                "set option 'interface' to the one that leads to the Internet, or take no default route from the VN"
            }
            Cause::NoRoute(_) => "check this router's default route: is the uplink up?",
            Cause::NoGre(_) => "make that GRE interface, or use transport 'raw', which needs none",
            Cause::OtherEnd { .. } => {
                "correct its remote address, or that of the hub; for several hubs use transport 'raw', or GRE over IPv4 \
                 without a remote address"
            }
            Cause::MultipointGre6(_) => "use transport 'raw'",
            Cause::Failed(text) if text.starts_with("needs CAP_") => {
                "run the daemon as root, or give it CAP_NET_ADMIN and CAP_NET_RAW"
            }
            Cause::NoGuard { hint, .. } => return *hint,
            Cause::NoLocks => "use Linux 5.18 or newer at hubs with 'list peer'",
            Cause::NoState { .. } => {
                "correct option 'state_file': until then this router is another one for its hubs after each start, and \
                 what it registered before lasts there until its holding time is over"
            }
            Cause::Elsewhere { .. }
            | Cause::VlanOf { .. }
            | Cause::LookingUp(_)
            | Cause::Failed(_)
            | Cause::NoWay => return None,
        })
    }

    /// Both in one line, for the log.
    pub fn line(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}; {hint}", self.text()),
            None => self.text(),
        }
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause::Failed(text)
    }
}

fn family(nbma: Nbma) -> &'static str {
    if nbma.ip().is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_says_what_is_wrong_and_what_to_do() {
        let hub: Nbma = "10.0.0.1".parse().unwrap();
        for (cause, line) in [
            (
                Cause::NoInterface("eth9".into()),
                "interface 'eth9' does not exist; correct option 'interface', or bring that network up",
            ),
            (
                Cause::NoRoute(hub),
                "no route to hub 10.0.0.1; check this router's default route: is the uplink up?",
            ),
            (
                Cause::from("needs CAP_NET_ADMIN to make vx-test".to_owned()),
                "needs CAP_NET_ADMIN to make vx-test; run the daemon as root, or give it CAP_NET_ADMIN and \
                 CAP_NET_RAW",
            ),
            (Cause::Failed("device 'x' has VNI 7".into()), "device 'x' has VNI 7"),
            (
                Cause::NoLocks,
                "what a spoke sends while it comes over from another hub may arrive twice: this kernel does \
                 not lock ports of a bridge; use Linux 5.18 or newer at hubs with 'list peer'",
            ),
            (
                Cause::Inside { hub, by: "br-lan".into() },
                "the route to hub 10.0.0.1 leads through 'br-lan', into the VN itself; set option 'interface' to \
                 the one that leads to the Internet, or take no default route from the VN",
            ),
            (
                Cause::Elsewhere { from: "fd00::2".parse().unwrap(), to: hub, by: "wan".into() },
                "frames from fd00::2 to 10.0.0.1 leave by 'wan', not by the interface of option 'interface'; lead \
                 them there: 'ip -6 rule add from fd00::2 lookup TABLE', with that interface's default route in \
                 the table",
            ),
            (
                Cause::OtherEnd { device: "tunnel1".into(), end: "10.0.0.9".parse().unwrap(), hub },
                "transport device: 'tunnel1' leads to 10.0.0.9 alone, not to hub 10.0.0.1; correct its remote address, or \
                 that of the hub; for several hubs use transport 'raw', or GRE over IPv4 without a remote address",
            ),
            (
                Cause::VlanOf { name: "br-lan.10".into(), bridge: "br-lan".into(), vlan: 10 },
                "'br-lan.10' is no bridge, but VLAN 10 of bridge 'br-lan'; write bridge 'br-lan' and vlan '10'",
            ),
            (
                Cause::NoBridge("br-lan.10".into()),
                "bridge 'br-lan.10' does not exist; for VLAN 10 of bridge 'br-lan' write bridge 'br-lan' and \
                 vlan '10'",
            ),
            (
                Cause::NothingPasses {
                    bridge: "br-lan".into(),
                    tunnel: Some("vx-lan".into()),
                    vlans: "1".into(),
                    others: "10, 20".into(),
                },
                "bridge 'br-lan' filters VLANs, and nothing can pass: 'vx-lan' is in VLAN 1, and nothing else \
                 is; set option 'vlan' to the VN's VLAN (there are 10, 20)",
            ),
            (
                Cause::NothingPasses {
                    bridge: "br-lan".into(),
                    tunnel: None,
                    vlans: String::new(),
                    others: String::new(),
                },
                "bridge 'br-lan' filters VLANs, and spokes do not reach what is behind it: their ports are in \
                 none of them; set option 'vlan' to the VN's VLAN",
            ),
        ] {
            assert_eq!(cause.line(), line);
        }
    }
}
