//! In the steady state, no packet costs an allocation: a hub with thousands of spokes on a small router.

mod drive;

use dmevpn::engine::{Act, Effect, Effects, Engine, Input, News, Path, Via};
use dmevpn::time::Instant;
use dmevpn::types::Mac;
use dmevpn::wire::MAX_NHRP;
use dmevpn::wire::nhrp::{Cie, Header, Kind, Message, Writer, kind};
use drive::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const STATION: &str = "52:54:00:00:00:0b";

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted. Each thread, so each test, has its own count.
struct Counting;

fn count() {
    // A thread that is ending has no count any more, and no test either.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

#[allow(unsafe_code)] // SAFETY: each call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `f` allocates.
fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn the_count_counts() {
    let n = allocations(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(n, 1);
}

/// One input; the kinds of the packets it makes.
fn step(engine: &mut Engine, out: &mut Effects, now: Instant, input: Input<'_>, kind: Kind) {
    out.clear();
    engine.handle(now, input, out);
    let sent = out.iter().filter_map(|e| match e {
        Effect::Send { bytes, .. } => Message::parse(out.bytes(bytes.clone())).ok(),
        _ => None,
    });
    assert_eq!(sent.filter(|m| m.header.kind == kind).count(), 1);
}

#[test]
fn hub_refreshes_a_registration() {
    let mut hub = Driven::hub();
    let spokes: Vec<Client> = (2..100).map(client).collect();
    let requests: Vec<Vec<u8>> = spokes.iter().map(|c| c.registration(1)).collect();
    let round = |hub: &mut Driven| {
        for (spoke, request) in spokes.iter().zip(&requests) {
            hub.now = hub.now + SECOND;
            let input = Input::Packet { via: Via { path: spoke.path(), tag: TAG }, nhrp: request };
            step(&mut hub.engine, &mut hub.out, hub.now, input, Kind::RegistrationReply);
        }
    };
    spokes.iter().for_each(|spoke| {
        hub.register(spoke);
    });
    round(&mut hub);
    assert_eq!(allocations(|| (0..10).for_each(|_| round(&mut hub))), 0);
}

#[test]
fn hub_answers_questions() {
    let mut hub = Driven::hub();
    let (two, three) = (client(2), client(3));
    hub.register(&two);
    hub.register(&three);
    hub.learn(&three, address(STATION));
    let known = two.question(7, address(STATION));
    let unknown = two.question(8, address("52:54:00:00:00:99"));
    let refresh = [two, three].map(|c| c.registration(9));
    let round = |hub: &mut Driven| {
        for question in [&known, &unknown] {
            hub.now = hub.now + SECOND * 50;
            let input = Input::Packet { via: Via { path: two.path(), tag: TAG }, nhrp: question };
            step(&mut hub.engine, &mut hub.out, hub.now, input, Kind::ResolutionReply);
        }
        for (client, request) in [two, three].iter().zip(&refresh) {
            let input = Input::Packet { via: Via { path: client.path(), tag: TAG }, nhrp: request };
            step(&mut hub.engine, &mut hub.out, hub.now, input, Kind::RegistrationReply);
        }
    };
    (0..10).for_each(|_| round(&mut hub));
    assert_eq!(allocations(|| (0..100).for_each(|_| round(&mut hub))), 0);
}

/// Answers what a spoke sent, into `reply`, as its hub would; its length.
fn answer_into(out: &Effects, reply: &mut [u8]) -> Option<usize> {
    let sent = out.iter().find_map(|e| match e {
        Effect::Send { bytes, .. } => Some(out.bytes(bytes.clone())),
        _ => None,
    })?;
    let message = Message::parse(sent).ok()?;
    let (kind, cie) = match message.header.kind {
        Kind::RegistrationRequest => (Kind::RegistrationReply, Cie { holding: 600, ..Cie::default() }),
        _ => (Kind::ResolutionReply, at(vtep("10.0.0.3", 101), 300)),
    };
    let responder = Cie {
        nbma: Some(message_hub().local),
        vni: Some(vni(9000)),
        address: Some(address(HUB_MAC)),
        ..Cie::default()
    };
    let mut writer = Writer::new(reply, &message.header.reply(kind));
    writer.cie(&cie).extension_cie(kind::RESPONDER, true, &responder);
    writer.finish()
}

fn message_hub() -> Path {
    from(nbma("10.0.0.2"))
}

#[test]
fn spoke_refreshes_its_registration_and_renews_its_shortcuts() {
    let mut spoke = Driven::registered();
    let path = Path { local: nbma("10.0.0.2"), remote: nbma("10.0.0.1") };
    let stations: Vec<Mac> = (1..=20).map(|n| Mac::new([2, 0, 0, 0, 1, n]).unwrap()).collect();
    let mut reply = vec![0; MAX_NHRP];
    // What the shell does: performs the effects, and the answers come in.
    let mut settle = |spoke: &mut Driven| {
        while let Some(len) = answer_into(&spoke.out, &mut reply) {
            spoke.input(Input::Packet { via: Via { path, tag: TAG }, nhrp: &reply[..len] });
        }
    };
    for mac in &stations {
        spoke.heard(*mac);
        settle(&mut spoke);
    }
    let mut run = |spoke: &mut Driven, time: Duration| {
        let (end, mut renewed) = (spoke.now + time, 0);
        while let Some(due) = spoke.engine.deadline().filter(|due| *due <= end) {
            spoke.now = due;
            spoke.input(Input::Tick);
            let asked = spoke.out.iter().find_map(|e| match e {
                Effect::Do { act: Act::ReadUse(mac), .. } => Some(*mac),
                _ => None,
            });
            if let Some(mac) = asked {
                renewed += 1;
                let (idle, age) = (SECOND, SECOND * 10_000);
                spoke.input(Input::News { vn: VN, news: News::Use { mac, idle, age } });
            }
            settle(spoke);
        }
        renewed
    };
    run(&mut spoke, SECOND * 1000);
    let mut renewed = 0;
    let n = allocations(|| renewed = run(&mut spoke, SECOND * 5000));
    assert!(renewed > 20 * 20, "{renewed}");
    assert!(stations.iter().all(|mac| spoke.shortcut(*mac).is_some()));
    assert!(spoke.engine.statistics().rx_register_ack > 20);
    // IDs are saved, and that is all.
    assert_eq!(n, 0);
}

#[test]
fn packets_are_read_and_written() {
    let two = client(2);
    let packet = two.question(1, address(STATION));
    let mut buf = vec![0; MAX_NHRP];
    let n = allocations(|| {
        for _ in 0..100 {
            let message = Message::parse(&packet).unwrap();
            let header: Header = message.header.reply(Kind::ResolutionReply);
            let mut writer = Writer::new(&mut buf, &header);
            writer.cie(&at(two.vtep(), 600));
            message.extensions().for_each(|e| {
                writer.extension(e);
            });
            assert!(writer.finish().is_some());
        }
    });
    assert_eq!(n, 0);
}
