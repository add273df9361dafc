#!/bin/bash
# The example nginx: a bad deploy rolled back live under wrk's load, with no refused connection and no 4xx or 5xx; new requests see one version.
DOCKER_NETWORK=1
. "$(dirname "$0")/../lib/docker.sh"
. "$(dirname "$0")/../lib/images.sh"

VARVED_ARGS="--docker $VARVE_DOCKER" harness_start
docker_first_start
images_load

deploy() { compose nginx run --rm -T deploy sh -ec "$1"; }
# Each version has pages of several sizes that all name it; a page is replaced by renaming, as deploys do.
version='for i in $(seq 20); do { echo VERSION; head -c $((i * 20000)) /dev/zero | tr "\0" x; } >/site/.new; mv /site/.new /site/page$i.html; done
	echo VERSION >/site/.new; mv /site/.new /site/index.html'
expect "docker-compose up" compose nginx up -d
expect "deploying version one" deploy "${version//VERSION/one}"
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "nginx_$1_1"; }
web1=$(address web1) web2=$(address web2)
first() { curl -s -m 10 "http://$1/$2" | head -n 1; }
expect "it is served" until_ok eval '[ "$(first $web1 index.html)" = one ] && [ "$(first $web2 page7.html)" = one ]'
expect_fail "the web tier may not write" in_service nginx web1 sh -c 'echo x >/usr/share/nginx/html/x'
expect "varve snapshot create" "$VARVE" snapshot create site@good

# All pages in turn; every answer that is not 200 is told, and how many bodies were of each version.
cat >"$WORK/all.lua" <<'LUA'
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/page" .. (n % 20 + 1) .. ".html")
end
local threads = {}
function setup(t) table.insert(threads, t) end
function init() bad, one, two, other = 0, 0, 0, 0 end
response = function(status, headers, body)
  if status ~= 200 then bad = bad + 1
  elseif body:sub(1, 4) == "one\n" then one = one + 1
  elseif body:sub(1, 4) == "two\n" then two = two + 1
  else other = other + 1 end
end
done = function()
  local sum = {bad = 0, one = 0, two = 0, other = 0}
  for _, t in ipairs(threads) do
    for k in pairs(sum) do sum[k] = sum[k] + t:get(k) end
  end
  print(string.format("COUNTS bad=%d one=%d two=%d other=%d", sum.bad, sum.one, sum.two, sum.other))
end
LUA
seconds=${LONG:+20}
load() { docker run --rm --name "load-$1" --network nginx_default -v "$WORK/all.lua:/all.lua" services wrk -t 1 -c 8 -d 1h -s /all.lua "http://$1:80/" >"$WORK/load-$1" 2>&1; }
load web1 & load1=$!
load web2 & load2=$!
sleep "${seconds:-2}"
expect "a bad deploy" deploy "${version//VERSION/two}"
expect "is served" until_ok eval '[ "$(first $web1 page20.html)" = two ] && [ "$(first $web2 page20.html)" = two ]'
expect "varve rollback --live, under load" "$VARVE" rollback -y --live site@good
seen=
for i in $(seq 20); do seen+=$(first $web1 page$i.html)$(first $web2 page$i.html); done
expect_eq "from now on every new request sees version one" "$seen" "$(printf 'one%.0s' $(seq 40))"
sleep "${seconds:-2}"
# wrk ends then, and tells.
docker kill -s INT load-web1 load-web2 >/dev/null
wait $load1 $load2
for w in web1 web2; do
	say "$w: $(grep -E 'COUNTS|requests in|Socket errors' "$WORK/load-$w" | tr -s ' ' | tr '\n' ';')"
	expect "$w: no answer but 200, none of neither version" grep -qE 'COUNTS bad=0 one=[1-9][0-9]* two=[1-9][0-9]* other=0' "$WORK/load-$w"
	errors=$(sed -n 's/.*Socket errors: connect \([0-9]*\), read \([0-9]*\), write \([0-9]*\), timeout \([0-9]*\).*/\1 \2 \3 \4/p' "$WORK/load-$w")
	read -r connect cut write timeout <<<"${errors:-0 0 0 0}"
	expect_eq "$w: no connection refused, none timed out" "$connect $write $timeout" "0 0 0"
	expect "$w: at most the responses in flight were cut ($cut)" test "$cut" -le 8
done
expect_eq "the servers had nothing to complain of" "$(compose nginx logs web1 web2 2>&1 | grep -cE '\[(error|crit|alert|emerg)\]')" 0
compose nginx down >/dev/null
check_store
finish
