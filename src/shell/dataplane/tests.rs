//! What the kernel tells and what the worker reports may come in any order. Nothing here reaches a kernel: the worker gets
//! no job, and its reports are made up.

use super::guard::Order;
use super::hub::NewPort;
use super::settle::Standing;
use super::worker::{Ended, Job, Report, Whose};
use super::*;
use crate::engine::settings::VpnMode;
use crate::engine::{Passing, Place, Port, Secret, Start};
use crate::shell::netlink::{Admission, FdbTable, Floods};
use crate::shell::netlink::{BridgePort, Event, FdbChange, FdbEntry, Kind, Lack, Link, VxlanInfo};
use crate::shell::wait::Bell;

const BRIDGE: u32 = 7;
const ONE: u32 = 0x4000_0001;
const TWO: u32 = 0x4000_0002;

/// A hub's data plane with VNs in bridges `br-a` and `br-b`, before anything is known of its devices.
struct Hub {
    dataplane: Dataplane,
    engine: Engine,
    inputs: Inputs,
    now: Instant,
    vns: Vec<Whose>,
}

/// A spoke of `option session` and `option verify` like these.
fn spoke_of(session: &str, verify: &str) -> Config {
    let text = format!(
        "config dmevpn 'main'\n\toption nbma '10.0.0.2'\n\
         config hub 'hq'\n\toption address '10.0.0.1'\n\toption session '{session}'\n\
         config vn 'a'\n\toption vpn_id '1'\n\toption role 'spoke'\n\toption bridge 'br-a'\n\toption vni '100'\n\
         \toption verify '{verify}'\n"
    );
    Config::parse("test", &text).unwrap()
}

fn hub() -> Hub {
    let mut text = "config dmevpn 'main'\n\toption nbma '10.0.0.1'\n".to_owned();
    for (n, vn) in ["a", "b"].iter().enumerate() {
        text += &format!("config vn '{vn}'\n\toption vpn_id '{}'\n\toption role 'hub'\n", n + 1);
        text += &format!("\toption bridge 'br-{vn}'\n\toption dataplane 'bridge'\n");
    }
    plane_of(&Config::parse("test", &text).unwrap())
}

fn plane_of(config: &Config) -> Hub {
    let mut names = Names::default();
    names.learn(config);
    let clock = Clock::start();
    let waker = Bell::new().unwrap().waker();
    let mut dataplane = Dataplane::open(Identity::random().unwrap(), clock, waker).unwrap();
    let mut inputs = Inputs::new();
    dataplane.configure(config, &names, &mut inputs);
    let vns = dataplane.vns.values().map(Vn::whose).collect();
    let start = Start { request_id: 0, secret: Secret::new(&[1; 32]), identity: Secret::new(&[1; 16]) };
    Hub { dataplane, engine: Engine::new(Duration::from_secs(600), &start), inputs, now: clock.now(), vns }
}

impl Hub {
    /// Settles all VNs' devices: each in its bridge.
    fn settled(&mut self) {
        self.plan();
        for (n, whose) in self.vns.clone().into_iter().enumerate() {
            let standing = Standing { bridge: Some(BRIDGE + n as u32), ..Standing::default() };
            self.hear(Report::Settled(whose, Box::new(standing)));
        }
        self.done();
    }

    fn hear(&mut self, report: Report) {
        self.dataplane.hear(report, self.now, &mut self.inputs);
    }

    fn tell(&mut self, event: Event) {
        self.dataplane.event(event, self.now, &mut self.inputs);
    }

    /// Does what is due, as when jobs are handed out, but for that.
    fn done(&mut self) {
        self.dataplane.all_listed(&self.engine, self.now, &mut self.inputs);
        self.dataplane.all_ports(&self.engine);
        self.dataplane.reconcile(&self.engine, &mut self.inputs);
    }

    /// The jobs that are planned now.
    fn plan(&mut self) -> Vec<Job> {
        (self.dataplane.look, self.dataplane.looking) = (None, false);
        self.dataplane.plan(self.now, &mut self.inputs);
        self.dataplane.jobs.drain(..).collect()
    }

    /// What the engine was told of MACs, ports and listings since this was asked last.
    fn news(&mut self) -> Vec<News> {
        let news = |input| match input {
            Input::News { news, .. } => Some(news),
            _ => None,
        };
        self.inputs.drain(..).filter_map(news).collect()
    }

    /// Where MACs are, of that.
    fn places(&mut self) -> Vec<Place> {
        let place = |news| if let News::Fdb { place, .. } = news { Some(place) } else { None };
        self.news().into_iter().filter_map(place).collect()
    }

    fn lists(&mut self) -> Option<Whose> {
        self.plan().into_iter().find_map(|job| match job {
            Job::List(whose, _) => Some(whose),
            _ => None,
        })
    }
}

fn port() -> NewPort {
    let uplink = Vni::new(0x10).unwrap();
    let local = Nbma::new([10, 0, 0, 1].into()).unwrap();
    NewPort {
        spoke: spoke(),
        port: Port {
            uplink,
            local,
            mode: VpnMode::Llc,
            granted: 600,
            mac: None,
            home: None,
            key: None,
            is_hubs: false,
            passing: Default::default(),
        },
    }
}

fn spoke() -> Vtep {
    Vtep { nbma: Nbma::new([10, 0, 0, 2].into()).unwrap(), vni: Vni::new(100).unwrap() }
}

