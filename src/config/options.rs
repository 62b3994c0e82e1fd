//! All that is said about each option, once: what it may be, what holds when it is not set, and the words for users.
//!
//! The parser takes values, ranges and defaults from here. `uci/schema.md`, the man page dmevpn.conf(5) and the texts of
//! the LuCI pages are written from it by `cargo run --example words`. The doc comment of an option is its help: the first
//! paragraph goes everywhere, what follows only to where there is room. The daemon does not hold these words: nothing in
//! it uses [`WORDS`].

use super::DEFAULT_SOCKET;
use super::choice::{self, RoleKind};
use crate::types::Vni;
use core::fmt;

/// The facts about an option.
#[derive(Debug)]
pub struct Opt {
    /// The type of section it stands in.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The only role of the VNs that may have it; `None`: any.
    pub role: Option<RoleKind>,
    /// What it may be.
    pub kind: Kind,
    /// What holds when it is not set.
    pub unset: Unset,
    /// Whether it may be given several times, as `list`.
    pub list: bool,
    /// Whether most users never need it.
    pub expert: bool,
}

/// What an option may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A UCI boolean.
    Boolean,
    /// A number within a range, both ends included.
    Number {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
        /// What is counted, `seconds` or `bytes`, or nothing.
        unit: &'static str,
    },
    /// One of some words.
    Word(&'static [&'static str]),
    /// The name of a network interface.
    Interface,
    /// A unicast IPv4 or IPv6 address.
    Address,
    /// A unicast address or a host name.
    Host,
    /// A prefix of IPv4 or IPv6 addresses, or one address.
    Prefix,
    /// An absolute path.
    Path {
        /// The longest, in bytes.
        most: usize,
    },
    /// A word that is sent as it is.
    Password {
        /// The longest, in bytes.
        most: usize,
    },
    /// What nobody else is to know: never shown.
    Secret {
        /// The least, in bytes.
        least: usize,
    },
    /// A VPN-ID.
    VpnId,
    /// The name of a section of this type.
    Section(&'static str),
}

