//! One engine, driven by hand: inputs in, packets out.

#![allow(dead_code, reason = "each test crate uses a part of this")]

#[path = "../part/mod.rs"]
mod part;

use dmevpn::engine::settings::{
    Advertised, ClientSettings, HubKey, HubSettings, Hubs, KeysSettings, ServerSettings, Settings, Trigger,
    VnKey, VnSettings, VpnMode,
};
use dmevpn::engine::{
    Effect, Effects, Engine, Event, Input, Item, News, Outcome, Path, Place, Port, Secret, Start, Via,
};
use dmevpn::time::Instant;
use dmevpn::types::{Mac, Nbma, Vni, VpnId, Vtep};
use dmevpn::wire::nhrp::{
    Challenge, Cie, Extension, Header, Kind, Message, ProtocolAddress, Tags, Writer, code, kind,
};
use dmevpn::wire::{MAX_NHRP, VpnTag};
pub use part::Part;
use std::time::Duration;

pub const VN: VnKey = VnKey(1);
pub const HUB: HubKey = HubKey(0);
pub const VPN: VpnId = VpnId::new(VpnId::DEFAULT_OUI, 1);
pub const TAG: VpnTag = VpnTag::Llc(VPN);
/// The hub's and the first spoke's bridge, as in the golden frames.
pub const HUB_MAC: &str = "02:00:00:00:00:01";
pub const SPOKE_MAC: &str = "2e:cd:9a:5c:ae:c7";

pub fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

pub fn nbma(text: &str) -> Nbma {
    text.parse().unwrap()
}

pub fn vni(n: u32) -> Vni {
    Vni::new(n).unwrap()
}

pub fn address(text: &str) -> ProtocolAddress {
    text.parse().map_or_else(|_| ProtocolAddress::Ip(text.parse().unwrap()), ProtocolAddress::Mac)
}

pub fn vtep(address: &str, n: u32) -> Vtep {
    Vtep { nbma: nbma(address), vni: vni(n) }
}

/// From the peer `remote` to 10.0.0.1.
pub fn from(remote: Nbma) -> Path {
    let local = if remote.ip().is_ipv4() { "10.0.0.1" } else { "2001:db8::1" };
    Path { local: nbma(local), remote }
}

/// A packet.
pub fn write(header: &Header, parts: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = vec![0xa5; MAX_NHRP];
    let mut writer = Writer::new(&mut buf, header);
    parts(&mut writer);
    let len = writer.finish().expect("it fits");
    buf.truncate(len);
    buf
}

/// The same packet, in a session.
pub fn tagged(octets: &[u8], tags: Tags) -> Vec<u8> {
    let message = Message::parse(octets).unwrap();
    write(&message.header, |w| {
        message.cies().for_each(|cie| {
            w.cie(&cie);
        });
        message.extensions().for_each(|extension| {
            w.extension(extension);
        });
        w.tags(tags);
    })
}

/// Who sends, at a client.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub nbma: Nbma,
    pub vni: Option<Vni>,
    pub source: ProtocolAddress,
}

/// Spoke `n`: 10.0.0.n, VNI 100 + n, its own MAC; the first one is number 2, as in the golden frames.
pub fn client(n: u8) -> Client {
    let source = ProtocolAddress::Mac(Mac::new([0x2e, 0xcd, 0, 0, 0, n]).unwrap());
    Client { nbma: nbma(&format!("10.0.0.{n}")), vni: Some(vni(100 + u32::from(n))), source }
}

impl Client {
    pub fn path(&self) -> Path {
        from(self.nbma)
    }

    pub fn vtep(&self) -> Vtep {
        Vtep { nbma: self.nbma, vni: self.vni.unwrap() }
    }

    pub fn header(&self, kind: Kind, flags: u16, id: u32, to: ProtocolAddress) -> Header {
        Header {
            kind,
            protocol: self.source.protocol(),
            hop_count: 16,
            flags,
            request_id: id,
            nbma: self.nbma,
            vni: self.vni,
            source: Some(self.source),
            destination: Some(to),
        }
    }

