//! Eight sites with two WANs each, a hub, and what can happen to them.
//!
//! ```text
//! h1 11.0.0.11 -- [br-test] spoke1 -- eth1 10.1.1.x (WAN a) -+
//!                                  \- eth2 10.1.2.x (WAN b) -+- provider -- 10.0.0.1 hub
//! ...                                                        |
//! h8 11.0.0.18 -- [br-test] spoke8 -- 10.8.1.x, 10.8.2.x ----+
//! ```
//!
//! The provider forwards only what comes from an address of that WAN. One station, the roamer, has a leg at each site.

use super::tally::Kind;
use crate::lab::netns::Netns;
use crate::lab::nodes::{Lab, Plan, SOON, test_vn};
use crate::lab::traffic::{Echoes, Sender, gratuitous_arp, ping};
use crate::lab::{MacBytes, Res, mac, wait_until};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How many sites there are.
pub const SITES: u8 = 8;
/// The station that is at another site now and then.
pub const ROAMER: u8 = 0;
const ROAMER_MAC: MacBytes = mac(0x500);

/// Numbers that a seed gives: SplitMix64 (Steele, Lea, Flood 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// One below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Something that happens to a site; to the hub where that is 0.
#[derive(Clone, Debug)]
pub struct Happening {
    pub kind: Kind,
    pub site: u8,
    /// What else there is to choose: another site, or tenths of a second.
    pub choice: u8,
}

/// From which station to which.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub from: u8,
    pub to: u8,
    /// At which sites they are when it begins.
    pub sites: [u8; 2],
}

/// A site's WANs.
#[derive(Clone, Copy)]
struct Wans {
    /// The last octet of the address on each; another one after each renumbering.
    octets: [u8; 2],
    up: [bool; 2],
    /// Which has the better default route.
    preferred: usize,
}

/// All of it.
pub struct World {
    lab: Lab,
    wans: Vec<Wans>,
    roamer: Netns,
    roamer_at: u8,
}

impl World {
    /// Builds it, starts all daemons and has all stations meet.
    pub fn build(plan: &Plan) -> Res<World> {
        let mut lab = Lab::new(Plan { ipv6: false, ..plan.clone() })?;
        lab.add_hub(vec![test_vn(0)])?;
        provider(&lab.switch)?;
        lab.switch.ip("addr add 10.0.0.254/24 dev wan")?;
        lab.node("hub").ns.ip("route add default via 10.0.0.254")?;
        let roamer = lab.netns("roamer")?;
        let wans = Wans { octets: [1, 1], up: [true, true], preferred: 0 };
        let mut world = World { lab, wans: vec![wans; usize::from(SITES)], roamer, roamer_at: 1 };
        for site in 1..=SITES {
            world.add_site(site)?;
        }
        world.lab.start_all()?;
        world.roams_to(1)?;
        // First contact is another scene: here all know each other.
        for stream in world.streams() {
            let to = world.ip_of(stream.to);
            ping(world.netns_of(stream.from), Echoes::to(to, 2, 20))?;
        }
        Ok(world)
    }

    fn add_site(&mut self, site: u8) -> Res {
        let lab = &mut self.lab;
        let spoke = spoke(site);
        lab.add_spoke(site, vec![test_vn(100 + u32::from(site % 3))])?;
        let node = lab.node(&spoke);
        let nbma = format!("\toption nbma '{}'\n", node.nbma);
        node.edit_config(|text| text.replace(&nbma, ""))?;
        let ns = node.ns.name.clone();
        lab.switch.ip(&format!(
            "link set {spoke} nomaster\naddr add 10.{site}.1.254/24 dev {spoke}\n\
             link add {spoke}b type veth peer name eth2 netns {ns}\nlink set {spoke}b up\n\
             addr add 10.{site}.2.254/24 dev {spoke}b"
        ))?;
        node.ns.ip("addr flush dev eth1\nlink set eth2 up")?;
        lab.add_host(&host(site), &spoke, "br-test", mac(0x400 + u16::from(site)), inside(site))?;
        lab.plug(&self.roamer, &format!("leg{site}"), &spoke, "br-test", "roamer", ROAMER_MAC)?;
        for wan in [0, 1] {
            self.connect(site, wan)?;
        }
        Ok(())
    }

    pub fn picture(&self) -> String {
        format!("{SITES} sites with two WANs each, a hub, {} streams of pings", self.streams().len())
    }

