//! A table of nftables that lets only pairs of a source address and a VNI send VXLAN to this router, by batches of
//! netlink messages of our own. The table belongs to its socket (NFT_TABLE_F_OWNER): nobody else changes it, and it is
//! gone with the socket, however the program ends.
//!
//! For a UDP port it holds
//!
//! ```text
//! chain input { type filter hook input priority -150; udp dport PORT jump vxlan }
//! chain vxlan {
//!     ip saddr . @th,96,32 @vteps4 accept
//!     ip6 saddr . @th,96,32 @vteps6 accept
//!     jump others
//!     jump probes
//!     counter drop
//! }
//! chain others { @th,96,24 != @vnis accept }
//! chain probes {
//!     @th,128,48 0x0180c2000002 @th,224,16 0x8902 limit rate 100/second burst 100 packets meta mark set 0x646d6501 accept
//! }
//! ```
//!
//! In this order a first fragment that ends before the VNI is dropped: what cannot be read matches no rule before the
//! last. IPv6 has its fragments put together only behind the hook. Chain `others` is empty where a device takes every VNI,
//! chain `probes` where a bridge would learn from what it lets pass. What that chain lets pass is marked as a stranger's: the
//! mark is on the frame that comes out of VXLAN in the same network namespace.

use super::Error;
use super::message::{self, Attribute, Attributes, Batch, Message, Refusal};
use super::socket;
use crate::wire::probe::{DESTINATION, ETHERTYPE};
use neli::consts::nl::{NlmF, Nlmsg};
use neli::consts::rtnl::Rtm;
use neli::types::Buffer;
use socket2::Socket;
use std::fmt;
use std::io;
use std::net::IpAddr;

/// What the table is called. Another program's, or another daemon's in this network namespace, may be there: then it
/// has a number behind, up to this one.
const NAME: &str = "dmevpn";
const NAMES: u32 = 16;

const MAKE: &str = "make a table of nftables";

/// So many elements are told in one message: an attribute has 1024 octets.
const ELEMENTS: usize = 30;
/// So many changes are made in one transaction: what a socket sends at once has some 200 kB.
const CHANGES: usize = 500;

// Kernel ABI: <linux/netfilter/nfnetlink.h> and <linux/netfilter/nf_tables.h>. Numbers are big-endian.
const INET: u8 = 1;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DEL_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DEL_ELEMENTS: u16 = 14;

const OWNER: u32 = 2;
/// NF_INET_LOCAL_IN: at prerouting it would also drop what is only forwarded.
const INPUT: u32 = 1;
const PRIORITY: i32 = -150;
const ACCEPT: i32 = 1;
const DROP: i32 = 0;
const JUMP: i32 = -3;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// The first of the registers of 32 bits.
const REGISTER: u32 = 8;
const META_MARK: u32 = 3;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const UDP: u8 = 17;
/// Types of elements as `nft` shows them: addresses, of which a VNI with a zero behind looks like one. By any other type
/// `nft list ruleset` of today aborts.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
/// A VNI is in the second word of the VXLAN header, behind the UDP header. All of the word, whose last octet is 0 in what
/// the kernel's driver takes, is read faster.
const VNI: [u32; 2] = [12, 3];
const WORD: [u32; 2] = [12, 4];
/// Behind the VXLAN header.
const INNER_DESTINATION: [u32; 2] = [16, 6];
const INNER_TYPE: [u32; 2] = [28, 2];

/// So many probes of strangers pass in a second: of sites that this one does not know yet.
const STRANGE_PROBES: u32 = 100;

/// The mark of packets that come from strangers.
pub const STRANGE: u32 = 0x646d_6501;

const VTEPS: [&str; 2] = ["vteps4", "vteps6"];
const VNIS: &str = "vnis";

/// A change to who may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Frames with this VNI are taken from that address. From no other, from now on.
    Open(IpAddr, u32),
    /// Not any more. The VNI is guarded still.
    Close(IpAddr, u32),
    /// Frames with this VNI are taken from nobody but those who may.
    Claim(u32),
    /// The VNI is nobody's: frames with it are not looked at.
    Free(u32),
}