/// The port's device, as a listing or an event has it.
fn device(index: u32) -> Link {
    let NewPort { spoke, port } = port();
    Link {
        index,
        name: port_name(port.uplink),
        alias: Some(alias::port("a", spoke, hub::kept(port))),
        master: Some(BRIDGE),
        up: true,
        kind: Kind::Vxlan(VxlanInfo {
            vni: Some(port.uplink.get()),
            port: 4789,
            local: Some(port.local.ip()),
            ..VxlanInfo::default()
        }),
        ..Link::default()
    }
}

/// A loop goes by the port's device.
fn withheld() -> (Item, crate::engine::Wanted) {
    (Item::Floods(Some(spoke())), crate::engine::Wanted::Withheld)
}

/// A MAC that the bridge learned there.
fn behind(index: u32) -> FdbEntry {
    FdbEntry { index, mac: [2, 0, 0, 0, 0, 1], master: Some(BRIDGE), ..FdbEntry::default() }
}

fn bridge(name: &str, index: u32) -> Link {
    Link { index, name: name.to_owned(), up: true, ..Link::default() }
}

#[test]
fn a_port_that_is_being_deleted_is_not_found_again() {
    let mut hub = hub();
    hub.settled();
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
    // Nobody wants it.
    hub.done();
    let Some(Job::Delete(gone, _)) = hub.dataplane.delete_some(true) else { panic!("it is to be deleted") };
    assert_eq!(gone, [ONE]);
    hub.news();
    let is_found = |news: &News| matches!(news, News::FoundPort { .. });
    hub.hear(Report::Links(vec![device(ONE)]));
    assert!(!hub.news().iter().any(is_found), "it goes");
    hub.hear(Report::Deleted(gone, None));
    hub.hear(Report::Links(vec![device(ONE)]));
    assert!(hub.news().iter().any(is_found), "it did not go");
}

#[test]
fn a_port_is_gone_before_it_was_told_of() {
    let mut hub = hub();
    hub.settled();
    hub.dataplane.worker.open = 1;
    hub.tell(Event::LinkGone(device(ONE)));
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE)), (port(), Ok(TWO))]));
    assert!(!hub.dataplane.parts.contains_key(&ONE) && hub.dataplane.parts.contains_key(&TWO));
    hub.dataplane.worker.open = 0;
}

/// What the worker could not have lead to another spoke it deletes: that spoke's place is kept until it tells so.
#[test]
fn a_port_is_gone_before_it_is_told_that_it_leads_elsewhere() {
    let mut hub = hub();
    hub.settled();
    let key = hub.vns[0].0;
    let place = |hub: &Hub| match &hub.dataplane.vns.get(&key).unwrap().devices {
        Devices::Ports(ports) => ports.get(&spoke()).map(|ported| ported.index),
        _ => None,
    };
    for led in [true, false] {
        let Devices::Ports(ports) = &mut hub.dataplane.vns.get_mut(&key).unwrap().devices else { panic!() };
        ports.insert(spoke(), vn::Ported::new(None, port().port, vn::Entry::NotSeen));
        hub.dataplane.parts.insert(ONE, (key, Part::Port(spoke())));
        hub.tell(Event::LinkGone(device(ONE)));
        hub.done();
        assert_eq!(place(&hub), Some(None), "it is still awaited");
        let made = if led { Ok(ONE) } else { Err((false, "no".to_owned())) };
        hub.hear(Report::Made(hub.vns[0], vec![(port(), made)]));
        assert_eq!((place(&hub), hub.dataplane.parts.contains_key(&ONE)), (None, false));
        hub.dataplane.due.clear();
        hub.dataplane.vanished.clear();
    }
}

/// A spoke sends on while its hub makes a port for it: what the bridge learns there is told before the port is.
#[test]
fn who_is_behind_a_port_is_heard_before_the_port_is_told_of() {
    let mut hub = hub();
    hub.settled();
    hub.plan();
    hub.dataplane.worker.open = 1;
    let flooded = FdbEntry { index: ONE, dst: Some(spoke().nbma.ip()), ..FdbEntry::default() };
    hub.tell(Event::Fdb(FdbEntry { state: libc::NUD_REACHABLE, ..flooded }));
    hub.tell(Event::Fdb(FdbEntry { state: libc::NUD_PERMANENT, ..behind(ONE) }));
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
    assert!(hub.lists().is_none() && hub.places().is_empty(), "that is what each port has");
    hub.tell(Event::LinkGone(device(ONE)));
    hub.tell(Event::Fdb(behind(ONE)));
    assert_eq!(hub.places(), [], "it is no port of the hub's own");
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
    assert_eq!(hub.lists(), Some(hub.vns[0]));
    hub.hear(Report::Entries(hub.vns[0], FdbTable::Bridge(BRIDGE), vec![behind(ONE)]));
    assert_eq!(hub.places(), [Place::At(spoke())]);
    hub.dataplane.worker.open = 0;
    // What no daemon made is a port of the hub's own; a bridge's own address is its own.
    hub.tell(Event::Fdb(behind(3)));
    hub.tell(Event::Fdb(behind(BRIDGE)));
    assert_eq!(hub.places(), [Place::Local; 2]);
}

/// A listing of devices may leave out a port, and that of who is behind it is over by the time it is found.
#[test]
fn who_is_behind_a_port_that_is_found_late_is_listed() {
    let mut hub = hub();
    hub.settled();
    hub.dataplane.alone = Some(UnixDatagram::unbound().unwrap());
    hub.hear(Report::Entries(hub.vns[0], FdbTable::Bridge(BRIDGE), vec![behind(ONE)]));
    assert_eq!(hub.places(), []);
    assert_eq!(hub.lists(), None);
    hub.hear(Report::Links(vec![device(ONE)]));
    assert_eq!(hub.lists(), Some(hub.vns[0]));
    hub.dataplane.listing = None;
    hub.hear(Report::Links(vec![device(ONE)]));
    assert_eq!(hub.lists(), None, "it is known");
}

