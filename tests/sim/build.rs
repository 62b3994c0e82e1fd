//! Settings and addresses of the simulated nodes.

#[path = "../part/mod.rs"]
mod part;

use super::Sim;
use dmevpn::engine::Path;
use dmevpn::engine::settings::{
    Advertised, ClientSettings, HubKey, HubSettings, Hubs, KeysSettings, ServerSettings, Settings, Trigger,
    VnKey, VnSettings, VpnMode,
};
use dmevpn::types::{Mac, Nbma, Vni, VpnId};
pub use part::Part;
use std::time::Duration;

pub const HUB: HubKey = HubKey(0);
pub const VN: VnKey = VnKey(1);

pub fn vni(n: u32) -> Vni {
    Vni::new(n).unwrap()
}

pub fn nbma(text: &str) -> Nbma {
    text.parse().unwrap()
}

/// The underlay address of spoke `n`.
pub fn spoke_nbma(n: usize) -> Nbma {
    nbma(&format!("10.0.{}.{}", 1 + n / 200, 1 + n % 200))
}

/// The underlay address of hub `n` of several.
pub fn hub_nbma(n: usize) -> Nbma {
    nbma(&format!("10.0.0.{}", 1 + n))
}

/// The MAC of station `n`.
pub fn station(n: usize) -> Mac {
    let [.., a, b, c] = (n as u64).to_be_bytes();
    Mac::new([0x52, 0x54, 0, a, b, c]).unwrap()
}

/// The bridge MAC of node `n`.
pub fn bridge(n: usize) -> Mac {
    let [.., a, b] = (n as u64).to_be_bytes();
    Mac::new([0x2e, 0, 0, 1, a, b]).unwrap()
}

pub fn vn_settings(key: VnKey, role: Part) -> VnSettings {
    let (client, server) = role.halves();
    VnSettings {
        vpn_id: VpnId::new(VpnId::DEFAULT_OUI, key.0.into()),
        mtu: 1450,
        keys: KeysSettings::default(),
        client,
        server,
    }
}

pub fn settings(holding: u64, vns: impl IntoIterator<Item = (VnKey, VnSettings)>, mode: VpnMode) -> Settings {
    Settings {
        advertised: Advertised::default(),
        holding_time: Duration::from_secs(holding),
        hubs: [(HUB, HubSettings { vpn_mode: mode, session: true })].into_iter().collect(),
        vns: vns.into_iter().collect(),
    }
}

pub fn hub_role() -> ServerSettings {
    ServerSettings {
        default: false,
        protocol_addresses: Vec::new(),
        password: None,
        allow: Vec::new(),
        uplink_first: vni(0x80_0000),
        shared_uplink: false,
        untagged_l2: false,
        max_spokes: 1000,
        max_vnis: 4,
        max_macs: 10_000,
        peers: Vec::new(),
    }
}

pub fn spoke_role(n: u32) -> ClientSettings {
    ClientSettings {
        vni: vni(n),
        hubs: Hubs::one(HUB),
        preempt: true,
        unique: true,
        verify: true,
        trigger: Trigger::Learn,
        max_macs: 1000,
        negative_time: Duration::from_secs(30),
    }
}

pub fn hub_settings(holding: u64) -> Settings {
    settings(holding, [(VN, vn_settings(VN, Part::Hub(hub_role())))], VpnMode::Llc)
}

pub fn spoke_settings(holding: u64, n: u32) -> Settings {
    settings(holding, [(VN, vn_settings(VN, Part::Spoke(spoke_role(n))))], VpnMode::Llc)
}

/// Of hub `n` of so many: all others are its peers.
pub fn settings_of_hub(holding: u64, n: usize, hubs: usize) -> Settings {
    let others = (0..hubs).filter(|other| *other != n).map(|other| HubKey(other as u16));
    let role = ServerSettings { peers: others.clone().collect(), ..hub_role() };
    let all = settings(holding, [(VN, vn_settings(VN, Part::Hub(role)))], VpnMode::Llc);
    Settings { hubs: others.map(|hub| (hub, HubSettings::default())).collect(), ..all }
}

/// Of a spoke of several hubs, with the VNI 100 + `n`, that prefers them in this order.
pub fn settings_of_chooser(holding: u64, n: usize, order: &[usize], preempt: bool) -> Settings {
    let hubs = || order.iter().map(|hub| HubKey(*hub as u16));
    let role = ClientSettings { hubs: Hubs::new(hubs()).unwrap(), preempt, ..spoke_role(100 + n as u32) };
    let all = settings(holding, [(VN, vn_settings(VN, Part::Spoke(role)))], VpnMode::Llc);
    Settings { hubs: hubs().map(|hub| (hub, HubSettings::default())).collect(), ..all }
}

/// Adds hubs, nodes 0 and up, each with all others as its peers.
pub fn add_hubs(sim: &mut Sim, holding: u64, hubs: usize) {
    for n in 0..hubs {
        sim.add(&[hub_nbma(n)], settings_of_hub(holding, n, hubs), None);
    }
    for n in 0..hubs {
        for other in (0..hubs).filter(|other| *other != n) {
            let path = Path { local: hub_nbma(n), remote: hub_nbma(other) };
            sim.set_peer(n, HubKey(other as u16), Some(path));
        }
    }
}
