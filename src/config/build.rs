//! Builds the typed configuration from a UCI file.

use super::errors::Error;
use super::read::{Reader, Reported, listed, suggestion};
use super::uci::{File, Section};
use super::value::{self, RoleKind, TransportKind};
use super::{BRIDGE_SPOKES, Config, Dataplane, Hub, HubRole, Main, Role, Spoke, Transport, Vn};
use crate::engine::settings::{Trigger, VpnMode};
use crate::types::{Nbma, VlanId, Vni, VpnId};
use core::fmt::Display;
use core::time::Duration;
use litemap::{Entry, LiteMap};

/// The types of sections.
const SECTIONS: [&str; 3] = ["dmevpn", "hub", "vn"];

/// The first uplink VNI where none is configured: above what people and other programs number by hand.
pub const UPLINK_FIRST: Vni = Vni::new(1_048_576).unwrap();

/// The configuration in `file`, or all that is wrong with it.
pub fn config(file: &File) -> Result<Config, Vec<Error>> {
    let mut errors = Vec::new();
    match checked(file, &mut errors) {
        Ok(config) if errors.is_empty() => Ok(config),
        _ => Err(errors),
    }
}

fn checked(file: &File, errors: &mut Vec<Error>) -> Result<Config, Reported> {
    report_unknown_sections(file, errors);
    let of = |kind: &'static str| file.sections.iter().filter(move |s| s.kind == kind);
    let hub_names: Vec<&str> = of("hub").filter_map(|s| s.name.as_deref()).collect();

    let main = only_main(file, errors);
    let hubs: Vec<_> = of("hub").map(|s| hub(&mut Reader::new(s, errors))).collect();
    let mut across = Across::default();
    let vns: Vec<_> = of("vn").map(|s| vn(&mut Reader::new(s, errors), &hub_names, &mut across)).collect();
    across.report_vnis_of_uplinks(errors);
    across.report_mixed_dataplanes(errors);

    let config = Config {
        main: main?,
        hubs: hubs.into_iter().collect::<Result<_, _>>()?,
        vns: vns.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
    };
    if config.main.nbma.is_empty() && config.main.interface.is_none() {
        if let Some(vn) = config.vns.iter().find(|vn| matches!(vn.role, Role::Hub(_))) {
            let section = of("vn").find(|s| s.name.as_ref() == Some(&vn.name));
            let text = format!(
                "section vn '{}': role hub needs option 'nbma' or 'interface' in section dmevpn, \
                 which say where spokes find this hub",
                vn.name
            );
            errors.push(Error { line: section.map_or(1, |s| s.line), text });
        }
    }
    Ok(config)
}

fn report_unknown_sections(file: &File, errors: &mut Vec<Error>) {
    for section in file.sections.iter().filter(|s| !SECTIONS.contains(&s.kind.as_str())) {
        let text = format!("section {section}: unknown type; {}", suggestion(&section.kind, &SECTIONS));
        errors.push(Error { line: section.line, text });
    }
}

/// What concerns the whole daemon, from a section that may be absent.
fn only_main(file: &File, errors: &mut Vec<Error>) -> Result<Main, Reported> {
    let absent = Section { line: 1, kind: "dmevpn".to_owned(), name: None, options: Vec::new() };
    let mut sections = file.sections.iter().filter(|s| s.kind == "dmevpn");
    let first = sections.next().unwrap_or(&absent);
    let built = main(&mut Reader::new(first, errors));
    for surplus in sections {
        let why = format!("there is one such section, and it is in line {}", first.line);
        let _ = Reader::new(surplus, errors).refuse_section(&why);
    }
    built
}

fn main(r: &mut Reader<'_>) -> Result<Main, Reported> {
    let enabled = r.or("enabled", true, value::boolean);
    let nbma = nbma(r);
    let interface = r.optional("interface", value::interface);
    if r.section().get("nbma").is_some() && r.section().get("interface").is_some() {
        let _ = r.refuse("interface", "excludes 'nbma': set one of both");
    }
    let transport = transport(r);
    let udp_port = r.or("udp_port", 4789, value::number(1..=u16::MAX));
    let holding_time = r.or("holding_time", Duration::from_secs(600), value::seconds(3..=65535));
    let log_level = r.or("log_level", log::LevelFilter::Info, value::log_level);
    let state_file = r.or("state_file", "/etc/dmevpn/state".to_owned(), value::path(4095));
    // The longest path that fits a socket address with its final NUL.
    let socket = r.or("socket", "/var/run/dmevpn.sock".to_owned(), value::path(107));
    Ok(Main {
        enabled: enabled?,
        nbma: nbma?,
        interface: interface?,
        transport: transport?,
        udp_port: udp_port?,
        holding_time: holding_time?,
        log_level: log_level?,
        state_file: state_file?,
        socket: socket?,
    })
}