/// Those of one job go into one bridge, and their frames leave by one device.
#[test]
fn ports_that_are_made_together_are_alike() {
    let mut hub = hub();
    hub.settled();
    let (whose, wanted) = (hub.vns[0], Arc::clone(&hub.dataplane.vns.get(&hub.vns[0].0).unwrap().wanted));
    for (bridge, via) in [(BRIDGE, None), (BRIDGE, None), (BRIDGE, Some(3)), (9, Some(3))] {
        hub.dataplane.via = via;
        hub.dataplane.make(whose, &wanted, bridge, port());
    }
    let made = |job: &Job| if let Job::Make(_, make) = job { make.ports.len() } else { 0 };
    assert_eq!(hub.dataplane.jobs.iter().map(made).collect::<Vec<_>>(), [2, 1, 1]);
}

/// Ports wait behind what a hub tells others, so that is few jobs.
#[test]
fn many_announcements_are_one_job() {
    let mut hub = hub();
    hub.settled();
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
    hub.dataplane.jobs.clear();
    let to = Mac::new([2, 0, 0, 0, 0, 1]).unwrap();
    for n in 0..200 {
        let act = Act::AnnounceTo { mac: Mac::new([2, 0, 0, 0, 1, n]).unwrap(), hub: to, at: spoke() };
        hub.dataplane.act(hub.vns[0].0, act, None);
    }
    let told = |job: &Job| if let Job::Announce(_, all) = job { all.len() } else { 0 };
    let jobs: Vec<usize> = hub.dataplane.jobs.iter().map(told).collect();
    assert_eq!(jobs, [64, 64, 64, 8]);
}

/// A port whose spoke is at another hub floods nothing; where there was a loop it floods again.
#[test]
fn a_port_that_is_shut_stays_so() {
    for passing in [Passing::All, Passing::Mute] {
        let mut hub = hub();
        hub.settled();
        let port = NewPort { port: Port { passing, ..port().port }, ..port() };
        let alias = Some(alias::port("a", spoke(), hub::kept(port.port)));
        let restored = |hub: &mut Hub| {
            hub.dataplane.jobs.clear();
            hub.hear(Report::Links(vec![Link {
                floods: Some(Floods::NOTHING),
                alias: alias.clone(),
                ..device(ONE)
            }]));
            hub.dataplane.jobs.drain(..).any(|job| matches!(job, Job::Floods(ONE, Some(Floods::ALL))))
        };
        assert_eq!(restored(&mut hub), passing == Passing::All, "found");
        hub.hear(Report::Made(hub.vns[0], vec![(port, Ok(ONE))]));
        assert_eq!(restored(&mut hub), passing == Passing::All, "known");
    }
}

/// It left its bridge and came back, and the storm let nobody hear of that.
#[test]
fn a_port_that_is_withheld_and_floods_as_listed_is_withheld_again() {
    let mut hub = hub();
    hub.settled();
    hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
    let key = hub.vns[0].0;
    let withholds = |hub: &mut Hub, floods| {
        hub.dataplane.jobs.clear();
        hub.hear(Report::Links(vec![Link { floods: Some(floods), ..device(ONE) }]));
        hub.dataplane.jobs.drain(..).any(|job| matches!(job, Job::Floods(ONE, None)))
    };
    assert!(!withholds(&mut hub, Floods::ALL), "there is no loop");
    hub.dataplane.floods(key, Some(&Plane::of(key, [withheld()])));
    assert!(withholds(&mut hub, Floods::ALL));
    assert!(!withholds(&mut hub, Floods::NOTHING));
}

/// What its bridge learned there is there while the device is led to where the spoke is now.
#[test]
fn a_spoke_that_moved_withdraws_a_mac_before_its_port_is_told_of() {
    let mut hub = hub();
    hub.settled();
    let key = hub.vns[0].0;
    let mac = Mac::new(behind(ONE).mac).unwrap();
    let unlearns = |hub: &mut Hub| {
        hub.dataplane.jobs.clear();
        hub.dataplane.act(key, Act::Unlearn(mac, Place::At(spoke())), None);
        let forgets = |change: &FdbChange| matches!(change, FdbChange::Unlearn { index: ONE, .. });
        hub.dataplane.jobs.iter().any(|job| matches!(job, Job::Change(all, _) if all.iter().any(forgets)))
    };
    let Devices::Ports(ports) = &mut hub.dataplane.vns.get_mut(&key).unwrap().devices else { panic!() };
    ports.insert(spoke(), vn::Ported::new(None, port().port, vn::Entry::NotSeen));
    assert!(!unlearns(&mut hub), "it is being made");
    hub.dataplane.parts.insert(ONE, (key, Part::Port(spoke())));
    assert!(unlearns(&mut hub));
}

/// As long as its bridge is not known nobody can say whether a port is in it.
#[test]
fn a_port_that_leaves_before_its_bridge_is_known_is_looked_at() {
    for leaves in [true, false] {
        let mut hub = hub();
        hub.plan();
        let mtu = hub.dataplane.vns.get(&hub.vns[0].0).unwrap().wanted.mtu.into();
        hub.hear(Report::Links(vec![Link { mtu, ..device(ONE) }]));
        if leaves {
            hub.tell(Event::Link(Link { master: None, ..device(ONE) }));
        }
        let standing = Standing { bridge: Some(BRIDGE), is_open: true, ..Standing::default() };
        hub.hear(Report::Settled(hub.vns[0], Box::new(standing)));
        let keeps = |job: &Job| matches!(job, Job::Keep { index: ONE, .. });
        assert_eq!(hub.dataplane.jobs.iter().any(keeps), leaves);
    }
}