    /// A Registration Request as our spokes send it.
    pub fn registration(&self, id: u32) -> Vec<u8> {
        let header = self.header(Kind::RegistrationRequest, 0x8000, id, self.source);
        write(&header, |w| {
            w.cie(&Cie { prefix: 0xff, mtu: 1450, holding: 600, ..Cie::default() });
            routes(w);
        })
    }

    /// A Resolution Request as our spokes send it.
    pub fn question(&self, id: u32, wanted: ProtocolAddress) -> Vec<u8> {
        self.question_with(id, wanted, 0xc000)
    }

    pub fn question_with(&self, id: u32, wanted: ProtocolAddress, flags: u16) -> Vec<u8> {
        write(&self.header(Kind::ResolutionRequest, flags, id, wanted), |w| {
            routes(w);
            w.extension(Extension::capabilities(&[0, 0, 0, 1, 0, 0, 0, 0]));
        })
    }

    /// A Purge Request that withdraws `what`.
    pub fn purge(&self, id: u32, flags: u16, what: &[ProtocolAddress]) -> Vec<u8> {
        write(&self.header(Kind::PurgeRequest, flags, id, self.source), |w| {
            for address in what {
                w.cie(&Cie { prefix: 0xff, address: Some(*address), ..Cie::default() });
            }
        })
    }
}

/// What a request asks to be filled in.
pub fn routes(w: &mut Writer<'_>) {
    w.extension(Extension::empty(kind::RESPONDER))
        .extension(Extension::empty(kind::FORWARD_TRANSIT))
        .extension(Extension::empty(kind::REVERSE_TRANSIT));
}

/// An engine and its time.
pub struct Driven {
    pub engine: Engine,
    pub out: Effects,
    pub now: Instant,
}

/// A packet that was sent.
pub struct Sent {
    pub path: Path,
    pub tag: VpnTag,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("what is sent is well-formed")
    }

    pub fn header(&self) -> Header {
        self.message().header
    }

    pub fn cies(&self) -> Vec<Cie> {
        self.message().cies().collect()
    }

    pub fn codes(&self) -> Vec<u8> {
        self.cies().iter().map(|c| c.code).collect()
    }
}

pub fn hub_role() -> ServerSettings {
    ServerSettings {
        default: true,
        protocol_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8:1::1".parse().unwrap()],
        password: None,
        allow: Vec::new(),
        uplink_first: vni(0x80_0000),
        shared_uplink: false,
        untagged_l2: true,
        max_spokes: 60_000,
        max_vnis: 60_000,
        max_macs: 100_000,
        peers: Vec::new(),
    }
}

pub fn spoke_role() -> ClientSettings {
    ClientSettings {
        vni: vni(100),
        hubs: Hubs::one(HUB),
        preempt: true,
        unique: true,
        verify: false,
        trigger: Trigger::Learn,
        max_macs: 1000,
        negative_time: Duration::from_secs(30),
    }
}

pub fn settings(role: Part, mode: VpnMode) -> Settings {
    let (client, server) = role.halves();
    Settings {
        advertised: Advertised::default(),
        holding_time: Duration::from_secs(600),
        hubs: [(HUB, HubSettings { vpn_mode: mode, session: false })].into_iter().collect(),
        vns: [(VN, VnSettings { vpn_id: VPN, mtu: 1450, keys: KeysSettings::default(), client, server })]
            .into_iter()
            .collect(),
    }
}

impl Driven {
    pub fn new(settings: Settings, request_id: u32) -> Driven {
        let engine = Engine::new(
            settings.holding_time,
            &Start { request_id, secret: Secret::new(&[1; 32]), identity: Secret::new(&[1; 16]) },
        );
        let mut driven = Driven { engine, out: Effects::default(), now: Instant::from_millis(5_000_000) };
        driven.engine.apply(driven.now, settings, &mut driven.out);
        driven
    }

    /// A hub at 10.0.0.1.
    pub fn hub() -> Driven {
        Driven::hub_with(hub_role())
    }

