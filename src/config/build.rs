//! Builds the typed configuration from a UCI file.

use super::choice::{self, RoleKind, TransportKind};
use super::errors::Finding;
use super::files::Files;
use super::keys::Ring;
use super::options::{self as o, Opt, Unset};
use super::read::{Reader, Reported, listed, suggestion};
use super::uci::{File, Section};
use super::value;
use super::{
    BRIDGE_SPOKES, Config, Dataplane, HUBS, Hub, HubRole, Main, Role, Spoke, Transport, Vn, ambiguous,
    at_odds,
};
use crate::engine::settings::Trigger;
use crate::types::{Nbma, VlanId, Vni, VpnId};
use core::fmt::Display;
use core::time::Duration;

/// The configuration in `file`, which was read from `path`, or all that is wrong with it.
pub fn config(path: &str, file: &File, files: &Files<'_>) -> Result<Config, Vec<Finding>> {
    let mut errors = Vec::new();
    match checked(path, file, files, &mut errors) {
        Ok(config) if errors.is_empty() => Ok(config),
        _ => Err(errors),
    }
}

fn checked(
    path: &str,
    file: &File,
    files: &Files<'_>,
    errors: &mut Vec<Finding>,
) -> Result<Config, Reported> {
    report_unknown_sections(file, errors);
    let of = |kind: &'static str| file.sections.iter().filter(move |s| s.kind == kind);
    let names = |kind| -> Vec<&str> { of(kind).filter_map(|s| s.name.as_deref()).collect() };
    let (hub_names, vn_names) = (names("hub"), names("vn"));
    let mut ring = Ring::new(names("key"));

    let main = only_main(path, file, errors);
    let keys: Vec<_> = of("key").map(|s| ring.key(&mut Reader::new(s, errors), files)).collect();
    let hubs: Vec<_> = of("hub").map(|s| hub(&mut Reader::new(s, errors), &ring)).collect();
    let mut across = Across::default();
    let vns: Vec<_> =
        of("vn").map(|s| vn(&mut Reader::new(s, errors), &hub_names, &mut ring, &mut across)).collect();
    let spokes: Vec<_> = of("spoke").map(|s| ring.owner(&mut Reader::new(s, errors), &vn_names)).collect();
    across.report_vnis_of_uplinks(errors);
    across.report_narrow_uplinks(errors);
    across.report_mixed_dataplanes(errors);

    let config = Config {
        main: main?,
        hubs: hubs.into_iter().collect::<Result<_, _>>()?,
        vns: vns.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
        keys: keys.into_iter().collect::<Result<_, _>>()?,
        spokes: spokes.into_iter().collect::<Result<_, _>>()?,
    };
    at_odds::report(file, &config, errors);
    ambiguous::report(file, &config, errors);
    Ok(config)
}

fn report_unknown_sections(file: &File, errors: &mut Vec<Finding>) {
    let kinds = o::SECTIONS.map(|section| section.kind);
    for section in file.sections.iter().filter(|s| !kinds.contains(&s.kind.as_str())) {
        let why = format!("unknown type; {}", suggestion(&section.kind, &kinds));
        let _ = Reader::again(section, errors).refuse_section(&why);
    }
}

/// What concerns the whole daemon, from a section that may be absent.
fn only_main(path: &str, file: &File, errors: &mut Vec<Finding>) -> Result<Main, Reported> {
    let absent = Section { line: 1, kind: "dmevpn".to_owned(), name: None, options: Vec::new() };
    let mut sections = file.sections.iter().filter(|s| s.kind == "dmevpn");
    let first = sections.next().unwrap_or(&absent);
    let built = main(path, &mut Reader::new(first, errors));
    for surplus in sections {
        let why = format!("there is one such section, and it is in line {}", first.line);
        let _ = Reader::new(surplus, errors).refuse_section(&why);
    }
    built
}