/// What a table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The UDP port.
    pub port: u16,
    /// Whether packets with other VNIs pass, as other devices' that share the port.
    pub others_pass: bool,
    /// Whether probes of paths pass, whoever sends them, as many as a limit allows.
    pub probes_pass: bool,
}

/// Why there is no such table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The kernel has no nftables.
    NoTables,
    /// It has no tables that belong to a socket.
    NoOwner,
    /// All names it may have are taken.
    NoName,
    /// The program may not make it; in words.
    NoRight(String),
    /// The kernel refused something else; in words.
    Refused(String),
}

impl Lack {
    /// Whether trying again helps as little as it did.
    pub fn lasts(&self) -> bool {
        matches!(self, Lack::NoTables | Lack::NoOwner | Lack::NoRight(_))
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::NoTables => f.write_str("the kernel has no nftables"),
            Lack::NoOwner => {
                f.write_str("tables of this kernel's nftables have no owner (those of Linux 5.12 have)")
            }
            Lack::NoName => write!(f, "tables {NAME} to {NAME}{NAMES} are somebody else's"),
            Lack::NoRight(why) | Lack::Refused(why) => f.write_str(why),
        }
    }
}

/// The table, as long as it is kept.
#[derive(Debug)]
pub struct Gate {
    socket: Socket,
    seq: u32,
    name: String,
    buffer: Vec<u8>,
}

impl Gate {
    /// Makes the table, in which this is so. All of it, or nothing, is in it from the first packet on, as far as a
    /// transaction goes; a VNI is not guarded before it is claimed, or the first of its pairs is in.
    pub fn make(scope: Scope, first: &[Admission]) -> Result<Gate, Lack> {
        let (first, rest) = first.split_at(first.len().min(CHANGES));
        let mut gate = Gate::open(scope, first)?;
        gate.change(rest).map_err(|e| Lack::Refused(e.to_string()))?;
        Ok(gate)
    }

