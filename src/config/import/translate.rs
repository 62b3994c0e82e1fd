//! Says in UCI what the statements of an `opennhrp.conf` say.
//!
//! There, interfaces are configured, and a VN is what they have in common by their `vpn-id`:
//!
//! | An interface | is | and becomes |
//! |---|---|---|
//! | that others call their `controller`, or with `map-vni ... register` | the GRE interface | `option device` |
//! | with `default-vni` | a spoke's VXLAN device | a VN of role spoke, `option vxlan` |
//! | with `controller` and `vpn-id`, where the VN has no spoke's device | a hub's VXLAN device | a VN of role hub |
//! | with `controller` and no `vpn-id` | the underlay | `option interface` |
//! | with a `vpn-id` only | the bridge | `option bridge` |

use super::statement::{Says, Statement};
use crate::config::errors::Finding;
use crate::config::options::UPLINK_VNI;
use crate::config::uci::{self, File, Section, Text, Value};
use crate::types::Vni;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What the original's documentation calls the bridge and the underlay interface.
const DOCUMENTED_BRIDGE: &str = "br-test";
const DOCUMENTED_UNDERLAY: &str = "eth1";
/// What the kernel takes for a device without `dstport`, and the original for broadcast.
const UDP_PORT: &str = "8472";

/// The UCI file, and notes on what is not in it and on what is but not in the statements, in the order of lines.
pub fn translate(statements: &[Statement<'_>]) -> Result<(File, Vec<Text>), Vec<Finding>> {
    let mut report = Report::default();
    let (interfaces, holding_time) = collect(statements, &mut report);
    let file = Network::file(&interfaces, holding_time, &mut report);
    let Report { notes, errors } = report;
    if errors.is_empty() { Ok((file, notes)) } else { Err(errors) }
}

#[derive(Default)]
struct Report {
    /// In the order of lines.
    notes: Vec<Text>,
    errors: Vec<Finding>,
}

impl Report {
    fn note(&mut self, of: &Statement<'_>, text: &str) {
        let line = of.line();
        let at = self.notes.iter().rposition(|note| note.line <= line).map_or(0, |before| before + 1);
        self.notes.insert(at, Text { line, text: format!("`{of}`: {text}") });
    }

    /// Notes that a statement is not the one that holds, if there is one.
    fn replaced<T>(&mut self, old: Option<(T, &Statement<'_>)>) {
        if let Some((_, old)) = old {
            self.note(old, "another one is taken");
        }
    }

    fn refuse(&mut self, of: &Statement<'_>, why: &str) {
        self.errors.push(Finding::at(of.line(), format!("'{of}': {why}")));
    }
}

/// An interface and what is said of it.
struct Interface<'a> {
    name: &'a str,
    opened: &'a Statement<'a>,
    vpn_id: Option<(u32, &'a Statement<'a>)>,
    controller: Option<(&'a str, &'a Statement<'a>)>,
    uplinks: Vec<Uplink<'a>>,
    /// Each `map-vni ... register`.
    registrations: Vec<(Vni, &'a Statement<'a>)>,
}

/// A `default-vni`: the way to a hub.
#[derive(Clone, Copy)]
struct Uplink<'a> {
    vni: Vni,
    hub: &'a str,
    said: &'a Statement<'a>,
}

/// Puts the statements to their interfaces; with the holding time, which is one for the router.
fn collect<'a>(statements: &'a [Statement<'a>], report: &mut Report) -> (Vec<Interface<'a>>, Option<u16>) {
    let mut interfaces: Vec<Interface<'_>> = Vec::new();
    let mut holding_time = None;
    let mut current = 0;
    for said in statements {
        let position = |name: &str| interfaces.iter().position(|i| i.name == name);
        match said.says {
            Says::Interface(name) => {
                current = position(name).unwrap_or(interfaces.len());
                if current == interfaces.len() {
                    interfaces.push(Interface::new(name, said));
                }
                continue;
            }
            // The original stops reading there without a word.
            Says::Controller(name) if position(name).is_none() => {
                report.refuse(said, "there is no such 'interface' above this line");
            }
            _ => {}
        }
        let Some(interface) = interfaces.get_mut(current) else { continue };
        match said.says {
            Says::Interface(_) => {}
            Says::VpnId(id) => report.replaced(interface.vpn_id.replace((id, said))),
            Says::Controller(name) => report.replaced(interface.controller.replace((name, said))),
            Says::HoldingTime(seconds) => {
                let other = *holding_time.get_or_insert(seconds) != seconds;
                report.replaced(other.then_some((seconds, said)));
            }
            Says::DefaultVni { vni, hub } => interface.uplinks.push(Uplink { vni, hub, said }),
            Says::Register(vni) => interface.registrations.push((vni, said)),
            Says::Nothing(why) => report.note(said, why),
        }
    }
    for interface in interfaces.iter().filter(|i| i.vpn_id.is_none()) {
        let uplinks = interface.uplinks.iter().map(|uplink| uplink.said);
        for said in uplinks.chain(interface.registrations.iter().map(|(_, said)| *said)) {
            report.refuse(said, "the interface has no 'vpn-id'");
        }
    }
    (interfaces, holding_time)
}

impl<'a> Interface<'a> {
    fn new(name: &'a str, opened: &'a Statement<'a>) -> Self {
        Interface {
            name,
            opened,
            vpn_id: None,
            controller: None,
            uplinks: Vec::new(),
            registrations: Vec::new(),
        }
    }

    fn is_vxlan(&self) -> bool {
        self.vpn_id.is_some() && (self.controller.is_some() || !self.uplinks.is_empty())
    }
}

/// A VN: the interfaces of one `vpn-id`.
struct Vn<'a> {
    id: u32,
    /// The first `vpn-id` that names it.
    said: &'a Statement<'a>,
    interfaces: Vec<&'a Interface<'a>>,
}

