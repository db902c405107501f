#!/bin/sh
# The API by hand: set a target state, wait until it is reached, look around, restart a service and watch what it writes.
# An agent to try it on, with nothing installed but this repository: npm start -- --engine embedded
set -eu
device=${1:-http://127.0.0.1:48484}
json='content-type: application/json'
here=$(dirname "$0")

curl -fsS "$device/v2/version"; echo
curl -fsS -X POST -H "$json" --data "@$here/target.json" "$device/v2/local/target-state"; echo

until curl -fsS "$device/v2/state/status" | grep -q '"appState":"applied"'; do sleep 0.2; done
curl -fsS "$device/v2/applications/state"; echo

# The stream of logs has no end of its own: three seconds of it.
curl -s --no-buffer --max-time 3 "$device/v2/local/logs" & logs=$!
sleep 1
restarted=$(curl -fsS -X POST -H "$json" --data '{"serviceName":"web"}' "$device/v2/applications/1/restart-service")
echo "restart: $restarted"
wait $logs || test $? = 28
echo "Done. The logs go on at $device/v2/local/logs"
