//! From the configuration to the engine's settings: names become keys that outlive a reload.

use crate::config::{BRIDGE_SPOKES, Config, Hub, KMOD_SPOKES, Key, Owner, Role, Vn};
use crate::engine::settings::{
    Advertised, ClientSettings, HubSettings, Hubs, KeySettings, KeysSettings, OwnerSettings, ServerSettings,
    Settings, VnSettings,
};
use crate::engine::{HubKey, VnKey};
use crate::map::map_of;
use litemap::LiteMap;

/// The names in the configuration, each with its key. A name keeps its key as long as the daemon runs.
#[derive(Debug, Default)]
pub struct Names {
    vns: LiteMap<String, VnKey>,
    hubs: LiteMap<String, HubKey>,
}

impl Names {
    /// Gives a key to every name in `config` that has none yet.
    pub fn learn(&mut self, config: &Config) {
        for vn in &config.vns {
            let key = VnKey(u16::try_from(self.vns.len()).unwrap_or(u16::MAX));
            self.vns.entry(vn.name.clone()).or_insert(key);
        }
        for hub in &config.hubs {
            let key = HubKey(u16::try_from(self.hubs.len()).unwrap_or(u16::MAX));
            self.hubs.entry(hub.name.clone()).or_insert(key);
        }
    }

    /// The key of a VN.
    pub fn vn(&self, name: &str) -> Option<VnKey> {
        self.vns.get(name).copied()
    }

    /// The key of a hub.
    pub fn hub(&self, name: &str) -> Option<HubKey> {
        self.hubs.get(name).copied()
    }

    /// The name of a VN.
    pub fn vn_name(&self, key: VnKey) -> &str {
        self.vns.iter().find(|(_, k)| **k == key).map_or("?", |(name, _)| name)
    }
}

/// By what packets of a VN are signed.
fn keys(config: &Config, vn: &Vn) -> KeysSettings {
    let find = |name: &String, spoke: Option<&Owner>| {
        let key = config.keys.iter().find(|key| key.name == *name)?;
        let spoke = spoke.map(|spoke| OwnerSettings { name: spoke.name.clone(), allow: spoke.allow.clone() });
        let Key { name, spi, algorithm, secret, .. } = key.clone();
        Some(KeySettings { name, spi, algorithm, secret, spoke })
    };
    match &vn.role {
        Role::Spoke(spoke) => {
            let hubs = spoke.hubs.iter().filter_map(|name| config.hubs.iter().find(|hub| hub.name == *name));
            let mut names: Vec<&String> = Vec::new();
            for key in hubs.flat_map(|hub| &hub.keys) {
                if !names.contains(&key) {
                    names.push(key);
                }
            }
            let keys = names.into_iter().filter_map(|key| find(key, None));
            KeysSettings { keys: keys.collect(), is_optional: false }
        }
        Role::Hub(hub) => {
            let is_here = |spoke: &&Owner| spoke.vns.is_empty() || spoke.vns.contains(&vn.name);
            let own = config.spokes.iter().filter(is_here);
            // A hub registers with another one by the keys of that.
            let is_peer = |other: &&Hub| hub.peers.contains(&other.name);
            let of_peers = config.hubs.iter().filter(is_peer).flat_map(|other| &other.keys);
            let mut shared: Vec<&String> = Vec::new();
            of_peers.chain(&hub.keys).for_each(|key| {
                if !shared.contains(&key) {
                    shared.push(key);
                }
            });
            let is_own = |key: &&String| !shared.contains(key);
            let own = own.flat_map(|spoke| {
                spoke.keys.iter().filter(is_own).filter_map(move |key| find(key, Some(spoke)))
            });
            let keys = shared.iter().filter_map(|key| find(key, None)).chain(own);
            KeysSettings { keys: keys.collect(), is_optional: !hub.require }
        }
    }
}

/// What the engine has to know of `config`; `is_shared` tells the VNs whose spokes share one device.
pub fn settings(config: &Config, names: &Names, is_shared: impl Fn(VnKey) -> bool) -> Settings {
    let hubs = config.hubs.iter().filter_map(|hub| {
        let settings = HubSettings { vpn_mode: hub.vpn_mode, session: hub.session };
        Some((names.hub(&hub.name)?, settings))
    });
    let vns = config.vns.iter().filter_map(|vn| {
        let key = names.vn(&vn.name)?;
        let mut new =
            VnSettings { vpn_id: vn.vpn_id, mtu: vn.mtu, keys: keys(config, vn), client: None, server: None };
        match &vn.role {
            Role::Spoke(spoke) => {
                new.client = Some(ClientSettings {
                    vni: spoke.vni,
                    hubs: Hubs::new(spoke.hubs.iter().filter_map(|hub| names.hub(hub)))?,
                    preempt: spoke.preempt,
                    // Any other address than one that was written down may change.
                    unique: !config.main.nbma.is_empty(),
                    verify: spoke.verify,
                    trigger: spoke.trigger,
                    max_macs: vn.max_macs,
                    negative_time: spoke.negative_time,
                });
            }
            Role::Hub(hub) => {
                let most = if is_shared(key) { KMOD_SPOKES } else { BRIDGE_SPOKES };
                new.server = Some(ServerSettings {
                    shared_uplink: is_shared(key),
                    default: hub.default,
                    protocol_addresses: hub.protocol_addresses.clone(),
                    password: hub.cisco_authentication.clone(),
                    allow: hub.allow.clone(),
                    uplink_first: hub.uplink_first,
                    max_spokes: hub.max_spokes.unwrap_or(most),
                    untagged_l2: hub.untagged_l2,
                    max_vnis: hub.max_vnis_per_address,
                    max_macs: vn.max_macs,
                    peers: hub.peers.iter().filter_map(|peer| names.hub(peer)).collect(),
                });
            }
        }
        Some((key, new))
    });
    let advertised = |ipv4| config.main.advertise.iter().copied().find(|nbma| nbma.ip().is_ipv4() == ipv4);
    let advertised = Advertised { ipv4: advertised(true), ipv6: advertised(false) };
    Settings { advertised, holding_time: config.main.holding_time, hubs: map_of(hubs), vns: map_of(vns) }
}