/// What holds when an option is not set.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// There is no value then.
    Nothing,
    /// That is wrong; the text says what to set it to.
    Refused(&'static str),
    /// This value.
    Is(&'static str),
    /// This and the name of the VN.
    Named(&'static str),
    /// What other options say; [`Words::default`] tells it.
    Derived,
    /// What the role of the VN makes of it.
    ByRole {
        /// For a spoke.
        spoke: &'static Unset,
        /// For a hub.
        hub: &'static Unset,
    },
}

impl Unset {
    /// What holds in a VN of the role `role`.
    pub fn of(&self, role: Option<RoleKind>) -> &Unset {
        match (self, role) {
            (Unset::ByRole { spoke, .. }, Some(RoleKind::Spoke)) => spoke,
            (Unset::ByRole { hub, .. }, Some(RoleKind::Hub)) => hub,
            _ => self,
        }
    }
}

/// The words for a type of section.
#[derive(Debug)]
pub struct Section {
    /// The type.
    pub kind: &'static str,
    /// A name such a section may have.
    pub example: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// The first number of a key; those below are not for keys that are configured by hand (RFC 2332 section 5.3.4).
pub const FIRST_SPI: u16 = 256;

/// The types of sections, in the order of the documents.
pub const SECTIONS: [Section; 5] = [
    Section {
        kind: "dmevpn",
        example: "main",
        help: "The router itself. One section, which may be left out when the defaults fit.",
    },
    Section {
        kind: "hub",
        example: "dc1",
        help: "A hub that this router registers with as a spoke. The name, 1 to 32 letters, digits and `_`, is yours to \
               choose; sections of all types share their names, so a hub cannot have that of a VN.",
    },
    Section {
        kind: "vn",
        example: "test",
        help: "A virtual network: one layer-2 network across all sites. The name, 1 to 32 letters, digits and `_`, is \
               yours to choose.",
    },
    Section {
        kind: "key",
        example: "dc1_2026",
        help: "A key by which NHRP is signed, so that who has none says nothing, not even on the path. `dmevpn key new` prints \
               one. The name, 1 to 32 letters, digits and `_`, is yours to choose; it is shown, and never sent.",
    },
    Section {
        kind: "spoke",
        example: "branch7",
        help: "At a hub: a spoke with keys of its own, which nobody else has. It is shown by this name, 1 to 32 letters, \
               digits and `_`. It may register in all VNs of role `hub`, or in those listed.",
    },
];

/// The words for an option.
#[derive(Debug)]
pub struct Words {
    /// What it is about.
    pub option: &'static Opt,
    /// A label of a few words.
    pub title: &'static str,
    /// Paragraphs, divided by empty lines; each line begins with a space.
    pub help: &'static str,
    /// What holds when it is not set, where [`Opt::unset`] does not tell it.
    pub default: &'static str,
    /// What else it has to keep to, besides its kind.
    pub limits: &'static str,
}

/// Options with their words: `NAME: "title" = facts; default "..."; limits "...";`, the last two where needed.
macro_rules! options {
    ($(
        $(#[doc = $help:literal])+
        $id:ident: $title:literal = $facts:expr; $(default $default:literal;)? $(limits $limits:literal;)?
    )+) => {
        $( $(#[doc = $help])+ pub static $id: Opt = $facts; )+

        /// Every option there is, in the order of the documents.
        pub static OPTIONS: &[&Opt] = &[$(&$id),+];

        /// The words for every option, in the same order.
        pub const WORDS: &[Words] = &[$(Words {
            option: &$id,
            title: $title,
            help: concat!($($help, "\n"),+),
            default: concat!($($default)?),
            limits: concat!($($limits)?),
        }),+];
    };
}

options! {
    /// Whether the daemon does anything.
    ENABLED: "Enabled" = main("enabled", Kind::Boolean, Unset::Is("1"));

    /// This router's own addresses in the underlay: those that other routers send to. Not together with `interface`.
    NBMA: "Underlay addresses" = main("nbma", Kind::Address, Unset::Nothing).list();
    limits "one IPv4, one IPv6";

    /// Takes the underlay addresses from this interface: a device such as `eth1` or, by OpenWrt's service, an interface of
    /// /etc/config/network such as `wan`. Not together with `nbma`. With neither, the address is the one the route to the
    /// hub uses, which must not lead into a VN's own bridge; a router with a VN of role `hub` needs one of both.
    ///
    /// NHRP leaves and comes by that interface only, and frames leave by it, even if another one has the better default
    /// route: it needs a route of its own to the others. Only for frames of a hub over IPv6 or with `dataplane 'kmod'` the
    /// routes decide, and `status` says what to do where they prefer another interface.
    ///
    /// A hub is at all of its addresses, those included that it gets later, such as one that moves between two routers
    /// (VRRP); for an address of the loopback interface use `nbma`. A spoke sends from the one that the kernel chooses for
    /// the way to the hub, and from no temporary one (IPv6 privacy) as long as another one is there.
    ///
    /// An address taken from an interface or a route may change, so the router registers without claiming that it is
    /// unique (RFC 2332 section 5.2.3): a hub that goes by that alone would refuse the new address until the old
    /// registration ends.
    INTERFACE: "Underlay interface" = main("interface", Kind::Interface, Unset::Nothing);

    /// The addresses by which others know this router, where a router before it translates its own one to one (1:1 NAT). It
    /// names them in all it says. Without, a spoke behind NAT is refused.
    ///
    /// Several routers behind one address cannot share it: GRE, in which NHRP travels, has no ports.
    ADVERTISE: "Addresses beyond NAT" = main("advertise", Kind::Address, Unset::Nothing).list().expert();
    limits "one IPv4, one IPv6";

    /// How NHRP packets travel: `raw` needs no tunnel interface; `device` uses an existing GRE interface. The bytes sent
    /// are the same: routers of both kinds understand each other.
    TRANSPORT: "Transport" =
        main("transport", Kind::Word(const { &names(&choice::TRANSPORTS) }), Unset::Is("raw")).expert();

    /// The GRE interface, such as `tunnel1`. Required with transport `device`, refused with `raw`.
    DEVICE: "GRE interface" = main("device", Kind::Interface, Unset::Nothing).expert();

    /// The UDP port of VXLAN, the same on all routers.
    UDP_PORT: "UDP port" = main("udp_port", number(1, 65535), Unset::Is("4789")).expert();

    /// Whether VXLAN frames are taken from who may send them alone: at a hub from its registered spokes, each by its own VNI;
    /// at a spoke from its hub and the sites that it knows from there. By a table of nftables, `inet dmevpn`, which is there as
    /// long as the daemon runs.
    ///
    /// Without it anybody who can send to this router can put frames into its VNs. Where the kernel has no nftables (on OpenWrt
    /// kmod-nft-core) or not the right to it, the router runs without and says so. In a VN with `verify` `0`, or whose hub has
    /// `session` `0`, it has no effect at a spoke.
    GUARD: "Guard" = main("guard", Kind::Boolean, Unset::Is("1")).expert();

    /// How long others may believe what this router told them. When it dies without a word, it is forgotten after this
    /// time. A hub grants at most its own: other makers' clients must refresh more often than that.
    HOLDING_TIME: "Holding time" = main("holding_time", seconds(3, 65535), Unset::Is("600")).expert();

    /// The least important messages that are logged.
    LOG_LEVEL: "Log level" =
        main("log_level", Kind::Word(const { &names(&choice::LOG_LEVELS) }), Unset::Is("info"));

    /// The file that keeps what must survive a restart: who this router is, random bits that nobody else is to know, and the
    /// number to go on with.
    /// It is written at each start and every 1024 requests; at a hub also when the clients that register IP addresses change, or
    /// the other hubs that it was linked to, once a minute at most, and once an hour while they do so all the time.
    STATE_FILE: "State file" =
        main("state_file", Kind::Path { most: 4095 }, Unset::Is("/etc/dmevpn/state")).expert();

    /// Where the daemon listens for its commands; missing directories are made. Not the `state_file`.
    SOCKET: "Control socket" = main("socket", Kind::Path { most: SOCKET_PATH }, Unset::Is(DEFAULT_SOCKET)).expert();

    /// Where the hub is.
    ADDRESS: "Address" = hub("address", Kind::Host, Unset::Refused("the hub's IP address or host name"));
    limits "not this router's own; of a family that `nbma` has, if that is set";

    /// Without effect: the order of `hub` in a VN tells which one is preferred.
    PRIORITY: "Priority" = hub("priority", number(0, 65535), Unset::Is("10")).expert();

    /// How packets to the hub say which VN they belong to: in a header of their own (`llc`), by the GRE key (`key`), or
    /// not at all (`none`: the hub's default VN).
    ///
    /// By `key` VPN-IDs are told apart by their number only, not by their OUI, and by `none` not at all: two VNs that the
    /// hub could not tell apart are refused.
    VPN_MODE: "VN in packets" =
        hub("vpn_mode", Kind::Word(const { &names(&choice::VPN_MODES) }), Unset::Is("llc")).expert();

    /// Whether the hub has to show that it is at its address, and this router that it is at its own, before they believe each
    /// other. `0` is for a hub that does not copy vendor-private extensions into its replies, as RFC 2332 wants it to:
    /// then anybody who forges its address can speak in its name.
    SESSION: "Sessions" = hub("session", Kind::Boolean, Unset::Is("1")).expert();

    /// The keys that this router signs by, and its hub: sections `key`. It begins with the first one; a key that gets no answer
    /// has three tries, then the next one has its turn. With none all is open.
    ///
    /// What is not signed by one of them is not believed. They need `session`.
    HUB_KEY: "Keys" = hub("key", Kind::Section("key"), Unset::Nothing).list();

    /// `0` leaves the VN out; its options are still checked.
    VN_ENABLED: "Enabled" = vn("enabled", Kind::Boolean, Unset::Is("1"));

    /// The VN's number, the same on all its routers and different for each VN: `1`, or with an organisation's OUI
    /// `ac-de-48:1`.
    VPN_ID: "VPN-ID" =
        vn("vpn_id", Kind::VpnId, Unset::Refused("the number of the VN, the same on all its routers"));
    limits "OUI not `00-00-5e`; for role `hub` the number is unlike that of its other VNs, whatever the OUI";

    /// `spoke` registers with a hub; `hub` is what spokes register with.
    ROLE: "Role" = vn("role", Kind::Word(const { &names(&choice::ROLES) }), Unset::Refused("spoke or hub"));

    /// The bridge of this site, such as `br-lan`; on a hub the bridge of all its ports, made when there is none.
    ///
    /// While it is the VN's it learns nothing from frames that no bridge forwards (`no_linklocal_learn`). That is set back when
    /// the VN is taken out, and at a spoke when the daemon is stopped; not after an update, or a crash, in between.
    BRIDGE: "Bridge" = vn("bridge", Kind::Interface, Unset::ByRole {
        spoke: &Unset::Refused("the bridge of this site, such as br-lan"),
        hub: &Unset::Named("br-"),
    });
    limits "unlike that of other VNs of the role, unless each has a `vlan` of its own";

    /// The VLAN that is the VN, on a bridge that filters VLANs, such as OpenWrt's `br-lan` with `bridge-vlan` sections:
    /// the tunnel is an untagged member of this VLAN and of no other.
    ///
    /// Several VNs share such a bridge, each with a VLAN of its own. Not `bridge 'br-lan.10'` but `bridge 'br-lan'` and
    /// `vlan '10'`. A hub makes no bridge for it. On a bridge that filters no VLANs the VN is down.
    VLAN: "VLAN" = vn("vlan", number(1, 4094), Unset::Nothing);

    /// The largest packet inside the VN. Told to other routers, and set on the devices made. Below 1500 all stations need it,
    /// too: a bridge drops what is too large for the tunnel without a word. With 1500 the kernel tells them what fits.
    MTU: "MTU" = vn("mtu", Kind::Number { min: 576, max: 9216, unit: "bytes" }, Unset::Is("1500"));

    /// How many MAC addresses are followed. A spoke reaches further ones by way of the hub; a hub refuses them.
    MAX_MACS: "Most MAC addresses" = vn("max_macs", number(1, 1_000_000), Unset::ByRole {
        spoke: &Unset::Is("2048"),
        hub: &Unset::Is("65536"),
    }).expert();

    /// This site's VXLAN network identifier. Sites of one VN may have different ones; VNs of one router must. On a
    /// router that is a hub too, it is below every `uplink_vni`.
    VNI: "VNI" = of_spoke("vni", VNIS, Unset::Refused("the VXLAN network identifier of this site"));

    /// The VXLAN device, made when there is none of this name. To be set when the default exceeds 15 bytes.
    VXLAN: "VXLAN device" = of_spoke("vxlan", Kind::Interface, Unset::Named("vx-")).expert();
    limits "unlike that of other VNs, and no other device";

    /// The hub of this VN, or several in order of preference. To be set when there are several hub sections.
    ///
    /// The router is registered at one of them at a time. When that one is lost it goes to the best of those that answer,
    /// within 4.5 seconds where frames pass. Hubs that name each other (`peer`) connect what is at different hubs.
    HUB: "Hubs" = of_spoke("hub", Kind::Section("hub"), Unset::Derived).list();
    default "the only hub section"; limits "at most 8; several need `session` `1`, and not `l2miss`, nor over IPv6 `transport` `device`";

    /// Whether the router returns to a hub that it prefers once that has answered for two to three minutes; at most once in ten
    /// minutes. With `0` it stays where it is as long as that works.
    PREEMPT: "Return to the preferred hub" = of_spoke("preempt", Kind::Boolean, Unset::Is("1")).expert();

    /// When the hub is asked for the direct way to a MAC address: once a frame from it came by way of the hub (`learn`),
    /// or once the VXLAN device does not know it (`l2miss`, which loses the first frame and all multicast).
    TRIGGER: "Trigger" =
        of_spoke("trigger", Kind::Word(const { &names(&choice::TRIGGERS) }), Unset::Is("learn")).expert();

    /// Frames go straight to another site only where probes get there and back; else by the hub. `0` in a VN with
    /// spokes that answer none.
    VERIFY: "Verify paths" = of_spoke("verify", Kind::Boolean, Unset::Is("1")).expert();

    /// How long a MAC address that the hub does not know is not asked for again.
    NEGATIVE_TIME: "Negative time" = of_spoke("negative_time", seconds(1, 3600), Unset::Is("60")).expert();

    /// Packets that name no VN belong to this one.
    DEFAULT: "Default VN" = of_hub("default", Kind::Boolean, Unset::Is("0")).expert();
    limits "`1` for one VN";

    /// This hub's tunnel addresses, for OpenNHRP, FRR and Cisco routers that register an IP address. They need `transport`
    /// `device`.
    ///
    /// Who does not know which one to register with is told the first of its family.
    PROTOCOL_ADDRESS: "Tunnel addresses" =
        of_hub("protocol_address", Kind::Address, Unset::Nothing).list().expert();

    /// The word that Cisco, FRR and OpenNHRP call authentication: all packets of clients that register IP addresses have to
    /// have it, and those to them do. It is in each packet for all to read.
    ///
    /// It tells apart networks, not friends from foes. Spokes of this program do not send it.
    CISCO_AUTHENTICATION: "Cisco authentication" =
        of_hub("cisco_authentication", Kind::Password { most: 8 }, Unset::Nothing).expert();

    /// The first of the VNIs that are given to spokes for what they send to the hub. All from there on belong to the hub.
    ///
    /// Which one a spoke gets depends on its VN, address and VNI, so that it stays the same, and on the random identity in the
    /// `state_file`, so that others cannot tell it.
    UPLINK_VNI: "First uplink VNI" = of_hub("uplink_vni", VNIS, Unset::Is("1048576")).expert();
    limits "with room for `max_spokes`, those of all VNs that begin there or above";

    /// The underlay addresses that may register, such as `192.0.2.0/24`, `2001:db8::/32` or a single address. With none all
    /// may. Others are refused (NAK 4).
    ///
    /// Addresses of a family of which none is listed may not. A reload that leaves a registered spoke out ends its
    /// registration. Who may register is not who can: it has to receive at its address, too.
    ALLOW: "Who may register" = of_hub("allow", Kind::Prefix, Unset::Nothing).list();

    /// Keys that several spokes may have: sections `key`. Keys of one spoke stand in a section `spoke`, and are better: who
    /// has a key of several can speak as the hub to the others. With no key here or there the VN is open to everybody.
    ///
    /// With keys all that is not signed is dropped without a word, clients that register IP addresses included. A reload that
    /// takes a key out ends what it registered.
    VN_KEY: "Keys of several spokes" = of_hub("key", Kind::Section("key"), Unset::Nothing).list();

    /// Whether spokes need a key, once there are any. `0` while keys are rolled out: those without are taken, too, which the
    /// log says each hour. Of no effect where there are none.
    REQUIRE: "Keys are required" = of_hub("require", Kind::Boolean, Unset::Is("1"));

    /// What forwards between the spokes. `bridge`: a Linux bridge with one VXLAN device for each spoke; on every kernel.
    /// `kmod`: one VXLAN device for all spokes, for more than 1000 of them; needs the driver kmod-vxlan-dmevpn. `auto`:
    /// `kmod` where that driver is live and can be used, otherwise `bridge`.
    ///
    /// kmod-vxlan-dmevpn is the kernel's VXLAN driver with this project's patch, loaded with `learn_vni=1`. It can be used
    /// where all VNs of this router are hubs without `bridge`; `auto` decides at the start and at a reload. Devices of
    /// both kinds cannot share a UDP port, so on one router all VNs are hubs of `kmod`, or none is. Before kernel 5.18 a
    /// router can be hub of `kmod` in one VN only.
    DATAPLANE: "Data plane" =
        of_hub("dataplane", Kind::Word(const { &names(&choice::DATAPLANES) }), Unset::Is("auto")).expert();

    /// The other hubs of this VN: sections `hub` with their addresses and keys. Each hub names all others: of two each names
    /// the other. Spokes of one reach those of another, first by the hubs, then directly.
    ///
    /// Of two hubs the one with the lower address registers with the other; where a section `hub` has keys, by those. What
    /// comes from one hub is not passed on to another one, so each has to be linked to all. A cable between their bridges besides
    /// is a loop. Not with `dataplane` `kmod`; `auto` is `bridge` then. Over IPv6 not with `transport`
    /// `device`. Needs Linux 4.18; 5.18 or newer, lest what a spoke sends while it changes its hub arrive
    /// twice.
    PEER: "Other hubs" = of_hub("peer", Kind::Section("hub"), Unset::Nothing).list();

    /// Whether routers may register MAC addresses without a session, such as those of other programs. Anybody who forges
    /// the address of such a router can speak in its name. Who registers an IP address needs none.
    UNTAGGED_L2: "Routers without sessions" = of_hub("untagged_l2", Kind::Boolean, Unset::Is("0")).expert();

    /// How many sites of this VN may register from one underlay address, each with a VNI of its own, such as one router in
    /// several VRFs. What is above is refused (NAK 5), so that no address takes the places of all. A reload that lowers it
    /// ends what was heard of longest ago.
    MAX_VNIS_PER_ADDRESS: "Most VNIs of an address" =
        of_hub("max_vnis_per_address", number(1, 65535), Unset::Is("4")).expert();

    /// How many spokes may register. A Linux bridge ends at 1024 ports: what does not fit is refused (NAK 5). A reload that
    /// lowers it ends what was heard of longest ago.
    MAX_SPOKES: "Most spokes" = of_hub("max_spokes", number(1, 65535), Unset::Derived).expert();
    default "`1000` with `bridge`, `10000` with `kmod`";

    /// The key's number, which is sent with each packet: the same at both ends, and another one for each key.
    SPI: "SPI" = key("spi", number(FIRST_SPI as u32, 65535), Unset::Refused("its number, the same at both ends"));

    /// How it signs, the same at both ends. `hmac-md5-128` is what RFC 2332 has, for others who know only that.
    ALGORITHM: "Algorithm" =
        key("algorithm", Kind::Word(const { &names(&choice::ALGORITHMS) }), Unset::Is("hmac-sha256-128")).expert();

    /// What only the owners of the key know, the same text at both ends. Random digits, not words: whoever records one packet
    /// can try as many as he likes. Either this or `secret_file`.
    SECRET: "Secret" = key("secret", Kind::Secret { least: 16 }, Unset::Nothing);

    /// The file with the secret, without line ends after it; the daemon's user may read it, and nobody else but root. Read at
    /// the start and at each reload.
    SECRET_FILE: "Secret in a file" = key("secret_file", Kind::Path { most: 4095 }, Unset::Nothing).expert();

    /// The spoke's own keys: sections `key`, which no other spoke has, nor a VN. Two while one takes the place of the other.
    SPOKE_KEY: "Keys" = owner("key", Kind::Section("key"), Unset::Refused("its own section key")).list();

    /// The underlay addresses it may register from, beside what the VN's `allow` says; with none all.
    SPOKE_ALLOW: "From where" = owner("allow", Kind::Prefix, Unset::Nothing).list();

    /// The VNs of role `hub` that it may register in; with none all of them.
    SPOKE_VN: "Networks" = owner("vn", Kind::Section("vn"), Unset::Nothing).list();
}

/// The longest path that fits a socket address with its final NUL.
const SOCKET_PATH: usize = 107;

const VNIS: Kind = number(1, Vni::MAX.get());

const fn main(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { section: "dmevpn", name, role: None, kind, unset, list: false, expert: false }
}

const fn hub(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { section: "hub", ..main(name, kind, unset) }
}

const fn key(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { section: "key", ..main(name, kind, unset) }
}

const fn owner(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { section: "spoke", ..main(name, kind, unset) }
}

const fn vn(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { section: "vn", ..main(name, kind, unset) }
}

const fn of_spoke(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { role: Some(RoleKind::Spoke), ..vn(name, kind, unset) }
}

const fn of_hub(name: &'static str, kind: Kind, unset: Unset) -> Opt {
    Opt { role: Some(RoleKind::Hub), ..vn(name, kind, unset) }
}

const fn number(min: u32, max: u32) -> Kind {
    Kind::Number { min, max, unit: "" }
}

const fn seconds(min: u32, max: u32) -> Kind {
    Kind::Number { min, max, unit: "seconds" }
}

/// The words of `meanings`.
const fn names<T, const N: usize>(meanings: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = meanings[i].0;
        i += 1;
    }
    names
}

impl Opt {
    const fn list(self) -> Opt {
        Opt { list: true, ..self }
    }

    const fn expert(self) -> Opt {
        Opt { expert: true, ..self }
    }

    /// The value that holds in a VN of the role `role` when it is not set; `None` where there is none, or more to it.
    pub fn default(&self, role: Option<RoleKind>) -> Option<&'static str> {
        match self.unset.of(role) {
            Unset::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// As messages call it.
impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option '{}'", self.name)
    }
}
