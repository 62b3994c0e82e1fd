# Stands in for OpenWrt's /lib/functions/procd.sh: writes down what procd would be told.
# shellcheck shell=dash
for name in procd_open_instance procd_set_param procd_add_jail procd_add_jail_mount procd_add_jail_mount_rw procd_open_data \
	procd_close_data procd_close_instance procd_set_config_changed procd_add_reload_trigger procd_add_reload_interface_trigger \
	procd_kill json_add_array json_close_array json_add_object json_close_object json_add_string; do
	eval "$name() { call $name \"\$@\"; }"
done
_procd_status() { echo "running"; }
procd_send_signal() {
	call procd_send_signal "$@"
	[ -e /hangs ] || rm -rf /proc/"$(cat /pid)"
}