impl<'a> Vn<'a> {
    fn all(interfaces: &'a [Interface<'a>]) -> Vec<Vn<'a>> {
        let mut vns: Vec<Vn<'_>> = Vec::new();
        for interface in interfaces {
            let Some((id, said)) = interface.vpn_id else { continue };
            match vns.iter_mut().find(|vn| vn.id == id) {
                Some(vn) => vn.interfaces.push(interface),
                None => vns.push(Vn { id, said, interfaces: vec![interface] }),
            }
        }
        vns
    }

    /// The VXLAN devices of a spoke, each with its way to a hub.
    fn uplinks(&self) -> impl Iterator<Item = (&'a Interface<'a>, Uplink<'a>)> {
        self.interfaces.iter().flat_map(|i| i.uplinks.iter().map(move |uplink| (*i, *uplink)))
    }

    fn registrations(&self) -> impl Iterator<Item = (Vni, &'a Statement<'a>)> {
        self.interfaces.iter().flat_map(|i| i.registrations.iter().copied())
    }
}

/// What there is in all VNs together.
struct Network<'a> {
    interfaces: &'a [Interface<'a>],
    /// The addresses of the hubs, each once.
    hubs: Vec<&'a str>,
    /// The bridges assumed so far.
    assumed: Vec<String>,
    /// The VNIs so far: the vpn-id that has it, and what says so.
    vnis: BTreeMap<Vni, (u32, &'a Statement<'a>)>,
    /// Whether this router is the hub of a VN.
    has_hub: bool,
}