/// The loop is over while the worker has yet to tell that the port is shut, or not any more.
#[test]
fn a_port_that_is_being_shut_does_not_flood_again() {
    let wanted = |passing| {
        let port = Port { passing, ..port().port };
        (Item::Port(spoke()), crate::engine::Wanted::Port(port))
    };
    for stays in [true, false] {
        let mut hub = hub();
        hub.settled();
        hub.hear(Report::Made(hub.vns[0], vec![(port(), Ok(ONE))]));
        hub.dataplane.due.clear();
        let key = hub.vns[0].0;
        let floods = |hub: &mut Hub, plane: &Plane| {
            hub.dataplane.jobs.clear();
            hub.dataplane.floods(key, Some(plane));
            let floods = |job| if let Job::Floods(ONE, floods) = job { Some(floods) } else { None };
            hub.dataplane.jobs.drain(..).filter_map(floods).collect::<Vec<_>>()
        };
        assert_eq!(floods(&mut hub, &Plane::of(key, [withheld()])), [None]);
        let shut = Plane::of(key, [wanted(Passing::Mute)]);
        hub.dataplane.port(key, spoke(), shut.port(spoke()), &mut hub.inputs);
        assert_eq!(floods(&mut hub, &shut), [], "it is being shut");
        let after = if stays { Passing::Mute } else { Passing::All };
        let moved = NewPort { port: Port { passing: after, ..port().port }, ..port() };
        hub.hear(Report::Moved(hub.vns[0], ONE, moved, Ok(())));
        let is_due = |due: &Due| matches!(due, Due::Item(_, Item::Floods(Some(at))) if *at == spoke());
        assert!(hub.dataplane.due.iter().any(is_due));
        let before = if stays { vec![] } else { vec![Some(Floods::ALL)] };
        assert_eq!(floods(&mut hub, &Plane::of(key, [wanted(after)])), before);
    }
}

/// Who puts it into its bridge anew before anybody looks gets a port as new.
#[test]
fn a_port_that_is_shut_and_floods_is_shut_again() {
    let wanted = |passing| NewPort { port: Port { passing, ..port().port }, ..port() };
    for (passing, listed) in
        [Passing::Nothing, Passing::All].into_iter().flat_map(|p| [(p, true), (p, false)])
    {
        let mut hub = hub();
        hub.settled();
        hub.hear(Report::Made(hub.vns[0], vec![(wanted(passing), Ok(ONE))]));
        let shuts = |hub: &mut Hub, floods| {
            hub.dataplane.jobs.clear();
            let alias = Some(alias::port("a", spoke(), hub::kept(wanted(passing).port)));
            let link = Link { floods: Some(floods), alias, ..device(ONE) };
            match listed {
                true => hub.hear(Report::Links(vec![link])),
                false => hub.tell(Event::Link(link)),
            }
            let is = |job| matches!(job, Job::Pass(_, ONE, to) if to == wanted(Passing::Nothing));
            hub.dataplane.jobs.drain(..).any(is)
        };
        assert!(!shuts(&mut hub, Floods::NOTHING));
        assert_eq!(shuts(&mut hub, Floods::ALL), passing == Passing::Nothing);
        assert!(!shuts(&mut hub, Floods::ALL), "it is being done");
    }
}

/// A port gets another address; meanwhile it is listed as it was, goes, or its VN does.
#[test]
fn a_port_that_is_being_changed() {
    let mut hub = hub();
    hub.settled();
    let (whose, key) = (hub.vns[0], hub.vns[0].0);
    let local = Nbma::new([10, 0, 0, 9].into()).unwrap();
    let want = NewPort { port: Port { local, ..port().port }, ..port() };
    let change = |hub: &mut Hub| {
        hub.hear(Report::Made(whose, vec![(port(), Ok(ONE))]));
        (hub.dataplane.due, hub.dataplane.jobs) = Default::default();
        hub.dataplane.port(key, spoke(), Some(want.port), &mut hub.inputs);
        hub.dataplane.port(key, spoke(), Some(want.port), &mut hub.inputs);
        let jobs: Vec<Job> = hub.dataplane.jobs.drain(..).collect();
        assert!(matches!(&jobs[..], [Job::Move(_, ONE, to)] if *to == want), "once: {jobs:?}");
    };
    let there = |hub: &Hub| match &hub.dataplane.vns.get(&key).unwrap().devices {
        Devices::Ports(ports) => ports.get(&spoke()).map(|ported| (ported.index, ported.port.local)),
        _ => None,
    };
    change(&mut hub);
    hub.hear(Report::Links(vec![device(ONE)]));
    assert!(hub.dataplane.doomed.is_empty(), "it is the same");
    hub.hear(Report::Moved(whose, ONE, want, Ok(())));
    assert_eq!(there(&hub), Some((Some(ONE), local)));

    change(&mut hub);
    hub.tell(Event::LinkGone(device(ONE)));
    hub.hear(Report::Moved(whose, ONE, want, Ok(())));
    assert_eq!(there(&hub), None, "it is made anew");

    change(&mut hub);
    hub.hear(Report::Moved(whose, ONE, want, Err("no".into())));
    assert_eq!(there(&hub), None, "it is made anew");
    assert_eq!(hub.dataplane.doomed.iter().map(|d| d.index).collect::<Vec<_>>(), [ONE]);
    hub.dataplane.doomed.clear();

    change(&mut hub);
    hub.dataplane.take_down(key);
    hub.hear(Report::Moved(whose, ONE, want, Ok(())));
    assert_eq!(hub.dataplane.doomed.iter().map(|d| d.index).collect::<Vec<_>>(), [ONE], "once");
}

