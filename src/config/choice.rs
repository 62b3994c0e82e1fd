//! The words that an option may be one of, and what each means.

use super::Dataplane;
use crate::engine::settings::{Algorithm, Trigger, VpnMode};
use log::LevelFilter;

/// What is logged.
pub const LOG_LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// How packets name their VN.
pub const VPN_MODES: [(&str, VpnMode); 3] = [
    (VpnMode::Llc.name(), VpnMode::Llc),
    (VpnMode::Key.name(), VpnMode::Key),
    (VpnMode::None.name(), VpnMode::None),
];

/// What makes a spoke ask.
pub const TRIGGERS: [(&str, Trigger); 2] =
    [(Trigger::Learn.name(), Trigger::Learn), (Trigger::L2miss.name(), Trigger::L2miss)];

/// What forwards a hub's frames.
pub const DATAPLANES: [(&str, Dataplane); 3] =
    [("bridge", Dataplane::Bridge), ("kmod", Dataplane::Kmod), ("auto", Dataplane::Auto)];

/// How a key signs.
pub const ALGORITHMS: [(&str, Algorithm); 2] =
    [("hmac-sha256-128", Algorithm::HmacSha256), ("hmac-md5-128", Algorithm::HmacMd5)];

/// How NHRP packets travel.
pub const TRANSPORTS: [(&str, TransportKind); 2] =
    [("raw", TransportKind::Raw), ("device", TransportKind::Device)];

/// A router's part in a VN.
pub const ROLES: [(&str, RoleKind); 2] =
    [(RoleKind::Spoke.name(), RoleKind::Spoke), (RoleKind::Hub.name(), RoleKind::Hub)];

/// A transport, as yet without its device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    Raw,
    Device,
}

/// A role, as yet without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleKind {
    /// It registers with a hub.
    Spoke,
    /// Spokes register with it.
    Hub,
}

impl RoleKind {
    /// Its word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            RoleKind::Spoke => "spoke",
            RoleKind::Hub => "hub",
        }
    }
}