    pub fn hub_with(role: ServerSettings) -> Driven {
        // So that the second request has the ID of frame F.
        let mut hub = Driven::new(settings(Part::Hub(role), VpnMode::Llc), 6);
        hub.input(Input::News { vn: VN, news: News::Device(Some(mac(HUB_MAC))) });
        hub.input(Input::News { vn: VN, news: News::Listed });
        // It has been up for so long that nobody holds an answer of an earlier run.
        hub.now = hub.now + core::time::Duration::from_secs(700);
        hub
    }

    /// A spoke at 10.0.0.2 whose first Registration Request was just sent.
    pub fn spoke(mode: VpnMode, request_id: u32) -> Driven {
        Driven::starting(settings(Part::Spoke(spoke_role()), mode), request_id)
    }

    /// The same with other settings.
    pub fn starting(settings: Settings, request_id: u32) -> Driven {
        let mut spoke = Driven::new(settings, request_id);
        let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
        spoke.input(Input::Hub { hub: HUB, path: Some(path) });
        spoke.input(Input::News { vn: VN, news: News::Device(Some(mac(SPOKE_MAC))) });
        spoke
    }

    /// A registered spoke.
    pub fn registered() -> Driven {
        Driven::registered_with(spoke_role())
    }

    pub fn registered_with(role: ClientSettings) -> Driven {
        let mut spoke = Driven::starting(settings(Part::Spoke(role), VpnMode::Llc), 1);
        let request = spoke.one();
        let reply = accepted(&request.bytes, vni(9000));
        spoke.hear_from_hub(&reply);
        spoke
    }

    pub fn apply(&mut self, settings: Settings) {
        self.out.clear();
        self.engine.apply(self.now, settings, &mut self.out);
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.out.clear();
        self.engine.handle(self.now, input, &mut self.out);
    }

    /// Lets time pass, ticking when the engine wants it; the packets sent meanwhile.
    pub fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    /// A packet arrives. A port it asks for is made.
    pub fn hear(&mut self, path: Path, tag: VpnTag, nhrp: &[u8]) -> Vec<Sent> {
        self.input(Input::Packet { via: Via { path, tag }, nhrp });
        let mut sent = self.sent();
        if let Some(spoke) = self.port_asked_for() {
            self.input(Input::News { vn: VN, news: News::Became { spoke, outcome: Outcome::Made } });
            sent.extend(self.sent());
        }
        sent
    }

    pub fn hear_from_hub(&mut self, nhrp: &[u8]) -> Vec<Sent> {
        let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
        self.hear(path, TAG, nhrp)
    }

    /// A client's packet gets exactly one answer.
    pub fn ask(&mut self, client: &Client, nhrp: &[u8]) -> Sent {
        let mut sent = self.hear(client.path(), TAG, nhrp);
        assert_eq!(sent.len(), 1, "one answer to the one who asks");
        let sent = sent.remove(0);
        assert_eq!((sent.path, sent.tag), (client.path(), TAG));
        sent
    }

    pub fn register(&mut self, client: &Client) -> Sent {
        self.ask(client, &client.registration(1))
    }

    /// A client that has the tag `own` begins a session, as its first request: the tags of what it sends from then on.
    pub fn begin(&mut self, client: &Client, own: u64, id: u32) -> Tags {
        let mut tags = Tags { sender: own, receiver: 0 };
        let nak = self.ask(client, &tagged(&client.registration(id), tags));
        assert_eq!((nak.codes(), nak.message().tags()), (vec![code::PROHIBITED], Some(tags)));
        let challenge = nak.message().challenge().expect("a cookie");
        assert_eq!(challenge.tag, own);
        tags.receiver = challenge.cookie;
        let ack = self.ask(client, &tagged(&client.registration(id + 1), tags));
        assert_eq!((ack.codes(), ack.message().tags()), (vec![code::OK], Some(tags)));
        tags
    }