#[test]
fn a_bridge_is_made_anew_while_the_devices_are_settled() {
    let mut hub = hub();
    assert_eq!(hub.plan().len(), 2);
    // It was seen as number 7, which is gone before that is told.
    hub.tell(Event::LinkGone(bridge("br-a", BRIDGE)));
    hub.tell(Event::Link(bridge("br-a", 9)));
    let standing = Standing { bridge: Some(BRIDGE), ..Standing::default() };
    hub.hear(Report::Settled(hub.vns[0], Box::new(standing)));
    let again = hub.plan();
    assert!(
        again.iter().any(|job| matches!(job, Job::Settle(whose, _) if *whose == hub.vns[0])),
        "{again:?}"
    );
}

/// It is off as the worker sees it, and on again before that is told.
#[test]
fn a_bridge_is_as_before_again_while_the_devices_are_settled() {
    let mut hub = hub();
    hub.plan();
    let seen = |is_open| Box::new(Standing { bridge: Some(BRIDGE), is_open, ..Standing::default() });
    let settles = |hub: &mut Hub| {
        let (jobs, a) = (hub.plan(), hub.vns[0]);
        jobs.iter().any(|job| matches!(job, Job::Settle(whose, _) if *whose == a))
    };
    hub.hear(Report::Settled(hub.vns[0], seen(true)));
    assert!(!settles(&mut hub));
    hub.tell(Event::Link(Link { up: false, ..bridge("br-a", BRIDGE) }));
    assert!(settles(&mut hub));
    hub.tell(Event::Link(bridge("br-a", BRIDGE)));
    hub.hear(Report::Settled(hub.vns[0], seen(false)));
    assert!(settles(&mut hub));
    hub.hear(Report::Settled(hub.vns[0], seen(true)));
    assert!(!settles(&mut hub), "it is known now");
}

#[test]
fn a_listing_that_left_out_something_is_added_to() {
    let mut hub = hub();
    hub.settled();
    hub.dataplane.vns.iter_mut().for_each(|(_, vn)| vn.unlisted = vn.key == hub.vns[0].0);
    hub.news();
    let mac = |n| [2, 0, 0, 0, 0, n];
    let at = |n| FdbEntry { index: 3, mac: mac(n), master: Some(BRIDGE), ..FdbEntry::default() };
    let whole = |news: &[News]| news.iter().any(|news| matches!(news, News::Listed));
    let begins = |news: &[News]| news.iter().any(|news| matches!(news, News::Listing));
    for round in 0..3 {
        assert_eq!(hub.lists(), Some(hub.vns[0]), "{round}");
        let news = hub.news();
        assert_eq!(begins(&news), round == 0, "what was seen counts");
        hub.hear(Report::Entries(hub.vns[0], FdbTable::Bridge(BRIDGE), vec![at(1)]));
        // Another one goes, and the kernel may pass over one that stays.
        hub.tell(Event::FdbGone(at(2)));
        hub.hear(Report::Listed(Ended::Whole));
        hub.done();
        let news = hub.news();
        assert!(news.iter().any(|n| matches!(n, News::Fdb { place: Place::Local, .. })));
        assert_eq!(whole(&news), round == 2, "three are as good as can be had");
    }
    assert_eq!(hub.lists(), None);
}

/// What was removed and learned again behind the listing's back is neither in it nor told of.
#[test]
fn a_listing_during_which_events_are_lost_says_of_nothing_that_it_is_gone() {
    let mut hub = hub();
    hub.settled();
    hub.dataplane.vns.iter_mut().for_each(|(_, vn)| vn.unlisted = vn.key == hub.vns[0].0);
    let whole = |hub: &mut Hub| hub.news().iter().any(|news| matches!(news, News::Listed));
    for lost in [true, false] {
        assert_eq!(hub.lists(), Some(hub.vns[0]), "{lost}");
        let begins = hub.news().iter().any(|news| matches!(news, News::Listing));
        assert!(begins, "what was seen before the loss may be gone");
        if lost {
            hub.tell(Event::Overrun);
        }
        hub.hear(Report::Listed(Ended::Whole));
        hub.done();
        assert_eq!(whole(&mut hub), !lost);
    }
}

#[test]
fn a_listing_that_fails_waits_and_lets_others_go_first() {
    let mut hub = hub();
    hub.settled();
    hub.dataplane.vns.iter_mut().for_each(|(_, vn)| vn.unlisted = true);
    assert_eq!(hub.lists(), Some(hub.vns[0]));
    hub.hear(Report::Listed(Ended::Interrupted));
    hub.done();
    assert_eq!(hub.lists(), Some(hub.vns[1]));
    hub.dataplane.vns.iter_mut().for_each(|(_, vn)| vn.unlisted = true);
    hub.hear(Report::Listed(Ended::Whole));
    hub.done();
    assert_eq!(hub.lists(), Some(hub.vns[0]), "not the same again");
    hub.hear(Report::Listed(Ended::Failed));
    hub.done();
    assert_eq!(hub.lists(), Some(hub.vns[1]));
    hub.hear(Report::Listed(Ended::Whole));
    hub.done();
    assert_eq!(hub.lists(), None, "there is a pause");
    let at = hub.dataplane.deadline().unwrap();
    assert!(at > hub.now);
    hub.dataplane.again(at);
    hub.now = at;
    hub.plan();
    let standing = Standing { bridge: Some(BRIDGE), ..Standing::default() };
    hub.hear(Report::Settled(hub.vns[0], Box::new(standing)));
    assert_eq!(hub.lists(), Some(hub.vns[0]));
}