    /// Each site's station pings the next one's and the third one's; two of them the roamer.
    pub fn streams(&self) -> Vec<Stream> {
        let at = |station| if station == ROAMER { self.roamer_at } else { station };
        let next = |site: u8, by: u8| (site - 1 + by) % SITES + 1;
        let pairs = (1..=SITES).flat_map(|site| [(site, next(site, 1)), (site, next(site, 3))]);
        let pairs = pairs.chain([(3, ROAMER), (6, ROAMER)]);
        pairs.map(|(from, to)| Stream { from, to, sites: [at(from), at(to)] }).collect()
    }

    pub fn ip_of(&self, station: u8) -> IpAddr {
        inside(station).into()
    }

    pub fn netns_of(&self, station: u8) -> &Netns {
        if station == ROAMER { &self.roamer } else { &self.lab.host(&host(station)).ns }
    }

    /// What may happen next: one thing, or two at two sites.
    pub fn choose(&self, dice: &mut Dice) -> Vec<Happening> {
        let first = self.choose_one(dice);
        let mut all = vec![first];
        if all[0].site != 0 && dice.below(4) == 0 {
            let second = self.choose_one(dice);
            let apart = |h: &Happening| h.site != 0 && h.kind != Kind::StationMoves;
            if apart(&all[0]) && apart(&second) && second.site != all[0].site {
                all.push(second);
            }
        }
        all
    }

    fn choose_one(&self, dice: &mut Dice) -> Happening {
        let kind = Kind::ALL[dice.below(Kind::ALL.len() as u64) as usize];
        let site = (1 + dice.below(SITES.into())) as u8;
        let choice = dice.below(10) as u8;
        let wans = self.wans[usize::from(site) - 1];
        let kind = match kind {
            // The other WAN has to be there.
            Kind::WanDies | Kind::RouteMoves if wans.up != [true, true] => Kind::WanReturns,
            Kind::WanReturns if wans.up == [true, true] => Kind::WanDies,
            kind => kind,
        };
        match kind {
            Kind::HubKilled | Kind::HubHandsOver | Kind::HubReloads => Happening { kind, site: 0, choice },
            Kind::StationMoves if site == self.roamer_at => {
                Happening { kind, site: site % SITES + 1, choice }
            }
            _ => Happening { kind, site, choice },
        }
    }

    /// Makes it happen.
    pub fn happen(&mut self, happening: &Happening) -> Res {
        let Happening { kind, site, choice } = *happening;
        let pause = Duration::from_millis(100 * u64::from(choice));
        let node = if site == 0 { "hub".to_owned() } else { spoke(site) };
        match kind {
            Kind::RouteMoves => {
                let wans = &mut self.wans[usize::from(site) - 1];
                wans.preferred = 1 - wans.preferred;
                self.set_routes(site)
            }
            Kind::WanDies => self.wan_dies(site),
            Kind::WanReturns => self.wan_returns(site),
            Kind::Renumbered => self.renumber(site),
            Kind::SpokeKilled | Kind::HubKilled => {
                self.lab.nodes.get_mut(&node).ok_or("no such node")?.kill()?;
                std::thread::sleep(pause);
                self.lab.start(&node)
            }
            Kind::SpokeHandsOver | Kind::HubHandsOver => {
                self.lab.nodes.get_mut(&node).ok_or("no such node")?.hand_over()?;
                self.lab.start(&node)
            }
            Kind::SpokeReloads | Kind::HubReloads => self.lab.node(&node).signal(libc::SIGHUP),
            Kind::StationMoves => self.roams_to(site),
            Kind::HubReboots => self.reboot_hub(),
        }
    }

