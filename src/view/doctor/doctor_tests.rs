use super::*;

fn one(level: Level, what: &str, text: &str, hint: &str) -> Diagnosis {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    Diagnosis { level, what: what.into(), text: text.into(), hint }
}

const CONFIG: &str = "config dmevpn 'main'\noption udp_port '4790'\nconfig hub 'dc1'\noption address '10.0.0.1'\n\
    config vn 'lan'\noption vpn_id '1'\noption role 'spoke'\noption vni '100'\noption bridge 'br-lan'\n";

/// A router on which all is well.
fn well() -> Facts {
    Facts {
        file: "/etc/config/dmevpn".into(),
        config: Config::parse("/etc/config/dmevpn", CONFIG),
        warnings: vec![],
        daemon: Ok(vec![one(Level::Well, "daemon", "runs", "")]),
        receivers: 1,
        is_privileged: true,
        drivers: [Some(true); 2],
        date: EARLIEST,
        port: Port { is_free: false, devices: vec![(tunnel("vx-lan", Some(100)), true)] },
        firewall: vec![(Sort::Udp(4790), Passage::Open), (Sort::Gre, Passage::Open)],
        ways: vec![way("10.0.0.1", 1500)],
        state: None,
        snooping: vec![],
    }
}

fn tunnel(name: &str, vni: Option<u32>) -> Tunnel {
    Tunnel { name: name.into(), vni }
}

fn way(address: &str, mtu: u32) -> Way {
    Way { hub: "dc1".into(), mtu: Ok((address.parse().unwrap(), mtu)), is_refused: false }
}

/// What is not well, in short.
fn told(all: &[Diagnosis]) -> Vec<String> {
    let not_well = all.iter().filter(|one| one.level != Level::Well);
    not_well.map(|one| format!("{} {}: {}", one.level.name(), one.what, one.text)).collect()
}

#[test]
fn where_all_is_well_nothing_is_told() {
    let all = judge(well());
    assert_eq!(told(&all), [""; 0]);
    assert!(all.len() > 5 && !is_wrong(&all));
}