impl<'a> Network<'a> {
    fn file(interfaces: &'a [Interface<'a>], holding_time: Option<u16>, report: &mut Report) -> File {
        let vns = Vn::all(interfaces);
        let mut network = Network {
            interfaces,
            hubs: Vec::new(),
            assumed: Vec::new(),
            vnis: BTreeMap::new(),
            has_hub: false,
        };
        for (_, uplink) in vns.iter().filter_map(|vn| vn.uplinks().next()) {
            if !network.hubs.contains(&uplink.hub) {
                network.hubs.push(uplink.hub);
            }
        }
        let vns: Vec<Section> = vns.iter().filter_map(|vn| network.vn(vn, report)).collect();
        let uplinks = UPLINK_VNI.default(None).and_then(|first| first.parse::<Vni>().ok());
        if let Some(first) = uplinks.filter(|_| network.has_hub) {
            for (_, said) in network.vnis.range(first..).map(|(_, of)| of) {
                report.refuse(said, &format!("on a hub, VNIs from {first} on are uplink VNIs"));
            }
        }
        let mut sections = vec![network.main(&vns, holding_time, report)];
        for (i, address) in network.hubs.iter().enumerate() {
            sections.push(section("hub", hub_name(i)).with("address", address));
        }
        sections.extend(vns);
        File { package: None, sections }
    }

    fn main(&self, vns: &[Section], holding_time: Option<u16>, report: &mut Report) -> Section {
        let mut main = section("dmevpn", "main".to_owned());
        let Some(first) = self.interfaces.first() else {
            report.errors.push(Finding::at(1, "there is no 'interface'".to_owned()));
            return main;
        };
        let mut underlays = self.interfaces.iter().filter(|i| i.controller.is_some() && i.vpn_id.is_none());
        if let Some(underlay) = underlays.next() {
            main = main.with("interface", underlay.name);
        } else if self.has_hub {
            main = main.with("interface", DOCUMENTED_UNDERLAY);
            let text = "which interface spokes reach this hub by is not said; eth1 is assumed";
            report.note(first.opened, text);
        }
        underlays.for_each(|i| report.note(i.opened, "one underlay interface is taken, an earlier one"));
        let idle = |i: &&Interface<'_>| i.vpn_id.is_none() && self.is_plain(i);
        for interface in self.interfaces.iter().filter(idle) {
            report.note(interface.opened, "it has no part in a VN");
        }
        let mut controllers = self.interfaces.iter().filter(|i| self.is_controller(i));
        match (controllers.next(), controllers.next()) {
            (Some(only), None) => main = main.with("transport", "device").with("device", only.name),
            (_, Some(second)) => {
                report.note(second.opened, "it is one GRE interface more; transport 'raw' does without any");
            }
            (None, None) => {}
        }
        match self.interfaces.iter().find(|i| i.is_vxlan()) {
            Some(vxlan) if !vns.is_empty() => {
                main = main.with("udp_port", UDP_PORT);
                let text = "UDP port 8472, the kernel's default, is assumed (`ip -d link` shows it); all routers \
                            have to have the same";
                report.note(vxlan.opened, text);
            }
            _ => report.note(first.opened, "no interface is a VXLAN device with a 'vpn-id': there is no VN"),
        }
        match holding_time {
            Some(seconds) => main.with("holding_time", &seconds.to_string()),
            None => main,
        }
    }

    fn vn(&mut self, vn: &Vn<'a>, report: &mut Report) -> Option<Section> {
        let section = section("vn", vn_name(vn.id)).with("vpn_id", &vn.id.to_string());
        let registration = vn.registrations().next();
        let spoke = vn.uplinks().next();
        for interface in &vn.interfaces {
            match interface.vpn_id {
                Some((_, said)) if self.is_controller(interface) && interface.registrations.is_empty() => {
                    report.note(said, "the GRE interface carries all VNs");
                }
                _ if spoke.is_some() && interface.is_vxlan() && interface.uplinks.is_empty() => {
                    report.note(interface.opened, "one VXLAN device is taken, one with 'default-vni'");
                }
                _ if spoke.is_none() && interface.is_vxlan() => {
                    let text = "the daemon makes a hub's VXLAN devices by itself; with the kernel's own vxlan module \
                                this one has to go before (`ip link delete`), since it keeps the UDP port";
                    report.note(interface.opened, text);
                }
                _ => {}
            }
        }
        if let Some((device, uplink)) = spoke {
            if self.is_controller(device) {
                report.refuse(uplink.said, "it is the GRE interface of others, and no VXLAN device");
            }
            let (vni, said) = registration.unwrap_or((uplink.vni, uplink.said));
            self.take_vni(vni, vn.id, said, report);
            spoke_notes(vn, device, uplink, report);
            let section = section.with("role", "spoke").with("bridge", &self.bridge(vn, report));
            let section = section.with("vni", &vni.to_string()).with("vxlan", device.name);
            let section = match self.hubs.iter().position(|hub| *hub == uplink.hub) {
                Some(hub) if self.hubs.len() > 1 => section.with("hub", &hub_name(hub)),
                _ => section,
            };
            return Some(section.with("trigger", "l2miss"));
        }
        if let Some((_, said)) = registration {
            report.refuse(said, "no 'default-vni' of this vpn-id says where the hub is in the underlay");
            return None;
        }
        if !vn.interfaces.iter().any(|i| i.is_vxlan()) {
            report.note(vn.said, "it has no VXLAN device: no interface with 'default-vni' or 'controller'");
            return None;
        }
        self.has_hub = true;
        Some(section.with("role", "hub").with("bridge", &self.bridge(vn, report)))
    }

    /// Whether it is a GRE interface, the controller of others.
    fn is_controller(&self, of: &Interface<'_>) -> bool {
        let named = || self.interfaces.iter().any(|i| i.controller.is_some_and(|(name, _)| name == of.name));
        !of.registrations.is_empty() || named()
    }

    /// Whether it is nothing but, perhaps, in a VN.
    fn is_plain(&self, of: &Interface<'_>) -> bool {
        of.controller.is_none() && of.uplinks.is_empty() && !self.is_controller(of)
    }

    /// The VNIs of a router's VNs differ.
    fn take_vni(&mut self, vni: Vni, vn: u32, said: &'a Statement<'a>, report: &mut Report) {
        match self.vnis.entry(vni) {
            Entry::Vacant(vacant) => {
                vacant.insert((vn, said));
            }
            Entry::Occupied(owner) => {
                let (other, by) = owner.get();
                let why = format!("VNI {vni} is that of vpn-id {other} already (line {})", by.line());
                report.refuse(said, &why);
            }
        }
    }

    /// The bridge of a VN: the interface that is nothing else, or the documented one.
    fn bridge(&mut self, vn: &Vn<'a>, report: &mut Report) -> String {
        let mut found = vn.interfaces.iter().copied().filter(|i| self.is_plain(i));
        if let Some(bridge) = found.next() {
            found.for_each(|i| report.note(i.opened, "one bridge is taken, an earlier one"));
            return bridge.name.to_owned();
        }
        let free =
            |name: &String| !self.assumed.contains(name) && !self.interfaces.iter().any(|i| i.name == name);
        let candidates = [DOCUMENTED_BRIDGE.to_owned(), format!("br-{}", vn_name(vn.id))];
        let bridge = candidates.into_iter().find(free).unwrap_or_default();
        if bridge.is_empty() {
            report.refuse(vn.said, "no interface is its bridge; add 'interface BRIDGE' with this vpn-id");
        } else {
            report.note(vn.said, &format!("no interface is its bridge; {bridge} is assumed"));
        }
        self.assumed.push(bridge.clone());
        bridge
    }
}