fn nbma(r: &mut Reader<'_>) -> Result<Vec<Nbma>, Reported> {
    let mut found: Vec<Nbma> = Vec::new();
    for (nbma, line) in r.list("nbma", value::from_str::<Nbma>)? {
        if let Some(other) = found.iter().find(|n| n.same_family(nbma)) {
            let why = format!("one IPv4 and one IPv6 address at most: {other} and {nbma} are of one family");
            return Err(r.refuse_at(line, "nbma", &why));
        }
        found.push(nbma);
    }
    Ok(found)
}

fn transport(r: &mut Reader<'_>) -> Result<Transport, Reported> {
    let kind = r.or("transport", TransportKind::Raw, value::transport);
    let device = r.optional("device", value::interface);
    match (kind?, device?) {
        (TransportKind::Raw, None) => Ok(Transport::Raw),
        (TransportKind::Raw, Some(_)) => Err(r.refuse("device", "only with transport 'device'")),
        (TransportKind::Device, Some(device)) => Ok(Transport::Device(device)),
        (TransportKind::Device, None) => Err(r.refuse_section(
            "option 'device' is missing: transport 'device' needs the name of a GRE interface, such as tunnel1",
        )),
    }
}

/// The section's name, which is what everything else calls it.
fn name(r: &mut Reader<'_>) -> Result<String, Reported> {
    const MOST: usize = 32;
    let section = r.section();
    match section.name.as_deref() {
        None => Err(r.refuse_section(&format!("a name is missing: write config {} 'name'", section.kind))),
        Some(name) if name.len() > MOST => {
            Err(r.refuse_section(&format!("the name is longer than {MOST} characters")))
        }
        Some(name) => Ok(name.to_owned()),
    }
}

fn hub(r: &mut Reader<'_>) -> Result<Hub, Reported> {
    let name = name(r);
    let address = r.required("address", "the hub's IP address or host name", value::hub_address);
    let priority = r.or("priority", 10, value::number(0..=u16::MAX));
    let vpn_mode = r.or("vpn_mode", VpnMode::Llc, value::vpn_mode);
    Ok(Hub { name: name?, address: address?, priority: priority?, vpn_mode: vpn_mode? })
}

/// A VN; `None` when it is right but disabled.
fn vn(r: &mut Reader<'_>, hubs: &[&str], across: &mut Across) -> Result<Option<Vn>, Reported> {
    let enabled = r.or("enabled", true, value::boolean);
    // What is disabled cannot be in the way of anything.
    let mut unused = Across::default();
    let across = if matches!(enabled, Ok(false)) { &mut unused } else { across };

    let name = name(r);
    let vpn_id =
        r.required("vpn_id", "the number of the VN, the same on all its routers", value::from_str::<VpnId>);
    let vpn_id = vpn_id.and_then(|id| across.vpn_ids.take(r, "vpn_id", id, "the VPN-ID"));
    let mtu = r.or("mtu", 1500, value::number(576..=9216));
    let kind = r.required("role", "spoke or hub", value::role);
    let vlan = r.optional("vlan", value::vlan);
    let max_macs = r.optional("max_macs", value::number(1..=1_000_000));
    // Without the role, what its options mean is not known.
    let kind = kind?;
    r.report_other_roles(kind);
    let bridge = bridge(r, kind, &name, vlan, across);
    let (role, default_macs) = match kind {
        RoleKind::Spoke => (spoke(r, &name, &bridge, hubs, across).map(Role::Spoke), 2048),
        RoleKind::Hub => (hub_role(r, across).map(Role::Hub), 65536),
    };
    let max_macs = max_macs?.unwrap_or(default_macs);
    let vn =
        Vn { name: name?, vpn_id: vpn_id?, mtu: mtu?, bridge: bridge?, vlan: vlan?, max_macs, role: role? };
    Ok(enabled?.then_some(vn))
}

fn bridge(
    r: &mut Reader<'_>,
    role: RoleKind,
    name: &Result<String, Reported>,
    vlan: Result<Option<VlanId>, Reported>,
    across: &mut Across,
) -> Result<String, Reported> {
    let bridge = match role {
        RoleKind::Spoke => {
            r.required("bridge", "the bridge of this site, such as br-lan", value::interface)?
        }
        RoleKind::Hub => device_or_default(r, "bridge", "br-", name)?,
    };
    let bridges = match role {
        RoleKind::Spoke => &mut across.spoke_bridges,
        RoleKind::Hub => &mut across.hub_bridges,
    };
    bridges.take(r, bridge, vlan?)
}

