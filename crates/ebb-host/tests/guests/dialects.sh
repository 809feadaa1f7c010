#!/bin/sh
# Reads every cloud's form by that cloud's own address or name, before the notice and after it, then approves its end.
shared=169.254.169.254
events="$shared/metadata/scheduledevents?api-version=2020-07-01"
google=metadata.google.internal/computeMetadata/v1/instance

get() {
  name=$1 url=$2
  shift 2
  said=$(timeout 20 wget -q -O - "$@" "http://$url" 2>&1 | tr '\n' ' ')
  echo "dialect: $phase $name $said"
}
# This wget cannot PUT. Whoever hangs up before the answer does not get it.
token() {
  { printf 'PUT /latest/api/token HTTP/1.0\r\n%s-ttl-seconds: 600\r\n\r\n' "$2"; sleep 1; } | nc -w 5 "$1" 80 | tr -d '\r' | sed '1,/^$/d'
}
all() {
  get huawei "$shared/openstack/latest/spot/instance-action"
  get aws "$shared/latest/meta-data/spot/instance-action" --header "X-aws-ec2-metadata-token: $aws"
  get aws-time "$shared/latest/meta-data/spot/termination-time"
  get alibaba "100.100.100.200/latest/meta-data/instance/spot/termination-time" --header "X-aliyun-ecs-metadata-token: $aliyun"
  get azure "$events" --header 'Metadata: true'
  get google "$google/preempted" --header 'Metadata-Flavor: Google'
  get tencent "metadata.tencentyun.com/latest/meta-data/spot/termination-time"
}

aws=$(token "$shared" X-aws-ec2-metadata-token)
aliyun=$(token 100.100.100.200 X-aliyun-ecs-metadata-token)
phase=before
all
get stale "$shared/latest/meta-data/mac" --header "X-aws-ec2-metadata-token: $aliyun"
get address "$shared/latest/meta-data/local-ipv4"
get mac "169.254.0.23/latest/meta-data/mac"
get flavorless "$google/preempted"
nslookup example.com 2>&1 | grep -q REFUSED && echo 'dialect: before name refused'
timeout 200 wget -q -O - --header 'Metadata-Flavor: Google' "http://$google/preempted?wait_for_change=true" >/tmp/waited 2>&1 &
waiter=$!
sleep 1
get meanwhile "$shared/latest/meta-data/placement/region"
echo 'dialect: before over'
wait $waiter
echo "dialect: waited $(cat /tmp/waited)"
phase=after
all
event=$(wget -q -O - --header 'Metadata: true' "http://$events" | sed 's/.*"EventId":"\([^"]*\)".*/\1/')
get wrong "$events" --header 'Metadata: true' --post-data '{"StartRequests":[{"EventId":"0"}]}'
echo 'dialect: after over'
# With the guest its console goes: whoever reads that comes first.
until [ -e /tmp/go ]; do sleep 1; done
get approved "$events" --header 'Metadata: true' --post-data "{\"StartRequests\":[{\"EventId\":\"$event\"}]}"
