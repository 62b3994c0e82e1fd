# The original network, command by command: kernel GRE for NHRP, existing VXLAN devices that report misses.
# guests: 6.1 6.12
# seconds: 120

picture
gre spoke1 10.0.0.1 10.0.0.2 1.0.0.2/24
gre spoke2 10.0.0.1 10.0.0.3 1.0.0.3/24
gre hub any 10.0.0.1 1.0.0.1/24

# data SPOKE VNI ADDRESS: the original's device for frames. Without dstport the kernel takes UDP port 8472.
data() {
    ip -n "$1" link add tunnel2 type vxlan id "$2" remote 10.0.0.1 local "$3" l2miss nolearning
    ip -n "$1" link set tunnel2 master br-test up
    bridge -n "$1" fdb del 00:00:00:00:00:00 dev tunnel2
    bridge -n "$1" fdb add ff:ff:ff:ff:ff:ff dev tunnel2 dst 10.0.0.1 vni "$2"
}
data spoke1 100 10.0.0.2
data spoke2 101 10.0.0.3

# imported NODE: what its configuration for the original becomes; where the daemon keeps things is added.
imported() {
    "$DMEVPN" import "$REPOSITORY/tests/import/seed-$1.conf" | grep -v "^config dmevpn 'main'$" | configure "$1"
}
imported hub
imported spoke1
imported spoke2
# The first frame to a MAC is lost with l2miss, so vm1 may have to ask twice.
becomes_direct 10.0.0.2 10.0.0.3
