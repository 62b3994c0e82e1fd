# Stands in for OpenWrt's /lib/functions/network.sh: /interfaces/NAME holds the device of an interface that is up.
# shellcheck shell=dash disable=SC3043
network_flush_cache() { :; }
network_get_device() {
	local device_is
	device_is=$(cat "/interfaces/$2" 2>/dev/null)
	[ -n "$device_is" ] && eval "$1=\$device_is"
}