fn main(path: &str, r: &mut Reader<'_>) -> Result<Main, Reported> {
    let enabled = r.value(&o::ENABLED, None, value::boolean);
    let nbma = one_of_each_family(r, &o::NBMA);
    let advertise = one_of_each_family(r, &o::ADVERTISE);
    let interface = r.optional(&o::INTERFACE, value::interface);
    if r.is_set(&o::NBMA) && r.is_set(&o::INTERFACE) {
        let _ = r.refuse(&o::INTERFACE, "excludes 'nbma': set one of both");
    }
    let transport = transport(r);
    let udp_port = r.number(&o::UDP_PORT, None);
    let guard = r.value(&o::GUARD, None, value::boolean);
    let holding_time =
        r.number(&o::HOLDING_TIME, None).map(|seconds: u16| Duration::from_secs(seconds.into()));
    let log_level = r.word(&o::LOG_LEVEL, &choice::LOG_LEVELS);
    let state_file = r.path(&o::STATE_FILE);
    let socket = r.path(&o::SOCKET);
    if let (Ok(socket), Ok(state_file)) = (&socket, &state_file) {
        at_odds::report_paths(path, socket, state_file, r);
    }
    Ok(Main {
        enabled: enabled?,
        nbma: nbma?,
        interface: interface?,
        advertise: advertise?,
        transport: transport?,
        udp_port: udp_port?,
        guard: guard?,
        holding_time: holding_time?,
        log_level: log_level?,
        state_file: state_file?,
        socket: socket?,
    })
}

fn one_of_each_family(r: &mut Reader<'_>, option: &'static Opt) -> Result<Vec<Nbma>, Reported> {
    let mut found: Vec<Nbma> = Vec::new();
    for (nbma, line) in r.list(option, value::underlay)? {
        if let Some(other) = found.iter().find(|n| n.same_family(nbma)) {
            let why = format!("one IPv4 and one IPv6 address at most: {other} and {nbma} are of one family");
            return Err(r.refuse_at(line, option, &why));
        }
        found.push(nbma);
    }
    Ok(found)
}

fn transport(r: &mut Reader<'_>) -> Result<Transport, Reported> {
    let kind = r.word(&o::TRANSPORT, &choice::TRANSPORTS);
    let device = r.optional(&o::DEVICE, value::interface);
    match (kind?, device?) {
        (TransportKind::Raw, None) => Ok(Transport::Raw),
        (TransportKind::Raw, Some(_)) => Err(r.refuse(&o::DEVICE, "only with transport 'device'")),
        (TransportKind::Device, Some(device)) => Ok(Transport::Device(device)),
        (TransportKind::Device, None) => {
            let meaning = "transport 'device' needs the name of a GRE interface, such as tunnel1";
            Err(r.missing(&o::DEVICE, meaning))
        }
    }
}

fn hub(r: &mut Reader<'_>, ring: &Ring<'_>) -> Result<Hub, Reported> {
    let name = r.name();
    let address = r.value(&o::ADDRESS, None, value::hub_address);
    let priority = r.number(&o::PRIORITY, None);
    let vpn_mode = r.word(&o::VPN_MODE, &choice::VPN_MODES);
    let session = r.value(&o::SESSION, None, value::boolean);
    let keys = ring.named(r, &o::HUB_KEY);
    if matches!((&keys, &session), (Ok(keys), Ok(false)) if !keys.is_empty()) {
        let _ = r.refuse(&o::HUB_KEY, "needs sessions, and 'session' is 0");
    }
    Ok(Hub {
        name: name?,
        address: address?,
        priority: priority?,
        vpn_mode: vpn_mode?,
        session: session?,
        keys: keys?,
    })
}

/// A VN; `None` when it is right but disabled.
fn vn(
    r: &mut Reader<'_>,
    hubs: &[&str],
    ring: &mut Ring<'_>,
    across: &mut Across,
) -> Result<Option<Vn>, Reported> {
    let enabled = r.value(&o::VN_ENABLED, None, value::boolean);
    // What is disabled cannot be in the way of anything.
    let mut unused = Across::default();
    let across = if matches!(enabled, Ok(false)) { &mut unused } else { across };

    let name = r.name();
    let vpn_id = r.value(&o::VPN_ID, None, value::from_str::<VpnId>);
    let vpn_id = vpn_id.and_then(|id| across.vpn_ids.take(r, &o::VPN_ID, id, "the VPN-ID"));
    let mtu = r.number(&o::MTU, None);
    let kind = r.word(&o::ROLE, &choice::ROLES);
    let vlan = r.optional(&o::VLAN, value::vlan);
    let max_macs = r.optional_number(&o::MAX_MACS);
    // Without the role, what its options mean is not known.
    let kind = kind?;
    r.report_other_roles(kind);
    let bridge = bridge(r, kind, &name, vlan, across);
    let role = match kind {
        RoleKind::Spoke => spoke(r, &name, &bridge, hubs, across).map(Role::Spoke),
        RoleKind::Hub => hub_role(r, hubs, ring, across).map(Role::Hub),
    };
    let max_macs = match max_macs? {
        Some(most) => most,
        None => r.number(&o::MAX_MACS, Some(kind))?,
    };
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
    let bridge = device(r, &o::BRIDGE, role, name)?;
    let bridges = match role {
        RoleKind::Spoke => &mut across.spoke_bridges,
        RoleKind::Hub => &mut across.hub_bridges,
    };
    bridges.take(r, bridge, vlan?)
}