/// The device that `option` names, or one of `prefix` and the VN's name.
fn device_or_default(
    r: &mut Reader<'_>,
    option: &str,
    prefix: &str,
    name: &Result<String, Reported>,
) -> Result<String, Reported> {
    if let Some(device) = r.optional(option, value::interface)? {
        return Ok(device);
    }
    let device = format!("{prefix}{}", name.as_ref().map_err(|reported| *reported)?);
    value::interface(&device).map_err(|_| {
        // Cut short, two names could become one.
        let why = format!("option '{option}' is missing: its default '{device}' is longer than 15 bytes");
        r.refuse_section(&why)
    })
}

fn spoke(
    r: &mut Reader<'_>,
    name: &Result<String, Reported>,
    bridge: &Result<String, Reported>,
    hubs: &[&str],
    across: &mut Across,
) -> Result<Spoke, Reported> {
    let vni = r.required("vni", "the VXLAN network identifier of this site", value::from_str::<Vni>);
    let vni = vni.and_then(|vni| across.vnis.take(r, "vni", vni, "the VNI"));
    let vxlan = device_or_default(r, "vxlan", "vx-", name);
    if let (Ok(vxlan), Ok(bridge)) = (&vxlan, bridge) {
        if vxlan == bridge {
            let _ = r.refuse("vxlan", &format!("'{vxlan}' is the bridge; the VXLAN device is a port of it"));
        }
    }
    across.plain.get_or_insert_with(|| Owner::of(r, "role"));
    let vxlan = vxlan.and_then(|vxlan| across.vxlans.take(r, "vxlan", vxlan, "the VXLAN device"));
    let hub = hub_of(r, hubs);
    let trigger = r.or("trigger", Trigger::Learn, value::trigger);
    let negative_time = r.or("negative_time", Duration::from_secs(60), value::seconds(1..=3600));
    Ok(Spoke { vni: vni?, vxlan: vxlan?, hub: hub?, trigger: trigger?, negative_time: negative_time? })
}

/// The hub of a spoke's VN: the one it names or else the only one.
fn hub_of(r: &mut Reader<'_>, hubs: &[&str]) -> Result<String, Reported> {
    let named = r.list("hub", |s| {
        if hubs.contains(&s) {
            Ok(s.to_owned())
        } else if hubs.is_empty() {
            Err("there is no section hub".to_owned())
        } else {
            Err(format!("no section hub has this name; {}", suggestion(s, hubs)))
        }
    })?;
    let mut named = named.into_iter();
    match (named.next(), named.next(), hubs) {
        (Some((hub, _)), None, _) => Ok(hub),
        (Some((first, _)), Some((second, line)), _) => {
            let why = format!("one hub per VN is supported: '{first}' is given, '{second}' is one more");
            Err(r.refuse_at(line, "hub", &why))
        }
        (None, _, [only]) => Ok((*only).to_owned()),
        (None, _, []) => Err(r.refuse_section("role spoke needs a hub: add a section config hub 'name'")),
        (None, _, several) => {
            Err(r.refuse_section(&format!("option 'hub' is missing: one of {}", listed(several))))
        }
    }
}

fn hub_role(r: &mut Reader<'_>, across: &mut Across) -> Result<HubRole, Reported> {
    let default = r.or("default", false, value::boolean);
    if matches!(default, Ok(true)) {
        match &across.default {
            Some(owner) => {
                let why =
                    format!("is set for {owner} already; packets that name no VN can belong to one only");
                let _ = r.refuse("default", &why);
            }
            None => across.default = Some(Owner::of(r, "default")),
        }
    }
    let protocol_addresses = r.list("protocol_address", value::unicast);
    let uplink_first = r.or("uplink_vni", UPLINK_FIRST, value::from_str::<Vni>);
    let dataplane = r.or("dataplane", Dataplane::Auto, value::dataplane);
    match dataplane {
        Ok(Dataplane::Bridge) => drop(across.plain.get_or_insert_with(|| Owner::of(r, "dataplane"))),
        Ok(Dataplane::Kmod) => across.kmod.push(Owner::of(r, "dataplane")),
        Ok(Dataplane::Auto) | Err(_) => {}
    }
    let max_spokes = r.optional("max_spokes", value::number(1..=u16::MAX));
    if let Ok(first) = uplink_first {
        across.uplinks.push((first, Owner::of(r, "uplink_vni")));
        let room = Vni::MAX.get() - first.get() + 1;
        let spokes = max_spokes.as_ref().map_or(0, |most| most.unwrap_or(BRIDGE_SPOKES));
        if u32::from(spokes) > room {
            let why = format!(
                "{room} VNIs from {first} to {} are too few for the {spokes} spokes of 'max_spokes'",
                Vni::MAX
            );
            let _ = r.refuse("uplink_vni", &why);
        }
    }
    Ok(HubRole {
        default: default?,
        protocol_addresses: protocol_addresses?.into_iter().map(|(address, _)| address).collect(),
        uplink_first: uplink_first?,
        dataplane: dataplane?,
        max_spokes: max_spokes?,
    })
}