#[test]
fn each_fact_is_told_with_what_to_do() {
    let taken = |name: &str, vni| Port { is_free: false, devices: vec![(tunnel(name, vni), false)] };
    let closed = Passage::Closed("table inet x, chain input".into());
    let broken = Config::parse("f", "config dmevpn\noption nbma x\n");
    for (facts, words) in [
        (Facts { config: broken, ..well() }, "wrong configuration: f:2: "),
        (
            Facts { config: Config::parse("f", ""), ..well() },
            "warning configuration: /etc/config/dmevpn has no VN",
        ),
        (Facts { daemon: Err("no daemon answers at x".into()), ..well() }, "wrong daemon: no daemon answers"),
        (
            Facts { receivers: 2, ..well() },
            "warning daemon: 2 programs take NHRP packets in this network namespace",
        ),
        (Facts { is_privileged: false, ..well() }, "warning rights: some of this"),
        (Facts { drivers: [Some(false), Some(true)], ..well() }, "wrong kernel: it has no vxlan"),
        (
            Facts { drivers: [Some(true), None], ..well() },
            "warning kernel: it does not say whether it has bridge",
        ),
        (Facts { date: 86_400, ..well() }, "warning date: it is long past"),
        (Facts { port: Port::default(), ..well() }, "wrong UDP port 4790: another program has it"),
        (
            Facts { port: taken("x", Some(100)), ..well() },
            "wrong UDP port 4790: VXLAN device 'x' takes what comes",
        ),
        (
            Facts { port: taken("x", None), ..well() },
            "wrong UDP port 4790: VXLAN device 'x' takes what comes",
        ),
        (
            Facts { firewall: vec![(Sort::Udp(4790), closed.clone()), (Sort::Gre, Passage::Open)], ..well() },
            "wrong firewall: table inet x, chain input refuses UDP port 4790 (VXLAN)",
        ),
        (
            Facts { firewall: vec![(Sort::Udp(4790), Passage::Open), (Sort::Gre, closed)], ..well() },
            "wrong firewall: table inet x, chain input refuses GRE (IP protocol 47)",
        ),
        (
            Facts {
                firewall: vec![
                    (Sort::Udp(4790), Passage::Open),
                    (Sort::Gre, Passage::Unknown("no nft".into())),
                ],
                ..well()
            },
            "warning firewall: nobody can tell (no nft) about GRE (IP protocol 47)",
        ),
        (
            Facts { ways: vec![way("2001:db8::1", 1492)], ..well() },
            "warning way to dc1: packets to 2001:db8::1 may have 1492",
        ),
        (
            Facts { ways: vec![way("10.0.0.1", 1300)], ..well() },
            "warning way to dc1: packets to 10.0.0.1 may have 1300",
        ),
        (
            Facts { ways: vec![Way { is_refused: true, ..way("10.0.0.1", 1500) }], ..well() },
            "warning way to dc1: nobody takes VXLAN at 10.0.0.1",
        ),
        (
            Facts { state: Some(Err("Read-only file system".into())), ..well() },
            "warning state file: /etc/dmevpn/state: Read-only file system",
        ),
    ] {
        let all = judge(facts);
        let told = told(&all);
        assert!(told.len() == 1 && told[0].starts_with(words), "{words}: {told:?}");
        assert!(all.iter().all(|one| one.level == Level::Well || one.hint.is_some()), "{all:?}");
        assert_eq!(is_wrong(&all), words.starts_with("wrong"));
    }
    assert_eq!(
        told(&judge(Facts { ways: vec![way("2001:db8::1", 1500), way("10.0.0.1", 1430)], ..well() })),
        [""; 0]
    );
    // A VXLAN device with other VNIs shares the port, and so do those that the configuration names.
    let shared = Port {
        is_free: false,
        devices: vec![(tunnel("x", Some(7)), false), (tunnel("vx-lan", Some(100)), false)],
    };
    assert_eq!(told(&judge(Facts { port: shared, ..well() })), [""; 0]);
    // What the daemon says of a hub without an address is not said twice.
    let nowhere = || vec![Way { mtu: Err("'x' does not resolve".into()), ..way("10.0.0.1", 0) }];
    assert_eq!(told(&judge(Facts { ways: nowhere(), ..well() })), [""; 0]);
    assert_eq!(told(&judge(Facts { ways: nowhere(), daemon: Err("none".into()), ..well() })).len(), 2);
}

#[test]
fn a_daemons_words_come_as_they_were() {
    let all = vec![
        one(Level::Well, "daemon", "runs", ""),
        one(Level::Wrong, "VN lan", "not registered: no answer", "see whether the hub runs"),
    ];
    let mut text = String::new();
    lines(&mut text, &all);
    assert_eq!(of_lines(&text), all);
    let mut odd = String::new();
    lines(&mut odd, &[one(Level::Warning, "a\tb", "c\nd\x1b", "")]);
    assert_eq!(odd, "warning\ta b\tc d \t\n");
    assert_eq!(of_lines("config\t/x\nnonsense\n\nok\tx\n"), []);
}

#[test]
fn for_people_and_for_programs() {
    let all =
        [one(Level::Well, "date", "fine", ""), one(Level::Wrong, "kernel", "it has no vxlan", "install it")];
    let mut out = String::new();
    write(&mut out, Form::Text { columns: 0 }, &all);
    assert_eq!(out, "ok       date: fine\nwrong    kernel: it has no vxlan\n  do     install it\n");
    out.clear();
    write(&mut out, Form::Json, &all);
    let expected = r#"{"worst":"wrong","checks":[{"level":"ok","what":"date","text":"fine","hint":null},{"level":"wrong","what":"kernel","text":"it has no vxlan","hint":"install it"}]}"#;
    assert_eq!(out.trim_end(), expected);
}