/// The device that `option` names, or else, if `option` has such a default, one of a prefix and the VN's name.
fn device(
    r: &mut Reader<'_>,
    option: &Opt,
    role: RoleKind,
    name: &Result<String, Reported>,
) -> Result<String, Reported> {
    let &Unset::Named(prefix) = option.unset.of(Some(role)) else {
        return r.value(option, Some(role), value::interface);
    };
    if let Some(device) = r.optional(option, value::interface)? {
        return Ok(device);
    }
    let device = format!("{prefix}{}", name.as_ref().map_err(|reported| *reported)?);
    // Cut short, two names could become one.
    value::interface(&device)
        .map_err(|_| r.missing(option, &format!("its default '{device}' is longer than 15 bytes")))
}

fn spoke(
    r: &mut Reader<'_>,
    name: &Result<String, Reported>,
    bridge: &Result<String, Reported>,
    hubs: &[&str],
    across: &mut Across,
) -> Result<Spoke, Reported> {
    let vni = r.value(&o::VNI, None, value::from_str::<Vni>);
    let vni = vni.and_then(|vni| across.vnis.take(r, &o::VNI, vni, "the VNI"));
    let vxlan = device(r, &o::VXLAN, RoleKind::Spoke, name);
    if let (Ok(vxlan), Ok(bridge)) = (&vxlan, bridge) {
        if vxlan == bridge {
            let _ =
                r.refuse(&o::VXLAN, &format!("'{vxlan}' is the bridge; the VXLAN device is a port of it"));
        }
    }
    across.plain.get_or_insert_with(|| Owner::of(r, &o::ROLE));
    let vxlan = vxlan.and_then(|vxlan| across.vxlans.take(r, &o::VXLAN, vxlan, "the VXLAN device"));
    let hubs = hubs_of(r, hubs);
    let preempt = r.value(&o::PREEMPT, None, value::boolean);
    let trigger = r.word(&o::TRIGGER, &choice::TRIGGERS);
    if matches!((&hubs, &trigger), (Ok(hubs), Ok(Trigger::L2miss)) if hubs.len() > 1) {
        let _ = r.refuse(&o::TRIGGER, "'l2miss' works with one hub; 'learn' with several");
    }
    let negative_time =
        r.number(&o::NEGATIVE_TIME, None).map(|seconds: u16| Duration::from_secs(seconds.into()));
    let verify = r.value(&o::VERIFY, None, value::boolean);
    Ok(Spoke {
        vni: vni?,
        vxlan: vxlan?,
        hubs: hubs?,
        preempt: preempt?,
        trigger: trigger?,
        negative_time: negative_time?,
        verify: verify?,
    })
}

/// The hubs of a spoke's VN: those it names, each once, or else the only one.
fn hubs_of(r: &mut Reader<'_>, hubs: &[&str]) -> Result<Vec<String>, Reported> {
    let named = r.list(&o::HUB, |s| {
        if hubs.contains(&s) {
            Ok(s.to_owned())
        } else if hubs.is_empty() {
            Err("there is no section hub".to_owned())
        } else {
            Err(format!("no section hub has this name; {}", suggestion(s, hubs)))
        }
    })?;
    if let Some((i, (hub, line))) = named
        .iter()
        .enumerate()
        .find(|(i, (hub, _))| *i >= HUBS || named.iter().take(*i).any(|(other, _)| other == hub))
    {
        let why = if i >= HUBS { format!("{HUBS} at most") } else { format!("'{hub}' is given twice") };
        return Err(r.refuse_at(*line, &o::HUB, &why));
    }
    match hubs {
        _ if !named.is_empty() => Ok(named.into_iter().map(|(hub, _)| hub).collect()),
        [only] => Ok(vec![(*only).to_owned()]),
        [] => Err(r.refuse_unset(&o::HUB, "role spoke needs a hub: add a section config hub 'name'")),
        several => Err(r.missing(&o::HUB, &format!("one or more of {}", listed(several)))),
    }
}

