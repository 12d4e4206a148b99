#!/usr/bin/env bash
# Builds the image, runs compose.yaml with it under a project of its own (fresh keys, fresh volumes), checks what docker/README.md
# promises, and removes everything again. Needs Docker with its compose plugin, or Podman with podman-compose; ports 8080 and 8070
# have to be free.
#
#   docker/verify.sh                          with docker if it is there, else with podman
#   ENGINE=podman docker/verify.sh            with podman
#   BASE=python:3.13.7-slim-trixie@sha256:… docker/verify.sh
set -euo pipefail
cd "$(dirname "$0")"

MOST_MB=450
PASSWORD=correct-horse-battery-staple
ENGINE=${ENGINE:-$(command -v docker >/dev/null && echo docker || echo podman)}
export COMPOSE_PROJECT_NAME=swarmscope-verify SWARMSCOPE_KEY=key-$RANDOM$RANDOM SWARMSCOPE_TOKEN=token-$RANDOM$RANDOM SWARMSCOPE_READ_TOKEN=read-$RANDOM$RANDOM
case $ENGINE in
  docker) compose=(docker compose) ;;
  podman) compose=(podman-compose) ;;
  *) echo "ENGINE is '$ENGINE'; it has to be docker or podman" >&2; exit 2 ;;
esac
"${compose[@]}" version >/dev/null 2>&1 || { echo "'${compose[*]}' does not run: install it (docker/README.md)" >&2; exit 2; }

failures=0
check() { # check WHAT COMMAND...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok      $what"; else echo "FAILED  $what"; failures=$((failures + 1)); fi
}
within() { # within SECONDS COMMAND...
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $until ] || return 1; sleep 1; done
}
status() { # status SERVICE URL [HEADER VALUE [BODY]]: the HTTP status that a container of the deployment gets
  local service=$1
  shift
  "${compose[@]}" exec -T "$service" python3 - "$@" <<'PYTHON'
import sys, urllib.error, urllib.request

url, *rest = sys.argv[1:]
headers = {"Content-Type": "application/json"} | ({rest[0]: rest[1]} if len(rest) > 1 and rest[0] else {})
body = rest[2].encode() if len(rest) > 2 else None
try:
    print(urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
PYTHON
}
answers() { [ "$(status "${@:2}")" = "$1" ]; }
containers() { "$ENGINE" ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"; }
megabytes() { # of the files: engines disagree whether the size of an image is compressed
  echo $(($("$ENGINE" run --rm --user 0 --entrypoint du "$1" --summarize --one-file-system --block-size=1000 / | cut -f1) / 1000))
}
is_healthy() { # Podman leaves the checks to timers of systemd, which not every machine runs
  if [ "$ENGINE" = podman ]; then podman healthcheck run "$1"; else [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; fi
}
all_healthy() { for each in $(containers); do is_healthy "$each" || return 1; done; }
all_ended_by_themselves() { for each in $(containers); do [ "$("$ENGINE" inspect --format '{{.State.ExitCode}}' "$each")" = 0 ] || return 1; done; }
shows_one_message() {
  "${compose[@]}" exec -T monitor python3 - "alice:$PASSWORD" <<'PYTHON'
import base64, sys, urllib.request

headers = {"Authorization": "Basic " + base64.b64encode(sys.argv[1].encode()).decode()}
summary = urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8070/api/v1/summary", headers=headers), timeout=10).read()
sys.exit(b'"messages":1' not in summary.replace(b" ", b""))
PYTHON
}
shows_its_page() {
  "${compose[@]}" exec -T monitor python3 - alice "$PASSWORD" <<'PYTHON'
import sys, urllib.parse, urllib.request

form = urllib.parse.urlencode({"name": sys.argv[1], "password": sys.argv[2]}).encode()
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
login = urllib.request.Request("http://localhost:8070/login", form, {"Origin": "http://localhost:8070"})
sys.exit(b"bokeh.min.js" not in browser.open(login, timeout=10).read())  # the answer to a login leads to the page
PYTHON
}
stops_at_its_prompt() {
  local prompt=$COMPOSE_PROJECT_NAME-prompt begun
  "$ENGINE" run --detach --tty --interactive --name "$prompt" swarmscope:local users add bob
  within 30 asks_for_a_password "$prompt" || return 1
  begun=$SECONDS
  "$ENGINE" stop --time 20 "$prompt"
  local seconds=$((SECONDS - begun)) code
  code=$("$ENGINE" inspect --format '{{.State.ExitCode}}' "$prompt")
  "$ENGINE" rm "$prompt"
  [ $seconds -lt 15 ] && [ "$code" = 143 ]
}
asks_for_a_password() { "$ENGINE" exec --user 0 "$1" sh -c 'stty --file=/dev/console --all | grep -q -- " -echo "'; } # the prompt turns echo off
remove() {
  "$ENGINE" rm --force "$COMPOSE_PROJECT_NAME-prompt" >/dev/null 2>&1 || true
  "${compose[@]}" down --volumes >/dev/null 2>&1 || true
  "$ENGINE" image rm "$COMPOSE_PROJECT_NAME-build" >/dev/null 2>&1 || true
}
trap remove EXIT

"${compose[@]}" build ${BASE:+--build-arg "BASE=$BASE"}
size=$(megabytes swarmscope:local)
echo "        the image has $size MB, its base $(megabytes "${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile)}") MB of them"
check "the image has at most $MOST_MB MB" [ "$size" -le $MOST_MB ]
"$ENGINE" build --quiet ${BASE:+--build-arg "BASE=$BASE"} --target build --tag "$COMPOSE_PROJECT_NAME-build" --file Dockerfile .. >/dev/null
check "the build receives only the files that the image is made of" "$ENGINE" run --rm --entrypoint sh "$COMPOSE_PROJECT_NAME-build" -c \
  '[ "$(cd /source && echo $(ls -A | sort) / $(ls -A docker))" = "$0" ]' "$(sed -n 's/^!//p' ../.dockerignore | sed 's#/.*##' | sort -u | xargs) / slim.sh"
check "the image does not run as root" "$ENGINE" run --rm --entrypoint sh swarmscope:local -c '[ "$(id -u)" != 0 ]'

echo "$PASSWORD" | "${compose[@]}" run --rm -T monitor users add alice --file /var/lib/swarmscope/users.txt
"${compose[@]}" up --detach
check "every service is healthy within 120 s" within 120 all_healthy
message='{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'
feedback=http://coordinator:8080/v1/feedback
check "a message without a key is refused (401)" answers 401 monitor "$feedback" "" "" "$message"
check "a message with the key is accepted (202)" answers 202 monitor "$feedback" Authorization "Bearer $SWARMSCOPE_KEY" "$message"
check "the logs require the read token (401)" answers 401 monitor http://feedback-server-1:8090/v1/logs
check "the coordinator's metrics require the read token (401)" answers 401 monitor http://coordinator:8080/metrics
check "the dashboard's numbers require a login (401)" answers 401 monitor http://127.0.0.1:8070/api/v1/summary
check "the dashboard shows the message within 30 s" within 30 shows_one_message
check "the dashboard's page is served after a login" shows_its_page
check "a command that waits at its prompt ends on a stop" stops_at_its_prompt

"${compose[@]}" stop >/dev/null 2>&1
check "every service ends by itself with exit code 0" all_ended_by_themselves
"${compose[@]}" up --detach >/dev/null 2>&1
check "the dashboard shows the message after a restart, within 60 s" within 60 shows_one_message
[ $failures = 0 ] && echo "All checks passed with $ENGINE."
exit $failures