#[test]
fn a_port_that_came_back_while_events_were_lost_is_not_taken_for_down() {
    let mut hub = hub();
    hub.settled();
    let port = |is_down| {
        Event::Port(BridgePort { index: 3, bridge: BRIDGE, is_down, isolated: None, vlans: vec![] })
    };
    let station = FdbEntry { index: 3, mac: [2, 0, 0, 0, 0, 9], master: Some(BRIDGE), ..FdbEntry::default() };
    let mut forgotten = |events: &[Event]| {
        events.iter().for_each(|event| hub.tell(event.clone()));
        hub.news();
        hub.tell(Event::FdbGone(station));
        let place = hub.news().into_iter().find_map(|news| match news {
            News::Fdb { place, .. } => Some(place),
            _ => None,
        });
        place.unwrap()
    };
    assert_eq!(forgotten(&[]), Place::Gone);
    assert_eq!(forgotten(&[port(true)]), Place::Unplugged);
    assert_eq!(forgotten(&[Event::Overrun]), Place::Gone, "its entry may have aged");
    assert_eq!(forgotten(&[port(true)]), Place::Unplugged);
}

#[test]
fn a_guard_is_there_once_its_table_is_and_says_what_to_do_when_it_is_not() {
    let mut hub = hub();
    let trouble = |hub: &Hub| {
        let cause = hub.dataplane.guard().expect("one is wanted").err()?;
        Some((cause.text(), cause.hint().map(|hint| hint.into_owned())))
    };
    let (text, hint) = trouble(&hub).expect("it is not there yet");
    assert!(text.ends_with("the guard is being made") && hint.is_none(), "{text}");
    hub.hear(Report::Guard(Ok(Some("no-such-table".into()))));
    assert_eq!(trouble(&hub), None);
    let refused = || Lack::Refused("make a table: out of memory".into());
    let lacks = [Lack::NoTables, Lack::NoOwner, Lack::NoName, Lack::NoRight("needs it".into()), refused()];
    let parts = ["kmod-nft-core", "Linux 5.12", "nft delete table", "CAP_NET_ADMIN", "reload"];
    for (lack, part) in lacks.into_iter().zip(parts) {
        hub.hear(Report::Guard(Err(lack)));
        let (_, hint) = trouble(&hub).expect("it is missing");
        assert!(hint.as_ref().is_some_and(|hint| hint.contains(part)), "{hint:?}");
    }
}

/// A device for all spokes of a kernel without a filter of VNIs takes those that the guard would let others use.
#[test]
fn no_other_vni_passes_where_a_device_takes_all() {
    let shared = |vnifilter| {
        let NewPort { port, .. } = port();
        let info = VxlanInfo {
            external: true,
            learning: true,
            vnifilter,
            local: port.local.ip().into(),
            port: 4789,
            ..VxlanInfo::default()
        };
        let alias = Some(alias::shared("a", hub::kept(port)));
        Link { alias, kind: Kind::Vxlan(info), ..device(ONE) }
    };
    for (vnifilter, others_pass) in [(true, true), (false, false)] {
        let mut hub = hub();
        hub.settled();
        let key = hub.vns[0].0;
        let about = |hub: &mut Hub| match hub.dataplane.guard_job() {
            Some(Job::Guard(Order::Make(scope, _) | Order::Move(scope))) => Some(scope.others_pass),
            _ => None,
        };
        hub.dataplane.vns.get_mut(&key).unwrap().devices = Devices::Shared(vn::Shared::default());
        hub.hear(Report::Links(vec![shared(vnifilter)]));
        assert_eq!(about(&mut hub), Some(others_pass), "found");
        assert!(hub.dataplane.vns.get(&key).unwrap().unlisted, "who is behind it was left out so far");
        hub.tell(Event::LinkGone(shared(vnifilter)));
        assert_eq!(about(&mut hub), (!vnifilter).then_some(true), "gone");
        let Devices::Shared(of) = &mut hub.dataplane.vns.get_mut(&key).unwrap().devices else { panic!() };
        of.members.insert(spoke(), false);
        hub.hear(Report::SharedMade(hub.vns[0], spoke(), Ok((TWO, !vnifilter))));
        assert_eq!(about(&mut hub), (!vnifilter).then_some(false), "made");
    }
}

/// The device for all spokes floods to the first one from the start: also if that leaves while it is being made.
#[test]
fn the_first_spoke_left_while_the_device_for_all_was_made() {
    let mut hub = hub();
    hub.settled();
    let key = hub.vns[0].0;
    let mut shared = vn::Shared::default();
    let other = Vtep { vni: Vni::new(101).unwrap(), ..spoke() };
    shared.members.insert(other, false);
    hub.dataplane.vns.get_mut(&key).unwrap().devices = Devices::Shared(shared);
    hub.dataplane.worker.open = 1;
    let (dst, vni) = (Some(spoke().nbma.ip()), Some(100));
    hub.tell(Event::Fdb(FdbEntry { index: TWO, mac: [2, 0, 0, 0, 0, 9], dst, vni, ..FdbEntry::default() }));
    hub.hear(Report::SharedMade(hub.vns[0], spoke(), Ok((TWO, false))));
    hub.dataplane.worker.open = 0;
    assert!(hub.dataplane.vns.get(&key).unwrap().unlisted, "somebody was learned behind it");
    let flooded: Vec<&Job> = hub.dataplane.jobs.iter().collect();
    let [.., Job::Change(changes, _), Job::Flood(_, TWO, more)] = &flooded[..] else { panic!("{flooded:?}") };
    assert_eq!((&changes[..], &more[..]), (&[kmod::flood_no_more(TWO, spoke())][..], &[other][..]));
    assert_eq!(hub.dataplane.left, [(TWO, spoke())]);
}