    /// The hub's bridge hears `station` behind a client.
    pub fn learn(&mut self, client: &Client, station: ProtocolAddress) {
        let ProtocolAddress::Mac(mac) = station else { panic!("a bridge learns MACs") };
        self.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::At(client.vtep()) } });
    }

    pub fn heard(&mut self, mac: Mac) {
        self.input(Input::News { vn: VN, news: News::Fdb { mac, place: Place::Tunnel } });
    }

    pub fn sent(&self) -> Vec<Sent> {
        let one = |effect: &Effect| match effect {
            Effect::Send { via, bytes } => {
                Some(Sent { path: via.path, tag: via.tag, bytes: self.out.bytes(bytes.clone()).to_vec() })
            }
            _ => None,
        };
        self.out.iter().filter_map(one).collect()
    }

    /// The one packet sent.
    pub fn one(&self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    pub fn port_asked_for(&self) -> Option<Vtep> {
        self.changed().find_map(|item| match item {
            Item::Port(spoke) => Some(spoke).filter(|s| self.port(*s).is_some()),
            _ => None,
        })
    }

    /// The items that changed.
    pub fn changed(&self) -> impl Iterator<Item = Item> + '_ {
        self.out.iter().filter_map(|e| if let Effect::Changed { item, .. } = e { Some(*item) } else { None })
    }

    /// The port a spoke is to have.
    pub fn port(&self, spoke: Vtep) -> Option<Port> {
        self.engine.plane(VN)?.port(spoke)
    }

    /// All ports there are to be.
    pub fn ports(&self) -> Vec<(Vtep, Port)> {
        self.engine.plane(VN).map(|plane| plane.ports().collect()).unwrap_or_default()
    }

    pub fn uplink(&self) -> Option<Vtep> {
        self.engine.plane(VN)?.uplink()
    }

    pub fn told(&self, event: &Event) -> bool {
        self.out.iter().any(|e| matches!(e, Effect::Tell { event: told, .. } if told == event))
    }

    pub fn shortcut(&self, mac: Mac) -> Option<Vtep> {
        self.engine.plane(VN)?.shortcut(mac)
    }
}

/// The hub's reply to a Registration Request of a spoke, with this uplink VNI.
pub fn accepted(request: &[u8], uplink: Vni) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    write(&request.header.reply(Kind::RegistrationReply), |w| {
        request.cies().for_each(|cie| {
            w.cie(&cie);
        });
        w.extension_cie(kind::RESPONDER, true, &responder(uplink));
        if let Some(tags) = request.tags() {
            w.tags(tags);
        }
    })
}

/// The hub's reply to a request that it knows no session of.
pub fn challenged(request: &[u8], cookie: u64) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    let kind = match request.header.kind {
        Kind::RegistrationRequest => Kind::RegistrationReply,
        _ => Kind::ResolutionReply,
    };
    write(&request.header.reply(kind), |w| {
        if request.cies().next().is_none() {
            w.cie(&Cie::nak(code::PROHIBITED));
        }
        request.cies().for_each(|cie| {
            w.cie(&Cie { code: code::PROHIBITED, holding: 0, ..cie });
        });
        let tags = request.tags().expect("it is to be in a session");
        w.tags(tags).challenge(Challenge { cookie, tag: tags.sender });
    })
}

/// The hub's reply to a Resolution Request with these CIEs.
pub fn answer(request: &[u8], cies: &[Cie]) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    write(&request.header.reply(Kind::ResolutionReply), |w| {
        cies.iter().for_each(|cie| {
            w.cie(cie);
        });
        if let Some(tags) = request.tags() {
            w.tags(tags);
        }
    })
}

/// A CIE that says: there, for so many seconds.
pub fn at(to: Vtep, holding: u16) -> Cie {
    Cie { prefix: 0xff, mtu: 1450, holding, nbma: Some(to.nbma), vni: Some(to.vni), ..Cie::default() }
}

fn responder(uplink: Vni) -> Cie {
    Cie {
        mtu: 1450,
        holding: 600,
        nbma: Some(nbma("10.0.0.1")),
        vni: Some(uplink),
        address: Some(address(HUB_MAC)),
        ..Cie::default()
    }
}