/// What may be there once in all VNs of a router, and who has it.
#[derive(Default)]
struct Across {
    vpn_ids: Taken<VpnId>,
    spoke_bridges: Bridges,
    hub_bridges: Bridges,
    vxlans: Taken<String>,
    vnis: Taken<Vni>,
    default: Option<Owner>,
    uplinks: Vec<(Vni, Owner)>,
    /// The first VN with plain VXLAN devices, and those that want devices of the patched driver.
    plain: Option<Owner>,
    kmod: Vec<Owner>,
}

impl Across {
    /// VNIs are one namespace on a router, and a hub's uplinks take all from the first up.
    fn report_vnis_of_uplinks(&self, errors: &mut Vec<Error>) {
        let Some((first, hub)) = self.uplinks.iter().min_by_key(|(first, _)| *first) else { return };
        for (vni, spoke) in self.vnis.0.iter().filter(|(vni, _)| **vni >= *first) {
            let text = format!(
                "option 'vni': {vni} may be handed out as an uplink VNI, {first} and up, by {hub}; \
                 choose a smaller one",
            );
            errors.push(Error { line: spoke.line, text });
        }
    }

    /// Devices with and without `external` cannot share a UDP port, and a router has one for all its VNs.
    fn report_mixed_dataplanes(&self, errors: &mut Vec<Error>) {
        let Some(plain) = &self.plain else { return };
        for kmod in &self.kmod {
            let text = format!(
                "option 'dataplane': 'kmod' cannot share the UDP port with the plain VXLAN devices of {plain}; \
                 a router's VNs are all hubs of 'kmod', or none is",
            );
            errors.push(Error { line: kmod.line, text });
        }
    }
}

/// A VN that has something, and the line that says so.
struct Owner {
    vn: String,
    line: u32,
}

impl Owner {
    fn of(r: &Reader<'_>, option: &str) -> Owner {
        Owner { vn: r.section().to_string(), line: r.line(option) }
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (line {})", self.vn, self.line)
    }
}

/// The bridges that VNs have, each as a whole or a VLAN of it.
#[derive(Default)]
struct Bridges(Vec<(String, Option<VlanId>, Owner)>);

impl Bridges {
    /// Gives the bridge, or that VLAN of it, to the VN of `r`, or reports who has it.
    fn take(&mut self, r: &mut Reader<'_>, bridge: String, vlan: Option<VlanId>) -> Result<String, Reported> {
        // Who has no VLAN has all.
        let in_the_way = |(other, other_vlan, _): &&(String, Option<VlanId>, Owner)| {
            *other == bridge && (vlan.is_none() || other_vlan.is_none() || vlan == *other_vlan)
        };
        let Some((_, other, owner)) = self.0.iter().find(in_the_way) else {
            self.0.push((bridge.clone(), vlan, Owner::of(r, "bridge")));
            return Ok(bridge);
        };
        Err(match vlan.filter(|vlan| *other == Some(*vlan)) {
            Some(vlan) => {
                r.refuse("vlan", &format!("'{vlan}' of bridge '{bridge}' is the VLAN of {owner} already"))
            }
            None => {
                let why =
                    format!("'{bridge}' is the bridge of {owner} already; to share it, set a 'vlan' in both");
                r.refuse("bridge", &why)
            }
        })
    }
}

/// Values of which each can belong to one VN only.
struct Taken<K>(LiteMap<K, Owner>);

impl<K> Default for Taken<K> {
    fn default() -> Self {
        Taken(LiteMap::new())
    }
}

impl<K: Ord + Clone + Display> Taken<K> {
    /// Gives `key` to the VN of `r`, or reports who has it as `what`.
    fn take(&mut self, r: &mut Reader<'_>, option: &str, key: K, what: &str) -> Result<K, Reported> {
        match self.0.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Owner::of(r, option));
                Ok(key)
            }
            Entry::Occupied(owner) => {
                let why = format!("'{key}' is {what} of {} already", owner.get());
                Err(r.refuse(option, &why))
            }
        }
    }
}