    fn open(scope: Scope, first: &[Admission]) -> Result<Gate, Lack> {
        let socket = socket().map_err(|e| match e.raw_os_error() {
            Some(libc::EPROTONOSUPPORT) => Lack::NoTables,
            _ => Lack::Refused(Refusal::from(e).during(MAKE).to_string()),
        })?;
        let mut gate = Gate { socket, seq: 0, name: String::new(), buffer: vec![0; socket::RECEIVE] };
        for number in 1..=NAMES {
            gate.name = if number == 1 { NAME.to_owned() } else { format!("{NAME}{number}") };
            let mut batch = gate.begin();
            table(&mut batch, &gate.name, scope);
            change(&mut batch, &gate.name, first);
            match gate.commit(batch) {
                Ok(()) => return Ok(gate),
                // Somebody's: without an owner, or with another one.
                Err((TABLE, Refusal { errno: libc::EEXIST | libc::EPERM, .. })) => {}
                Err((TABLE, Refusal { errno: libc::EINVAL | libc::EOPNOTSUPP, .. })) => {
                    return Err(Lack::NoOwner);
                }
                Err((BEGIN, Refusal { errno: libc::EOPNOTSUPP, .. })) => return Err(Lack::NoTables),
                Err((_, refusal)) => {
                    let may = refusal.errno != libc::EPERM;
                    let why = refusal.during(MAKE).to_string();
                    return Err(if may { Lack::Refused(why) } else { Lack::NoRight(why) });
                }
            }
        }
        Err(Lack::NoName)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes these changes, in their order.
    pub fn change(&mut self, changes: &[Admission]) -> Result<(), Error> {
        for some in changes.chunks(CHANGES) {
            let mut batch = self.begin();
            change(&mut batch, &self.name, some);
            self.commit(batch).map_err(|(_, e)| e.during("tell nftables who may send"))?;
        }
        Ok(())
    }

    /// It is about something else from now on.
    pub fn move_to(&mut self, scope: Scope) -> Result<(), Error> {
        let mut batch = self.begin();
        for chain in ["input", "others", "probes"] {
            push(&mut batch, DEL_RULE, NlmF::empty(), &[text(1, &self.name), text(2, chain)]);
        }
        confine(&mut batch, &self.name, scope);
        self.commit(batch).map_err(|(_, e)| e.during("tell nftables what it is about"))
    }

    fn begin(&self) -> Batch {
        let mut batch = Batch::quiet(self.seq.wrapping_add(1));
        mark(&mut batch, BATCH_BEGIN);
        batch
    }

    /// All of it happens, or nothing; which message was refused. The kernel has answered when it is sent.
    fn commit(&mut self, mut batch: Batch) -> Result<(), (u32, Refusal)> {
        let last = batch.count - 1;
        batch.acknowledge_last();
        mark(&mut batch, BATCH_END);
        self.seq = batch.first_seq.wrapping_add(last).wrapping_add(1);
        self.socket.send(batch.bytes()).map_err(|e| (BEGIN, e.into()))?;
        let mut done = false;
        let mut refused = None;
        answers(&self.socket, &mut self.buffer, &mut |message| {
            let place = message.seq.wrapping_sub(batch.first_seq);
            if Nlmsg::from(message.kind) != Nlmsg::Error {
                return;
            }
            let end = message::acknowledgement(message);
            match end.errno {
                0 => done |= place == last,
                _ => drop(refused.get_or_insert((place, end))),
            }
        });
        match refused {
            Some(refused) => Err(refused),
            None if done => Ok(()),
            None => Err((BEGIN, io::Error::from_raw_os_error(libc::EIO).into())),
        }
    }
}

/// The places of a batch's first messages.
const BEGIN: u32 = 0;
const TABLE: u32 = 1;

/// How many packets the table of this name has dropped; `None` when it does not tell.
pub fn dropped(name: &str) -> Option<u64> {
    let socket = socket().ok()?;
    let mut batch = Batch::new(1);
    push(&mut batch, GET_RULE, NlmF::DUMP, &[text(1, name), text(2, "vxlan")]);
    socket.send(batch.bytes()).ok()?;
    let mut found = None;
    answers(&socket, &mut vec![0; socket::RECEIVE], &mut |message| {
        if message.kind == SUBSYSTEM << 8 | NEW_RULE {
            found = found.or(count(message.body));
        }
    });
    found
}

/// The packets that the first counter among a rule's expressions has seen.
pub(super) fn count(rule: &[u8]) -> Option<u64> {
    let (_, attributes) = message::header::<4>(rule)?;
    let expressions = message::find(attributes.0, 4)?;
    let is_counter =
        |expression: &&[u8]| message::find(expression, 1).is_some_and(|name| name.starts_with(b"counter\0"));
    let counter = Attributes(expressions).map(|(_, expression)| expression).find(is_counter)?;
    message::find(message::find(counter, 2)?, 2)?.first_chunk().copied().map(u64::from_be_bytes)
}

fn socket() -> io::Result<Socket> {
    let socket = socket::open_for(libc::NETLINK_NETFILTER)?;
    socket::ask_for_details(&socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Everything the kernel has said by now.
fn answers(socket: &Socket, buffer: &mut [u8], each: &mut dyn FnMut(&Message<'_>)) {
    while let Ok(length) = socket::receive(socket, buffer) {
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Ok(Some((message, advance))) = message::first(rest) {
            rest = rest.get(advance..).unwrap_or_default();
            each(&message);
        }
    }
}

/// The messages that make the table.
pub(super) fn table(batch: &mut Batch, name: &str, scope: Scope) {
    let new = NlmF::CREATE | NlmF::EXCL;
    push(batch, NEW_TABLE, new, &[text(1, name), number(2, OWNER)]);
    // Two types of 6 bits each: an address and a VNI.
    for (id, set, kind, length) in
        [(1, VTEPS[0], IPV4 << 6 | IPV4, 8), (2, VTEPS[1], IPV6 << 6 | IPV4, 20), (3, VNIS, IPV4, 4)]
    {
        let about =
            [text(1, name), text(2, set), number(3, 0), number(4, kind), number(5, length), number(10, id)];
        push(batch, NEW_SET, new, &about);
    }
    let hook = [number(1, INPUT), number(2, PRIORITY as u32)];
    let base = [
        text(1, name),
        text(3, "input"),
        message::nested(4u16, &hook),
        number(5, ACCEPT as u32),
        text(7, "filter"),
    ];
    push(batch, NEW_CHAIN, new, &base);
    for chain in ["vxlan", "others", "probes"] {
        push(batch, NEW_CHAIN, new, &[text(1, name), text(3, chain)]);
    }
    confine(batch, name, scope);
    for (set, family, source) in [(VTEPS[0], libc::AF_INET, [12, 4]), (VTEPS[1], libc::AF_INET6, [8, 16])] {
        let behind = REGISTER + source[1] / 4;
        let expressions = [
            meta(META_FAMILY),
            equals(&[family as u8]),
            load(REGISTER, NETWORK, source),
            load(behind, TRANSPORT, WORD),
            is_in(set, false),
            verdict(ACCEPT, None),
        ];
        rule(batch, name, "vxlan", &expressions);
    }
    for chain in ["others", "probes"] {
        rule(batch, name, "vxlan", &[verdict(JUMP, Some(chain))]);
    }
    rule(batch, name, "vxlan", &[expression("counter", &[]), verdict(DROP, None)]);
}

/// The rules by which a table is about this.
fn confine(batch: &mut Batch, name: &str, scope: Scope) {
    let expressions = [
        meta(META_PROTOCOL),
        equals(&[UDP]),
        load(REGISTER, TRANSPORT, [2, 2]),
        equals(&scope.port.to_be_bytes()),
        verdict(JUMP, Some("vxlan")),
    ];
    rule(batch, name, "input", &expressions);
    if scope.others_pass {
        let expressions = [load(REGISTER, TRANSPORT, VNI), is_in(VNIS, true), verdict(ACCEPT, None)];
        rule(batch, name, "others", &expressions);
    }
    if scope.probes_pass {
        // The destination alone, or the type, could be that of a frame which is forwarded.
        let expressions = [
            load(REGISTER, TRANSPORT, INNER_DESTINATION),
            equals(&DESTINATION),
            load(REGISTER, TRANSPORT, INNER_TYPE),
            equals(&ETHERTYPE.to_be_bytes()),
            limit(STRANGE_PROBES),
            immediate(&STRANGE.to_ne_bytes()),
            expression("meta", &[number(2, META_MARK), number(3, REGISTER)]),
            verdict(ACCEPT, None),
        ];
        rule(batch, name, "probes", &expressions);
    }
}

/// The messages that make these changes: one for each run of the same kind, as long as there is room.
pub(super) fn change(batch: &mut Batch, name: &str, changes: &[Admission]) {
    let mut rest = changes;
    while let Some(first) = rest.first() {
        let same = |other: &&Admission| kind_of(other) == kind_of(first);
        let run = rest.iter().take(ELEMENTS).take_while(same).count();
        let (these, others) = rest.split_at(run);
        rest = others;
        let (kind, set) = kind_of(first);
        if kind == NEW_ELEMENTS && set != VNIS {
            elements(batch, kind, name, VNIS, these.iter().map(|change| key(change, false)));
        }
        elements(batch, kind, name, set, these.iter().map(|change| key(change, set != VNIS)));
    }
}

/// What it is to the kernel, and the set that it is about.
fn kind_of(change: &Admission) -> (u16, &'static str) {
    let set = |source: &IpAddr| VTEPS[usize::from(source.is_ipv6())];
    match change {
        Admission::Open(source, _) => (NEW_ELEMENTS, set(source)),
        Admission::Close(source, _) => (DEL_ELEMENTS, set(source)),
        Admission::Claim(_) => (NEW_ELEMENTS, VNIS),
        Admission::Free(_) => (DEL_ELEMENTS, VNIS),
    }
}

/// The element that is told of: the VNI as it comes in a packet, filled up to four octets; in front the source.
fn key(change: &Admission, with_source: bool) -> Vec<u8> {
    let (Admission::Open(_, vni) | Admission::Close(_, vni) | Admission::Claim(vni) | Admission::Free(vni)) =
        change;
    let mut key = Vec::with_capacity(20);
    if let (true, Admission::Open(source, _) | Admission::Close(source, _)) = (with_source, change) {
        let (octets, length) = message::ip_octets(*source);
        key.extend_from_slice(octets.get(..length).unwrap_or(&octets));
    }
    key.extend_from_slice(&(vni << 8).to_be_bytes());
    key
}

fn elements(batch: &mut Batch, kind: u16, name: &str, set: &str, keys: impl Iterator<Item = Vec<u8>>) {
    let element = |key: Vec<u8>| {
        let value = message::attribute(1u16, &key);
        message::nested(1u16, &[message::nested(1u16, &[value])])
    };
    let all: Vec<Attribute> = keys.map(element).collect();
    let flags = if kind == NEW_ELEMENTS { NlmF::CREATE } else { NlmF::empty() };
    push(batch, kind, flags, &[text(1, name), text(2, set), message::nested(3u16, &all)]);
}

fn rule(batch: &mut Batch, name: &str, chain: &str, expressions: &[Attribute]) {
    let about = [text(1, name), text(2, chain), message::nested(4u16, expressions)];
    push(batch, NEW_RULE, NlmF::CREATE | NlmF::APPEND, &about);
}

fn expression(name: &str, data: &[Attribute]) -> Attribute {
    message::nested(1u16, &[text(1, name), message::nested(2u16, data)])
}

fn meta(key: u32) -> Attribute {
    expression("meta", &[number(1, REGISTER), number(2, key)])
}

fn load(register: u32, base: u32, [offset, length]: [u32; 2]) -> Attribute {
    expression("payload", &[number(1, register), number(2, base), number(3, offset), number(4, length)])
}

fn immediate(value: &[u8]) -> Attribute {
    let value = message::nested(2u16, &[message::attribute(1u16, value)]);
    expression("immediate", &[number(1, REGISTER), value])
}

fn equals(value: &[u8]) -> Attribute {
    let value = message::nested(3u16, &[message::attribute(1u16, value)]);
    expression("cmp", &[number(1, REGISTER), number(2, 0), value])
}

/// So many packets a second, and as many at once.
fn limit(rate: u32) -> Attribute {
    let per_second = 1_u64;
    let data = [
        message::attribute(1u16, &u64::from(rate).to_be_bytes()),
        message::attribute(2u16, &per_second.to_be_bytes()),
        number(3, rate),
        number(4, 0),
    ];
    expression("limit", &data)
}

fn is_in(set: &str, inverted: bool) -> Attribute {
    expression("lookup", &[text(1, set), number(2, REGISTER), number(5, inverted.into())])
}

fn verdict(code: i32, chain: Option<&str>) -> Attribute {
    let mut what = vec![number(1, code as u32)];
    what.extend(chain.map(|chain| text(2, chain)));
    expression("immediate", &[number(1, 0), message::nested(2u16, &[message::nested(2u16, &what)])])
}

fn text(kind: u16, text: &str) -> Attribute {
    message::text_attribute(kind, text)
}

fn number(kind: u16, number: u32) -> Attribute {
    message::attribute(kind, &number.to_be_bytes())
}

fn push(batch: &mut Batch, kind: u16, flags: NlmF, attributes: &[Attribute]) {
    batch.push(Rtm::from(SUBSYSTEM << 8 | kind), flags, message::body(&[INET, 0, 0, 0], attributes));
}

/// What begins a transaction of nftables, or ends it.
fn mark(batch: &mut Batch, kind: u16) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    batch.push(Rtm::from(kind), NlmF::empty(), Buffer::from([0, 0, high, low].as_slice()));
}