/// What a device for all learned before it knew with which VNI a spoke is to be sent to leads to nobody, for good.
#[test]
fn what_leads_to_no_vni_of_a_spoke_is_forgotten() {
    let mut hub = hub();
    hub.settled();
    let key = hub.vns[0].0;
    hub.dataplane.vns.get_mut(&key).unwrap().devices = Devices::Shared(vn::Shared::default());
    let Devices::Shared(shared) = &mut hub.dataplane.vns.get_mut(&key).unwrap().devices else { panic!() };
    shared.members.insert(spoke(), true);
    hub.hear(Report::SharedMade(hub.vns[0], spoke(), Ok((TWO, false))));
    hub.dataplane.jobs.clear();
    let learned = |vni| FdbEntry {
        index: TWO,
        mac: [2, 0, 0, 0, 0, 9],
        dst: Some(spoke().nbma.ip()),
        vni: Some(vni),
        ..FdbEntry::default()
    };
    hub.tell(Event::Fdb(learned(100)));
    assert!(hub.dataplane.jobs.is_empty(), "{:?}", hub.dataplane.jobs);
    let uplink = 1_000_001;
    hub.tell(Event::Fdb(learned(uplink)));
    let Some(Job::Change(changes, _)) = hub.dataplane.jobs.pop_back() else { panic!("it is to go") };
    let to = Vtep { vni: Vni::new(uplink).unwrap(), ..spoke() };
    let to = Some(spoke::destination(to, None));
    assert_eq!(changes, [FdbChange::Remove { index: TWO, mac: [2, 0, 0, 0, 0, 9], to }]);
    hub.tell(Event::FdbGone(learned(uplink)));
    assert!(hub.dataplane.jobs.is_empty(), "it is gone");
}

/// What a spoke takes is a matter of its settings, whether its hub ever answers or not: of everybody for a while at first,
/// then of its hub.
#[test]
fn a_spoke_is_guarded_though_its_hub_never_answers() {
    let mut names = Names::default();
    let config = spoke_of("1", "1");
    names.learn(&config);
    let mut spoke = plane_of(&config);
    let hub = Nbma::new([10, 0, 0, 1].into()).unwrap();
    let guard = |spoke: &mut Hub, after: u64| {
        (spoke.dataplane.look, spoke.dataplane.looking) = (None, false);
        spoke.dataplane.close(&spoke.engine, spoke.now + Duration::from_secs(after));
        spoke.dataplane.reconcile(&spoke.engine, &mut spoke.inputs);
        let admissions = match spoke.dataplane.guard_job() {
            Some(Job::Guard(Order::Make(_, these) | Order::Change(these))) => these,
            None => return None,
            other => panic!("{other:?}"),
        };
        spoke.hear(Report::Guard(Ok(Some("dmevpn".into()))));
        Some(admissions)
    };
    let key = spoke.vns[0].0;
    let others: LiteMap<VnKey, Option<Nbma>> = map_of([(key, Some(hub))]);
    assert_eq!(guard(&mut spoke, 60), None);
    assert_eq!(guard(&mut spoke, 70), Some(vec![Admission::Claim(100)]), "where the hub is is not known yet");
    spoke.dataplane.take_from_hubs(&others);
    assert_eq!(guard(&mut spoke, 70), Some(vec![Admission::Open(hub.ip(), 100)]));
    // The way is lost.
    spoke.dataplane.take_from_hubs(&LiteMap::new());
    assert_eq!(guard(&mut spoke, 200), None);
    assert!(spoke.dataplane.guard().is_some());
    // Other settings open it, and close it again.
    let (without, mut inputs) = (spoke_of("1", "0"), Inputs::new());
    spoke.dataplane.configure(&without, &names, &mut inputs);
    assert!(spoke.dataplane.guard().is_none());
    spoke.dataplane.guard_job();
    spoke.dataplane.configure(&config, &names, &mut inputs);
    assert_eq!(guard(&mut spoke, 60), None);
    let again = guard(&mut spoke, 70).unwrap();
    assert!(again.contains(&Admission::Open(hub.ip(), 100)), "{again:?}");
    // There are several from now on: the engine says which one counts.
    spoke.dataplane.take_from_hubs(&map_of([(key, None)]));
    guard(&mut spoke, 70);
    assert!(spoke.dataplane.guard.sources(key).all(|source| source.nbma != hub));
    // Who speaks without sessions does not ask before.
    let mut plain = plane_of(&spoke_of("0", "1"));
    assert_eq!(guard(&mut plain, 70), None);
}

