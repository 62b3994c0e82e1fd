#!/bin/sh
# A site of a virtual network as an interface of /etc/config/network. It is a part of what the one daemon is configured
# with: put beside those of other interfaces, and handed over by the service's script. There is never a second daemon.
# shellcheck shell=dash
# shellcheck disable=SC1091,SC2034,SC2154,SC3043 # OpenWrt's own files; what netifd reads and sets; `local`, which ash has

[ -n "$INCLUDE_ONLY" ] || {
	. /lib/functions.sh
	. ../netifd-proto.sh
	init_proto "$@"
}

DMEVPN=/usr/sbin/dmevpn
DMEVPN_SERVICE=/etc/init.d/dmevpn
DMEVPN_OWNERS=/etc/config/dmevpn
DMEVPN_RUN=/var/run/dmevpn

proto_dmevpn_init_config() {
	no_device=1
	available=1
	lasterror=1
	# All are strings: netifd would drop a number that is none, and nobody would be told.
	proto_config_add_string hub
	proto_config_add_string vpn_id
	proto_config_add_string vni
	proto_config_add_string bridge
	proto_config_add_string mtu
	proto_config_add_string vlan
	proto_config_add_string vpn_mode
	proto_config_add_string tunlink
}

# The device that the daemon makes for interface $1: a name of at most 15 octets.
dmevpn_device() {
	printf 'vx-%.12s' "$1"
}

dmevpn_option() {
	[ -z "$2" ] || printf "\toption %s '%s'\n" "$1" "$2"
}

dmevpn_part() {
	printf "config hub '%s_hub'\n" "$1"
	dmevpn_option address "$hub"
	dmevpn_option vpn_mode "$vpn_mode"
	printf "config vn '%s'\n" "$1"
	dmevpn_option role spoke
	dmevpn_option hub "$1_hub"
	dmevpn_option vxlan "$device"
	dmevpn_option vpn_id "$vpn_id"
	dmevpn_option vni "$vni"
	dmevpn_option bridge "$bridge"
	dmevpn_option mtu "$mtu"
	dmevpn_option vlan "$vlan"
}

# Whether interface $1's part is in place and the daemon has made the device, now or within $2 seconds. It is asked often
# where routers are slow: nothing but `sleep` is run.
dmevpn_is_up() {
	local seconds=$2
	until [ -e "$DMEVPN_RUN/proto/$1" ] && [ -d "/sys/class/net/$device" ]; do
		[ "$seconds" -gt 0 ] || return 1
		seconds=$((seconds - 1))
		sleep 1
	done
}

# Hands interface $1's part over. What hinders the interface goes into $code and $text; returns 0 when it is up.
dmevpn_hand_over() {
	local part="$DMEVPN_RUN/proto/$1" trial="$DMEVPN_RUN/proto/.$1" patience=0
	# The package was removed, and the interface not: netifd goes on with what it has read.
	if [ ! -x "$DMEVPN" ]; then
		code=NOT_INSTALLED text="there is no $DMEVPN (package dmevpn)"
		return 1
	fi
	mkdir -p "$DMEVPN_RUN/proto"
	case "$hub$vpn_id$vni$bridge$mtu$vlan$vpn_mode" in
	*"'"*)
		code=INVALID_CONFIG text="a value with an apostrophe"
		return 1
		;;
	esac
	if [ -e "$DMEVPN_OWNERS" ] && ! text=$("$DMEVPN" check "$DMEVPN_OWNERS" 2>&1); then
		code=INVALID_SERVICE_CONFIG
		return 1
	fi
	dmevpn_part "$1" >"$trial"
	text=$("$DMEVPN_SERVICE" try "$1" "$trial")
	if [ -n "$text" ]; then
		rm -f "$trial"
		code=INVALID_CONFIG
		return 1
	fi
	if cmp -s "$trial" "$part"; then
		rm -f "$trial"
	else
		mv "$trial" "$part"
		"$DMEVPN_SERVICE" parts
		[ ! -e "$DMEVPN_RUN/config" ] || patience=5
	fi
	! dmevpn_is_up "$1" "$patience" || return 0
	if [ -e "$DMEVPN_RUN/config" ]; then
		code=NO_TUNNEL text=$(dmevpn_words "$1")
	elif [ -e "$DMEVPN_RUN/stopped" ]; then
		code=SERVICE_STOPPED text="$DMEVPN_SERVICE start"
	elif ! "$DMEVPN_SERVICE" enabled; then
		code=SERVICE_DISABLED text="$DMEVPN_SERVICE enable; $DMEVPN_SERVICE start"
	else
		code=SERVICE_OFF text="option 'enabled' is 0 in section 'main' of $DMEVPN_OWNERS"
	fi
	return 1
}

# How the daemon says that VN $1 stands.
dmevpn_words() {
	local status vn="@.vns[@.name='$1']"
	status=$("$DMEVPN" status --json --timeout 2)
	jsonfilter -q -s "$status" -e "$vn.text" -e "$vn.hint" -e '@.error'
}

# Up once the tunnel's device is there and not only once the hub has answered: an interface that goes down and up with
# the way to the hub would take its bridge's port along, and with it what still is forwarded between sites. How the
# registration stands is told by `dmevpn status`. Until then it goes on trying: what hinders may be put right elsewhere.
proto_dmevpn_setup() {
	local config="$1" told='' code='' text=''
	local hub vpn_id vni bridge mtu vlan vpn_mode tunlink device
	json_get_vars hub vpn_id vni bridge mtu vlan vpn_mode tunlink
	device=$(dmevpn_device "$config")

	# The part of before, if netifd had no time for the teardown.
	rm -f "$DMEVPN_RUN/proto/$config"
	[ -z "$tunlink" ] || proto_add_host_dependency "$config" "$hub" "$tunlink"
	until dmevpn_hand_over "$config"; do
		[ "$told" = "$code$text" ] || proto_notify_error "$config" "$code" "$text"
		told="$code$text"
		! dmevpn_is_up "$config" 5 || break
	done
	proto_init_update "$device" 1 1
	proto_add_data
	json_add_string vn "$config"
	json_add_string bridge "$bridge"
	proto_close_data
	proto_send_update "$config"
}

proto_dmevpn_teardown() {
	rm -f "$DMEVPN_RUN/proto/$1"
	"$DMEVPN_SERVICE" parts
}

[ -n "$INCLUDE_ONLY" ] || add_protocol dmevpn