    /// What should not be so, once all is quiet.
    pub fn what_is_wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let served = self.lab.node("hub").served().unwrap_or(0);
        if served != usize::from(SITES) {
            wrong.push(format!("the hub has ports for {served} spokes"));
        }
        let ended = self.lab.nodes.values().filter(|node| !node.is_running());
        wrong.extend(ended.map(|node| format!("the daemon of {} ended", node.name)));
        wrong
    }

    /// The names of the daemons, and the memory each has resident, in kB.
    pub fn memory(&self) -> Vec<(String, u64)> {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        self.lab.nodes.values().map(|node| (node.name.clone(), node.pid().map_or(0, of))).collect()
    }

    /// What the daemons said that have to do with it.
    pub fn logs(&self, round: &super::Round) -> String {
        let sites = round.happenings.iter().filter(|h| h.site != 0).map(|h| spoke(h.site));
        let names = core::iter::once("hub".to_owned()).chain(sites);
        names.map(|name| self.lab.node(&name).log_end()).collect::<Vec<_>>().join("\n")
    }

    /// Address and route of a WAN that has come up.
    fn connect(&self, site: u8, wan: usize) -> Res {
        let octet = self.wans[usize::from(site) - 1].octets[wan];
        let node = self.lab.node(&spoke(site));
        node.ns.ip(&format!("addr add 10.{site}.{}.{octet}/24 dev eth{}", wan + 1, wan + 1))?;
        self.set_routes(site)
    }

    /// The default routes as they are to be. The new one is there before the old one goes.
    fn set_routes(&self, site: u8) -> Res {
        let Wans { up, preferred, .. } = self.wans[usize::from(site) - 1];
        let ns = &self.lab.node(&spoke(site)).ns;
        let route = |wan: usize| format!("default via 10.{site}.{}.254 dev eth{} metric", wan + 1, wan + 1);
        for wan in [preferred, 1 - preferred] {
            // What is there already, or has no address yet, is no mistake.
            let (good, bad) = if wan == preferred { (10, 20) } else { (20, 10) };
            let _ = up[wan].then(|| ns.ip(&format!("route add {} {good}", route(wan))));
            let _ = ns.ip(&format!("route del {} {bad}", route(wan)));
        }
        Ok(())
    }

    /// The modem of the preferred WAN loses its line: the interface has no carrier, its address goes.
    fn wan_dies(&mut self, site: u8) -> Res {
        let wan = self.wans[usize::from(site) - 1].preferred;
        self.wans[usize::from(site) - 1].up[wan] = false;
        self.lab.switch.ip(&format!("link set {} down", at_provider(site, wan)))?;
        self.lab.node(&spoke(site)).ns.ip(&format!("addr flush dev eth{}", wan + 1))?;
        self.wans[usize::from(site) - 1].preferred = 1 - wan;
        self.set_routes(site)
    }

    /// It has its line again and is preferred.
    fn wan_returns(&mut self, site: u8) -> Res {
        let wans = &mut self.wans[usize::from(site) - 1];
        let Some(wan) = wans.up.iter().position(|up| !up) else { return Ok(()) };
        (wans.up[wan], wans.preferred) = (true, wan);
        self.lab.switch.ip(&format!("link set {} up", at_provider(site, wan)))?;
        let carrier = || {
            let ns = &self.lab.node(&spoke(site)).ns;
            let file = format!("/sys/class/net/eth{}/carrier", wan + 1);
            let command = ns.command("cat").arg(file).output();
            command.is_ok_and(|output| output.stdout.starts_with(b"1"))
        };
        wait_until(SOON, carrier);
        self.connect(site, wan)
    }

    /// The provider gives the preferred WAN another address.
    fn renumber(&mut self, site: u8) -> Res {
        let wans = &mut self.wans[usize::from(site) - 1];
        let wan = wans.preferred;
        wans.octets[wan] = wans.octets[wan] % 200 + 1;
        self.lab.node(&spoke(site)).ns.ip(&format!("addr flush dev eth{}", wan + 1))?;
        self.connect(site, wan)
    }

    /// The roamer takes its leg at that site and says so.
    fn roams_to(&mut self, site: u8) -> Res {
        let (old, new) = (self.roamer_at, site);
        let ip = inside(ROAMER);
        self.roamer.ip(&format!(
            "addr flush dev leg{old}\nlink set leg{old} down\nlink set leg{new} up\naddr add {ip}/24 dev leg{new}"
        ))?;
        self.roamer_at = new;
        std::thread::sleep(Duration::from_millis(20)); // the port begins to forward
        Sender::new(&self.roamer, &format!("leg{new}"))?.send(&gratuitous_arp(ROAMER_MAC, ip))
    }

    /// The hub's machine is gone, and comes back knowing what is on its disk.
    fn reboot_hub(&mut self) -> Res {
        self.lab.reboot_hub()?;
        self.lab.node("hub").ns.ip("route add default via 10.0.0.254")?;
        self.lab.start("hub")
    }
}

/// It routes, and takes from nobody what has a foreign source.
fn provider(switch: &Netns) -> Res {
    switch
        .run(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1")
        })?
        .map_err(|e| format!("the provider: {e}"))
}

fn at_provider(site: u8, wan: usize) -> String {
    format!("spoke{site}{}", ["", "b"][wan])
}

fn spoke(site: u8) -> String {
    format!("spoke{site}")
}

fn host(site: u8) -> String {
    format!("h{site}")
}

fn inside(station: u8) -> Ipv4Addr {
    Ipv4Addr::new(11, 0, 0, 10 + station)
}