/// Whom a spoke knew may still send for a while when it knows nobody any more, as when its way is lost.
#[test]
fn who_was_known_may_send_on_for_a_while() {
    let mut spoke = plane_of(&spoke_of("1", "1"));
    let key = spoke.vns[0].0;
    let at = |n: u8| Nbma::new([10, 0, 0, n].into()).unwrap();
    let vni = Vni::new(100).unwrap();
    let known =
        |spoke: &Hub| spoke.dataplane.guard.sources(key).map(|source| source.nbma).collect::<Vec<_>>();
    spoke.dataplane.take_from_hubs(&map_of([(key, Some(at(1)))]));
    let close = |spoke: &mut Hub, after: u64| {
        spoke.dataplane.close(&spoke.engine, spoke.now + Duration::from_secs(after));
        spoke.dataplane.reconcile(&spoke.engine, &mut spoke.inputs);
    };
    close(&mut spoke, 70);
    // There was another site, and the plane has none any more.
    spoke.dataplane.guard.set(key, Vtep { nbma: at(3), vni }, Some(vni));
    spoke.dataplane.vns.get_mut(&key).unwrap().is_alone = false;
    spoke.dataplane.changed(key, Item::Source(at(3)));
    close(&mut spoke, 0);
    assert_eq!(known(&spoke), [at(1), at(3)]);
    close(&mut spoke, 60);
    assert_eq!(known(&spoke), [at(1), at(3)]);
    close(&mut spoke, 70);
    assert_eq!(known(&spoke), [at(1)]);
}

/// A VN without its bridge has no part in it whether strangers' probes pass; one that is not guarded neither.
#[test]
fn probes_pass_while_no_guarded_bridge_learns_from_them() {
    let mut hub = hub();
    (hub.dataplane.look, hub.dataplane.looking) = (None, false);
    let passes = |hub: &mut Hub| match hub.dataplane.guard_job() {
        Some(Job::Guard(Order::Make(scope, _) | Order::Move(scope))) => Some(scope.probes_pass),
        _ => None,
    };
    assert_eq!(passes(&mut hub), Some(true), "no bridge is there");
    let learns = |hub: &mut Hub, n: usize, learns: bool| {
        let index = Some(BRIDGE + n as u32);
        let quiet = index.filter(|_| !learns);
        let standing =
            Standing { bridge: index, quiet, learns: index.filter(|_| learns), ..Standing::default() };
        hub.hear(Report::Settled(hub.vns[n], Box::new(standing)));
    };
    learns(&mut hub, 0, false);
    assert_eq!(passes(&mut hub), None);
    learns(&mut hub, 1, true);
    assert_eq!(passes(&mut hub), Some(false));
    hub.tell(Event::LinkGone(Link { index: BRIDGE + 1, kind: Kind::Other, ..device(BRIDGE + 1) }));
    assert_eq!(passes(&mut hub), Some(true));
}

/// What was set at a bridge is taken back once no VN has it.
#[test]
fn a_bridge_learns_again_when_it_is_no_vns_any_more() {
    let mut hub = hub();
    let quiet = |is_quieted| Standing {
        bridge: Some(BRIDGE),
        quiet: Some(BRIDGE),
        is_quieted,
        ..Standing::default()
    };
    hub.plan();
    hub.hear(Report::Settled(hub.vns[0], Box::new(quiet(true))));
    hub.hear(Report::Settled(hub.vns[1], Box::new(quiet(false))));
    let learns = |jobs: Vec<Job>| jobs.iter().any(|job| matches!(job, Job::Learn(BRIDGE)));
    hub.dataplane.take_down(hub.vns[0].0);
    assert!(!learns(hub.plan()), "the other VN has it");
    hub.dataplane.take_down(hub.vns[1].0);
    assert!(learns(hub.plan()));
    assert!(!learns(hub.plan()));
}

/// A kernel older than 5.18 shows by any port of a bridge that it locks none. A hub among several lacks that,
/// others lack nothing.
#[test]
fn several_hubs_lack_locks_of_ports() {
    let config = |peer: &str| {
        let text = format!(
            "config dmevpn 'main'\n\toption nbma '10.0.0.1'\n\
             config hub 'dc2'\n\toption address '10.0.0.2'\n\
             config vn 'a'\n\toption vpn_id '1'\n\toption role 'hub'\n\toption bridge 'br-a'\n{peer}\
             config vn 'b'\n\toption vpn_id '2'\n\toption role 'hub'\n\toption bridge 'br-b'\n"
        );
        Config::parse("test", &text).unwrap()
    };
    let lacks = |hub: &Hub| {
        let lack = |whose: &Whose| hub.dataplane.lack(whose.0).is_some_and(|lack| *lack == Cause::NoLocks);
        hub.vns.iter().map(lack).collect::<Vec<_>>()
    };
    let port = |locked| Link { isolated: Some(false), locked, ..device(ONE) };
    for listed in [true, false] {
        let mut hub = plane_of(&config("\tlist peer 'dc2'\n"));
        let sees = |hub: &mut Hub, link| match listed {
            true => hub.hear(Report::Links(vec![link])),
            false => hub.tell(Event::Link(link)),
        };
        // What is no port of a bridge says nothing.
        sees(&mut hub, bridge("br-a", BRIDGE));
        sees(&mut hub, port(Some(false)));
        assert_eq!(lacks(&hub), [false, false]);
        sees(&mut hub, port(None));
        assert_eq!(lacks(&hub), [true, false]);
        // So with what a reload brings.
        for (peer, expected) in [("", false), ("\tlist peer 'dc2'\n", true)] {
            let (config, mut names) = (config(peer), Names::default());
            names.learn(&config);
            hub.dataplane.configure(&config, &names, &mut hub.inputs);
            assert_eq!(lacks(&hub), [expected, false], "{peer}");
        }
    }
}