/// What is special about a spoke's VN, whose VXLAN device is `device`.
fn spoke_notes(vn: &Vn<'_>, device: &Interface<'_>, uplink: Uplink<'_>, report: &mut Report) {
    let mut registrations = vn.registrations();
    match registrations.next() {
        Some((vni, said)) => {
            let text = "only its VNI is taken: the hub has its address from 'default-vni', \
                        and what registers is the MAC address of the bridge";
            report.note(said, text);
            if vni != uplink.vni {
                report.note(uplink.said, "only its address is taken: the VNI to use is the hub's to say");
            }
        }
        None => report.note(uplink.said, "its VNI is taken, as there is no 'map-vni ... register'"),
    }
    for (_, said) in registrations {
        report.note(said, "one VNI and one hub are taken, those of an earlier one");
    }
    for (_, uplink) in vn.uplinks().skip(1) {
        report.note(uplink.said, "one VXLAN device and one hub are taken, those of an earlier one");
    }
    let text = "it is used as it is, with trigger 'l2miss', which loses multicast and the first frame to each MAC \
                address; 'learn' loses neither";
    report.note(device.opened, text);
}

fn vn_name(id: u32) -> String {
    format!("vn{id}")
}

fn hub_name(index: usize) -> String {
    if index == 0 { "hub".to_owned() } else { format!("hub{}", index + 1) }
}

fn section(kind: &str, name: String) -> Section {
    Section { line: 0, kind: kind.to_owned(), name: Some(name), options: Vec::new() }
}

impl Section {
    fn with(mut self, name: &str, text: &str) -> Section {
        let value = Value::One(Text { line: 0, text: text.to_owned() });
        self.options.push(uci::Entry { name: name.to_owned(), value });
        self
    }
}