/// The other hubs of a hub's VN.
fn peers(r: &mut Reader<'_>, hubs: &[&str]) -> Result<Vec<String>, Reported> {
    let named = r.list(&o::PEER, |s| match hubs {
        hubs if hubs.contains(&s) => Ok(s.to_owned()),
        [] => Err("there is no section hub".to_owned()),
        hubs => Err(format!("no section hub has this name; {}", suggestion(s, hubs))),
    })?;
    for (i, (peer, line)) in named.iter().enumerate() {
        if named.iter().take(i).any(|(other, _)| other == peer) {
            return Err(r.refuse_at(*line, &o::PEER, &format!("'{peer}' is given twice")));
        }
    }
    Ok(named.into_iter().map(|(peer, _)| peer).collect())
}

fn hub_role(
    r: &mut Reader<'_>,
    hubs: &[&str],
    ring: &mut Ring<'_>,
    across: &mut Across,
) -> Result<HubRole, Reported> {
    let default = r.value(&o::DEFAULT, None, value::boolean);
    if matches!(default, Ok(true)) {
        match &across.default {
            Some(owner) => {
                let why =
                    format!("is set for {owner} already; packets that name no VN can belong to one only");
                let _ = r.refuse(&o::DEFAULT, &why);
            }
            None => across.default = Some(Owner::of(r, &o::DEFAULT)),
        }
    }
    let protocol_addresses = r.list(&o::PROTOCOL_ADDRESS, value::unicast);
    let allow = r.list(&o::ALLOW, value::prefix);
    let keys = ring.of_several(r, &o::VN_KEY);
    let require = r.value(&o::REQUIRE, None, value::boolean);
    let cisco_authentication =
        r.optional(&o::CISCO_AUTHENTICATION, |s| value::password(&o::CISCO_AUTHENTICATION, s));
    let uplink_first = r.value(&o::UPLINK_VNI, None, value::from_str::<Vni>);
    let dataplane = r.word(&o::DATAPLANE, &choice::DATAPLANES);
    match dataplane {
        Ok(Dataplane::Bridge) => drop(across.plain.get_or_insert_with(|| Owner::of(r, &o::DATAPLANE))),
        Ok(Dataplane::Kmod) => across.kmod.push(Owner::of(r, &o::DATAPLANE)),
        Ok(Dataplane::Auto) | Err(_) => {}
    }
    let peers = peers(r, hubs);
    if peers.as_ref().is_ok_and(|peers| !peers.is_empty()) {
        if matches!(dataplane, Ok(Dataplane::Kmod)) {
            let why = "needs a bridge whose ports can be isolated, and 'dataplane' is 'kmod'";
            let _ = r.refuse(&o::PEER, why);
            across.kmod.pop();
        }
        across.plain.get_or_insert_with(|| Owner::of(r, &o::PEER));
    }
    let untagged_l2 = r.value(&o::UNTAGGED_L2, None, value::boolean);
    let max_vnis_per_address = r.number(&o::MAX_VNIS_PER_ADDRESS, None);
    let max_spokes = r.optional_number(&o::MAX_SPOKES);
    if let Ok(first) = uplink_first {
        let spokes = match (&dataplane, &max_spokes) {
            // All spokes share one.
            (Ok(Dataplane::Kmod), _) => 1,
            (_, Ok(most)) => most.unwrap_or(BRIDGE_SPOKES),
            (_, Err(_)) => 0,
        };
        // One for each other hub, too.
        let hubs = peers.as_ref().map_or(0, |peers| u32::try_from(peers.len()).unwrap_or(u32::MAX));
        across.uplinks.push(Uplinks {
            first,
            spokes: u32::from(spokes).saturating_add(hubs),
            owner: Owner::of(r, &o::UPLINK_VNI),
        });
    }
    Ok(HubRole {
        default: default?,
        protocol_addresses: protocol_addresses?.into_iter().map(|(address, _)| address).collect(),
        allow: allow?.into_iter().map(|(prefix, _)| prefix).collect(),
        keys: keys?,
        require: require?,
        cisco_authentication: cisco_authentication?,
        uplink_first: uplink_first?,
        dataplane: dataplane?,
        untagged_l2: untagged_l2?,
        max_vnis_per_address: max_vnis_per_address?,
        max_spokes: max_spokes?,
        peers: peers?,
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
    uplinks: Vec<Uplinks>,
    /// The first VN with plain VXLAN devices, and those that want devices of the patched driver.
    plain: Option<Owner>,
    kmod: Vec<Owner>,
}

impl Across {
    /// VNIs are one namespace on a router, and a hub's uplinks take all from the first up.
    fn report_vnis_of_uplinks(&self, errors: &mut Vec<Finding>) {
        let Some(Uplinks { first, owner: hub, .. }) = self.uplinks.iter().min_by_key(|u| u.first) else {
            return;
        };
        for (vni, spoke) in self.vnis.0.iter().filter(|(vni, _)| vni >= first) {
            let text = format!(
                "option 'vni': {vni} may be handed out as an uplink VNI, {first} and up, by {hub}; \
                 choose a smaller one",
            );
            errors.push(spoke.finding(&o::VNI, text));
        }
    }

    /// Each VN's uplinks reach up to the last VNI, so what the others take from there on is taken from it too.
    fn report_narrow_uplinks(&self, errors: &mut Vec<Finding>) {
        for Uplinks { first, spokes, owner } in &self.uplinks {
            let room = Vni::MAX.get() - first.get() + 1;
            let all: u32 = self.uplinks.iter().filter(|u| u.first >= *first).map(|u| u.spokes).sum();
            let whose = if *spokes == all { "" } else { "; those of all VNs from there on count" };
            if all > room {
                let text = format!(
                    "option 'uplink_vni': {room} VNIs from {first} to {} are too few for the {all} spokes of \
                     'max_spokes'{whose}; choose a smaller one",
                    Vni::MAX
                );
                errors.push(owner.finding(&o::UPLINK_VNI, text));
            }
        }
    }

    /// Devices with and without `external` cannot share a UDP port, and a router has one for all its VNs.
    fn report_mixed_dataplanes(&self, errors: &mut Vec<Finding>) {
        let Some(plain) = &self.plain else { return };
        for kmod in &self.kmod {
            let text = format!(
                "option 'dataplane': 'kmod' cannot share the UDP port with the plain VXLAN devices of {plain}; \
                 a router's VNs are all hubs of 'kmod', or none is",
            );
            errors.push(kmod.finding(&o::DATAPLANE, text));
        }
    }
}

/// The VNIs that a hub's VN hands out.
struct Uplinks {
    first: Vni,
    /// How many it may need.
    spokes: u32,
    owner: Owner,
}

/// A VN that has something, and the line that says so.
struct Owner {
    vn: Option<String>,
    line: u32,
}

impl Owner {
    fn of(r: &Reader<'_>, option: &Opt) -> Owner {
        Owner { vn: r.section().name.clone(), line: r.line(option) }
    }

    /// What is wrong with `option` of this VN.
    fn finding(&self, option: &Opt, text: String) -> Finding {
        Finding { line: self.line, section: self.vn.clone(), option: Some(option.name.to_owned()), text }
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.vn {
            Some(vn) => write!(f, "vn '{vn}' (line {})", self.line),
            None => write!(f, "vn (line {})", self.line),
        }
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
            self.0.push((bridge.clone(), vlan, Owner::of(r, &o::BRIDGE)));
            return Ok(bridge);
        };
        Err(match vlan.filter(|vlan| *other == Some(*vlan)) {
            Some(vlan) => {
                r.refuse(&o::VLAN, &format!("'{vlan}' of bridge '{bridge}' is the VLAN of {owner} already"))
            }
            None => {
                let why =
                    format!("'{bridge}' is the bridge of {owner} already; to share it, set a 'vlan' in both");
                r.refuse(&o::BRIDGE, &why)
            }
        })
    }
}

/// Values of which each can belong to one VN only.
struct Taken<K>(Vec<(K, Owner)>);

impl<K> Default for Taken<K> {
    fn default() -> Self {
        Taken(Vec::new())
    }
}

impl<K: PartialEq + Clone + Display> Taken<K> {
    /// Gives `key` to the VN of `r`, or reports who has it as `what`.
    fn take(&mut self, r: &mut Reader<'_>, option: &Opt, key: K, what: &str) -> Result<K, Reported> {
        if let Some((_, owner)) = self.0.iter().find(|(taken, _)| *taken == key) {
            return Err(r.refuse(option, &format!("'{key}' is {what} of {owner} already")));
        }
        self.0.push((key.clone(), Owner::of(r, option)));
        Ok(key)
    }
}
