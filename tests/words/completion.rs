//! Completion for bash.

use super::HEADER;
use super::commands::{Command, commands};
use std::fmt::Write;

const BEFORE: &str = r#"
# To be sourced, or put as `dmevpn` into /usr/share/bash-completion/completions. OpenWrt's ash completes file names only.

# Where the names of VNs are taken from: OpenWrt's file, Debian's file.
_dmevpn_configs=(/etc/config/dmevpn /etc/dmevpn/dmevpn.conf)

_dmevpn_vns() {
    local blank='[[:space:]]' quote="['\"]"
    sed -n "s/^$blank*config$blank\{1,\}$quote\{0,1\}vn$quote\{0,1\}$blank\{1,\}$quote\{0,1\}\([A-Za-z0-9_]\{1,\}\).*/\1/p" \
        "${_dmevpn_configs[@]}" 2>/dev/null
}

_dmevpn_files() {
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null
}

_dmevpn() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options='' places=() place=0 i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$_dmevpn_commands --help --version" -- "$word")
        return
    fi
"#;

const AFTER: &str = r#"    case $before in
    --config | --socket | --record)
        _dmevpn_files "$word"
        return
        ;;
    --timeout | --after | --most | --remove) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --config | --socket | --record | --timeout | --after | --most | --remove) ((i++)) ;;
        -*) ;;
        *) ((place++)) ;;
        esac
    done
    case ${places[place]-} in
    vn) mapfile -t COMPREPLY < <(compgen -W "$(_dmevpn_vns)" -- "$word") ;;
    file) _dmevpn_files "$word" ;;
    esac
}

complete -F _dmevpn dmevpn
"#;

/// The text of the script.
pub fn script() -> String {
    let commands = commands();
    let names: Vec<&str> = commands.iter().map(|c| c.name.as_str()).collect();
    let mut out = format!("# Completion of dmevpn's command line for bash.\n# {HEADER}{BEFORE}");
    out = out.replacen(
        "\n_dmevpn() {",
        &format!("\n_dmevpn_commands='{}'\n\n_dmevpn() {{", names.join(" ")),
        1,
    );
    out += "    case ${COMP_WORDS[1]} in\n";
    for command in &commands {
        let _ = writeln!(
            out,
            "    {}) options='{}' places=({}) ;;",
            command.name,
            options(command),
            places(command)
        );
    }
    out += "    esac\n";
    out += AFTER;
    out
}

fn options(command: &Command) -> String {
    let names: Vec<&str> = command.options.iter().map(|option| option.name.as_str()).collect();
    for option in &names {
        let takes = command.takes(option);
        assert_eq!(
            takes.is_some(),
            ["--config", "--socket", "--record", "--timeout", "--after", "--most", "--remove"]
                .contains(option),
            "{option}"
        );
    }
    names.join(" ")
}

fn places(command: &Command) -> String {
    let names = command.places.iter().flat_map(|place| place.name.split(' '));
    names.map(|name| name.trim_matches(['[', ']'])).collect::<Vec<_>>().join(" ")
}
