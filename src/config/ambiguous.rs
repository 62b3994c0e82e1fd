//! VNs whose packets could not be told apart: those of one would be taken for those of the other.

use super::errors::Finding;
use super::options::{DEFAULT, HUB, Opt, VPN_ID};
use super::read::Reader;
use super::uci::{File, Value};
use super::{Config, HubAddress, Role, Spoke, Vn};
use crate::engine::settings::VpnMode;

/// Reports each VN that a packet could mean as well as an earlier one.
pub fn report(file: &File, config: &Config, errors: &mut Vec<Finding>) {
    for (i, vn) in config.vns.iter().enumerate() {
        let mut earlier = config.vns.iter().take(i);
        let Some((other, mix_up)) = earlier.find_map(|o| Some((o, mix_up(config, o, vn)?))) else {
            continue;
        };
        let (Some(section), Some(of_other)) = (file.section("vn", &vn.name), file.section("vn", &other.name))
        else {
            continue;
        };
        let option = mix_up.option(vn);
        let line = of_other.get(mix_up.option(other).name).map_or(of_other.line, Value::line);
        let why = format!("packets could mean vn '{}' (line {line}) as well: {}", other.name, mix_up.text());
        let _ = Reader::again(section, errors).refuse(option, &why);
    }
}

/// Why packets of two VNs look alike.
enum MixUp {
    /// They have one GRE key, or would have by the other's way to name VNs.
    Key(u32),
    /// They name no VN and come from one hub.
    Unnamed,
    /// They name no VN, and this router is the hub of the default one.
    Default,
}

impl MixUp {
    /// The option of `vn` that makes it so.
    fn option(&self, vn: &Vn) -> &'static Opt {
        match (self, &vn.role) {
            (MixUp::Key(_), _) => &VPN_ID,
            (_, Role::Spoke(_)) => &HUB,
            (_, Role::Hub(_)) => &DEFAULT,
        }
    }

    fn text(&self) -> String {
        match self {
            MixUp::Key(key) => format!("by GRE key it is {key} in both; give one another number"),
            MixUp::Unnamed => "with 'vpn_mode' 'none' a hub has one VN; use 'llc' or 'key'".to_owned(),
            MixUp::Default => "with 'vpn_mode' 'none' they name none; use 'llc' or 'key'".to_owned(),
        }
    }
}

fn mix_up(config: &Config, a: &Vn, b: &Vn) -> Option<MixUp> {
    let key = a.vpn_id.index();
    let same_key = || (key == b.vpn_id.index()).then_some(MixUp::Key(key));
    match (&a.role, &b.role) {
        (Role::Hub(_), Role::Hub(_)) => same_key(),
        (Role::Hub(hub), Role::Spoke(spoke)) | (Role::Spoke(spoke), Role::Hub(hub)) => ways(config, spoke)
            .find_map(|(_, mode)| match mode {
                VpnMode::Llc => None,
                VpnMode::Key => same_key(),
                VpnMode::None => hub.default.then_some(MixUp::Default),
            }),
        (Role::Spoke(a), Role::Spoke(b)) => ways(config, a).find_map(|a| {
            ways(config, b).find_map(|b| match (a.1, b.1) {
                _ if !is_one(a.0, b.0) => None,
                (VpnMode::Llc, VpnMode::Llc) => None,
                (VpnMode::None, VpnMode::None) => Some(MixUp::Unnamed),
                // Which VN the hub has for packets without a name is its own affair.
                (VpnMode::None, _) | (_, VpnMode::None) => None,
                // No hub has two VNs of one key, whatever else it is told of them.
                (VpnMode::Key, _) | (_, VpnMode::Key) => same_key(),
            })
        }),
    }
}

/// Whether two hub sections mean one hub, as far as the file tells.
pub(super) fn is_one(a: &HubAddress, b: &HubAddress) -> bool {
    match (a, b) {
        (HubAddress::Name(a), HubAddress::Name(b)) => {
            a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
        }
        _ => a == b,
    }
}

/// Where a spoke's hubs are and how packets to them name their VN. Two sections may mean one hub.
fn ways<'a>(config: &'a Config, spoke: &'a Spoke) -> impl Iterator<Item = (&'a HubAddress, VpnMode)> {
    let hubs = config.hubs.iter().filter(|hub| spoke.hubs.contains(&hub.name));
    hubs.map(|hub| (&hub.address, hub.vpn_mode))
}
